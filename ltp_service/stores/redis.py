"""Prices that a fleet of processes shares: each one reads its own copy, one of them tells the others what is new."""

import logging
from collections.abc import Iterable, Mapping
from threading import Event, Lock

import msgspec

from ltp_service.decimals import read_price
from ltp_service.errors import BadFrame
from ltp_service.market import MarketStatus, market_status
from ltp_service.pairs import Pair, read_pair
from ltp_service.redis_client import RedisClient
from ltp_service.stores.base import Outcome
from ltp_service.stores.memory import MEMORY, MemoryStore
from ltp_service.stores.shared_clock import TOLERANCE, SharedClock
from ltp_service.tick import Price, Source, Tick

log = logging.getLogger(__name__)

EPOCH = "ltp:epoch"
"""Redis key: the number of the present owner's tenure; whoever writes must name it."""

PRICES = "ltp:prices"
"""Redis key: pair → its price, and `market` → whether the exchange is matching."""

_PUBLISH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
if math.abs(now - ARGV[2]) > tonumber(ARGV[3]) then return 'late' end
for field = 7, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[field], ARGV[field + 1]) end
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[5], string.format('%.6f ', now) .. ARGV[6])
return 'ok'
"""
# Written long after it was sent (a frozen server reads its backlog when it wakes up) it would look young: `late`.


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


class _Bulletin(msgspec.Struct, array_like=True, frozen=True):
    """What is new since the last one."""

    epoch: int
    market: str
    prices: list[msgspec.Raw]


_encode = msgspec.json.Encoder().encode
_read_price = msgspec.json.Decoder(_Shared).decode
_read_bulletin = msgspec.json.Decoder(_Bulletin).decode


class RedisStore:
    """A MemoryStore whose news travel. Nothing here waits for Redis but what the runners of the fleet call."""

    channel = "ltp:prices"

    def __init__(self, local: MemoryStore, client: RedisClient, clock: SharedClock, news: Event) -> None:
        self._local = local
        self._client = client
        self.clock = clock
        self.news = news
        """Set when there is something that should not wait."""
        self._publish = client.script(_PUBLISH)
        self._changed: set[Pair] = set()
        self._lock = Lock()
        self._own_epoch = self._epoch = 0
        self._told_at: dict[Pair, float] = {}
        self.all = local.all
        self.market = local.market

    # What every store does.

    def put(self, tick: Tick) -> Outcome:
        outcome = self._local.put(tick)
        if outcome != "older":
            self._note((tick.pair,))
        if outcome == "newer" and not self.news.is_set():
            self.news.set()
        return outcome

    def confirm(self, pairs: Iterable[Pair], at: float, by: Source) -> None:
        pairs = tuple(pairs)
        self._local.confirm(pairs, at, by)
        self._note(pairs)

    def set_market(self, status: MarketStatus) -> None:
        self._local.set_market(status)
        self._note(self.all())
        self.news.set()

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
        self.news.set()

    def tell(self, epoch: int) -> bool:
        """Tells what is new; False when another process owns the feed. Raises StoreUnavailable."""
        with self._lock:
            changed, self._changed = self._changed, set()
        if not changed:
            return True
        self._own_epoch = epoch
        try:
            outcome = self._write(epoch, changed)
        except BaseException:
            self._note(changed)
            raise
        if outcome == b"late":
            self.clock.measure()
            self.restart()
        return bool(outcome != b"fenced")

    def load(self) -> None:
        """Reads all that Redis holds. Raises StoreUnavailable."""
        self.clock.measure()
        self._epoch = int(self._client.run("GET", EPOCH) or 0)
        held: Mapping[bytes, bytes] = self._client.run("HGETALL", PRICES)
        self._adopt(msgspec.Raw(text) for field, text in held.items() if field != b"market")
        self._take_market(held.get(b"market", b"unknown").decode())

    def take(self, message: bytes) -> None:
        """What another process told. Raises StoreUnavailable."""
        told_at, _, text = message.partition(b" ")
        if not self.clock.agrees(float(told_at)):
            self.clock.measure()
        bulletin = _read_bulletin(text)
        if bulletin.epoch < self._epoch or bulletin.epoch == self._own_epoch:
            return
        self._epoch = bulletin.epoch
        self._adopt(bulletin.prices)
        self._take_market(bulletin.market)

    def _note(self, pairs: Iterable[Pair]) -> None:
        with self._lock:
            self._changed.update(pairs)

    def _write(self, epoch: int, changed: Iterable[Pair]) -> object:
        held, market = self.all(), self.market()
        texts = {pair: _encode(self._shared(held[pair])) for pair in changed if pair in held}
        fields = [part for pair, text in texts.items() for part in (str(pair), text)]
        bulletin = _Bulletin(epoch, market, [msgspec.Raw(text) for text in texts.values()])
        now = self.clock.now()
        return self._publish(
            (EPOCH, PRICES),
            (epoch, now, TOLERANCE, int(MEMORY), self.channel, _encode(bulletin), "market", market, *fields),
        )

    def _adopt(self, texts: Iterable[msgspec.Raw]) -> None:
        prices = [price for text in texts if (price := self._readable(text)) is not None]
        self._told_at.update((price.tick.pair, price.confirmed_at) for price in prices)
        self._local.adopt(prices)

    def _take_market(self, market: str) -> None:
        if market != self.market():
            self._local.set_market(market_status(market))

    def _readable(self, text: msgspec.Raw) -> Price | None:
        """The price in our time; None for one that this version cannot read or that comes from the future."""
        try:
            shared = _read_price(text)
            price = self._own(shared)
        except (msgspec.MsgspecError, ValueError, BadFrame) as error:
            log.warning(
                "a price in Redis cannot be read: %s", error, extra={"once_a_minute": ("redis", "price")}
            )
            return None
        # Evidence from the future was written before somebody set the server's clock back: how old is it?
        return price if price.confirmed_at <= self.clock.monotonic() + TOLERANCE else None

    def _shared(self, price: Price) -> _Shared:
        tick, shared = price.tick, self.clock.shared
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
        )

    def _own(self, shared: _Shared) -> Price:
        own = self.clock.own
        tick = Tick(
            read_pair(shared.pair),
            shared.price,
            read_price(shared.price),
            shared.source,
            shared.traded_at,
            shared.trade_id,
            own(shared.received_at),
            None if shared.happened_at is None else own(shared.happened_at),
        )
        return Price(tick, own(shared.confirmed_at), shared.confirmed_by, shared.newest_traded_at)
