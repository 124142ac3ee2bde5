"""Holds an answer against what was traded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.drill.chance.behaviour import Behaviour, Fault
from tests.drill.chance.market import Deal, Tape

TTL = 30.0
"""The service's CACHE_TTL."""

LIVE = 60.0
"""Seconds since the last trade within which a market is live."""

LATENESS_UNTOLD = 0.25
"""Seconds by which a feed may lag before its age has to say so."""

LOOK = 0.35
"""Seconds: evidence counts ten times a second, a read waits 0.2 s at most."""

REST_CACHE = 2.0
"""Seconds that Kraken's REST is known to answer from a cache."""

HABIT = 120.0 + 5.0
"""Seconds after which a silent pair has been asked for over REST at the latest: its longest habit, the next look and the
call. Until then silence and deafness cannot be told apart."""

ROUNDING = 0.002


@dataclass(frozen=True)
class Finding:
    """Something that was said and was not true."""

    moment: float
    pair: str
    what: str
    said: Mapping[str, Any]


@dataclass
class Reader:
    """One client: what it was told goes forward only."""

    tapes: Mapping[str, Tape]
    behaviour: Behaviour
    _seen: dict[str, int] = field(default_factory=dict)

    def judge(self, now: float, exchange_time: float, item: Mapping[str, Any]) -> Iterator[Finding]:
        """`now` in seconds of the play. `item` is one pair of an answer with detail."""
        pair = str(item["pair"])
        tape = self.tapes[pair]
        place = tape.find(Decimal(str(item["price"])))
        if place is None or Decimal(str(item["amount"])) != Decimal(item["price"]):
            said = ["nothing was traded at this price"]
        else:
            tolerance = self.tolerance(now, pair, item)
            said = [
                *_identity(tape.deals[place], exchange_time, item),
                *self._order(pair, place),
                *_age(tape, place, exchange_time, item, tolerance),
                *_state(exchange_time - tape.moments[place], item, tolerance),
            ]
        for what in said:
            yield Finding(now, pair, what, item)

    def _order(self, pair: str, place: int) -> Iterator[str]:
        seen = self._seen.get(pair, place)
        if place < seen:
            yield f"back to an older trade: {seen} → {place}"
        self._seen[pair] = max(seen, place)

    def tolerance(self, now: float, pair: str, item: Mapping[str, Any]) -> float:
        """Seconds by which an age may be too low, because nothing could tell."""
        behaviour = self.behaviour
        allowed = LATENESS_UNTOLD + LOOK + 2 * behaviour.latency
        if item["source"] == "kraken:rest" or item["state"] == "fallback":
            allowed += max(0.0, behaviour.cache - REST_CACHE) + LOOK
        for fault in behaviour.faults:
            allowed += _unknowable(fault, behaviour, now, pair)
        return allowed


def _identity(deal: Deal, exchange_time: float, item: Mapping[str, Any]) -> Iterator[str]:
    """The trade's own number and time, and none of the future."""
    if deal.moment > exchange_time:
        yield "it is not traded yet"
    if item["trade_id"] not in (None, deal.number):
        yield f"the trade's number is {deal.number}"
    if item["traded_at"] is not None and abs(_unix(item["traded_at"]) - deal.moment) > ROUNDING:
        yield f"it was traded {exchange_time - deal.moment:.3f} s ago"


def _age(
    tape: Tape, place: int, exchange_time: float, item: Mapping[str, Any], tolerance: float
) -> Iterator[str]:
    """It was the last trade that long ago."""
    age = item["age_ms"] / 1000
    if age > TTL + LOOK:
        yield "served without evidence for longer than CACHE_TTL"
    replaced = exchange_time - tape.replaced_at(place)
    if replaced > age + tolerance:
        newest = tape.place(exchange_time)
        yield f"replaced {replaced:.2f} s ago (trade {place}, now {newest}), tolerance {tolerance:.2f}"


def _state(old: float, item: Mapping[str, Any], tolerance: float) -> Iterator[str]:
    """`old` is the trade's age in seconds."""
    if item["state"] == "live" and old > LIVE + item["age_ms"] / 1000 + tolerance:
        yield f"live, {old:.1f} s after the trade"
    if item["state"] == "quiet" and old < LIVE - 1.0:
        yield f"quiet, {old:.1f} s after the trade"


def _unknowable(fault: Fault, behaviour: Behaviour, now: float, pair: str) -> float:
    """How long nothing tells that it is wrong."""
    lasts = fault.touches(now, pair, after=HABIT)
    if not lasts:
        return 0.0
    since = now - fault.begin
    match fault.kind:
        case "deaf" | "deaf_trades" | "deaf_tickers":
            # REST may tell an old price from its cache once more.
            return min(since, HABIT + behaviour.cache)
        case "late" | "late_data":
            # Until the first late frame nothing is known; later its age tells.
            return fault.size + 0.5
        case "reordered":
            return 0.5
        case "silent":
            return 0.0
        case _:
            return 0.0


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
