"""Prices that a fleet shares: each process reads its own copy, and the owner of the feeds sends the changes."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from threading import Lock

import msgspec

from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import LtpError
from ltp_service.domain.market import MarketStatus, market_status
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.tick import Price, Source, Tick
from ltp_service.prices.accept import agreed
from ltp_service.prices.freshness import state_of
from ltp_service.prices.memory import MemoryStore
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import Outcome
from ltp_service.redis.clock import TOLERANCE_SECONDS
from ltp_service.redis.topic import Fields, FleetLine, Topic

log = logging.getLogger(__name__)

MARKET_FIELD = "market"
"""The field with the status of the whole exchange. The other fields are pairs."""

PAIR_MARKETS_FIELD = "pair_markets"
"""The field with the statuses of pairs."""

MAY_BE_STALE_AFTER_SECONDS = 1.5
"""Seconds without evidence after which the next one is told at once, because the price may have been stale. Kraken's
heartbeats were recorded up to 1.16 s apart, so those of a feed that goes on wait for the next bulletin."""


class _Shared(msgspec.Struct, array_like=True, frozen=True):
    """A price as it is sent. Moments are unix seconds of the Redis server, or of the exchange where a Tick's are."""

    pair: str
    price: str
    source: Source
    traded_at: float | None
    trade_id: int | None
    received_at: float
    happened_at: float | None
    confirmed_at: float
    confirmed_by: Source
    newest_traded_at: float
    newest_trade_id: int | None = None
    told_at: float | None = None
    delay: float = 0.0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Shared).decode
_decode_market = msgspec.json.Decoder(str).decode
_decode_pair_markets = msgspec.json.Decoder(dict[str, str]).decode


class RedisStore(Topic):
    """A MemoryStore whose changes are sent to the fleet. Only the runners of the fleet wait for Redis."""

    def __init__(
        self,
        local: MemoryStore,
        line: FleetLine,
        exchange: str | None = None,
        served: ServedPairs | None = None,
    ) -> None:
        """`exchange`: whose prices they are; None for Kraken's, each of which is sent at once. `served` learns from the owner
        of the feeds which pairs are listed, where wildcards ask for them."""
        super().__init__("prices" if exchange is None else f"{exchange}_prices", line)
        self._is_urgent = exchange is None
        self._served = served
        self._have_markets_changed = False
        self._local = local
        self._changed: set[Pair] = set()
        self._lock = Lock()
        self._told_at: dict[Pair, float] = {}
        self.held = local.all
        """What this process holds, without a look at what its neighbours told."""
        self.before_reading: Callable[[], None] | None = None
        """Called before each answer from this store; None where nothing is to be done."""
        self.market = local.market
        self.market_of = local.market_of

    # As every Store.

    def get(self, pair: Pair) -> Price | None:
        if self.before_reading is not None:
            self.before_reading()
        return self._local.get(pair)

    def all(self) -> Mapping[Pair, Price]:
        if self.before_reading is not None:
            self.before_reading()
        return self.held()

    def put(self, tick: Tick) -> Outcome:
        before = self._local.get(tick.pair)
        outcome = self._local.put(tick)
        if outcome != "older":
            self._note((tick.pair,))
            self._hurry([(before, self._local.get(tick.pair))])
        return outcome

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        pairs = tuple(pairs)
        before = list(map(self._local.get, pairs))
        self._local.confirm(pairs, at, by)
        self._note(pairs)
        self._hurry(zip(before, map(self._local.get, pairs), strict=True))

    def withdraw(self, pairs: Iterable[Pair], after: float) -> None:
        pairs = tuple(pairs)
        self._local.withdraw(pairs, after)
        self._note(pairs)
        self._news.set()

    def set_market(self, status: MarketStatus) -> None:
        self._local.set_market(status)
        self._note(self.held())
        self._news.set()

    def set_pair_markets(self, statuses: Mapping[Pair, MarketStatus]) -> None:
        before = self._local.pair_markets()
        self._local.set_pair_markets(statuses)
        if self._local.pair_markets() is not before:
            self._have_markets_changed = True
            self._note(self.held())
            self._news.set()

    def ping(self) -> None:
        """Does nothing, because the local copy answers without Redis. A readiness probe that failed with Redis would stop
        the whole fleet.
        """

    # As a Topic.

    def told_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence that the owner told; None when none came."""
        return self._told_at.get(pair)

    def restart(self) -> None:
        """Marks everything held to be sent."""
        self._have_markets_changed = True
        self._note(self.held())
        self._news.set()

    def take_news(self) -> Fields:
        with self._lock:
            changed, self._changed = self._changed, set()
        have_markets_changed, self._have_markets_changed = self._have_markets_changed, False
        if not changed and not have_markets_changed:
            return {}
        held = self.held()
        prices = {str(pair): _encode(self._shared(held[pair])) for pair in changed if pair in held}
        news = prices | {MARKET_FIELD: _encode(self.market())}
        if not have_markets_changed:
            return news
        own = {str(pair): status for pair, status in self._local.pair_markets().items()}
        return news | {PAIR_MARKETS_FIELD: _encode(own)} if own else news

    def give_back(self, fields: Fields) -> None:
        # All prices, because after a change of the server's clock all moments in Redis are wrong.
        self._have_markets_changed = True
        self._note(self.held())

    def learn(self, fields: Fields) -> None:
        pairs = fields.keys() - {MARKET_FIELD, PAIR_MARKETS_FIELD}
        told = [price for field in pairs if (price := self._readable(fields[field]))]
        self.follow(told)
        if MARKET_FIELD in fields:
            self._take_market(_decode_market(fields[MARKET_FIELD]))
        if PAIR_MARKETS_FIELD in fields:
            own = _decode_pair_markets(fields[PAIR_MARKETS_FIELD])
            statuses = {read_pair(pair): market_status(own[pair]) for pair in own}
            self._local.set_pair_markets(statuses)
            if self._served is not None:
                self._served.listed(statuses, self._clock.monotonic(), complete=False)

    def follow(self, told: Sequence[Price]) -> None:
        """Takes prices as the owner holds them, from itself or from a neighbour that hears it."""
        self._told_at.update((price.tick.pair, price.confirmed_at) for price in told)
        self._local.adopt(told)

    def agree(self, told: Iterable[Price]) -> None:
        """Takes what is newer of the prices of a neighbour that does not hear the owner."""
        self._local.adopt(told, agreed)

    def _note(self, pairs: Iterable[Pair]) -> None:
        with self._lock:
            self._changed.update(pairs)

    def _hurry(self, steps: Iterable[tuple[Price | None, Price | None]]) -> None:
        """Has the changes sent at once where a client sees one of these `steps`, each from the price before to that after."""
        if self._is_urgent and not self._news.is_set() and any(starmap(_is_seen, steps)):
            self._news.set()

    def _take_market(self, market: str) -> None:
        status = market_status(market)
        # An owner that does not know the status must not replace ours.
        if status not in ("unknown", self.market()):
            self._local.set_market(status)

    def _readable(self, text: bytes) -> Price | None:
        """The price in this process's time; None for one that cannot be read or that lies in the future."""
        try:
            shared = _decode(text)
            price = self._own(shared)
        except (msgspec.MsgspecError, LtpError) as error:
            log.warning(
                "a price in Redis cannot be read: %s", error, extra={"once_a_minute": ("redis", "price")}
            )
            return None
        # Evidence from the future was written before the server's clock was set back, so its age is not known.
        return price if price.confirmed_at <= self._clock.monotonic() + TOLERANCE_SECONDS else None

    def _shared(self, price: Price) -> _Shared:
        tick, shared = price.tick, self._clock.shared
        return _Shared(
            pair=str(tick.pair),
            price=tick.price,
            source=tick.source,
            traded_at=tick.traded_at,
            trade_id=tick.trade_id,
            received_at=shared(tick.received_at),
            happened_at=None if tick.happened_at is None else shared(tick.happened_at),
            confirmed_at=shared(price.confirmed_at),
            confirmed_by=price.confirmed_by,
            newest_traded_at=price.newest_traded_at,
            newest_trade_id=price.newest_trade_id,
            told_at=tick.told_at,
            delay=tick.delay,
        )

    def _own(self, shared: _Shared) -> Price:
        own = self._clock.own
        tick = Tick(
            read_pair(shared.pair),
            shared.price,
            read_price(shared.price),
            shared.source,
            shared.traded_at,
            shared.trade_id,
            own(shared.received_at),
            None if shared.happened_at is None else own(shared.happened_at),
            shared.told_at,
            shared.delay,
        )
        return Price(
            tick,
            own(shared.confirmed_at),
            shared.confirmed_by,
            shared.newest_traded_at,
            shared.newest_trade_id,
        )


def _is_seen(before: Price | None, after: Price | None) -> bool:
    """Whether a client sees more than a younger age: another trade, source or state, or a price that may have been stale."""
    if before is None or after is None or after is before:
        return after is not before
    return (
        after.tick is not before.tick
        or after.confirmed_by != before.confirmed_by
        or after.confirmed_at > before.confirmed_at + MAY_BE_STALE_AFTER_SECONDS
        or state_of(after, "online") != state_of(before, "online")
    )
