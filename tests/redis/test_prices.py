"""ltp_service.redis.prices: two processes of a fleet and one real server between them."""

import time
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pair_choice import Wildcard
from ltp_service.domain.tick import REST, WEBSOCKET, Price, Source
from ltp_service.prices.changes import Changes
from ltp_service.prices.served import ServedPairs
from ltp_service.redis.client import RedisClient
from ltp_service.redis.clock import TOLERANCE_SECONDS, SharedClock
from ltp_service.redis.prices import PAIR_MARKETS_FIELD, RedisStore
from ltp_service.redis.topic import EPOCH_KEY, TOPIC_LIFE_SECONDS, FleetLine
from tests.deadline import DEADLINE, generous
from tests.fakes import BTC, ETH, NOON, XRP, FakeClock, eventually, memory_store, tick
from tests.redis_server import RedisServer

PRICES = "ltp:prices"

FIRST, SECOND = 7, 8
"""Two tenures."""

SOON = generous()
"""Seconds by which evidence may look older after its way through Redis."""


class Process:
    """One process of a fleet, with a monotonic clock that shows `ahead` seconds more than the test's."""

    def __init__(
        self,
        server: RedisServer,
        ahead: float = 0.0,
        database: int = 0,
        exchange: str | None = None,
        place: str = "",
    ) -> None:
        self.server = server
        self.client = server.client(redis_db=database)
        self.moves_to(place or "master")
        self._ahead = ahead
        self.changes = Changes()
        self.off = 0.0
        """Seconds by which the server's clock is measured wrong, as if it were set afterwards."""
        self.clock = SharedClock(lambda: self.client.time() - self.off, self.now)
        self.news = Event()
        line = FleetLine(self.client, self.clock, self.news)
        self.served = ServedPairs([Wildcard("*", "USD")])
        self.store = RedisStore(memory_store(FakeClock(), self.changes), line, exchange, self.served)
        self._subscription = self.client.subscribe(self.store.channel)
        self.clock.measure()
        self.store.load()

    def moves_to(self, host: str) -> None:
        """From now on the Sentinels name that one."""
        self.client._sentinels = SimpleNamespace(master_address=(host, 6379))  # noqa: SLF001 - real ones take seconds

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def trade(self, price: str, seconds_ago: float = 0.0, source: Source = WEBSOCKET, **more: float) -> None:
        now = self.now() - seconds_ago
        traded_at = more.get("traded_at", time.time() - seconds_ago)
        self.store.put(tick(price, source=source, traded_at=traded_at, received_at=now, happened_at=now))

    def hear(self) -> None:
        """Takes the next bulletin; there has to be one."""
        message = None
        while not isinstance(message, tuple):
            message = self._subscription.receive(5)
            assert message is not None
        self.store.take(message[1])

    def tell(self, other: "Process") -> None:
        """Tells in the first tenure, and the other one hears it."""
        assert self.store.tell(FIRST)
        other.hear()

    def hears_nothing(self) -> bool:
        """Redis works through what it gets in its order: what was published before the ping comes before the pong."""
        self._subscription.ping()
        return self._subscription.receive(5) == "pong"

    def reload(self) -> None:
        """As after a lost connection."""
        self._subscription.close()
        self._subscription = self.client.subscribe(self.store.channel)
        self.store.load()

    def age(self) -> float:
        """Seconds since the newest evidence of the first pair."""
        return self.now() - self.store.all()[BTC].confirmed_at

    def price(self) -> str:
        return self.store.all()[BTC].tick.price


@pytest.fixture
def server(server: RedisServer) -> RedisServer:
    begin(server.client(), FIRST)
    return server


@pytest.fixture
def owner(server: RedisServer) -> Process:
    return Process(server)


@pytest.fixture
def other(server: RedisServer) -> Process:
    """On a machine that has been up for three hours longer."""
    return Process(server, ahead=3 * 3600.0)


def begin(client: RedisClient, epoch: int) -> None:
    """What a granted claim does."""
    client.run("SET", EPOCH_KEY, epoch)


def in_own_time(price: Price, offset: float) -> Price:
    """The same price on a clock that shows so much more."""
    one = price.tick
    happened_at = None if one.happened_at is None else one.happened_at + offset
    moved = msgspec.structs.replace(one, received_at=one.received_at + offset, happened_at=happened_at)
    return msgspec.structs.replace(price, tick=moved, confirmed_at=price.confirmed_at + offset)


def assert_same(told: Price, held: Price) -> None:
    """But for moments, which may look a little older."""
    assert told.tick.amount == held.tick.amount
    for name in ("pair", "price", "source", "traded_at", "trade_id", "told_at", "delay"):
        assert getattr(told.tick, name) == getattr(held.tick, name)
    for name in ("confirmed_by", "newest_traded_at", "newest_trade_id"):
        assert getattr(told, name) == getattr(held, name)
    assert 0 <= held.confirmed_at - told.confirmed_at < SOON
    assert 0 <= held.tick.received_at - told.tick.received_at < SOON
    assert (told.tick.happened_at is None) == (held.tick.happened_at is None)
    assert 0 <= (held.tick.happened_at or 0) - (told.tick.happened_at or 0) < SOON


def test_what_one_holds_the_other_holds_digit_for_digit(owner: Process, other: Process) -> None:
    now = owner.now()
    owner.store.put(
        tick("115643.10000", traded_at=1790000000.123457, trade_id=2**53, received_at=now, happened_at=now)
    )
    owner.store.put(tick("0.000000012300", ETH, source=REST, received_at=now - 5))
    owner.store.put(
        msgspec.structs.replace(tick("0.5", XRP, received_at=now), told_at=1790000000.5, delay=8.0)
    )
    owner.store.confirm([ETH], now - 2, REST)
    owner.store.set_market("maintenance")
    owner.store.set_pair_markets({ETH: "delisted", XRP: "online"})
    owner.tell(other)

    assert other.store.market() == "maintenance"
    assert (other.store.market_of(BTC), other.store.market_of(ETH)) == ("maintenance", "delisted")
    assert set(other.store.all()) == {BTC, ETH, XRP}
    for pair, held in owner.store.all().items():
        assert_same(other.store.all()[pair], in_own_time(held, 3 * 3600.0))


def test_a_trade_that_reached_the_owner_late_is_followed_by_the_next_one(
    owner: Process, other: Process
) -> None:
    for second, price in enumerate(("100", "101")):
        late = tick(price, trade_id=second + 1, traded_at=NOON + second, received_at=owner.now() + second)
        owner.store.put(msgspec.structs.replace(late, delay=16.0))
        owner.tell(other)

    assert other.store.all()[BTC].tick.price == "101"


def test_evidence_alone_travels_too(owner: Process, other: Process) -> None:
    owner.trade("1", seconds_ago=60)
    owner.tell(other)
    assert other.age() >= 60

    owner.store.confirm([BTC], owner.now(), WEBSOCKET)
    owner.tell(other)
    assert 0 <= other.age() < 30
    assert other.store.told_at(BTC) == other.store.all()[BTC].confirmed_at
    assert other.store.told_at(ETH) is None


def test_the_exchanges_status_travels_without_any_trade(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.tell(other)
    owner.store.set_market("maintenance")
    owner.tell(other)
    assert other.store.market() == "maintenance"


def test_only_what_changed_is_told_and_nothing_is_told_twice(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.store.put(tick("2", ETH, received_at=owner.now()))
    owner.tell(other)
    assert owner.store.tell(FIRST)
    assert other.hears_nothing()

    owner.client.run("DEL", PRICES)
    owner.trade("3")
    owner.store.tell(FIRST)
    assert set(owner.client.run("HKEYS", PRICES)) == {b"market", b"BTC/USD"}


def test_a_trade_is_news_that_does_not_wait_and_evidence_is_not(owner: Process) -> None:
    owner.trade("1")
    assert owner.news.is_set()
    owner.news.clear()
    owner.store.confirm([BTC], owner.now(), WEBSOCKET)
    owner.trade("0.9", traded_at=1.0)
    assert not owner.news.is_set()
    owner.store.set_market("online")
    assert owner.news.is_set()


def test_evidence_is_news_where_a_client_sees_more_of_it_than_a_younger_age(owner: Process) -> None:
    trade = tick("1", traded_at=NOON, received_at=1000.0, happened_at=950.0)
    owner.store.put(trade)

    def confirmations(*expected: tuple[float, Source, bool]) -> None:
        for at, source, is_news in expected:
            owner.news.clear()
            owner.store.confirm([ETH, BTC], at, source)
            assert owner.news.is_set() is is_news, at

    confirmations((1001.0, WEBSOCKET, False), (1002.5, WEBSOCKET, False))
    confirmations((1004.0, REST, True), (1004.1, WEBSOCKET, True))
    confirmations((1005.7, WEBSOCKET, True))  # before it the price may have been stale
    confirmations((1007.0, WEBSOCKET, False), (1008.5, WEBSOCKET, False), (1010.0, WEBSOCKET, False))
    confirmations((1010.1, WEBSOCKET, True), (1011.0, WEBSOCKET, False))  # `quiet` from now on

    owner.store.put(tick("2", ETH, source=REST, received_at=1011.0))
    confirmations((1012.0, WEBSOCKET, True))  # still `fallback`, because its time is not known

    for change in (
        lambda: owner.store.put(msgspec.structs.replace(trade, source=REST, received_at=1014.0)),
        lambda: owner.store.withdraw([BTC], 1000.0),
    ):
        owner.news.clear()
        change()
        assert owner.news.is_set()


def test_another_exchanges_prices_travel_apart_from_kraken_s_and_need_not_hurry(server: RedisServer) -> None:
    owner, other = Process(server, exchange="coinbase"), Process(server, exchange="coinbase")
    kraken = Process(server)
    owner.trade("50000.10", source="coinbase:websocket")
    assert not owner.news.is_set()
    owner.tell(other)
    held = other.store.all()[BTC]
    assert (held.tick.price, held.tick.source, held.confirmed_by) == (
        "50000.10",
        "coinbase:websocket",
        "coinbase:websocket",
    )
    assert kraken.hears_nothing()


def test_a_price_that_is_told_again_is_evidence_that_travels(owner: Process, other: Process) -> None:
    owner.trade("1", seconds_ago=20, traded_at=1.0)
    owner.tell(other)
    owner.trade("1", traded_at=1.0)
    owner.tell(other)
    assert 0 <= other.age() < 20


def test_a_watcher_is_woken_by_what_another_process_tells(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.store.tell(FIRST)
    with other.changes.watch([BTC]) as watch:
        assert watch
        other.hear()
        assert watch.wait(DEADLINE)


# Who may write.


def test_a_write_of_an_older_epoch_is_refused_by_redis_itself(owner: Process, other: Process) -> None:
    begin(other.client, SECOND)
    other.trade("2")
    assert other.store.tell(SECOND)

    owner.trade("3")
    assert not owner.store.tell(FIRST)
    assert Process(owner.server).price() == "2"
    other.hear()  # its own word
    assert other.hears_nothing()


def test_a_redis_that_lost_the_epoch_takes_no_writes(owner: Process) -> None:
    owner.trade("1")
    owner.client.run("FLUSHALL")
    assert not owner.store.tell(FIRST)
    assert not owner.client.run("EXISTS", PRICES)


def test_a_late_bulletin_of_an_older_tenure_is_not_believed(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.store.tell(FIRST)
    begin(other.client, SECOND)
    other.reload()  # knows of the second tenure now, and holds the price
    owner.client.run("PUBLISH", owner.store.channel, bulletin(FIRST, owner, "9"))
    other.hear()
    assert other.price() == "1"


def bulletin(epoch: int, process: Process, price: str) -> bytes:
    now = process.client.time()
    fields = f'["BTC/USD","{price}","kraken:websocket",{now},1,{now},{now},{now},"kraken:websocket",{now}]'
    return f'{now:.6f} [{epoch},{{"BTC/USD":{fields}}}]'.encode()


def test_a_write_that_waited_in_a_frozen_server_is_told_anew(owner: Process, other: Process) -> None:
    owner.trade("1", traded_at=1.0)
    owner.tell(other)
    owner.store.confirm([BTC], owner.now(), WEBSOCKET)
    owner.server.freeze()
    frozen_at = time.monotonic()
    with pytest.raises(StoreUnavailable):
        owner.store.tell(FIRST)
    Event().wait(
        frozen_at + 2 * TOLERANCE_SECONDS - time.monotonic()
    )  # it has to be late, and nothing tells when it is
    owner.server.thaw()
    owner.server.run("PING")

    assert other.hears_nothing()
    owner.tell(other)
    assert 2 * TOLERANCE_SECONDS <= other.age() < 30


def test_a_server_whose_clock_was_set_is_told_everything_anew(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.store.put(tick("2", ETH, received_at=owner.now() - 9))
    owner.tell(other)
    for step in (3600.0, -3600.0):
        owner.off = step
        owner.clock.measure()
        owner.off = 0.0
        owner.client.run("DEL", PRICES)
        owner.store.confirm([BTC], owner.now(), WEBSOCKET)

        assert owner.store.tell(FIRST)
        assert other.hears_nothing()
        owner.tell(other)
        assert 0 <= other.age() < SOON
        assert owner.client.run("HLEN", PRICES) == 3


def test_a_server_whose_clock_was_set_is_measured_before_belief(owner: Process, other: Process) -> None:
    for step in (3600.0, -3600.0):
        owner.trade("1", seconds_ago=20)
        other.off = step
        other.clock.measure()
        other.off = 0.0
        eventually(partial(_is_doubted, other))
        owner.store.restart()
        owner.tell(other)
        assert 20 <= other.age() < 20 + SOON


def _is_doubted(process: Process) -> bool:
    return process.clock.is_doubted(process.client.time())


@pytest.mark.parametrize(
    ("ahead", "believed"), [(0.9 * TOLERANCE_SECONDS, True), (1.1 * TOLERANCE_SECONDS, False)]
)
def test_a_price_that_seems_to_come_from_the_future_is_left_out(
    owner: Process, other: Process, monkeypatch: pytest.MonkeyPatch, ahead: float, believed: bool
) -> None:
    owner.trade("1")
    owner.store.tell(FIRST)
    (fields,) = [{"BTC/USD": owner.client.run("HGET", PRICES, "BTC/USD")}]
    confirmed_at = other.clock.own(owner.clock.shared(owner.store.all()[BTC].confirmed_at))
    monkeypatch.setattr(other.clock, "monotonic", lambda: confirmed_at - ahead)
    other.store.learn(fields)
    assert (BTC in other.store.all()) == believed


def test_what_could_not_be_told_is_told_when_redis_is_back(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.server.freeze()
    with pytest.raises(StoreUnavailable):
        owner.store.tell(FIRST)
    owner.server.thaw()
    assert owner.server.run("PING")
    while True:  # the client leaves the server alone for a moment
        try:
            assert owner.store.tell(FIRST)
        except StoreUnavailable:
            Event().wait(0.01)
        else:
            break
    other.hear()
    assert other.price() == "1"


def test_without_redis_prices_are_taken_and_read_and_it_counts_as_well(owner: Process) -> None:
    owner.server.kill()
    owner.trade("1")
    owner.store.ping()
    assert owner.price() == "1"


# Whom one listens to.


def test_a_price_from_redis_never_goes_back_in_exchange_time(owner: Process, other: Process) -> None:
    other.trade("2", traded_at=20.0)
    owner.trade("1", traded_at=19.0)
    owner.tell(other)
    assert other.price() == "2"
    other.reload()
    assert other.price() == "2"


def test_fleets_in_two_databases_of_one_redis_do_not_hear_each_other(owner: Process) -> None:
    other = Process(owner.server, database=1)
    begin(other.client, SECOND)
    other.trade("2")
    assert other.store.tell(SECOND)
    other.hear()
    assert owner.hears_nothing()


def test_a_process_does_not_listen_to_itself(owner: Process) -> None:
    owner.trade("1", traded_at=10.0)
    owner.store.tell(FIRST)
    owner.trade("2", traded_at=10.0, seconds_ago=0.001)
    view = owner.store.all()
    owner.hear()
    assert owner.store.all() is view


def test_a_newcomer_reads_everything_there_is_with_its_true_age(owner: Process) -> None:
    owner.trade("1", seconds_ago=45)
    owner.store.put(tick("2", ETH, received_at=owner.now()))
    owner.store.set_market("cancel_only")
    owner.store.tell(FIRST)

    newcomer = Process(owner.server, ahead=-500.0)
    assert {pair: price.tick.price for pair, price in newcomer.store.all().items()} == {BTC: "1", ETH: "2"}
    assert 45 <= newcomer.age() < 45 + SOON
    assert newcomer.store.market() == "cancel_only"


def test_a_replica_in_its_masters_place_has_nothing_to_read_until_it_is_told_anew(owner: Process) -> None:
    """Its clock may be another one, by which the copied moments would look younger than they are."""
    owner.trade("1", seconds_ago=20)
    owner.store.put(tick("2", ETH, received_at=owner.now()))
    owner.store.tell(FIRST)
    owner.moves_to("replica")
    newcomer = Process(owner.server, place="replica")
    assert not newcomer.store.all()

    owner.store.confirm([BTC], owner.now() - 10, WEBSOCKET)
    assert owner.store.tell(FIRST)
    assert newcomer.hears_nothing()
    owner.tell(newcomer)
    assert 10 <= newcomer.age() < 10 + SOON
    assert set(Process(owner.server, place="replica").store.all()) == {BTC, ETH}


def test_a_newcomer_reads_everything_even_where_the_epoch_was_lost(owner: Process) -> None:
    owner.trade("1")
    owner.store.tell(FIRST)
    owner.client.run("DEL", EPOCH_KEY)
    assert Process(owner.server).price() == "1"


def test_prices_are_forgotten_by_redis_when_a_process_would_forget_them(owner: Process) -> None:
    owner.trade("1")
    owner.store.tell(FIRST)
    assert TOPIC_LIFE_SECONDS - 5 <= owner.client.run("TTL", PRICES) <= TOPIC_LIFE_SECONDS


def test_when_redis_lost_everything_nobody_forgets_what_he_knows(owner: Process, other: Process) -> None:
    owner.trade("1")
    owner.store.set_market("maintenance")
    owner.tell(other)
    owner.client.run("FLUSHALL")
    other.reload()
    assert (other.price(), other.store.market()) == ("1", "maintenance")

    begin(owner.client, SECOND)
    other.store.restart()
    other.store.tell(SECOND)
    assert newly_started(owner) == "1"


def newly_started(process: Process) -> str:
    """What a process would serve that has nothing but Redis."""
    fields = msgspec.json.decode(process.client.run("HGET", PRICES, "BTC/USD"), type=list[Any])
    return str(fields[1])


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"no JSON at all", "malformed"),
        (b"[]", "length"),
        (b'["nothing","1","kraken:rest",null,null,1,null,1,"kraken:rest",0]', "cannot be cut"),
        (b'["BTC/USD","-1","kraken:rest",null,null,1,null,1,"kraken:rest",0]', "not positive"),
        (b'["BTC/USD","1","another exchange",null,null,1,null,1,"kraken:rest",0]', "enum"),
    ],
)
def test_garbage_is_skipped(owner: Process, caplog: pytest.LogCaptureFixture, raw: bytes, error: str) -> None:
    owner.trade("1")
    owner.store.tell(FIRST)
    owner.client.run("HSET", PRICES, "XRP/USD", raw)

    newcomer = Process(owner.server)
    assert set(newcomer.store.all()) == {BTC}
    assert [error in message for message in caplog.messages] == [True]


def test_a_word_about_the_market_that_this_version_does_not_know_changes_nothing(owner: Process) -> None:
    owner.store.set_market("online")
    owner.client.run("HSET", PRICES, "market", b'"of tomorrow"')
    owner.store.load()
    assert owner.store.market() == "online"


def test_the_pairs_that_the_owner_found_listed_are_told_before_the_first_price_and_once(
    owner: Process, other: Process
) -> None:
    owner.store.set_pair_markets({BTC: "online"})
    owner.tell(other)
    assert list(other.served) == [BTC]
    owner.store.set_pair_markets({ETH: "delisted"})
    owner.tell(other)
    assert list(other.served) == [BTC]
    owner.trade("100")
    assert PAIR_MARKETS_FIELD not in owner.store.take_news()
