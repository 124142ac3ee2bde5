"""Trades of any length as text, with the gaps between them told in place: CSV, or one JSON object a line."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from io import StringIO
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Side
from ltp_service.history.answers import Gap, Window
from ltp_service.history.questions import Page
from ltp_service.history.rows import RecordedTrade
from ltp_service.runtime.moments import rfc3339_exact

Form = Literal["csv", "jsonl"]

PAGE = 1000
"""Trades of one page, so many at once are in memory."""

Moment = Annotated[
    str, Meta(examples=["2026-11-21T00:46:21.123456Z"], extra_json_schema={"format": "date-time"})
]
Digits = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", examples=["115643.10"])]


class PastTrade(msgspec.Struct, frozen=True):
    """One trade on Kraken."""

    trade_id: int
    traded_at: Moment
    price: Digits
    """Quote currency per base unit, every digit."""
    quantity: Digits
    """Base units."""
    side: Side
    """The taker's."""


class PastGap(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Trades that are not known: those between the two ids."""

    after_trade_id: int | None
    """The last trade before them; null where that is not known."""
    before_trade_id: int | None
    """The first trade after them; null where that is not known, or where there is none yet."""
    from_: Moment | None
    to: Moment | None


class GapRow(msgspec.Struct, frozen=True):
    """Stands among the trades where some are missing."""

    gap: PastGap


COLUMNS = ("pair kind trade_id traded_at price quantity side after_trade_id before_trade_id from to").split()
"""Of the CSV. A row is a `trade` or a `gap`, and has nothing in the columns of the other kind."""


def digits(value: Decimal) -> str:
    """Every digit that the exchange sent, without an exponent."""
    return format(value, "f")


def told(row: RecordedTrade | Gap) -> PastTrade | GapRow:
    """One row as its JSON tells it."""
    if isinstance(row, Gap):
        since, until = (None if at is None else rfc3339_exact(at) for at in (row.since, row.until))
        return GapRow(PastGap(row.after_trade_id, row.before_trade_id, since, until))
    moment = rfc3339_exact(row.traded_at)
    return PastTrade(row.trade_id, moment, digits(row.price), digits(row.quantity), row.side)


def cells(pair: Pair, row: RecordedTrade | Gap) -> Sequence[object]:
    """One row of the CSV."""
    each = told(row)
    if isinstance(each, GapRow):
        gap = each.gap
        return (pair, "gap", "", "", "", "", "", gap.after_trade_id, gap.before_trade_id, gap.from_, gap.to)
    return (
        pair,
        "trade",
        each.trade_id,
        each.traded_at,
        each.price,
        each.quantity,
        each.side,
        "",
        "",
        "",
        "",
    )


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows of a CSV (RFC 4180). None is an empty cell."""
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def every_row(ask: Callable[[Window], Page], asked: Window) -> Iterator[RecordedTrade | Gap]:
    """All trades of a window, page by page, with their gaps. `ask` gives one page of them. Raises StoreUnavailable."""
    while True:
        page = ask(asked)
        yield from page.rows
        if page.last is None:
            return
        asked = asked._replace(start=page.last.traded_at, after_trade_id=page.last.trade_id)


def lines(pair: Pair, rows: Iterable[RecordedTrade | Gap], form: Form) -> Iterator[str]:
    """The lines of a file, each with its end."""
    if form == "csv":
        yield as_csv([COLUMNS])
        for row in rows:
            yield as_csv([cells(pair, row)])
        return
    for row in rows:
        yield f"{msgspec.json.encode(told(row)).decode()}\n"
