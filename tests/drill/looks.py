"""What the page showed, held against the answers of the same moments, the truth, and the line that it came on."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from tests.drill.clients import Reading, Served
from tests.drill.followed import DEAD, silences
from tests.drill.heard import READER, Line, lines, states_of
from tests.drill.listener import CLOSED, OPENED, Told
from tests.drill.truth import PROVEN, Waited, Wrong

SERVABLE = frozenset({*PROVEN, "fallback", "halted"})
UNCONFIRMED = "unconfirmed"

COARSE = 2.0
"""Seconds by which a shown age may be less than it is: it ticks once a second, and its fraction is not shown."""

UNWATCHED = 2.0
"""Seconds between two looks after which the tab was not running."""

_SPAN = re.compile(r"(?:(\d+) d)? ?(?:(\d+) h)? ?(?:(\d+) min)? ?(?:(\d+) s)?")

Texts = Mapping[tuple[str, Decimal], set[str]]
"""The service's own texts for a price of a pair: the WebSocket's, and REST's with further zeros."""


class Shown(NamedTuple):
    """A row of the table of pairs."""

    pair: str
    price: str
    state: str
    age: str
    source: str


class Look(NamedTuple):
    """What the page shows at one moment."""

    moment: float
    """Monotonic seconds."""
    line: str
    """connecting, live, lost or dead."""
    covered: bool
    """The style sheet itself says NOT LIVE, as no script runs."""
    said: str
    """The bar."""
    pairs: list[Shown]

    @property
    def is_dead(self) -> bool:
        return self.covered or self.line == "dead"

    def states(self) -> dict[str, str]:
        return {each.pair: each.state for each in self.pairs}


def open_lines(looks: Iterable[Look]) -> list[Line]:
    """The times in which the page says that its line is open, as connections of a listener."""
    return list(lines(_told(looks)))


def _told(looks: Iterable[Look]) -> Iterator[Told]:
    connection, before = 0, None
    known: dict[str, tuple[str, str]] = {}
    for look in looks:
        is_open = look.line == "live" and not look.covered
        if before is not None and (not is_open or look.moment - before > UNWATCHED):
            yield Told(before if is_open else look.moment, connection, CLOSED, "", {})
            connection, before = connection + 1, None
            known.clear()
        if is_open:
            if before is None:
                yield Told(look.moment, connection, OPENED, "", {})
            before = look.moment
            for shown in look.pairs:
                if known.get(shown.pair) != (shown.price, shown.state):
                    known[shown.pair] = shown.price, shown.state
                    yield Told(look.moment, connection, "price", "", _item(shown))
    if before is not None:
        yield Told(before, connection, CLOSED, "", {})


def _item(shown: Shown) -> dict[str, str | None]:
    amount = shown.price if shown.state in SERVABLE else None
    source = shown.source.replace(" ", ":")
    return {
        "pair": shown.pair,
        "amount": amount,
        "state": shown.state,
        "source": source,
        "age_ms": "0",
        "trade_id": None,
    }


def shown_as_answers(looks: Iterable[Look]) -> Iterator[Reading]:
    """Each look as an answer of its moment, with the ages that it shows."""
    for look in looks:
        served = [
            Served(shown.pair, shown.price, shown.state, None, str(round(1000 * (age + COARSE))), None)
            for shown in look.pairs
            if not look.covered and (age := seconds(shown.age)) is not None and _is_price(shown.price)
        ]
        yield Reading(READER, look.moment, look.moment, look.moment, None, 200, None, served)


def seconds(age: str) -> float | None:
    """As the page writes it; None for `never`."""
    found = _SPAN.fullmatch(age)
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, left = (int(each or 0) for each in found.groups())
    return float(((24 * days + hours) * 60 + minutes) * 60 + left)


def _is_price(text: str) -> bool:
    return text[:1].isdigit()


def other_digits(looks: Iterable[Look], texts: Texts) -> list[Wrong]:
    """Prices whose digits are not those of the service."""
    return [
        Wrong(look.moment, f"{shown.pair} is shown as {shown.price}, and served as {known}")
        for look in looks
        for shown in look.pairs
        if _is_price(shown.price)
        and (known := texts.get((shown.pair, Decimal(shown.price))))
        and shown.price not in known
    ]


def alive_too_long(
    looks: Sequence[Look], arrivals: Sequence[float], stopped: float, excuse: float, waited: Waited
) -> list[Wrong]:
    """No event came, and the page does not say NOT LIVE; or it does, and calls a price live."""
    wrong = [
        Wrong(look.moment, f"NOT LIVE, and {shown.pair} is {shown.state}")
        for look in looks
        for shown in look.pairs
        if look.line == "dead" and shown.state in SERVABLE
    ]
    for before, due in silences(arrivals, stopped, excuse, waited):
        after = arrivals[place] if (place := bisect_right(arrivals, due)) < len(arrivals) else stopped
        first = bisect_right(looks, due, key=lambda look: look.moment)
        last = bisect_left(looks, after, key=lambda look: look.moment)
        meanwhile = [*looks[max(0, first - 1) : first], *looks[first:last]]
        if any(not look.is_dead for look in meanwhile):
            wrong.append(
                Wrong(due, f"nothing came for {due - before:.1f} s, and the page does not say NOT LIVE")
            )
    return wrong


def live_against(looks: Sequence[Look], answers: Iterable[Reading]) -> float:
    """For how many seconds at most a pair was shown as live while answers called it something else."""
    longest = 0.0
    moments = [look.moment for look in looks]
    for pair, state, begun, ended in states_of(answers):
        if state == "live":
            continue
        for look in looks[bisect_left(moments, begun) : bisect_right(moments, ended)]:
            if not look.covered and look.states().get(pair) == "live":
                longest = max(longest, look.moment - begun)
    return longest


def never_longer_than(longest: float, excuse: float) -> bool:
    """A page whose line is cut can know no better until it is dead."""
    return longest <= DEAD + excuse


def unwatched(looks: Sequence[Look]) -> float:
    """The longest time between two looks, in seconds."""
    return max((after.moment - before.moment for before, after in pairwise(looks)), default=0.0)
