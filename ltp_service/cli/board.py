"""What `ltp watch` knows of each pair, as lines and as a table. No I/O, no clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ltp_service.client import Disconnected, Event, Price, Unavailable

NOT_CONFIRMED = "not live"
"""The state of all prices while the line to the service is dead."""

COLUMNS_OF_THE_PRICE = 4
"""Pair, price, arrow, state."""

_MARGINS = 4
"""Columns of a terminal before the pair, and between it and the price."""

_WORDS = {"▲": "up", "▼": "down"}

_STYLES = {
    "live": "green",
    "quiet": "green",
    "fallback": "yellow",
    "substitute": "yellow",
    "halted": "yellow",
}


@dataclass
class Row:
    """What is known of one pair."""

    state: str
    at: datetime
    """When it was told."""
    price: str = ""
    """The last one that was told, every digit; empty before the first."""
    amount: Decimal | None = None
    is_trusted: bool = False
    """Whether the price is told as the present one."""
    arrow: str = ""
    reason: str = ""
    source: str = ""


class Board:
    """One row for each pair, in the order in which they were told."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._rows: dict[str, Row] = {}
        self._dead: Disconnected | None = None

    def take(self, event: Event) -> list[str]:
        """Notes what happened. Returns the pairs that it changes."""
        match event:
            case Price(pair):
                self._dead = None
                self._rows[pair] = self._priced(event)
                return [pair]
            case Unavailable(pair, state, reason):
                self._dead = None
                self._distrust(self._rows.setdefault(pair, Row(state, self._now())), state, reason)
                return [pair]
            case Disconnected():
                self._dead = event
                for row in self._rows.values():
                    self._distrust(row, NOT_CONFIRMED, "")
                return list(self._rows)
        return []

    def line(self, pair: str) -> str:
        """The pair in one line: time, pair, price or `-`, state."""
        row = self._rows[pair]
        at = f"{row.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        return f"{at}Z {pair} {row.price if row.is_trusted else '-'} {row.state.replace(' ', '-')}"

    def drawn(self, width: int, *, in_ascii: bool = False) -> Group:
        """Renders for a terminal of `width` columns: how many prices may be trusted, the table, and why the others may not.

        A low terminal shows the first lines. A price that may not be trusted now is in parentheses, also without colours.
        `in_ascii` has words for arrows.
        """
        known = list(self._rows.items())
        reasons = dict.fromkeys(row.reason for _, row in known if row.reason)
        rows = [(Text(pair), *_cells(row, in_ascii=in_ascii)) for pair, row in known]
        needed = _MARGINS + sum(max((cells[n].cell_len for cells in rows), default=0) for n in range(2))
        if width < needed:  # half a price would be another price
            return Group(self._verdict(), Text(f"a terminal of {needed} columns has room for the prices"))
        return Group(
            self._verdict(), self._table(rows), *(Text(reason, style="bold red") for reason in reasons)
        )

    def _table(self, rows: Sequence[Sequence[Text]]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, name in enumerate(("PAIR", "PRICE", "", "STATE", "SOURCE", "TOLD")):
            # In a narrow terminal the columns after the state give way.
            widest = max([len(name), *(cells[place].cell_len for cells in rows)])
            width = widest if place < COLUMNS_OF_THE_PRICE else None
            table.add_column(
                name, justify="right" if name == "PRICE" else "left", min_width=width, no_wrap=True
            )
        for cells in rows:
            table.add_row(*cells)
        return table

    def _priced(self, price: Price) -> Row:
        before = self._rows.get(price.pair)
        arrow, last = (before.arrow, before.amount) if before else ("", None)
        if before and _exchange(before.source) != _exchange(price.source):
            arrow, last = "", None  # another market: the price has not moved
        if last is not None and last != price.amount:
            arrow = "▲" if price.amount > last else "▼"
        return Row(price.state, self._now(), price.price, price.amount, True, arrow, source=price.source)

    def _distrust(self, row: Row, state: str, reason: str) -> None:
        row.state, row.reason, row.is_trusted, row.arrow, row.at = state, reason, False, "", self._now()

    def _verdict(self) -> Text:
        """One sentence."""
        if self._dead is not None:
            since = self._dead.since.astimezone(self._now().tzinfo)
            return Text(f"NOT LIVE since {since:%H:%M:%S}: {self._dead.reason}", style="bold red")
        rows = list(self._rows.values())
        if not rows:
            return Text("waiting for the service")
        trusted = sum(row.is_trusted for row in rows)
        style = "" if trusted == len(rows) else "bold red"
        return Text(f"{trusted} of {len(rows)} prices may be trusted", style=style)


def _exchange(source: str) -> str:
    return source.partition(":")[0]


def _cells(row: Row, *, in_ascii: bool) -> list[Text]:
    style = _STYLES.get(row.state, "red") if row.is_trusted else "red"
    price = row.price if row.is_trusted or not row.price else f"({row.price})"
    return [
        Text(price, style="bold" if row.is_trusted else "dim"),
        Text(
            _WORDS.get(row.arrow, "") if in_ascii else row.arrow, style="green" if row.arrow == "▲" else "red"
        ),
        Text(row.state, style=style),
        Text(row.source, style="dim"),
        Text(f"{row.at:%H:%M:%S}", style="dim"),
    ]
