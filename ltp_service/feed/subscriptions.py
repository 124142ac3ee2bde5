"""What was asked of an exchange for each symbol, and what came of it; pure, `now` in monotonic seconds."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

PROOF_WITHIN_SECONDS = 10.0
"""Seconds for the acknowledgement, and for the first data after it."""

RETRY_REFUSED_AFTER_SECONDS, LONGEST_RETRY_SECONDS = 60.0, 3600.0
"""Seconds until a refused symbol is asked for again, doubling up to the cap."""

Proof = Literal["both", "either"]
"""Whether it takes both, acknowledgement and data, to show that a subscription works. `either` is enough where an
exchange sends nothing before the next trade, which may come before the acknowledgement."""


class Subscription(msgspec.Struct):
    """One symbol on one connection."""

    asked_at: float
    retry_at: float
    proof: Proof = "both"
    acknowledged: dict[str, float] = {}
    """Channel → moment of the acknowledgement."""
    refusal: str | None = None
    in_step: bool = False
    """True once this connection delivered the symbol's present state."""
    silent: bool = False
    """True when it was accepted and brought nothing by the deadline: quiet, or misspelt."""

    @property
    def proven(self) -> bool:
        """Any frame on the connection is evidence for this symbol."""
        acknowledged = bool(self.acknowledged)
        return self.in_step or acknowledged if self.proof == "either" else self.in_step and acknowledged

    @property
    def label(self) -> str:
        """One word for people, or the exchange's refusal."""
        if self.refusal is not None:
            return f"refused: {self.refusal}"
        if self.in_step and self.proven:
            return "active"
        if not self.acknowledged:
            return "asked"
        return "silent" if self.silent else "acknowledged"


class Subscriptions:
    """All symbols of one collector over the life of its connections."""

    def __init__(self, symbols: Iterable[str], channels: Sequence[str], proof: Proof = "both") -> None:
        self.channels = tuple(channels)
        self._proof = proof
        self.symbols = tuple(symbols)
        """What is wanted, subscribed or not."""
        self.states: dict[str, Subscription] = {}
        """By symbol; empty while there is no connection. It is replaced, so that others may read it."""
        self._refusals: dict[str, int] = {}
        self._proven: tuple[str, ...] | None = ()
        self._incomplete: list[str] | None = None
        """Those for which something is left to be asked; None when that has to be found out."""

    def begin(self, now: float) -> None:
        """A new connection, on which everything is asked for again."""
        self.states = {symbol: self._asked(now) for symbol in self.symbols}
        self._changed()

    def want(self, symbols: Iterable[str], now: float) -> tuple[list[str], list[str]]:
        """Other symbols from now on: those to subscribe and those to unsubscribe on this connection."""
        self.symbols = tuple(dict.fromkeys(symbols))
        added = [symbol for symbol in self.symbols if symbol not in self.states]
        removed = [symbol for symbol in self.states if symbol not in self.symbols]
        for symbol in removed:
            self._refusals.pop(symbol, None)
        # Another dictionary, because others may be reading this one.
        self.states = {symbol: self.states.get(symbol) or self._asked(now) for symbol in self.symbols}
        self._changed()
        return added, removed

    def end(self) -> None:
        """The connection is gone, and with it all evidence."""
        self.states = {}
        self._changed()

    def acknowledge(self, channel: str, symbol: str, now: float) -> None:
        """The exchange accepted."""
        if state := self.states.get(symbol):
            state.acknowledged[channel] = now
            state.refusal = None
            self._refusals.pop(symbol, None)
            self._changed()

    def refuse(self, channel: str | None, symbol: str, message: str, now: float) -> bool:
        """The exchange refused; without a channel, all of them. False where that says that it has accepted before."""
        if "already subscribed" in message.lower():
            for taken in [channel] if channel else self.channels:
                self.acknowledge(taken, symbol, now)
            return False
        state = self.states.get(symbol)
        if state and state.in_step and state.proof == "either":
            return True  # it flows, so most likely it was asked for twice: nothing is given up
        if state:
            for lost in [channel] if channel else self.channels:
                self._drop(state, lost)
            state.refusal = message
            self._refusals[symbol] = tries = self._refusals.get(symbol, 0) + 1
            state.retry_at = now + min(
                LONGEST_RETRY_SECONDS, RETRY_REFUSED_AFTER_SECONDS * 2.0 ** min(tries - 1, 10)
            )
            self._changed()
        return True

    def lose(self, channel: str, symbol: str, now: float) -> None:
        """The exchange ended a subscription that it had accepted."""
        if state := self.states.get(symbol):
            if state.proven:  # else it was given back on purpose, and is asked for again already
                state.retry_at = now
            self._drop(state, channel)
            self._changed()

    def hear(self, symbol: str) -> None:
        """Data came that is not behind what is known."""
        state = self.states.get(symbol)
        if state is not None and not state.in_step:
            state.in_step = True
            self._changed()

    def renew(self, symbol: str, now: float) -> None:
        """To be asked for anew: another source saw a trade that this subscription kept silent about."""
        if state := self.states.get(symbol):
            state.in_step = False
            state.retry_at = now
            self._changed()

    def proven(self) -> tuple[str, ...]:
        """The symbols for which any frame is evidence."""
        if self._proven is None:
            self._proven = tuple(symbol for symbol, state in self.states.items() if state.proven)
        return self._proven

    def overdue(self, now: float) -> list[str]:
        """The symbols to ask for again now; each is due again after the deadline."""
        if self._incomplete is None:  # kept between changes, because all are looked at ten times a second
            states = self.states.items()
            self._incomplete = [symbol for symbol, state in states if not self._is_complete(state)]
        due = [symbol for symbol in self._incomplete if now >= self.states[symbol].retry_at]
        for symbol in due:
            self.states[symbol].retry_at = now + PROOF_WITHIN_SECONDS
        return due

    def settled(self) -> bool:
        """Every symbol is proven or refused."""
        return all(state.proven or state.refusal is not None for state in self.states.values())

    def mark_silent(self, now: float) -> None:
        """What was accepted and has brought nothing by the deadline is called silent until it does."""
        for state in self.states.values():
            if state.acknowledged and not state.in_step:
                state.silent = now - max(state.acknowledged.values()) >= PROOF_WITHIN_SECONDS

    def _drop(self, state: Subscription, channel: str) -> None:
        """Without any channel trades are missed, so the present state has to come again before anything is evidence."""
        state.acknowledged.pop(channel, None)
        if not state.acknowledged:
            state.in_step = False

    def _changed(self) -> None:
        self._proven = self._incomplete = None

    def _is_complete(self, state: Subscription) -> bool:
        """Whether nothing is left to be asked for."""
        if not state.proven:
            return False
        return state.proof == "either" or len(state.acknowledged) == len(self.channels)

    def first_unanswered(self) -> str | None:
        """The first symbol that was neither accepted nor refused; None when there is none."""
        return next(
            (name for name, state in self.states.items() if not state.acknowledged and state.refusal is None),
            None,
        )

    def accepted(self, channel: str, symbol: str) -> bool:
        """Whether the exchange accepted this subscription."""
        state = self.states.get(symbol)
        return state is not None and channel in state.acknowledged

    def labels(self) -> dict[str, str]:
        """Symbol → one word for people. From any thread."""
        return {symbol: state.label for symbol, state in list(self.states.items())}

    def _asked(self, now: float) -> Subscription:
        return Subscription(now, now + PROOF_WITHIN_SECONDS, self._proof)
