"""Quotes prices from the store, and asks REST only for a pair without a servable price."""

from collections.abc import Callable, Sequence

import msgspec

from ltp_service.domain.errors import ExchangeError
from ltp_service.domain.market import DELISTED, MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.prices.changes import Changes
from ltp_service.prices.freshness import DEFAULT_BOUND, Bound, Verdict, judge
from ltp_service.prices.other_markets import Substitutes
from ltp_service.prices.store import Store
from ltp_service.runtime.clock import Clock

FIRST_PRICE_WAIT_SECONDS = 2.0
"""Seconds after the start for which a request waits for the feed's first price."""


class Quote(msgspec.Struct, frozen=True, gc=False):
    """One pair's price with the verdict on it. It is another exchange's where the state is `substitute`."""

    pair: Pair
    price: Price | None
    verdict: Verdict
    market: MarketStatus = "unknown"
    """Whether the exchange matches this pair's orders."""


class Quotes:
    """The only place that decides whether a price may be served."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        clock: Clock,
        *,
        ttl: float,
        fetch: Callable[[Sequence[Pair]], None],
        refused: Callable[[Pair], bool] = lambda _: False,
        substitutes: Substitutes | None = None,
    ) -> None:
        """`fetch` asks another source for pairs and puts its answers into the store. It raises ExchangeError. `refused`:
        whether the feed was told that it gets nothing of a pair, which is announced as a change."""
        self._store = store
        self._changes = changes
        self._clock = clock
        self._ttl = ttl
        self._fetch_from_rest = fetch
        self._is_refused = refused
        self._substitutes = substitutes or Substitutes(store, (), clock, ttl)
        self._patient_until = 0.0

    def expect_feed(self) -> None:
        """A feed starts now: requests may wait FIRST_PRICE_WAIT_SECONDS for its first prices."""
        self._patient_until = self._clock.monotonic() + FIRST_PRICE_WAIT_SECONDS

    def get(self, pairs: Sequence[Pair], bound: Bound = DEFAULT_BOUND) -> list[Quote]:
        """One quote per pair, in order. Waits and asks only for pairs without a servable price."""
        return self.complete(self.look(pairs, bound), bound)

    def complete(self, quotes: list[Quote], bound: Bound = DEFAULT_BOUND) -> list[Quote]:
        """The same for quotes of `look` with this bound."""
        pairs = [quote.pair for quote in quotes]
        if missing := _missing(quotes):
            self._await_feed(missing)
            quotes = self.look(pairs, bound)
        if missing := _missing(quotes):
            self._fetch(missing)
            quotes = self.look(pairs, bound)
        return quotes

    def can_serve(self, pairs: Sequence[Pair]) -> bool:
        """Whether any of `pairs` has a price to serve now."""
        now = self._clock.monotonic()
        held, market_of = self._store.all(), self._store.market_of
        return any(
            self._quote(pair, held.get(pair), now, market_of(pair), DEFAULT_BOUND).verdict.servable
            for pair in pairs
        )

    def hears_kraken(self, pairs: Sequence[Pair]) -> bool:
        """Whether Kraken's own price of any of `pairs` can be served now."""
        now, held, market_of = self._clock.monotonic(), self._store.all(), self._store.market_of
        return any(judge(held.get(pair), now, self._ttl, market_of(pair)).servable for pair in pairs)

    def look(self, pairs: Sequence[Pair], bound: Bound = DEFAULT_BOUND) -> list[Quote]:
        """One quote per pair from the store as it is now."""
        now = self._clock.monotonic()
        held, market_of = self._store.all(), self._store.market_of
        return [self._quote(pair, held.get(pair), now, market_of(pair), bound) for pair in pairs]

    def _quote(
        self, pair: Pair, price: Price | None, now: float, market: MarketStatus, bound: Bound
    ) -> Quote:
        chosen = self._substitutes.choose(pair, price, now, bound)
        return Quote(pair, chosen, judge(chosen, now, self._ttl, market, bound), market)

    def _await_feed(self, pairs: Sequence[Pair]) -> None:
        with self._changes.watch(pairs) as watch:
            while watch is not None and not all(map(self._is_refused, _missing(self.look(pairs)))):
                left = self._patient_until - self._clock.monotonic()
                if left <= 0 or not watch.wait(left):
                    return

    def _fetch(self, pairs: Sequence[Pair]) -> None:
        try:
            self._fetch_from_rest(pairs)
        except ExchangeError:
            return  # the source has reported it; the quotes say what can be served


def _missing(quotes: Sequence[Quote]) -> list[Pair]:
    """Pairs that have no servable price and are still listed."""
    return [
        quote.pair
        for quote in quotes
        if quote.verdict.state in ("unknown", "stale", "substitute")
        and not quote.verdict.servable
        and quote.market != DELISTED
    ]
