"""What other exchanges say about a pair: beside Kraken's price, and in its place where Kraken is silent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import KRAKEN, Price, Tick, exchange_of
from ltp_service.prices.consensus import ENOUGH_TO_DOUBT, Consensus, ExchangePrice, consensus_of, deviates
from ltp_service.prices.freshness import DEFAULT_BOUND, Bound, choose, is_substitute
from ltp_service.prices.store import Store
from ltp_service.prices.witness import Witness
from ltp_service.runtime.clock import Clock

LOOK_AGAIN_SECONDS = 1.0
"""Seconds for which a price that stays the same is taken to deviate or not: streams ask for each pair several times a
second."""


class Comparison(msgspec.Struct, frozen=True):
    """One pair's price beside those of other exchanges."""

    prices: list[ExchangePrice]
    """The last trade on every exchange that told one, Kraken first, fresh or not."""
    consensus: Consensus
    deviating: bool | None
    """Whether the served price is far from the median of the others; None where fewer than two others are fresh."""


class OtherMarkets:
    """Compares a pair's price with the last trades of the same pair on other exchanges.

    The quote currency is always the same: USDT is not USD.
    """

    def __init__(
        self,
        kraken: Store,
        sources: Mapping[str, Store],
        witnesses: Callable[[Pair], Sequence[Witness]],
        limit: float,
        clock: Clock,
    ) -> None:
        """`sources` are the prices of other exchanges by name, `witnesses` the last collected trades of a pair. `limit` is
        the fraction of the median beyond which a price deviates."""
        self._kraken = kraken
        self._sources = dict(sources)
        self._witnesses = witnesses
        self._limit = Decimal(str(limit))
        self._monotonic = clock.monotonic
        self._remembered: dict[Pair, tuple[Tick, float, bool | None]] = {}
        """For each pair: the tick that was compared last, the moment until which that counts, and whether it deviates."""

    def compare(self, pair: Pair, served: Price | None) -> Comparison | None:
        """Compares the price that is served for `pair`, if any. None where no other exchange has told a price."""
        others = self._others(pair)
        return self._compare(pair, served, others) if others else None

    def explain(self, pair: Pair, served: Price | None) -> Comparison:
        """The same, also where no other exchange has told a price."""
        return self._compare(pair, served, self._others(pair))

    def deviates(self, pair: Pair, served: Price | None) -> bool | None:
        """`deviating` of the same comparison, for less, and up to LOOK_AGAIN_SECONDS old."""
        if served is None:
            return None
        now, known = self._monotonic(), self._remembered.get(pair)
        if known is not None and known[0] is served.tick and now < known[1]:
            return known[2]
        others = self._others(pair)
        found = None
        if len(others) >= ENOUGH_TO_DOUBT:
            found = self._deviates(served, [*self._of_kraken(pair), *others])
        self._remembered[pair] = served.tick, now + LOOK_AGAIN_SECONDS, found
        return found

    def _compare(self, pair: Pair, served: Price | None, others: Sequence[ExchangePrice]) -> Comparison:
        prices = [*self._of_kraken(pair), *others]
        amount = None if served is None else served.tick.amount
        return Comparison(prices, consensus_of(prices, amount), self._deviates(served, prices))

    def _deviates(self, served: Price | None, prices: Sequence[ExchangePrice]) -> bool | None:
        if served is None:
            return None
        own = exchange_of(served.tick.source)
        others = [each for each in prices if each.exchange != own]
        return deviates(served.tick.amount, others, self._limit)

    def _of_kraken(self, pair: Pair) -> list[ExchangePrice]:
        price = self._kraken.get(pair)
        if self._kraken.market_of(pair) == DELISTED:
            # Heartbeats go on, and its last trade is no present price.
            return []
        return [] if price is None else [self._told(KRAKEN, price)]

    def _others(self, pair: Pair) -> list[ExchangePrice]:
        """The last trade on every exchange but Kraken that told one."""
        held = ((exchange, store.get(pair)) for exchange, store in self._sources.items())
        told = [self._told(exchange, price) for exchange, price in held if price is not None]
        return told + [ExchangePrice(each.exchange, each.price, each.age) for each in self._witnesses(pair)]

    def _told(self, exchange: str, price: Price) -> ExchangePrice:
        age = max(0.0, self._monotonic() - price.confirmed_at)
        return ExchangePrice(exchange, price.tick.amount, age)


class Substitutes:
    """Chooses between Kraken's price and that of another exchange.

    Kraken's is chosen as long as its evidence is young enough, and again with its first evidence.
    """

    def __init__(self, kraken: Store, stores: Sequence[Store], clock: Clock, ttl: float) -> None:
        """`stores` have the prices of the exchanges that may stand in, the preferred one first. None is no substitute.

        `ttl` is the longest age of Kraken's evidence, in seconds.
        """
        self._kraken = kraken
        self._stores = tuple(stores)
        self._monotonic = clock.monotonic
        self._ttl = ttl
        self._began_at = clock.monotonic()
        self._served_since: dict[Pair, float] = {}
        """Monotonic seconds, of the pairs that are followed."""

    def follow(self, pairs: Iterable[Pair]) -> None:
        """These pairs are served from now on. Kraken has CACHE_TTL for the first price of a new one. From any thread."""
        now, since = self._monotonic(), self._served_since
        self._served_since = {pair: since.get(pair, now) for pair in pairs}

    @property
    def are_allowed(self) -> bool:
        """Whether any exchange may stand in."""
        return bool(self._stores)

    def are_serving(self, pair: Pair) -> bool:
        """Whether another exchange's price of `pair` is served now."""
        chosen = self.choose(pair, self._kraken.get(pair), self._monotonic())
        return chosen is not None and is_substitute(chosen)

    def choose(
        self, pair: Pair, price: Price | None, now: float, bound: Bound = DEFAULT_BOUND
    ) -> Price | None:
        """The price to serve at the monotonic second `now`; `price` is Kraken's, and `bound` the caller's."""
        if not self._stores:
            return price
        others = (store.get(pair) for store in self._stores)
        began_at = self._served_since.get(pair, self._began_at)
        return choose(price, others, now, self._ttl, self._kraken.market_of(pair), began_at, bound)
