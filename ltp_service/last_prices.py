"""Last traded prices inside a Python program, without gunicorn and Flask; with greenlets, threads and forks."""

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from threading import Lock
from weakref import WeakSet

from ltp_service.assembly import PriceParts, open_line_if_asked, wire_prices
from ltp_service.domain.errors import PriceStale, PriceUnavailable, UnknownPair
from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.tick import Price
from ltp_service.prices.freshness import servable_until
from ltp_service.prices.quotes import Quote
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config, load_config

FEED_STOP_SECONDS = 3.0
"""Seconds that `close` waits for the feed to end."""

MOST_SPELLINGS = 1000
"""Spellings of pairs that are remembered."""

_ReadyPrice = tuple[Mapping[Pair, Price], float, Decimal]
"""The store's view, the monotonic second until which the price may be given while that view is the same, the price."""


class LastPrices:
    """`LastPrices(pairs=["BTC/USD"]).get_current_price("XXBTZUSD")`. Safe from any thread.

    The feed starts at the first call. Settings come from the environment, as for the service. A forked process begins
    anew: its first call starts its own feed.
    """

    def __init__(
        self, pairs: Sequence[str] | None = None, *, use_websocket: bool = True, config: Config | None = None
    ) -> None:
        settings = config or load_config()
        wanted = (
            tuple(dict.fromkeys(map(read_pair, pairs))) if pairs is not None else settings.supported_pairs
        )
        self._config = settings.model_copy(
            update={
                "supported_pairs": wanted,
                "kraken_websocket_enabled": use_websocket and settings.kraken_websocket_enabled,
            }
        )
        self._runtime = Runtime()
        self._monotonic = self._runtime.clock.monotonic
        self._closed = False
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        """Builds what belongs to one process and starts nothing."""
        line = open_line_if_asked(self._config, self._runtime)
        self._parts: PriceParts = wire_prices(self._config, self._runtime, line)
        self._store = self._parts.store
        self._manager = CollectorManager(self._parts.runners)
        self._names: dict[str, Pair] = {}
        self._answers: dict[str, _ReadyPrice] = {}
        self._started = False
        self._lock = Lock()

    def _begin_in_child(self) -> None:
        # A fork copies greenlets but not threads. The connection stays the parent's in both cases.
        self._manager.abandon()
        if self._parts.kraken is not None:
            self._parts.kraken.abandon()
        self._begin()

    def get_current_price(self, pair: str) -> Decimal:
        """The last traded price in quote currency per base unit, in any usual spelling of the pair.

        Answers from memory; without a price it waits at most 2 s for the feed and then asks REST. Raises
        InvalidParameter, UnknownPair, PriceStale or PriceUnavailable; it never returns anything else than a price.
        """
        answer = self._answers.get(pair)
        if answer is not None and answer[0] is self._store.all() and self._monotonic() <= answer[1]:
            return answer[2]
        return self._look(pair)

    def close(self) -> None:
        """Ends the feed; every later call raises PriceUnavailable."""
        with self._lock:
            self._closed = True
            self._names, self._answers = {}, {}  # so that no call is answered from memory any more
            if self._started:
                self._manager.stop(FEED_STOP_SECONDS)

    def __enter__(self) -> "LastPrices":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(self, text: str) -> Decimal:
        pair = self._names.get(text) or self._learn(text)
        view = self._store.all()
        price = view.get(pair)
        if price is None:
            return self._ask(pair)
        until = servable_until(price, self._config.cache_ttl, self._store.market_of(pair))
        if self._monotonic() > until:
            return self._ask(pair)
        with self._lock:
            if not self._closed:
                self._answers[text] = (view, until, price.tick.amount)
        return price.tick.amount

    def _learn(self, text: str) -> Pair:
        pair = read_pair(text)
        if pair not in self._config.supported_pairs:
            raise UnknownPair(f"{pair} was not among the pairs given to LastPrices")
        self._start()
        with self._lock:
            if self._closed:
                raise PriceUnavailable("this LastPrices was closed")
            if len(self._names) >= MOST_SPELLINGS:
                self._names, self._answers = {}, {}
            self._names[text] = pair
        return pair

    def _start(self) -> None:
        with self._lock:
            if not self._started and not self._closed:
                self._parts.quotes.expect_feed()
                self._manager.start()
                self._started = True

    def _ask(self, pair: Pair) -> Decimal:
        (quote,) = self._parts.quotes.get([pair])
        if quote.verdict.servable and quote.price is not None:
            return quote.price.tick.amount
        raise _refusal(quote, self._config.cache_ttl)


def _refusal(quote: Quote, ttl: float) -> PriceUnavailable:
    if quote.market == DELISTED:
        return PriceStale(f"{quote.pair}: the exchange does not list it any more")
    if quote.verdict.age is None:
        return PriceUnavailable(f"{quote.pair}: no source has given a price yet")
    return PriceStale(
        f"{quote.pair}: the last evidence is {quote.verdict.age:.0f} s old, more than {ttl:g} s"
    )


_living: "WeakSet[LastPrices]" = WeakSet()


def _begin_in_child() -> None:
    for prices in list(_living):
        prices._begin_in_child()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_begin_in_child)
