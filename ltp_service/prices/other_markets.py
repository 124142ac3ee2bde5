"""What other exchanges say about a pair: beside Kraken's price, and in its place where Kraken is silent."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import KRAKEN, Price, exchange_of
from ltp_service.prices.consensus import Consensus, ExchangePrice, consensus_of, deviates
from ltp_service.prices.freshness import choose
from ltp_service.prices.store import Store
from ltp_service.prices.witness import Witness
from ltp_service.runtime.clock import Clock


class Comparison(msgspec.Struct, frozen=True):
    """One pair's price beside those of other exchanges."""

    prices: list[ExchangePrice]
    """The last trade on every exchange that told one, Kraken first, fresh or not."""
    consensus: Consensus
    deviating: bool | None
    """Whether the served price is far from the median of the others; None where fewer than two others are fresh."""

    @property
    def is_alone(self) -> bool:
        """Whether no other exchange told a price."""
        return all(each.exchange == KRAKEN for each in self.prices)


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
        self._stores = {KRAKEN: kraken, **sources}
        self._witnesses = witnesses
        self._limit = Decimal(str(limit))
        self._clock = clock

    def compare(self, pair: Pair, served: Price | None) -> Comparison:
        """Compares the price that is served for `pair`; None where there is none."""
        prices = self._prices(pair)
        if served is None:
            return Comparison(prices, consensus_of(prices, None), None)
        amount, own = served.tick.amount, exchange_of(served.tick.source)
        others = [each for each in prices if each.exchange != own]
        return Comparison(prices, consensus_of(prices, amount), deviates(amount, others, self._limit))

    def _prices(self, pair: Pair) -> list[ExchangePrice]:
        now = self._clock.monotonic()
        held = ((exchange, store.all().get(pair)) for exchange, store in self._stores.items())
        told = [
            ExchangePrice(exchange, price.tick.amount, max(0.0, now - price.confirmed_at))
            for exchange, price in held
            if price is not None
        ]
        return told + [ExchangePrice(each.exchange, each.price, each.age) for each in self._witnesses(pair)]


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
        self._ttl = ttl
        self._began_at = clock.monotonic()

    @property
    def are_allowed(self) -> bool:
        """Whether any exchange may stand in."""
        return bool(self._stores)

    def choose(self, pair: Pair, price: Price | None, now: float) -> Price | None:
        """The price to serve at the monotonic second `now`; `price` is Kraken's."""
        if not self._stores:
            return price
        others = (store.all().get(pair) for store in self._stores)
        return choose(price, others, now, self._ttl, self._kraken.market_of(pair), self._began_at)
