"""What was decided about each pair's ticks; /api/v1/ltp/explain shows it."""

from collections import deque

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Source, Tick

DECISIONS_PER_PAIR = 20
"""Decisions kept per pair."""


class TickDecision(msgspec.Struct, frozen=True, gc=False):
    """One tick and what was decided about it."""

    tick: Tick
    outcome: str


class Journal:
    """The last decisions and each source's newest tick. It is written at every tick, so it only appends."""

    def __init__(self) -> None:
        self._decisions: dict[Pair, deque[TickDecision]] = {}
        self._newest: dict[tuple[Pair, Source], TickDecision] = {}

    def note(self, tick: Tick, outcome: str) -> None:
        """Adds the decision `outcome` about `tick`."""
        decision = TickDecision(tick, outcome)
        self._newest[tick.pair, tick.source] = decision
        decisions = self._decisions.get(tick.pair)
        if decisions is None:
            decisions = self._decisions.setdefault(tick.pair, deque(maxlen=DECISIONS_PER_PAIR))
        decisions.append(decision)

    def newest(self, pair: Pair, source: Source) -> TickDecision | None:
        """The decision about the last tick that `source` gave for `pair`."""
        return self._newest.get((pair, source))

    def decisions(self, pair: Pair) -> list[TickDecision]:
        """The last decisions, oldest first."""
        return list(self._decisions.get(pair, ()))
