"""`LastPrices`, as a program sees it. What it runs is in `running`, which is loaded with the first one."""

import os
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Self, Unpack
from weakref import WeakSet

from ltp_service.client.events import Price
from ltp_service.domain.errors import InvalidParameter, LtpError
from ltp_service.domain.pairs import Pair
from ltp_service.last_prices.arguments import PriceSettings, pairs_of
from ltp_service.last_prices.errors import SomeUnavailable

if TYPE_CHECKING:
    from ltp_service.last_prices.running import Running
    from ltp_service.settings.config import Config

FEED_STOP_SECONDS = 3.0
"""Seconds that `close` waits for the feed to end."""

MOST_NAMED = 5
"""Pairs that `repr` names."""


class LastPrices:
    """`LastPrices(["BTC/USD"]).get("XXBTZUSD").amount`, in any usual spelling of the pair.

    Safe from any thread and greenlet. The feed starts at the first question, which waits for the first price; later ones are
    answered from memory. A forked process begins anew: its first question starts its own feed. So does one that gets a
    pickled copy; the copy of a closed one is closed, too.

    The questions raise InvalidParameter for what is no pair, UnknownPair for a pair that Kraken does not list or that was not
    given, PriceStale for evidence that is too old, and PriceUnavailable where there is no price. They never return
    anything else than a price. The message says the cause.
    """

    def __init__(
        self,
        pairs: Iterable[str] | None = None,
        *,
        use_websocket: bool = True,
        config: "Config | None" = None,
        **settings: Unpack[PriceSettings],
    ) -> None:
        """`pairs` may be a list or a text with commas. Without it every pair that Kraken lists is served, from the first
        question about it on.

        Settings come from the keywords, then from the environment, of which only KRAKEN_*, CACHE_*, REDIS_*, STALE_AFTER and
        PRICE_DIVERGENCE_LIMIT are read; no file is. `config` is in place of both, and its pairs do not count. Raises
        ConfigError for a value that is refused, and TypeError for one of a wrong type.
        """
        wanted = None if pairs is None else pairs_of(pairs)
        from ltp_service.last_prices.running import Running, configured  # noqa: PLC0415 - takes a third of a second

        self._wanted = wanted
        self._config = configured(config, settings, wanted, use_websocket=use_websocket)
        self._begin: Callable[[], Running] = partial(Running, self._config, wanted)
        self._take(self._begin())
        _living.add(self)

    def _take(self, running: "Running") -> None:
        self._running = running
        self._answers, self._store, self._monotonic = running.answers, running.store, running.monotonic

    def get_current_price(self, pair: str) -> Decimal:
        """The last traded price in quote currency per base unit.

        Answers from memory; without a price it waits at most 2 s for the feed and then asks REST.
        """
        answer = self._answers.get(pair) if type(pair) is str else None
        if answer is not None and answer[0] is self._store.all() and self._monotonic() <= answer[1]:
            return answer[2]
        return self._running.amount(pair)

    def get(self, pair: str) -> Price:
        """The same price with its exact text, state, age, time and source."""
        return self._running.price(self._running.learn(pair))

    def get_many(self, pairs: Iterable[str] | None = None) -> dict[str, Price]:
        """The prices by pair, of all pairs given to LastPrices unless some are named.

        Raises SomeUnavailable where one has none; it holds the others.
        """
        prices: dict[str, Price] = {}
        errors: dict[str, LtpError] = {}
        wanted = self._given() if pairs is None else pairs_of(pairs)
        for pair, found in self._running.prices(wanted).items():
            if isinstance(found, Price):
                prices[str(pair)] = found
            else:
                errors[str(pair)] = found
        if errors:
            raise SomeUnavailable(prices, errors)
        return prices

    def close(self) -> None:
        """Ends the feed; every later question raises PriceUnavailable."""
        self._running.close(FEED_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self._wanted, self._config, self._running.is_closed)

    def __repr__(self) -> str:
        if self._wanted is None:
            return f"<LastPrices of any pair; {self._running}>"
        named = ", ".join(map(str, self._wanted[:MOST_NAMED]))
        more = len(self._wanted) - MOST_NAMED
        return f"<LastPrices of {named}{f' and {more} more' if more > 0 else ''}; {self._running}>"

    def _given(self) -> tuple[Pair, ...]:
        if self._wanted is None:
            raise InvalidParameter("name the pairs: this LastPrices serves any pair that Kraken lists")
        return self._wanted

    def _begin_in_child(self) -> None:
        self._running.abandon()
        self._take(self._begin())


def _again(wanted: tuple[Pair, ...] | None, config: "Config", is_closed: bool) -> LastPrices:
    """A copy, which has a feed of its own."""
    copy = LastPrices(None if wanted is None else list(map(str, wanted)), config=config)
    if is_closed:
        copy.close()
    return copy


_living: "WeakSet[LastPrices]" = WeakSet()


def _begin_in_child() -> None:
    for prices in list(_living):
        prices._begin_in_child()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_begin_in_child)
