"""ltp_service.prices.memory"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET, Price
from ltp_service.prices.changes import Changes
from ltp_service.prices.memory import FORGET_AFTER_SECONDS, MemoryStore
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, FakeClock, memory_store, tick


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    """With a price of BTC."""
    store = memory_store(clock)
    store.put(tick("1", BTC))
    return store


def test_a_price_without_evidence_is_forgotten_after_a_day(store: MemoryStore, clock: FakeClock) -> None:
    clock.advance(FORGET_AFTER_SECONDS + 1)
    store.put(tick("2", ETH, received_at=clock.monotonic()))

    assert set(store.all()) == {ETH}


def test_evidence_keeps_a_price_from_being_forgotten(store: MemoryStore, clock: FakeClock) -> None:
    clock.advance(FORGET_AFTER_SECONDS / 2)
    store.confirm([BTC], clock.monotonic(), WEBSOCKET)
    clock.advance(FORGET_AFTER_SECONDS / 2 + 1)
    store.put(tick("2", ETH, received_at=clock.monotonic()))

    assert set(store.all()) == {BTC, ETH}


def test_a_forgotten_price_is_not_brought_back_by_evidence(store: MemoryStore, clock: FakeClock) -> None:
    clock.advance(FORGET_AFTER_SECONDS + 1)
    store.put(tick("2", ETH, received_at=clock.monotonic()))
    store.confirm([BTC], clock.monotonic(), WEBSOCKET)

    assert BTC not in store.all()


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.put(tick("2", BTC, trade_id=9, received_at=2000.0)),
        lambda store: store.put(tick("2", ETH)),
        lambda store: store.confirm([BTC], 2000.0, WEBSOCKET),
        lambda store: store.withdraw([BTC], 0.0),
        lambda store: store.set_market("maintenance"),
        lambda store: store.set_pair_markets({BTC: "delisted"}),
    ],
    ids=["another trade", "another pair", "evidence", "withdrawn evidence", "market", "market of a pair"],
)
def test_a_view_never_changes_and_each_change_is_followed_by_another_view(
    store: MemoryStore, change: Callable[[MemoryStore], object]
) -> None:
    view = store.all()
    seen = dict(view)
    assert store.all() is view

    change(store)
    assert view == seen
    assert store.all() is not view


def test_there_is_room_for_every_pair() -> None:
    store = memory_store(FakeClock())
    pairs = [Pair(f"A{number}", "USD") for number in range(3000)]
    for pair in pairs:
        store.put(tick("1", pair))

    assert list(store.all()) == pairs


ROUNDS = 300
PAIRS = [Pair(f"A{number}", "USD") for number in range(4)]


def write(store: MemoryStore, pair: Pair, start: threading.Barrier) -> None:
    """A writer of one pair that confirms all."""
    start.wait()
    for number in range(1, ROUNDS + 1):
        store.put(tick(str(number), pair, traded_at=float(number), received_at=1000.0 + number))
        store.confirm(PAIRS, 1000.0 + number, WEBSOCKET)


def read(store: MemoryStore, torn: list[Price], start: threading.Barrier, written: threading.Event) -> None:
    """A reader that keeps what no writer wrote, and what went back."""
    newest: dict[Pair, float] = {}
    start.wait()
    while not written.is_set():
        for pair, price in store.all().items():
            number = price.tick.traded_at or 0.0
            if price.tick.pair != pair or float(price.tick.price) != number or number < newest.get(pair, 0):
                torn.append(price)
            newest[pair] = number


@pytest.mark.usefixtures("restless_threads")
def test_several_writers_lose_nothing_and_readers_see_whole_prices() -> None:
    store = memory_store(FakeClock())
    start, written = threading.Barrier(len(PAIRS) + 1), threading.Event()
    torn: list[Price] = []
    writers = [threading.Thread(target=write, args=(store, pair, start)) for pair in PAIRS]
    reader = threading.Thread(target=read, args=(store, torn, start, written))
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join(DEADLINE)
    written.set()
    reader.join(DEADLINE)

    assert torn == []
    assert {pair: held.tick.price for pair, held in store.all().items()} == dict.fromkeys(PAIRS, str(ROUNDS))
    assert {price.confirmed_at for price in store.all().values()} == {1000.0 + ROUNDS}


@pytest.mark.usefixtures("restless_threads")
def test_writers_of_one_pair_end_at_the_newest_trade_whoever_came_last() -> None:
    store = memory_store(FakeClock())
    start = threading.Barrier(4)

    def write(offset: int) -> None:
        start.wait()
        for number in range(offset, 800, 4):
            store.put(tick(str(number + 1), BTC, traded_at=float(number + 1)))

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))

    assert store.all()[BTC].tick.price == "800"


def test_a_listener_hears_of_each_new_trade_here_and_in_another_process(clock: FakeClock) -> None:
    changes, heard = Changes(), list[Pair]()
    changes.listener = heard.append
    owner, follower = memory_store(clock), memory_store(clock, changes)
    for number in (1, 2):
        owner.put(tick("100", BTC, traded_at=float(number), trade_id=number))
        follower.adopt(owner.all().values())
        follower.adopt(owner.all().values())
    assert heard == [BTC, BTC]

    follower.put(tick("100", BTC, traded_at=3.0, trade_id=3))
    follower.put(tick("100", BTC, traded_at=3.0, trade_id=3))
    assert heard == [BTC] * 3


def test_a_listener_hears_of_another_source_that_another_process_tells_and_not_of_mere_evidence(
    clock: FakeClock,
) -> None:
    changes, heard = Changes(), list[Pair]()
    changes.listener = heard.append
    owner, follower = memory_store(clock), memory_store(clock, changes)
    owner.put(tick("100", BTC, received_at=1000.0))
    for at, source, times in (
        (1001.0, WEBSOCKET, 1),
        (1004.0, REST, 2),
        (1006.0, REST, 2),
        (1006.1, WEBSOCKET, 3),
    ):
        owner.confirm([BTC], at, source)
        follower.adopt(owner.all().values())
        assert heard == [BTC] * times
