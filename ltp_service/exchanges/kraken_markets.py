"""Which pairs Kraken lists, and whether it matches their orders, as its feed tells."""

from collections.abc import Iterable, Mapping
from math import inf

from ltp_service.domain.market import DELISTED, MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.feed.messages import MarketChanged, PairsListed
from ltp_service.feed.subscriptions import PROOF_WITHIN_SECONDS
from ltp_service.prices.store import Store


class Markets:
    """What the present connection told of the exchange's markets; the store is told of it at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.told_at = 0.0
        """Monotonic seconds at which the feed last told whether the exchange is matching."""
        self._told: set[Pair] = set()
        """Pairs of which this connection has told whether their orders are matched."""
        self._statuses: dict[str, MarketStatus] = {}
        """What this connection told of any symbol: its pair may be added later."""
        self._listing_due_at = inf
        self.has_whole_list = False
        """Whether this connection brought the exchange's whole list of pairs, which only v2 has."""

    def forget(self) -> None:
        """A connection begins or ends."""
        self._told.clear()
        self._statuses.clear()
        self.has_whole_list = False
        self._listing_due_at = inf

    def listing_asked(self, now: float) -> None:
        """The list of pairs was asked for."""
        self._listing_due_at = now + PROOF_WITHIN_SECONDS

    def is_listing_late(self, now: float) -> bool:
        """Whether the list of pairs was asked for and has not come."""
        return now >= self._listing_due_at

    def changed(self, change: MarketChanged, now: float) -> None:
        self.told_at = now
        self._store.set_market(change.status)

    def listed(self, listed: PairsListed, pairs: Mapping[str, Pair]) -> set[Pair] | None:
        """Takes a list; `pairs` are served here, by symbol. Returns those of them that a complete list names."""
        self._listing_due_at = inf
        self._statuses |= listed.statuses
        self.has_whole_list |= listed.complete and bool(listed.statuses)
        named = self._take(listed.statuses, pairs)
        return named if listed.complete and named else None

    def added(self, symbols: Iterable[str], pairs: Mapping[str, Pair]) -> None:
        """These symbols are served here from now on."""
        self._take({symbol: self._statuses[symbol] for symbol in symbols if symbol in self._statuses}, pairs)

    def tells(self, pair: Pair) -> bool:
        """Whether the present connection tells if the orders of `pair` are matched."""
        return pair in self._told

    def names(self, symbol: str) -> bool:
        """Whether this connection's list of pairs has that symbol."""
        return symbol in self._statuses

    def accepted(self, pair: Pair) -> None:
        """A subscription was accepted. Protocol v1 tells in no other way that a pair is listed again."""
        if self._store.market_of(pair) == DELISTED:
            self._store.set_pair_markets({pair: "unknown"})

    def _take(self, told: Mapping[str, MarketStatus], pairs: Mapping[str, Pair]) -> set[Pair]:
        statuses = {pair: told[symbol] for symbol, pair in pairs.items() if symbol in told}
        self._told.update(statuses)
        self._store.set_pair_markets(statuses)
        return set(statuses)
