"""What every price store keeps to, whichever engine holds the prices."""

from collections.abc import Callable

import pytest

from ltp_service.domain.tick import REST, WEBSOCKET
from ltp_service.prices.changes import Changes
from ltp_service.prices.store import Store
from ltp_service.redis.prices import RedisStore
from ltp_service.redis.topic import open_line
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, XRP, FakeClock, memory_store, tick

MakeStore = Callable[[FakeClock, Changes], Store]


def redis_store(clock: FakeClock, changes: Changes) -> Store:
    """Its own copy answers: no Redis listens at that address."""
    line = open_line(Config(redis_addr="127.0.0.1:1"), clock.monotonic)
    return RedisStore(memory_store(clock, changes), line)


BACK_ENDS: dict[str, MakeStore] = {"memory": memory_store, "redis": redis_store}


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture(params=list(BACK_ENDS))
def store(request: pytest.FixtureRequest, clock: FakeClock, changes: Changes) -> Store:
    return BACK_ENDS[request.param](clock, changes)


def test_a_new_store_holds_nothing(store: Store) -> None:
    assert dict(store.all()) == {}
    assert store.market() == "unknown"
    store.ping()


def test_what_was_put_is_held_as_it_was(store: Store) -> None:
    one = tick("115643.00000", traded_at=5.0, trade_id=7, received_at=1000.0, happened_at=999.0)

    assert store.put(one) == "newer"
    price = store.all()[BTC]
    assert price.tick == one
    assert (price.confirmed_at, price.confirmed_by, price.newest_traded_at) == (1000.0, WEBSOCKET, 5.0)


def test_each_pair_keeps_its_own_price(store: Store) -> None:
    for number, pair in enumerate((BTC, ETH, XRP), 1):
        store.put(tick(str(number), pair))
    store.put(tick("22", ETH, received_at=1001.0))

    assert {pair: price.tick.price for pair, price in store.all().items()} == {BTC: "1", ETH: "22", XRP: "3"}
    assert all(pair == price.tick.pair for pair, price in store.all().items())


def test_an_older_tick_changes_nothing(store: Store) -> None:
    store.put(tick("2", traded_at=20.0))
    before = store.all()

    assert store.put(tick("1", traded_at=10.0, received_at=1001.0)) == "older"
    assert store.all() is before


def test_the_same_trade_again_is_evidence_and_no_change(store: Store) -> None:
    store.put(tick("2", traded_at=20.0, trade_id=1))

    assert store.put(tick("2", traded_at=20.0, trade_id=1, received_at=1005.0, source=REST)) == "same"
    price = store.all()[BTC]
    assert price.confirmed_at == 1005.0
    assert price.confirmed_by == REST
    assert price.tick.source == WEBSOCKET


def test_evidence_reaches_the_named_pairs_only_and_never_invents_one(store: Store) -> None:
    store.put(tick("1", BTC))
    store.put(tick("2", ETH))
    store.confirm([BTC, XRP], 1007.0, WEBSOCKET)

    held = store.all()
    assert held[BTC].confirmed_at == 1007.0
    assert held[ETH].confirmed_at == 1000.0
    assert XRP not in held


def test_evidence_that_comes_late_never_makes_a_price_look_older(store: Store) -> None:
    store.put(tick("1", received_at=1000.0))
    store.confirm([BTC], 990.0, REST)

    assert store.all()[BTC].confirmed_at == 1000.0
    assert store.all()[BTC].confirmed_by == WEBSOCKET


def test_a_view_once_given_never_changes(store: Store) -> None:
    store.put(tick("1"))
    view = store.all()
    store.put(tick("2", received_at=1001.0))
    store.put(tick("3", ETH))

    assert {pair: price.tick.price for pair, price in view.items()} == {BTC: "1"}


def test_a_view_is_another_object_exactly_when_something_changed(store: Store) -> None:
    store.put(tick("1"))
    view = store.all()
    assert store.all() is view
    store.confirm([BTC], 1001.0, WEBSOCKET)
    confirmed = store.all()
    assert confirmed is not view
    store.set_market("maintenance")
    assert store.all() is not confirmed


def test_the_exchanges_last_word_about_itself_is_remembered(store: Store) -> None:
    store.set_market("cancel_only")
    assert store.market() == "cancel_only"
    store.set_market("online")
    assert store.market() == "online"


def test_a_watcher_of_a_pair_is_woken_by_a_newer_tick_of_it_alone(store: Store, changes: Changes) -> None:
    store.put(tick("1", traded_at=20.0))
    with changes.watch([BTC]) as watch:
        assert watch
        store.put(tick("1", ETH))
        store.put(tick("1", traded_at=20.0, received_at=1001.0))
        store.put(tick("9", traded_at=10.0, received_at=1001.0))
        assert not watch.wait(0)
        store.put(tick("2", traded_at=21.0, received_at=1002.0))
        assert watch.wait(DEADLINE)


def test_a_pair_may_stand_still_while_the_exchange_does_not(store: Store) -> None:
    store.put(tick("1"))
    store.set_market("online")
    before = store.all()
    store.set_pair_markets({BTC: "cancel_only", ETH: "online"})

    assert [store.market_of(pair) for pair in (BTC, ETH, XRP)] == ["cancel_only", "online", "online"]
    assert store.all() is not before  # so that a kept answer is rendered again
    store.set_pair_markets({BTC: "online"})
    assert store.market_of(BTC) == "online"


def test_a_word_about_a_pair_that_is_not_known_says_only_that_the_pair_is_listed(store: Store) -> None:
    store.set_pair_markets({BTC: "cancel_only", ETH: "delisted"})
    store.set_pair_markets(dict.fromkeys((BTC, ETH, XRP), "unknown"))

    assert (store.market_of(BTC), store.market_of(ETH)) == ("cancel_only", "unknown")
