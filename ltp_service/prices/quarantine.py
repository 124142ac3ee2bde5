"""Holds back a lone trade whose price is far from all others; pure, `now` in monotonic seconds.

The next trade or another exchange soon confirms a real jump. What nothing confirms is served after HOLD_SECONDS.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Tick

HOLD_SECONDS = 2.0
"""Seconds for which a lone trade is held at most."""

WINDOW_SECONDS = 30.0
"""Seconds of one window; a trade is compared with the prices of the present and the previous one."""

Witnesses = Callable[[Pair], Iterable[Decimal]]
"""Gives the last prices of a pair on other exchanges, fresh ones only."""


class _Range(msgspec.Struct):
    """Lowest and highest price of the present window and of the one before."""

    began_at: float
    low: Decimal
    high: Decimal
    last: Decimal
    before_low: Decimal
    before_high: Decimal

    def turn(self, now: float) -> None:
        if now - self.began_at >= 2 * WINDOW_SECONDS:
            self.low = self.high = self.last  # without trades the last price stayed valid
        self.before_low, self.before_high = self.low, self.high
        self.low = self.high = self.last
        self.began_at = now


class _Held(msgspec.Struct):
    tick: Tick
    until: float


class Quarantine:
    """Decides which trades of the feed are served at once. `limit` is a fraction of the price."""

    def __init__(self, limit: float, witnesses: Witnesses = lambda _: ()) -> None:
        self._limit = Decimal(str(limit))
        self._witnesses = witnesses
        self._ranges: dict[Pair, _Range] = {}
        self._held: dict[Pair, _Held] = {}

    def admit(
        self, tick: Tick, now: float, earlier: Sequence[Decimal] = (), *, served: Price | None = None
    ) -> bool:
        """Learns the price of `tick`, which may be served now; or holds it until `due` returns it, and returns False.

        `earlier`: prices of trades at other times in the same message. `served`: the price of the pair now.
        """
        pair, amount = tick.pair, tick.amount
        if self._held and (held := self.held(pair)) and served and served.tick.amount == held.amount:
            self.learn(held, now)  # another source has told it meanwhile: it is no lone print any more
        seen = self._ranges.get(pair)
        if seen is not None:
            if now - seen.began_at >= WINDOW_SECONDS:
                seen.turn(now)
            low, high = min(seen.low, seen.before_low), max(seen.high, seen.before_high)
            near = low - low * self._limit <= amount <= high + high * self._limit
            if not near and not self._is_confirmed(tick, (*earlier, *_amount(served))):
                self._hold(tick)
                return False
        self.learn(tick, now)
        return True

    def learn(self, tick: Tick, now: float) -> None:
        """`tick` is served, so later trades are compared with its price."""
        seen = self._ranges.get(tick.pair)
        amount = tick.amount
        if self._held and (held := self.held(tick.pair)):
            before = None if seen is None else seen.last
            if _ends(tick, held, before):
                del self._held[tick.pair]
        if seen is None:
            self._ranges[tick.pair] = _Range(now, amount, amount, amount, amount, amount)
        else:
            seen.last = amount
            seen.low, seen.high = min(seen.low, amount), max(seen.high, amount)

    def due(self, now: float, served: Callable[[Pair], Price | None]) -> list[Tick]:
        """Removes and returns the trades to serve now, because their holding time is over, or because the price that is
        `served` by now is near: they are no lone prints any more."""
        due = [
            held.tick
            for pair, held in self._held.items()
            if now >= held.until or self._is_near(held.tick, _amount(served(pair)))
        ]
        for tick in due:
            del self._held[tick.pair]
        return due

    def forget(self) -> None:
        """Drops the held trades, because their next trades may be missing."""
        self._held.clear()

    def held(self, pair: Pair) -> Tick | None:
        """The trade of `pair` that is held now; None when there is none."""
        held = self._held.get(pair)
        return held.tick if held else None

    def pairs(self) -> Iterable[Pair]:
        """The pairs of which a trade is held now."""
        return self._held.keys()

    def _hold(self, tick: Tick) -> None:
        held = self._held.get(tick.pair)
        if held is None:
            self._held[tick.pair] = _Held(tick, tick.received_at + HOLD_SECONDS)
        elif held.tick.traded_at is None or _is_later(tick, held.tick):
            held.tick = tick  # the same trade, now with its time, or a later trade of the same order

    def _is_confirmed(self, tick: Tick, others: Sequence[Decimal]) -> bool:
        """Whether another trade far away came before, or another price is near: one of `others`, or a witness."""
        held = self._held.get(tick.pair)
        if held is not None and not _is_same_print(held.tick, tick):
            return True
        return self._is_near(tick, (*others, *self._witnesses(tick.pair)))

    def _is_near(self, tick: Tick, prices: Iterable[Decimal]) -> bool:
        return any(abs(price - tick.amount) <= self._limit * price for price in prices)


def _amount(served: Price | None) -> tuple[Decimal, ...]:
    return () if served is None else (served.tick.amount,)


def _ends(tick: Tick, held: Tick, before: Decimal | None) -> bool:
    """Whether `tick`, which is served now, shows that the trade `held` is not the last one any more.

    A ticker without a time may have come late where it tells no other price than `before`.
    """
    if tick.traded_at is not None or held.traded_at is None:
        return not _is_later(held, tick)
    return tick.amount != before if tick.told_at is None else tick.told_at >= held.traded_at


def _is_same_print(held: Tick, tick: Tick) -> bool:
    """Whether two ticks tell of one trade: a ticker has no time, and the trade itself has one."""
    if held.traded_at is not None and tick.traded_at is not None:
        return held.traded_at == tick.traded_at
    return held.amount == tick.amount


def _is_later(tick: Tick, than: Tick) -> bool:
    """Whether both ticks have a time and `tick` was traded after `than`."""
    if tick.traded_at is None or than.traded_at is None:
        return False
    return (tick.traded_at, tick.trade_id or 0) > (than.traded_at, than.trade_id or 0)
