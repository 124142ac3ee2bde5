"""Holds an answer against what was traded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.drill.chance.behaviour import Behaviour, Fault
from tests.drill.chance.exchange import Exchange
from tests.drill.chance.market import PAUSES, Tape

TTL = 30.0
"""The service's CACHE_TTL."""

LIVE = 60.0
"""Seconds since the last trade within which a market is live."""

LATENESS_UNTOLD = 0.25
"""Seconds by which a feed may lag before its age has to say so."""

LOOK = 0.35
"""Seconds: evidence counts ten times a second, a read waits 0.2 s at most."""

REST_CACHE = 2.0
"""Seconds that Kraken's REST is known to answer from a cache, where it does not tell."""

SHORTEST, LONGEST = 10.0, 120.0
"""Seconds of silence after which a pair is asked for over REST, by its own habit. Until then silence and deafness
cannot be told apart."""

FACTOR = 10.0
"""How many usual pauses make a suspicious one."""

UNEVEN = 4.0
"""The mean of the last few pauses is hardly ever more than so many times the mean of all."""

ASKING = 5.0
"""Seconds from a pair's suspicious silence to REST's answer: the look, the calls before it, the call."""

LAG_COUNTS = 10.0
"""Seconds for which the lateness of a trade says how late everything is."""

ROUNDING = 0.002

CALM = LONGEST + ASKING + 5.0
"""Seconds after the last fault from which on nothing can be wrong any more."""

HELD = 2.0
"""Seconds for which a lone print far from all others is held back, and nothing confirmed."""

OLDEST = 1.0 + HELD + 2.0
"""Seconds of age that a price has at most then: heartbeats come each second, and REST is asked within two."""

STAND_IN = 10.0
"""Seconds for which REST's word may stand then, once it settled a doubt."""

LISTED = 600.0
"""Seconds between two looks at the exchange's list of pairs."""

TOLD = 1.0
"""Seconds after which a state that the exchange has told is known, besides the line's own."""

DEAF = ("deaf", "deaf_trades", "deaf_tickers")
LINE = ("cut", "silent", "late", "late_data", "reordered", "no_ack")
"""Faults under which nothing that the exchange tells can be relied upon to arrive."""


@dataclass(frozen=True)
class Finding:
    """Something that was said and was not true."""

    moment: float
    pair: str
    what: str
    said: Mapping[str, Any]


@dataclass
class Reader:
    """One client: what it was told goes forward only. `exchange` knows what reached the service."""

    tapes: Mapping[str, Tape]
    behaviour: Behaviour
    exchange: Exchange
    _seen: dict[str, int] = field(default_factory=dict)
    _proven_at: dict[str, float] = field(default_factory=dict)

    def judge(
        self, now: float, exchange_time: float, item: Mapping[str, Any], promised: float
    ) -> Iterator[Finding]:
        """`now` in seconds of the play. `item` is one pair of an answer, with detail or without; in the one case it
        tells its own age, in the other it is no older than `promised` seconds."""
        pair = str(item["pair"])
        tape = self.tapes[pair]
        places = tape.find(Decimal(str(item["amount"])), exchange_time)
        if not places:
            said = ["nothing was traded at this price"]
        else:
            said = [*self._order(pair, places), *self._truth(now, exchange_time, item, places, promised)]
        for what in said:
            yield Finding(now, pair, what, item)

    def expect(self, now: float, pair: str, said: Mapping[str, Any] | None) -> Iterator[Finding]:
        """Where nothing has been wrong for long, there is a price, and it comes from the feed."""
        since = max((self._over(fault) for fault in self.behaviour.faults if fault.begin <= now), default=0.0)
        jump = self.behaviour.skew_jumps_at
        is_calm = now - max(since, jump if jump <= now else 0.0) >= CALM
        if said is not None and said["state"] in ("live", "quiet"):
            self._proven_at[pair] = now
        if not is_calm:
            self._proven_at[pair] = now
        elif said is None:
            yield Finding(now, pair, "no price, though nothing is wrong", {})
        elif now - self._proven_at.get(pair, 0.0) > STAND_IN:
            yield Finding(now, pair, f"{said['state']} for long, though nothing is wrong", said)
        elif said["age_ms"] > 1000 * (OLDEST + self._shown_lag(now, pair, said)):
            yield Finding(now, pair, "old evidence, though nothing is wrong", said)

    def _shown_lag(self, now: float, pair: str, said: Mapping[str, Any]) -> float:
        """The lag that the last trade of a pair without trades since may have shown; until its next one it counts."""
        late = (each for each in self.behaviour.faults if each.kind in ("late", "late_data"))
        shown = (each.size for each in late if each.begin <= now and each.pair in (None, pair))
        return 0.0 if said["state"] == "live" else max(shown, default=0.0)

    def _over(self, fault: Fault) -> float:
        """When the service can know that it is over: v1 does not tell of single pairs, and the list is asked for seldom."""
        untold = fault.kind in ("pair_halt", "delisted") and self.behaviour.protocol == "v1"
        return fault.end + (LISTED if untold else 0.0)

    def _order(self, pair: str, places: list[int]) -> Iterator[str]:
        seen = self._seen.get(pair, 0)
        if places[-1] < seen:
            yield f"back to an older trade: {seen} → {places[-1]}"
        self._seen[pair] = max(seen, places[0])

    def _truth(
        self, now: float, exchange_time: float, item: Mapping[str, Any], places: list[int], promised: float
    ) -> Iterator[str]:
        pair = str(item["pair"])
        tape, tolerance = self.tapes[pair], self.tolerance(now, pair, item)
        if tape.moments[places[0]] > exchange_time:
            yield "it is not traded yet"
        if "state" not in item:
            yield from _age(tape, places[-1], exchange_time, promised + tolerance)
            return
        age = item["age_ms"] / 1000
        if age > TTL + LOOK:
            yield "served without evidence for longer than CACHE_TTL"
        if Decimal(item["price"]) != Decimal(str(item["amount"])):
            yield "price and amount differ"
        yield from self._identity(now, tape, places, item)
        yield from _age(tape, places[-1], exchange_time, age + tolerance)
        old = [exchange_time - tape.moments[place] for place in (places[0], places[-1])]
        yield from self._state(now, old, item, tolerance)

    def _identity(self, now: float, tape: Tape, places: list[int], item: Mapping[str, Any]) -> Iterator[str]:
        """The trade's own number and time."""
        deals = [tape.deals[place] for place in places]
        if item["trade_id"] is not None and item["trade_id"] not in {deal.number for deal in deals}:
            yield f"the trade's number is {deals[-1].number}"
        if item["traded_at"] is None:
            return
        ahead = {fault.size for fault in self.behaviour.faults if fault.kind == "ahead"} | {0.0}
        told = _unix(item["traded_at"])
        if not any(abs(told - deal.moment - size) <= ROUNDING for deal in deals for size in ahead):
            yield f"it was traded {deals[-1].moment - told:.3f} s later than told"

    def _state(
        self, now: float, old: list[float], item: Mapping[str, Any], tolerance: float
    ) -> Iterator[str]:
        """`old`: the age in seconds of the first and the last trade at this price."""
        pair, state = str(item["pair"]), item["state"]
        if state == "live" and old[1] > LIVE + item["age_ms"] / 1000 + tolerance + self._ahead(pair):
            yield f"live, {old[1]:.1f} s after the trade"
        if state == "quiet" and old[0] < LIVE - 1.0 - self._ahead(pair):
            yield f"quiet, {old[0]:.1f} s after the trade"
        halted = self.behaviour.halted(now, pair)
        if halted is not None and state in ("live", "quiet") and self._was_told(halted, now):
            yield f"{state}, while the exchange says {halted.word or halted.kind}"
        if halted is None and state == "halted" and not self._may_be_halted(now, pair):
            yield "halted, though the exchange says that it is not"

    def _ahead(self, pair: str) -> float:
        faults = [
            fault.size for fault in self.behaviour.faults if fault.kind == "ahead" and fault.pair == pair
        ]
        return max(faults, default=0.0)

    def _was_told(self, halted: Fault, now: float) -> bool:
        """Whether the service must have heard of it. v1 tells of the system alone."""
        told = halted.kind == "halt" or self.behaviour.protocol == "v2"
        heard = halted.begin + TOLD + 4 * self.behaviour.latency
        return told and now > heard and not self.behaviour.any(LINE, now, after=CALM)

    def _may_be_halted(self, now: float, pair: str) -> bool:
        return self.behaviour.any(
            ("halt", "pair_halt", "delisted"), now, pair, after=TOLD + 4 * self.behaviour.latency
        ) or (self.behaviour.any(LINE, now, after=CALM) or self.behaviour.protocol == "v1")

    def tolerance(self, now: float, pair: str, item: Mapping[str, Any]) -> float:
        """Seconds by which an age may be too low, because nothing could tell."""
        behaviour = self.behaviour
        allowed = LATENESS_UNTOLD + LOOK + 2 * behaviour.latency
        if item.get("source", "kraken:rest") == "kraken:rest" or item["state"] == "fallback":
            allowed += LOOK + self._untold_cache()
        for fault in behaviour.faults:
            allowed += self._unknowable(fault, now, pair)
        return allowed

    def _untold_cache(self) -> float:
        behaviour = self.behaviour
        return 0.0 if behaviour.tells_age else max(0.0, behaviour.cache - REST_CACHE)

    def _unknowable(self, fault: Fault, now: float, pair: str) -> float:
        """How long nothing tells that it is wrong."""
        habit = min(LONGEST, max(SHORTEST, FACTOR * UNEVEN * PAUSES[pair])) + ASKING
        since = now - fault.begin
        match fault.kind:
            case "deaf" | "silent" if fault.touches(now, pair, after=habit):
                # Where a cache hides its age, REST may tell an old price once more. A silence is too short to be
                # noticed, or ends with the connection, and what it swallowed is never told.
                return min(since, habit * (2.0 if self._untold_cache() else 1.0))
            case "late" | "late_data" if fault.touches(now, pair, after=fault.size + 0.5):
                # Nothing tells it but the time of a trade that came late.
                at, lag = self.exchange.lag
                known = now - at <= LAG_COUNTS and lag >= fault.size
                return 0.5 if known else fault.size + 0.5
            case "unusable" | "unusable_trades" | "null_row" if fault.touches(now, pair, after=ASKING):
                return self._untold_cache()  # what REST told has settled it, older than anything says
            case "reordered" if fault.touches(now, pair, after=0.5):
                return 0.5
            case "ahead" if self.behaviour.protocol == "v1" and fault.touches(now, pair, after=fault.size):
                return (
                    fault.size
                )  # without ids nothing but the time says which of two trades is the newer one
        return 0.0


def _age(tape: Tape, place: int, exchange_time: float, allowed: float) -> Iterator[str]:
    """It was the last trade `allowed` seconds ago."""
    replaced = exchange_time - tape.replaced_at(place)
    if replaced > allowed:
        newest = tape.place(exchange_time)
        yield f"replaced {replaced:.2f} s ago (trade {place}, now {newest}), allowed {allowed:.2f}"


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
