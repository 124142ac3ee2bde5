"""What was asked of an exchange for each symbol, and what came of it; pure, `now` in monotonic seconds."""

from collections.abc import Iterable, Sequence

import msgspec

DEADLINE = 10.0
"""Seconds for the acknowledgement, and for the first data after it."""

RETRY, RETRY_CAP = 60.0, 3600.0
"""Seconds until a refused symbol is asked for again, doubling up to the cap."""


class Subscription(msgspec.Struct):
    """One symbol on one connection."""

    asked_at: float
    retry_at: float
    acknowledged: dict[str, float] = {}
    """Channel → moment of the acknowledgement."""
    refusal: str | None = None
    in_step: bool = False
    """True once this connection delivered the symbol's present state."""
    doubted: bool = False
    """True while it is suspected to be deaf."""

    @property
    def proven(self) -> bool:
        """Any frame on the connection is evidence for this symbol."""
        return self.in_step and bool(self.acknowledged) and not self.doubted

    @property
    def label(self) -> str:
        """One word for people, or the exchange's refusal."""
        if self.refusal is not None:
            return f"refused: {self.refusal}"
        if self.doubted:
            return "deaf"
        if not self.acknowledged:
            return "asked"
        return "active" if self.in_step else "acknowledged"


class Subscriptions:
    """All symbols of one collector over the life of its connections."""

    def __init__(self, symbols: Iterable[str], channels: Sequence[str]) -> None:
        self.channels = tuple(channels)
        self._symbols = tuple(symbols)
        self._states: dict[str, Subscription] = {}
        self._refusals: dict[str, int] = {}
        self._proven: tuple[str, ...] | None = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is wanted, subscribed or not."""
        return self._symbols

    def begin(self, now: float) -> None:
        """A new connection, on which everything is asked for again."""
        self._states = {symbol: Subscription(now, now + DEADLINE) for symbol in self._symbols}
        self._proven = None

    def end(self) -> None:
        """The connection is gone, and with it all evidence."""
        self._states = {}
        self._proven = None

    def acknowledge(self, channel: str, symbol: str, now: float) -> None:
        """The exchange accepted."""
        if state := self._states.get(symbol):
            state.acknowledged[channel] = now
            state.refusal = None
            self._refusals.pop(symbol, None)
            self._proven = None

    def refuse(self, channel: str | None, symbol: str, message: str, now: float) -> None:
        """The exchange refused; without a channel, all of them."""
        if state := self._states.get(symbol):
            for lost in [channel] if channel else self.channels:
                state.acknowledged.pop(lost, None)
            state.refusal = message
            self._refusals[symbol] = tries = self._refusals.get(symbol, 0) + 1
            state.retry_at = now + min(RETRY_CAP, RETRY * 2.0 ** min(tries - 1, 10))
            self._proven = None

    def lose(self, channel: str, symbol: str, now: float) -> None:
        """The exchange ended a subscription that it had accepted."""
        if state := self._states.get(symbol):
            state.acknowledged.pop(channel, None)
            state.retry_at = now
            self._proven = None

    def hear(self, symbol: str) -> None:
        """Data came that is not behind what is known."""
        state = self._states.get(symbol)
        if state is not None and not (state.in_step and not state.doubted):
            state.in_step = True
            state.doubted = False
            self._proven = None

    def doubt(self, symbol: str, now: float) -> None:
        """Another source saw a trade that this subscription kept silent about."""
        if state := self._states.get(symbol):
            state.doubted = True
            state.retry_at = now
            self._proven = None

    def proven(self) -> tuple[str, ...]:
        """The symbols for which any frame is evidence."""
        if self._proven is None:
            self._proven = tuple(symbol for symbol, state in self._states.items() if state.proven)
        return self._proven

    def overdue(self, now: float) -> list[str]:
        """The symbols to ask for again now; each is due again after the deadline."""
        due = [symbol for symbol, state in self._states.items() if not state.proven and now >= state.retry_at]
        for symbol in due:
            self._states[symbol].retry_at = now + DEADLINE
        return due

    def state(self, symbol: str) -> Subscription | None:
        """What is known of one symbol; None while there is no connection."""
        return self._states.get(symbol)

    def labels(self) -> dict[str, str]:
        """Symbol → one word for people."""
        return {symbol: state.label for symbol, state in self._states.items()}
