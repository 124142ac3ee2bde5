"""What the last trade of each pair was at each moment, and which answers are wrong by it."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, Self

from tests.drill.clients import Reading, Served

TRANSPORT = 0.25
"""Seconds that an honest price may lose on its way, exchange to service, service to client, besides those for which
the machine had no processor for them."""

REST = "kraken:rest"
PROVEN = frozenset({"live", "quiet"})


@dataclass(slots=True)
class _Tape:
    times: list[float] = field(default_factory=list)
    """Unix seconds."""
    prices: list[Decimal] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def matches(self, served: Served, earliest: float, latest: float) -> list[int]:
        """The trades at that price that were the last one at some moment between those two."""
        first = max(0, bisect_right(self.times, earliest) - 1)
        while first > 0 and self.times[first - 1] == self.times[first]:
            first -= 1
        amount = Decimal(served.amount)
        found = [at for at in range(first, bisect_right(self.times, latest)) if self.prices[at] == amount]
        if served.trade_id is None or served.source == REST:  # REST vouches for the price, and names no trade
            return found
        return [at for at in found if self.ids[at] == int(served.trade_id)]


@dataclass(frozen=True, slots=True)
class Mute:
    """A time in which nothing was told about some pairs, so that they may not be called live or quiet."""

    pairs: frozenset[str]
    since: float
    """Monotonic seconds, the time to notice it included."""
    until: float


@dataclass(frozen=True, slots=True)
class Wrong:
    """A price that should not have been served."""

    moment: float
    why: str


Waited = Callable[[float, float], float]
"""How long, between two monotonic moments, the programs on the way were ready to run and got no processor."""


def never_waited(since: float, until: float) -> float:
    """Excuses nothing."""
    return 0.0


class Market(Protocol):
    """The simulator, as far as it is asked here."""

    def market(self, *pairs: str, after: float | None = None) -> dict[str, dict[str, Any]]: ...


class Truth:
    """The market's whole history, fetched while it is written."""

    def __init__(
        self,
        simulator: Market,
        pairs: Iterable[str],
        waited: Waited = never_waited,
        transport: float = TRANSPORT,
    ) -> None:
        self._simulator = simulator
        self.waited = waited
        self._transport = transport
        self._tapes = {pair: _Tape() for pair in pairs}
        self._unix = time.time() - time.monotonic()
        """What to add to monotonic seconds."""
        self.ahead = 0.0
        """Seconds by which the exchange's clock is before ours."""

    def excusing(self, waited: Waited) -> Self:
        """The same history, with other excuses."""
        other = copy(self)
        other.waited = waited
        return other

    def catch_up(self) -> None:
        """Call it before the simulator forgets, and once at the end."""
        after = min((tape.times[-1] if tape.times else 0.0) for tape in self._tapes.values())
        for pair, market in self._simulator.market(*self._tapes, after=after - 0.001).items():
            tape = self._tapes[pair]
            for seconds, price, trade_id in market["history"]:
                if not tape.ids or trade_id > tape.ids[-1]:
                    tape.times.append(seconds)
                    tape.prices.append(Decimal(price))
                    tape.ids.append(trade_id)

    def trades(self, pair: str) -> list[tuple[float, int, Decimal]]:
        """Unix seconds, id and price of each trade so far."""
        tape = self._tapes[pair]
        return list(zip(tape.times, tape.ids, tape.prices, strict=True))

    def wrong(
        self,
        readings: Iterable[Reading],
        ttl: float,
        unnoticed: float = 0.0,
        mutes: Iterable[Mute] = (),
        slack: float = 0.0,
    ) -> list[Wrong]:
        """Every wrong price in the answers.

        A price has to have been the last trade at some moment between the request, less what the answer promises,
        and the answer. A plain answer promises `ttl`; one with detail promises its own age, but no more than that
        a subscription may fall behind unnoticed for `unnoticed` seconds. No reader may see a pair go back in time, by more
        than `slack` seconds where several workers answer in turn.
        """
        ordered = sorted(readings, key=lambda reading: reading.answered_at)
        floors: dict[tuple[int, str], float] = {}
        mutes = list(mutes)
        return [
            Wrong(reading.answered_at, why)
            for reading in ordered
            for served in reading.served
            if not served.is_substitute  # the rows about those look at when they are served
            if (why := self._fault(reading, served, _promise(served, ttl, unnoticed)))
            or (why := _claim(reading, served, mutes))
            or (why := self._regress(reading, served, _promise(served, ttl, unnoticed), floors, slack))
        ]

    def lateness(self, readings: Iterable[Reading]) -> list[float]:
        """Of each price with detail: seconds, at least, from the trade that replaced it to the request; 0 for a last trade."""
        late = []
        for reading in readings:
            asked = self._unix + self.ahead + reading.asked_at
            for served in (each for each in reading.served if each.state in PROVEN):
                tape = self._tapes[served.pair]
                places = tape.matches(served, 0.0, asked) or [len(tape.times) - 1]
                replaced = tape.times[places[-1] + 1] if places[-1] + 1 < len(tape.times) else asked
                late.append(max(0.0, asked - replaced))
        return late

    def _range(self, reading: Reading, promise: float) -> tuple[float, float]:
        earliest = reading.asked_at - promise - self._transport
        earliest -= self.waited(earliest, reading.answered_at)
        unix = self._unix + self.ahead
        return unix + earliest, unix + reading.answered_at

    def _fault(self, reading: Reading, served: Served, promise: float) -> str | None:
        if self._tapes[served.pair].matches(served, *self._range(reading, promise)):
            return None
        return f"{served}: not the last trade within {promise:.3f} s before"

    def _regress(
        self,
        reading: Reading,
        served: Served,
        promise: float,
        floors: dict[tuple[int, str], float],
        slack: float,
    ) -> str | None:
        """The newest trade that this price can be has to be as new as the oldest that the one before can have been."""
        tape = self._tapes[served.pair]
        matches = tape.matches(served, *self._range(reading, promise))
        key = (reading.reader, served.pair)
        floor = floors.get(key, 0.0)
        floors[key] = max(floor, tape.times[matches[0]])
        if tape.times[matches[-1]] >= floor or tape.times[matches[-1] + 1] + slack > floor:
            return None
        return f"{served}: older by {floor - tape.times[matches[-1]]:.3f} s than what this reader saw before"


def _promise(served: Served, ttl: float, unnoticed: float) -> float:
    if served.state is None or served.age_ms is None:
        return max(ttl, unnoticed)
    return max(int(served.age_ms) / 1000, unnoticed if served.state in PROVEN else 0.0)


def _claim(reading: Reading, served: Served, mutes: list[Mute]) -> str | None:
    if served.state not in PROVEN:
        return None
    if any(
        served.pair in mute.pairs and mute.since <= reading.asked_at and reading.answered_at < mute.until
        for mute in mutes
    ):
        return f"{served}: called {served.state} while nothing was told about it"
    return None
