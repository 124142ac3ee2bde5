"""Prices that a fleet of processes shares: each one reads its own copy, one of them tells the others what is new."""

import logging
from collections.abc import Iterable, Mapping
from threading import Lock

import msgspec

from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import LtpError
from ltp_service.domain.market import MarketStatus, market_status
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.tick import Price, Source, Tick
from ltp_service.prices.memory import MemoryStore
from ltp_service.prices.store import Outcome
from ltp_service.redis.clock import TOLERANCE
from ltp_service.redis.topic import Fields, Line, Topic

log = logging.getLogger(__name__)

MARKET = "market"
"""The field that tells whether the exchange is matching; the others are pairs."""

PAIR_MARKETS = "pair_markets"
"""The field that tells the same of pairs."""


class _Shared(msgspec.Struct, array_like=True, frozen=True):
    """A price on its way. Moments are the Redis server's unix seconds, but for the exchange's own."""

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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Shared).decode
_decode_market = msgspec.json.Decoder(str).decode
_decode_pair_markets = msgspec.json.Decoder(dict[str, str]).decode


class RedisStore(Topic):
    """A MemoryStore whose news travel. Nothing here waits for Redis but what the runners of the fleet call."""

    def __init__(self, local: MemoryStore, line: Line) -> None:
        super().__init__("prices", line)
        self._local = local
        self._changed: set[Pair] = set()
        self._lock = Lock()
        self._told_at: dict[Pair, float] = {}
        self.all = local.all
        self.market = local.market
        self.market_of = local.market_of

    # What every store does.

    def put(self, tick: Tick) -> Outcome:
        outcome = self._local.put(tick)
        if outcome != "older":
            self._note((tick.pair,))
        if outcome == "newer" and not self._news.is_set():
            self._news.set()
        return outcome

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        pairs = tuple(pairs)
        self._local.confirm(pairs, at, by)
        self._note(pairs)

    def withdraw(self, pairs: Iterable[Pair], after: float) -> None:
        pairs = tuple(pairs)
        self._local.withdraw(pairs, after)
        self._note(pairs)

    def set_market(self, status: MarketStatus) -> None:
        self._local.set_market(status)
        self._note(self.all())
        self._news.set()

    def set_pair_markets(self, statuses: Mapping[Pair, MarketStatus]) -> None:
        before = self._local.pair_markets()
        self._local.set_pair_markets(statuses)
        if self._local.pair_markets() is not before:
            self._note(self.all())
            self._news.set()

    def ping(self) -> None:
        # The copy at hand answers, whatever becomes of Redis; a probe that failed with it would end the whole fleet.
        return None

    # What the fleet needs.

    def told_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence that another process told; None when none came."""
        return self._told_at.get(pair)

    def restart(self) -> None:
        """Everything held is to be told anew."""
        self._note(self.all())
        self._news.set()

    def take_news(self) -> Fields:
        with self._lock:
            changed, self._changed = self._changed, set()
        if not changed:
            return {}
        held = self.all()
        prices = {str(pair): _encode(self._shared(held[pair])) for pair in changed if pair in held}
        own = {str(pair): status for pair, status in self._local.pair_markets().items()}
        return prices | {MARKET: _encode(self.market())} | ({PAIR_MARKETS: _encode(own)} if own else {})

    def give_back(self, fields: Fields) -> None:
        # Not these alone: where a clock was set, the moments of all others that Redis holds are wrong too.
        self._note(self.all())

    def learn(self, fields: Fields) -> None:
        pairs = fields.keys() - {MARKET, PAIR_MARKETS}
        told = [price for field in pairs if (price := self._readable(fields[field]))]
        self._told_at.update((price.tick.pair, price.confirmed_at) for price in told)
        self._local.adopt(told)
        if MARKET in fields:
            self._take_market(_decode_market(fields[MARKET]))
        if PAIR_MARKETS in fields:
            own = _decode_pair_markets(fields[PAIR_MARKETS])
            self._local.set_pair_markets({read_pair(pair): market_status(own[pair]) for pair in own})

    def _note(self, pairs: Iterable[Pair]) -> None:
        with self._lock:
            self._changed.update(pairs)

    def _take_market(self, market: str) -> None:
        status = market_status(market)
        if status not in ("unknown", self.market()):  # who has not heard yet knows less than we do
            self._local.set_market(status)

    def _readable(self, text: bytes) -> Price | None:
        """The price in our time; None for one that this version cannot read or that comes from the future."""
        try:
            shared = _decode(text)
            price = self._own(shared)
        except (msgspec.MsgspecError, LtpError) as error:
            log.warning(
                "a price in Redis cannot be read: %s", error, extra={"once_a_minute": ("redis", "price")}
            )
            return None
        # Evidence from the future was written before somebody set the server's clock back: how old is it?
        return price if price.confirmed_at <= self._clock.monotonic() + TOLERANCE else None

    def _shared(self, price: Price) -> _Shared:
        tick, shared = price.tick, self._clock.shared
        return _Shared(
            str(tick.pair),
            tick.price,
            tick.source,
            tick.traded_at,
            tick.trade_id,
            shared(tick.received_at),
            None if tick.happened_at is None else shared(tick.happened_at),
            shared(price.confirmed_at),
            price.confirmed_by,
            price.newest_traded_at,
            price.newest_trade_id,
            tick.told_at,
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
        )
        return Price(
            tick,
            own(shared.confirmed_at),
            shared.confirmed_by,
            shared.newest_traded_at,
            shared.newest_trade_id,
        )
