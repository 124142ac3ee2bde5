"""Order books through a real Redis: whole, with their age, and gone when no process follows them."""

import time
from dataclasses import dataclass
from decimal import Decimal

import pytest

from ltp_service.collected.books import BookStore
from ltp_service.domain.book import BookChange, BookSnapshot, BookView
from ltp_service.redis.books import SHARED_LEVELS, SharedBooks
from ltp_service.redis.topic import EPOCH_KEY, open_line
from ltp_service.settings.config import Config
from tests.redis_server import RedisServer


@dataclass(frozen=True)
class Process:
    """One process's books, and its line to the fleet."""

    shared: SharedBooks
    store: BookStore

    def view(self) -> BookView:
        view = self.store.view("BTCUSDT", "bybit", 5)
        assert view is not None
        return view


@pytest.fixture
def server(server: RedisServer) -> RedisServer:
    server.run("SET", EPOCH_KEY, 7)
    return server


def process(server: RedisServer) -> Process:
    store = BookStore()
    line = open_line(Config(redis_addr=server.address), time.monotonic)
    line.clock.measure()
    return Process(SharedBooks(store, line), store)


def levels(*prices: str) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal("1.50")) for price in prices]


def snapshot(bids: int = 2) -> BookSnapshot:
    return BookSnapshot(
        "BTCUSDT", 10, levels(*(str(100 - number) for number in range(bids))), levels("101.10"), 5.0
    )


def tell(owner: Process, other: Process) -> None:
    assert owner.shared.tell(7)
    other.shared.load()
    other.shared.owner_lives(7)


def one_that_told(server: RedisServer) -> Process:
    """The owner of the tenure 7, which has told its book."""
    owner = process(server)
    owner.shared.replace("bybit", snapshot(), time.monotonic())
    assert owner.shared.tell(7)
    return owner


def both_holding_one(server: RedisServer) -> tuple[Process, Process]:
    """The owner and another one, which was told."""
    owner, other = process(server), process(server)
    owner.shared.replace("bybit", snapshot(), time.monotonic())
    tell(owner, other)
    return owner, other


def test_a_book_is_shared_as_it_stands(server: RedisServer) -> None:
    owner, other = process(server), process(server)
    now = time.monotonic()
    owner.shared.replace("bybit", snapshot(), now - 3)
    tell(owner, other)
    own, told = owner.view(), other.view()
    assert (told.bids, told.asks, told.in_sync, told.changed_at) == (own.bids, own.asks, True, 5.0)
    assert told.received_at is not None
    assert now - 3.2 < told.received_at <= now - 3  # older by the way to Redis, never younger

    owner.shared.change("bybit", BookChange("BTCUSDT", 11, 11, levels("100.50"), []), now)
    tell(owner, other)
    assert other.view().bids[0] == (Decimal("100.50"), Decimal("1.50"))


def test_only_as_many_levels_are_told_as_anybody_may_ask_for(server: RedisServer) -> None:
    owner, other = process(server), process(server)
    owner.shared.replace("bybit", snapshot(bids=90), time.monotonic())
    tell(owner, other)
    view = other.store.view("BTCUSDT", "bybit", 1000)
    assert view is not None
    assert len(view.bids) == SHARED_LEVELS


@pytest.mark.parametrize("how", ["gap", "lost", "forgotten"])
def test_a_book_that_its_owner_lost_is_lost_everywhere(server: RedisServer, how: str) -> None:
    owner, other = both_holding_one(server)
    if how == "gap":
        owner.shared.change("bybit", BookChange("BTCUSDT", 50, 50, [], []), time.monotonic())
    elif how == "lost":
        owner.shared.lose("bybit", ["BTCUSDT"])
    else:
        owner.shared.forget("bybit", "BTCUSDT")
    tell(owner, other)
    assert not other.view().in_sync


def test_a_book_of_which_nobody_tells_any_more_is_out_of_sync(server: RedisServer) -> None:
    _, other = both_holding_one(server)
    other.shared.lost()
    assert not other.view().in_sync


def test_an_owner_keeps_its_whole_book_when_it_listens_anew(server: RedisServer) -> None:
    owner = process(server)
    owner.shared.replace("bybit", snapshot(bids=90), time.monotonic())
    assert owner.shared.tell(7)
    owner.shared.load()
    view = owner.store.view("BTCUSDT", "bybit", 1000)
    assert view is not None
    assert len(view.bids) == 90


def test_a_book_in_redis_is_believed_from_the_next_bulletin_of_its_owner_on(server: RedisServer) -> None:
    owner, late = process(server), process(server)
    owner.shared.replace("bybit", snapshot(), time.monotonic() - 60)  # nothing has happened in it since
    assert owner.shared.tell(7)
    late.shared.load()
    assert late.store.view("BTCUSDT", "bybit", 5) is None
    late.shared.owner_lives(7)
    assert late.view().in_sync


def test_a_book_of_an_owner_that_is_gone_is_never_believed(server: RedisServer) -> None:
    one_that_told(server)
    late = process(server)
    server.run("SET", EPOCH_KEY, 8)  # another one has the lease, and has told nothing yet
    late.shared.load()
    for epoch in (8, 7):
        late.shared.owner_lives(epoch)
        assert late.store.view("BTCUSDT", "bybit", 5) is None


def test_what_an_owner_tells_meanwhile_is_newer_than_what_redis_held(server: RedisServer) -> None:
    owner, late = one_that_told(server), process(server)
    late.shared.load()
    subscription = server.client().subscribe(owner.shared.channel)
    owner.shared.lose("bybit", ["BTCUSDT"])
    assert owner.shared.tell(7)
    message = subscription.receive(5)
    assert isinstance(message, tuple)
    late.shared.take(message[1])
    late.shared.owner_lives(7)
    assert late.store.view("BTCUSDT", "bybit", 5) is None


def test_a_process_that_listens_anew_believes_nothing_that_it_read_before(server: RedisServer) -> None:
    one_that_told(server)
    late = process(server)
    late.shared.load()
    server.run("SET", "ltp:books:place", "elsewhere")
    late.shared.load()
    late.shared.owner_lives(7)
    assert late.store.view("BTCUSDT", "bybit", 5) is None


def test_a_new_owner_tells_the_loss_of_a_book_that_it_only_read(server: RedisServer) -> None:
    _, other = both_holding_one(server)
    late = process(server)
    late.shared.load()
    late.shared.restart()
    tell(late, other)
    assert not other.view().in_sync


def test_a_new_owner_does_not_tell_what_it_was_told(server: RedisServer) -> None:
    _, other = both_holding_one(server)
    other.shared.restart()
    assert not other.view().in_sync
