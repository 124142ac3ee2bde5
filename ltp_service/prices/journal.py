"""What was decided about each pair's ticks, for those who ask why a number is served."""

from collections import deque

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Source, Tick

LENGTH = 20
"""Decisions kept per pair."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """One tick, or the absence of one, and what became of it."""

    tick: Tick
    outcome: str


class Journal:
    """The last decisions and each source's newest tick. Written on every tick, so it only appends."""

    def __init__(self) -> None:
        self._decisions: dict[Pair, deque[Decision]] = {}
        self._newest: dict[tuple[Pair, Source], Decision] = {}

    def note(self, tick: Tick, outcome: str) -> None:
        """`tick` came, and this became of it."""
        decision = Decision(tick, outcome)
        self._newest[tick.pair, tick.source] = decision
        decisions = self._decisions.get(tick.pair)
        if decisions is None:
            decisions = self._decisions.setdefault(tick.pair, deque(maxlen=LENGTH))
        decisions.append(decision)

    def newest(self, pair: Pair, source: Source) -> Decision | None:
        """The last tick that `source` gave for `pair`."""
        return self._newest.get((pair, source))

    def decisions(self, pair: Pair) -> list[Decision]:
        """The last decisions, oldest first."""
        return list(self._decisions.get(pair, ()))
