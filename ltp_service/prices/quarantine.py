"""Holds back a lone trade at a price that nobody else has seen; pure, `now` in monotonic seconds.

A real jump is confirmed within moments, by the next trade or by another exchange. A mistaken print is not.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Tick

PATIENCE = 2.0
"""Seconds that a lone trade is held at most."""

WINDOW = 30.0
"""Seconds of one of the two halves of the last minute."""

Witnesses = Callable[[Pair], Iterable[Decimal]]
"""What other exchanges, if their news are fresh, say the same pair was last traded at."""


class _Range(msgspec.Struct):
    """The prices of two neighbouring windows."""

    began_at: float
    low: Decimal
    high: Decimal
    last: Decimal
    before_low: Decimal
    before_high: Decimal

    def widen(self, amount: Decimal) -> None:
        self.last = amount
        if amount < self.low:
            self.low = amount
        elif amount > self.high:
            self.high = amount

    def turn(self, now: float) -> None:
        if now - self.began_at >= 2 * WINDOW:
            self.low = self.high = self.last  # the last price was in force all the time
        self.before_low, self.before_high = self.low, self.high
        self.low = self.high = self.last
        self.began_at = now


class _Held(msgspec.Struct):
    tick: Tick
    until: float


class Quarantine:
    """Decides about each live trade. `limit` is a fraction of the price."""

    def __init__(self, limit: float, witnesses: Witnesses) -> None:
        self._limit = Decimal(str(limit))
        self._witnesses = witnesses
        self._ranges: dict[Pair, _Range] = {}
        self._held: dict[Pair, _Held] = {}

    def admit(self, tick: Tick, now: float, earlier: Sequence[Decimal] = ()) -> bool:
        """True when `tick` may be served; False when it is held, to be asked for with `due`.

        `earlier` are the amounts of trades of other moments that were told with it.
        """
        seen = self._ranges.get(tick.pair)
        if seen is None or self._is_near(seen, tick.amount, now):
            self._release(tick)
        elif not self._is_confirmed(tick, earlier):
            self._hold(tick)
            return False
        self.learn(tick, now)
        return True

    def learn(self, tick: Tick, now: float) -> None:
        """`tick` is served: others are measured by it from now on."""
        seen = self._ranges.get(tick.pair)
        amount = tick.amount
        if seen is None:
            self._ranges[tick.pair] = _Range(now, amount, amount, amount, amount, amount)
        else:
            seen.widen(amount)
        self._release(tick)

    def due(self, now: float) -> list[Tick]:
        """The trades held until now, which nothing contradicted; they are held no longer."""
        due = [held.tick for held in self._held.values() if now >= held.until]
        for tick in due:
            del self._held[tick.pair]
        return due

    def forget(self) -> None:
        """Nobody knows any more what became of the held trades."""
        self._held.clear()

    def held(self, pair: Pair) -> Tick | None:
        """The trade of `pair` that is held now."""
        held = self._held.get(pair)
        return held.tick if held else None

    def _hold(self, tick: Tick) -> None:
        held = self._held.get(tick.pair)
        if held is None:
            self._held[tick.pair] = _Held(tick, tick.received_at + PATIENCE)
        elif held.tick.traded_at is None or _is_later(tick, held.tick):
            held.tick = (
                tick  # the same print, from the channel that knows its time, or a later part of its sweep
            )

    def _release(self, tick: Tick) -> None:
        """`tick` speaks against the trade held of its pair, unless it is older than that."""
        if self._held and (held := self._held.get(tick.pair)) and not _is_later(held.tick, tick):
            del self._held[tick.pair]

    def _is_near(self, seen: _Range, amount: Decimal, now: float) -> bool:
        if now - seen.began_at >= WINDOW:
            seen.turn(now)
        low, high = min(seen.low, seen.before_low), max(seen.high, seen.before_high)
        return low - low * self._limit <= amount <= high + high * self._limit

    def _is_confirmed(self, tick: Tick, earlier: Sequence[Decimal]) -> bool:
        """Whether this is a second trade, or a price that another exchange shares."""
        held = self._held.get(tick.pair)
        if held is not None and not _is_same_print(held.tick, tick):
            return True
        vouching = (*earlier, *self._witnesses(tick.pair))
        return any(abs(price - tick.amount) <= self._limit * price for price in vouching)


def _is_same_print(held: Tick, tick: Tick) -> bool:
    """Whether two frames tell of one event: ticker and trade, of which only one may have a clock."""
    if held.traded_at is not None and tick.traded_at is not None:
        return held.traded_at == tick.traded_at
    return held.amount == tick.amount


def _is_later(tick: Tick, than: Tick) -> bool:
    """Whether both have a time, and `tick` was traded after the other."""
    if tick.traded_at is None or than.traded_at is None:
        return False
    return (tick.traded_at, tick.trade_id or 0) > (than.traded_at, than.trade_id or 0)
