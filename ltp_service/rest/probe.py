"""Which silent pairs to ask another source about, and when; pure, `now` in monotonic seconds.

A subscription can be deaf while heartbeats go on, and a market can be still. Only another source tells them
apart, and it is asked the later the slower the market usually is.
"""

from collections.abc import Iterable

import msgspec

from ltp_service.domain.pairs import Pair

SHORTEST, LONGEST = 10.0, 120.0
"""Seconds of silence between which a pair's habit lies."""

FACTOR = 10.0
"""How many usual pauses make a suspicious one."""

WEIGHT = 0.2
"""Of the newest pause in the mean."""


class _Rhythm(msgspec.Struct):
    heard_at: float
    next_at: float
    mean: float | None = None

    def patience(self) -> float:
        if self.mean is None:
            return LONGEST
        return min(LONGEST, max(SHORTEST, FACTOR * self.mean))


class Probe:
    """The rhythm of each pair's trades."""

    def __init__(self) -> None:
        self._rhythms: dict[Pair, _Rhythm] = {}

    def heard(self, pair: Pair, now: float) -> None:
        """The feed brought the last trade of `pair` at `now`; told again, it changes nothing."""
        rhythm = self._rhythms.get(pair)
        if rhythm is None:
            self._rhythms[pair] = _Rhythm(now, now + LONGEST)
            return
        if now <= rhythm.heard_at:
            return
        pause = now - rhythm.heard_at
        rhythm.mean = pause if rhythm.mean is None else rhythm.mean + WEIGHT * (pause - rhythm.mean)
        rhythm.heard_at = now
        rhythm.next_at = now + rhythm.patience()

    def due(self, pairs: Iterable[Pair], now: float) -> list[Pair]:
        """Those of `pairs` that are silent for longer than their habit and were not asked about since."""
        due = []
        for pair in pairs:
            rhythm = self._rhythms.setdefault(pair, _Rhythm(now, now + LONGEST))
            if now >= rhythm.next_at:
                due.append(pair)
        return due

    def asked(self, pairs: Iterable[Pair], now: float) -> None:
        """Another source was asked about `pairs`: not again before another silence of that length."""
        for pair in pairs:
            if rhythm := self._rhythms.get(pair):
                rhythm.next_at = now + rhythm.patience()

    def deaf(self, pair: Pair, now: float) -> None:
        """`pair` traded while its subscription kept silent: it is to be asked about again soon."""
        self._rhythms.setdefault(pair, _Rhythm(now, now + LONGEST)).next_at = now + SHORTEST
