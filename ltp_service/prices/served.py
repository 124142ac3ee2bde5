"""The pairs that this process serves. This list has one owner, and follows the exchange's list where there are wildcards."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from threading import Lock

from ltp_service.domain.market import DELISTED, MarketStatus
from ltp_service.domain.pair_choice import Choice, Wildcard, pairs_of, plain_pairs, wildcards
from ltp_service.domain.pairs import Pair

KEEP_UNLISTED_SECONDS = 24 * 3600.0
"""Seconds for which a pair of a wildcard is still served, as `stale`, after the exchange stopped listing it. A caller then
learns that it is delisted, and not that it was never served. The store keeps its price as long."""


class ServedPairs:
    """Owns the list of served pairs, and tells each change of it. Safe from any thread."""

    def __init__(self, chosen: Sequence[Choice]) -> None:
        self.wildcards: tuple[Wildcard, ...] = wildcards(chosen)
        self.pairs: tuple[Pair, ...] = plain_pairs(chosen)
        """The pairs in the order of answers. A change replaces the tuple."""
        self._chosen = tuple(chosen)
        self._known: set[Pair] = set()
        """The listed pairs that a wildcard means, and those that left the list less than a day ago."""
        self._unlisted_since: dict[Pair, float] = {}
        self._told: list[Callable[[Sequence[Pair]], None]] = []
        self._lock = Lock()
        self._members = frozenset(self.pairs)
        self.has_list = not self.wildcards
        """False while a wildcard waits for the exchange's first list."""

    def __contains__(self, pair: object) -> bool:
        return pair in self._members

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def on_change(self, tell: Callable[[Sequence[Pair]], None]) -> None:
        """Calls `tell` with the new list after every change, one call at a time."""
        self._told.append(tell)

    def may_come(self, pair: Pair) -> bool:
        """Whether `pair` may be served later: a wildcard means it, and the exchange's first list has not come yet."""
        return not self.has_list and self._is_meant(pair)

    def counts(self) -> dict[str, int]:
        """How many listed pairs each wildcard means."""
        known = self._known
        return {str(each): sum(map(each.matches, known)) for each in self.wildcards}

    def replace(self, pairs: Sequence[Pair]) -> None:
        """Serves these pairs from now on, and no others."""
        with self._lock:
            self._take(tuple(pairs))

    def listed(self, statuses: Mapping[Pair, MarketStatus], now: float, *, complete: bool) -> None:
        """The exchange lists these pairs, but for those that it calls delisted; where the list is `complete`, no others.

        `now` in monotonic seconds.
        """
        if not self.wildcards or not statuses:
            return
        listed = {pair for pair, status in statuses.items() if status != DELISTED}
        with self._lock:
            self.has_list = True
            known = self._known | set(filter(self._is_meant, listed))
            if complete:
                known -= self._long_unlisted(known - listed, now)
            if known != self._known:
                self._known = known
                self._take(pairs_of(self._chosen, known))

    def _long_unlisted(self, unlisted: Collection[Pair], now: float) -> set[Pair]:
        since = self._unlisted_since
        self._unlisted_since = {pair: since.get(pair, now) for pair in unlisted}
        return {pair for pair, at in self._unlisted_since.items() if now - at >= KEEP_UNLISTED_SECONDS}

    def _is_meant(self, pair: Pair) -> bool:
        return any(each.matches(pair) for each in self.wildcards)

    def _take(self, pairs: tuple[Pair, ...]) -> None:
        if pairs != self.pairs:
            self.pairs, self._members = pairs, frozenset(pairs)
            for tell in self._told:
                tell(pairs)
