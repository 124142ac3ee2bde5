"""What `LastPrices` runs in one process: a feed, its store, and the questions to them."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from threading import Lock

from ltp_service.assembly.prices import open_line_if_asked, wire_prices
from ltp_service.client.events import Price
from ltp_service.domain import tick as held
from ltp_service.domain.errors import LtpError, PriceUnavailable, UnknownPair
from ltp_service.domain.pairs import Pair
from ltp_service.last_prices.arguments import check_settings, pair_of
from ltp_service.last_prices.causes import about_feed, refusal
from ltp_service.prices.freshness import servable_until
from ltp_service.prices.quotes import Quote
from ltp_service.runtime.once_a_minute import OnceAMinute
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from ltp_service.settings.prices import load_price_config

MOST_SPELLINGS = 1000
"""Spellings of pairs that are remembered, and pairs that are not listed."""

UNKNOWN_AGAIN_AFTER_SECONDS = 60.0
"""Seconds after which a pair that was not listed is looked up again."""

PACKAGE = "ltp_service"
"""The package whose log lines are held back, as those of the service are."""

ReadyPrice = tuple[Mapping[Pair, held.Price], float, Decimal]
"""The store's view, the monotonic second until which the price may be given while that view is the same, the price."""


def configured(
    config: object,
    settings: Mapping[str, object],
    wanted: tuple[Pair, ...] | None,
    *,
    use_websocket: object,
) -> Config:
    """The settings of a LastPrices. Raises ConfigError, and TypeError for arguments of a wrong type or that contradict one
    another."""
    if not isinstance(use_websocket, bool):
        raise TypeError(f"use_websocket is True or False, not {use_websocket!r:.60}")
    if not isinstance(config, Config | None):
        raise TypeError(f"config is a Config, not {config!r:.60}; settings may be given by keyword")
    check_settings(settings)
    if config is None:
        config = load_price_config(os.environ, settings)
    elif settings:
        raise TypeError(f"give either config or {', '.join(settings)}, not both")
    # Without pairs none is subscribed until it is asked for.
    pairs_and_feed = {
        "supported_pairs": wanted or (),
        "kraken_websocket_enabled": use_websocket and config.kraken_websocket_enabled,
    }
    return config.model_copy(update=pairs_and_feed)


class Running:
    """Nothing runs before the first question. Safe from any thread."""

    def __init__(self, config: Config, wanted: Sequence[Pair] | None) -> None:
        """`wanted` are the pairs that are served; None for any that the exchange lists."""
        runtime = Runtime()
        line = open_line_if_asked(config, runtime)
        # In a fleet other processes may need each trade that this one's feed hears.
        self._parts = wire_prices(config, runtime, line, keep_trades=line is not None)
        if self._parts.kraken is not None:
            self._parts.kraken.on_refusal = self._note_refusal
        self._config = config
        self._serves_any = wanted is None
        self._pairs = tuple(wanted or ())
        self._unlisted: dict[Pair, float] = {}
        """Pair → the monotonic second from which on it may be looked up again."""
        self._manager = CollectorManager(self._parts.runners)
        self._names: dict[str, Pair] = {}
        self._is_started = self._is_closed = False
        self._lock = Lock()
        self._once_a_minute = OnceAMinute(runtime.clock.monotonic)
        self.store = self._parts.store
        self.monotonic = runtime.clock.monotonic
        self.answers: dict[str, ReadyPrice] = {}
        """Spelling → a price that may be given without another look; only emptied and filled, never replaced."""

    def abandon(self) -> None:
        """Lets go of everything that belongs to the parent, in a forked process."""
        # A fork copies greenlets but not threads. The connection stays the parent's in both cases.
        self._manager.abandon()
        self._once_a_minute.detach(PACKAGE)
        if self._parts.kraken is not None:
            self._parts.kraken.abandon()

    def close(self, timeout: float) -> None:
        """Ends the feed, and waits at most `timeout` seconds for that."""
        with self._lock:
            self._is_closed = True
            self._forget_names()  # so that no question is answered from memory any more
            if self._is_started:
                self._manager.stop(timeout)
            self._once_a_minute.detach(PACKAGE)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def __str__(self) -> str:
        """Whether it runs, and how the feed is."""
        if self._is_closed:
            return "closed"
        return about_feed(self._parts, self.monotonic()) if self._is_started else "not asked yet"

    def learn(self, text: object) -> Pair:
        """The pair of a spelling, which is served from now on. Raises LtpError or TypeError."""
        pair = self._names.get(text) if isinstance(text, str) else None
        if pair is None:
            pair = pair_of(text)
            with self._lock:
                self._follow(pair)
                if len(self._names) >= MOST_SPELLINGS:
                    self._forget_names()
                self._names[str(text)] = pair
        return pair

    def amount(self, text: object) -> Decimal:
        """The price alone; remembers it for as long as it may be given. Raises LtpError or TypeError."""
        pair = self.learn(text)
        view = self.store.all()
        price = view.get(pair)
        if price is not None:
            until = servable_until(price, self._config.cache_ttl, self.store.market_of(pair))
            if self.monotonic() <= until:
                with self._lock:
                    if not self._is_closed:
                        self.answers[str(text)] = (view, until, price.tick.amount)
                return price.tick.amount
        return self.price(pair).amount

    def price(self, pair: Pair) -> Price:
        """The price of a pair that is served. Raises LtpError."""
        (found,) = self._ask([pair]).values()
        if isinstance(found, LtpError):
            raise found
        return found

    def prices(self, pairs: Sequence[Pair]) -> dict[Pair, Price | LtpError]:
        """The price of each pair, or what keeps it from one. Raises PriceUnavailable after `close`."""
        refused: dict[Pair, LtpError] = {}
        with self._lock:
            self._check_open()
            for pair in pairs:
                try:
                    self._follow(pair)
                except UnknownPair as error:
                    refused[pair] = error
        asked = self._ask([pair for pair in pairs if pair not in refused])
        return {pair: refused.get(pair) or asked[pair] for pair in pairs}

    def _note_refusal(self, pair: Pair) -> None:
        """The feed refused a pair. If its list of pairs lacks the pair too, REST is not asked, because that has to wait its turn."""
        if self._parts.kraken is not None and self._parts.kraken.lacks(pair):
            self._parts.source.exclude(pair)
        self._parts.changes.announce(pair)

    def _ask(self, pairs: Sequence[Pair]) -> dict[Pair, Price | LtpError]:
        return {quote.pair: self._answer(quote) for quote in self._parts.quotes.get(pairs)}

    def _answer(self, quote: Quote) -> Price | LtpError:
        price, age = quote.price, quote.verdict.age
        if not quote.verdict.servable or price is None or age is None:
            error = refusal(quote, self._config.cache_ttl, self._parts, self.monotonic())
            if self._serves_any and isinstance(error, UnknownPair):
                self._drop(quote.pair)
            return error
        tick = price.tick
        at = None if tick.traded_at is None else datetime.fromtimestamp(tick.traded_at, UTC)
        source = price.confirmed_by
        return Price(
            str(quote.pair), tick.amount, tick.price, quote.verdict.state, source, age, at, tick.trade_id
        )

    # With the lock held.

    def _check_open(self) -> None:
        if self._is_closed:
            raise PriceUnavailable("this LastPrices was closed")

    def _follow(self, pair: Pair) -> None:
        """Makes the feed serve the pair, and starts it. Raises UnknownPair, and PriceUnavailable after `close`."""
        self._check_open()
        if pair not in self._pairs:
            self._add(pair)
        if not self._is_started:
            self._expect_feed()
            self._once_a_minute.attach(PACKAGE)
            self._manager.start()
            self._is_started = True

    def _add(self, pair: Pair) -> None:
        if not self._serves_any:
            raise UnknownPair(f"{pair} was not among the pairs given to LastPrices")
        if self.monotonic() < self._unlisted.get(pair, 0.0):
            raise UnknownPair(f"{pair}: Kraken lists no such pair")
        self._pairs = (*self._pairs, pair)
        self._parts.served.replace(self._pairs)
        self._expect_feed()

    def _expect_feed(self) -> None:
        if self._parts.kraken is not None:  # else REST is asked at once
            self._parts.quotes.expect_feed()

    def _drop(self, unlisted: Pair) -> None:
        """Stops serving a pair that the exchange does not list. Takes the lock."""
        with self._lock:
            if len(self._unlisted) >= MOST_SPELLINGS:
                self._unlisted.clear()
            self._unlisted[unlisted] = self.monotonic() + UNKNOWN_AGAIN_AFTER_SECONDS
            self._pairs = tuple(pair for pair in self._pairs if pair != unlisted)
            self._parts.served.replace(self._pairs)
            self._parts.source.admit(unlisted)
            self._forget_names()

    def _forget_names(self) -> None:
        self._names.clear()
        self.answers.clear()
