"""Which silent pairs to ask REST about, and when; pure, `now` in monotonic seconds.

A silent pair may have a deaf subscription, with heartbeats going on, or a quiet market. Only REST tells them apart.
The slower a market usually is, the later REST is asked.
"""

from collections.abc import Iterable

import msgspec

from ltp_service.domain.pairs import Pair

SHORTEST_SILENCE_SECONDS, LONGEST_SILENCE_SECONDS = 10.0, 120.0
"""Bounds of the seconds of silence after which REST is asked about a pair."""

SUSPICIOUS_FACTOR = 10.0
"""A silence is suspicious after this many mean pauses between trades."""

EARLY_SHARE = 0.1
"""Part of its patience by which a pair is asked about earlier, in a call that is made for another one: so that very many
quiet pairs need few calls."""

NEWEST_PAUSE_WEIGHT = 0.2
"""Weight of the newest pause in the moving mean."""


class _Rhythm(msgspec.Struct):
    heard_at: float
    next_at: float
    mean: float | None = None
    is_broken: bool = False
    """Whether trades may be missing since `heard_at`, so that the present pause is no habit."""
    is_suspect: bool = False
    """Whether the subscription was deaf, or may be, and brought one tick since at most: its snapshot."""

    def patience(self) -> float:
        if self.is_suspect:
            return SHORTEST_SILENCE_SECONDS
        if self.mean is None:
            return LONGEST_SILENCE_SECONDS
        return min(LONGEST_SILENCE_SECONDS, max(SHORTEST_SILENCE_SECONDS, SUSPICIOUS_FACTOR * self.mean))


class Probe:
    """The usual pause between trades of each pair."""

    def __init__(self) -> None:
        self._rhythms: dict[Pair, _Rhythm] = {}

    def heard(self, pair: Pair, now: float) -> None:
        """The last trade of `pair` came from the feed at `now`. Telling it twice changes nothing."""
        rhythm = self._rhythms.get(pair)
        if rhythm is None:
            self._rhythms[pair] = _Rhythm(now, now + LONGEST_SILENCE_SECONDS)
            return
        if now <= rhythm.heard_at:
            return
        if rhythm.is_broken:
            rhythm.is_broken = False
        else:
            pause = now - rhythm.heard_at
            rhythm.mean = (
                pause if rhythm.mean is None else rhythm.mean + NEWEST_PAUSE_WEIGHT * (pause - rhythm.mean)
            )
            rhythm.is_suspect = False
        rhythm.heard_at = now
        rhythm.next_at = now + rhythm.patience()

    def due(self, pairs: Iterable[Pair], now: float) -> list[Pair]:
        """Those of `pairs` that have been silent for longer than usual, and were not asked about since; with them those that
        nearly have."""
        nearly, is_any_due = [], False
        for pair in pairs:
            rhythm = self._rhythms.get(pair)
            if rhythm is None:
                self._rhythms[pair] = _Rhythm(now, now + LONGEST_SILENCE_SECONDS)
            elif now >= rhythm.next_at - EARLY_SHARE * LONGEST_SILENCE_SECONDS:
                is_any_due = is_any_due or now >= rhythm.next_at
                if now >= rhythm.next_at - EARLY_SHARE * rhythm.patience():
                    nearly.append(pair)
        return nearly if is_any_due else []

    def asked(self, pairs: Iterable[Pair], now: float) -> None:
        """REST was asked about `pairs`: they are due again after another silence of that length."""
        for pair in pairs:
            if rhythm := self._rhythms.get(pair):
                rhythm.next_at = now + rhythm.patience()

    def interrupted(self) -> None:
        """There is no connection, so that trades are missing."""
        for rhythm in self._rhythms.values():
            rhythm.is_broken = True

    def suspect(self, pair: Pair, now: float) -> None:
        """The subscription of `pair` left out a trade, or may have: the pair is due after each SHORTEST_SILENCE_SECONDS, until
        the feed tells more than a snapshot."""
        rhythm = self._rhythms.setdefault(pair, _Rhythm(now, now + LONGEST_SILENCE_SECONDS))
        rhythm.is_broken = rhythm.is_suspect = True
        rhythm.next_at = now + rhythm.patience()
