"""The second source: whom it asks when, and who is believed."""

import logging
from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from math import inf
from threading import Event
from typing import Any, Self

import pytest

from ltp_service.domain.errors import Unreachable
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pair_choice import Choice, Wildcard
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET, Tick
from ltp_service.meters import DEAF_SUBSCRIPTIONS, DIVERGENCES, FALLBACK_SECONDS, FALLBACKS
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.freshness import judge
from ltp_service.prices.served import KEEP_UNLISTED_SECONDS, ServedPairs
from ltp_service.rest.poll import (
    CALLS_APART_SECONDS,
    FIRST_PRICE_WITHIN_SECONDS,
    FREE_EVERY_SECONDS,
    FREE_SECONDS,
    LIST_AGAIN_AFTER_SECONDS,
    LISTINGS_EVERY_SECONDS,
    LISTINGS_IN_DOUBT_SECONDS,
    LIVES_ON_REST_SECONDS,
    POLL_EVERY_SECONDS,
    RENEWED_AGAIN_AFTER_SECONDS,
    Poll,
)
from ltp_service.rest.sequence import LONGEST_CACHE_SECONDS, Detail, NewestTrades, Progress, Row, surely_at
from ltp_service.rest.source import MarketAnswer, RestAnswer, RestSource
from ltp_service.settings.config import Config
from tests.fakes import BTC, ETH, XRP, FakeClock, RecordingMeters, memory_store, online, runtime, tick

DOWN = "WebSocket data unavailable, falling back to REST"
BACK = "WebSocket data received, switching back from REST fallback"


class FakeFeed:
    """A feed that a test connects, cuts and makes deliver."""

    def __init__(self) -> None:
        self.up = True
        self.delivered: dict[Pair, float] = {}
        self.renewed: list[Pair] = []
        self.left = 0
        self.held_back: dict[Pair, Tick] = {}
        self.market_told = 0.0
        self.lags = 0.0
        self.since: float | None = 0.0
        self.tells: set[Pair] = set()

    def is_connected(self) -> bool:
        return self.up

    def delivered_at(self, pair: Pair) -> float | None:
        return self.delivered.get(pair)

    def lag(self) -> float:
        return self.lags

    def renew(self, pair: Pair) -> None:
        self.renewed.append(pair)

    def told_since(self, pair: Pair) -> float | None:
        return self.since

    def held(self, pair: Pair) -> Tick | None:
        return self.held_back.get(pair)

    def market_told_at(self) -> float:
        return self.market_told

    def tells_market_of(self, pair: Pair) -> bool:
        return pair in self.tells

    def leave(self) -> None:
        self.left += 1


class FakeFleet:
    """Other processes, one of which may feed this one."""

    def __init__(self) -> None:
        self.leading = False
        self.reached = True
        self.told: dict[Pair, float] = {}
        self.asking = 1

    def leads(self) -> bool:
        return self.leading

    def in_step(self) -> bool:
        return self.reached

    def told_at(self, pair: Pair) -> float | None:
        return self.told.get(pair)

    def askers(self) -> int:
        return self.asking


class FakeRest:
    """REST with prices that a test sets, and a memory of what it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.prices = {BTC: "100.0", ETH: "10.0"}
        self.trade_prices: dict[Pair, str] = {}
        """Those of Trades, where Ticker tells others."""
        self.trade_times: dict[Pair, float] = {}
        self.details: dict[Pair, Detail] = {}
        self.rows: dict[Pair, list[Row]] = {}
        self.cached_for = 0.0
        self.dated = self.is_whole = True
        self.status: MarketStatus = "online"
        self.broken = False
        self.trades_broken = False
        self.asked: list[tuple[str, float]] = []
        """But for the list of pairs."""
        self.unknown: set[Pair] = set()
        self.lists: dict[Pair, MarketStatus] = {BTC: "online", ETH: "online"}
        self.listed_at: list[float] = []
        self._listed: dict[Pair, MarketStatus] = {}

    def last_trades(self, pairs: Iterable[Pair], budget: float) -> RestAnswer:
        self._ask("Ticker")
        known = [pair for pair in pairs if pair in self.prices]
        ticks = [self._tick(pair) for pair in known]
        unknown = frozenset(self.unknown.intersection(pairs))
        return RestAnswer(ticks, unknown, frozenset(known) | unknown, self.details)

    def trades(self, pair: Pair) -> NewestTrades | None:
        self._ask("Trades")
        if pair not in self.prices:
            return None
        return NewestTrades(
            self._tick(pair, self.trade_times.get(pair, self.clock.monotonic())),
            self.rows.get(pair, ()),
            dated=self.dated,
            is_whole=self.is_whole,
        )

    def ask_listings(self) -> None:
        self.listed_at.append(self.clock.monotonic())
        if self.broken:
            raise Unreachable("REST is down", reason="refused")
        self._listed = dict(self.lists)

    def listed(self) -> dict[Pair, MarketStatus]:
        return self._listed

    def system_status(self) -> MarketAnswer:
        self._ask("SystemStatus")
        told_at = surely_at(self.clock.monotonic() - self.cached_for, dated=self.dated)
        return MarketAnswer(self.status, told_at)

    def traded(self, price: str, seconds: float, pair: Pair = BTC) -> None:
        """Its newest trade was or will be made so many seconds from now."""
        self.prices[pair], self.trade_times[pair] = price, self.clock.monotonic() + seconds

    def calls(self, endpoint: str) -> int:
        return [name for name, _ in self.asked].count(endpoint)

    def _ask(self, endpoint: str) -> None:
        self.asked.append((endpoint, self.clock.monotonic()))
        if self.broken or (self.trades_broken and endpoint == "Trades"):
            raise Unreachable("REST is down", reason="refused")

    def _tick(self, pair: Pair, traded_at: float | None = None) -> Tick:
        price = self.prices[pair]
        if traded_at is not None:
            price = self.trade_prices.get(pair, price)
        as_of = self.clock.monotonic() - self.cached_for
        return Tick(pair, price, Decimal(price), REST, traded_at, None, as_of, None)


class Scene:
    """A store, REST, the poll and, unless told otherwise, a feed of this process alone, on one clock."""

    def __init__(self, *chosen: Choice, fed: bool = True, shared: bool = False, **settings: Any) -> None:
        self.clock = FakeClock()
        self.store = memory_store(self.clock)
        self.late = 0.0
        """Seconds by which the feed's evidence is."""
        self.feed, self.fleet = FakeFeed(), FakeFleet()
        self.fleet.leading = not shared
        self.rest = FakeRest(self.clock)
        self.meters = RecordingMeters()
        self.doubts, self.exchange_clock = Doubts(), ExchangeClock()
        config, self.served = Config(**settings), ServedPairs(chosen or (BTC, ETH))
        world = runtime(self.clock, self.meters)
        self.source = RestSource(config, self.rest, self.store, self.doubts, self.exchange_clock, world)
        feed, fleet = self.feed if fed else None, self.fleet if shared else None
        self.poll = Poll(config, self.served, self.source, self.store, self.doubts, world, feed, fleet)
        self.served.on_change(self.poll.follow)

    def begin(self) -> Self:
        """Both pairs have a price, and the feed is alive for them."""
        self.trade("100.0")
        self.trade("10.0", ETH)
        self.deliver(BTC, ETH)
        return self

    def trade(self, price: str, pair: Pair = BTC) -> None:
        now = self.clock.monotonic()
        self.exchange_clock.heard(now, now)
        self.store.put(tick(price, pair, traded_at=now, received_at=now, happened_at=now))

    def deliver(self, *pairs: Pair) -> None:
        """The feed, of this process or of the fleet's owner, is alive for these pairs."""
        now = self.clock.monotonic() - self.late
        believed = [pair for pair in pairs if pair not in self.doubts]
        evidence = self.feed.delivered if self.fleet.leading else self.fleet.told
        evidence.update(dict.fromkeys(believed, now))
        self.store.confirm(believed, now, WEBSOCKET)

    def pass_time(self, seconds: float, alive: Iterable[Pair] = ()) -> None:
        """Looks four times a second, while the feed is alive for some pairs."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)
            if pairs := tuple(alive):
                self.deliver(*pairs)
            try:
                self.poll.look()
            except Unreachable:
                continue

    def lose_feed(self, seconds: float) -> None:
        """The connection is lost, for so long at least."""
        self.feed.up = False
        self.pass_time(seconds)

    def trade_every_second(self) -> None:
        """For so long that a longer silence of BTC is unusual."""
        for _ in range(20):
            self.trade("100.0")
            self.pass_time(1, alive=(BTC, ETH))

    def state(self, pair: Pair = BTC) -> str:
        price = self.store.all().get(pair)
        return judge(price, self.clock.monotonic(), 30.0, self.store.market_of(pair)).state

    def amount(self, pair: Pair = BTC) -> str:
        return self.store.all()[pair].tick.price


@pytest.fixture
def scene() -> Scene:
    return Scene().begin()


def test_while_the_feed_delivers_nobody_asks_rest(scene: Scene) -> None:
    scene.pass_time(60, alive=(BTC, ETH))

    assert scene.rest.asked == []


def test_a_feed_that_shows_itself_every_second_is_not_given_up_however_short_the_timeout() -> None:
    scene = Scene(kraken_fallback_timeout=0.0)
    scene.trade("100.0")
    for _ in range(60):
        scene.deliver(BTC, ETH)
        scene.pass_time(1)

    assert scene.meters.reports == []
    assert scene.rest.asked == []


def test_a_lost_feed_is_followed_by_rest_within_three_seconds(scene: Scene) -> None:
    scene.feed.up = False
    scene.rest.prices[BTC] = "101.5"
    scene.pass_time(3)

    assert (scene.amount(), scene.state()) == ("101.5", "fallback")


def test_into_a_fallback_no_cache_of_rest_takes_a_price_back(scene: Scene) -> None:
    scene.trade("115010.1")
    scene.feed.up = False
    scene.rest.traded("115005.5", -3)
    for _ in range(60):
        scene.pass_time(0.25)
        assert scene.amount() == "115010.1"
    scene.rest.traded("115020.0", 0)
    scene.pass_time(3)
    assert (scene.amount(), scene.state()) == ("115020.0", "fallback")


def test_inside_a_fallback_caches_that_take_turns_never_take_a_price_back() -> None:
    scene = Scene(fed=False)
    seen = []
    for second in range(60):
        behind = 8 if second // 2 % 2 else 0  # every second answer comes from a cache 8 s old
        trades = second + 100 - behind
        scene.rest.prices[BTC] = f"{trades}.5"
        scene.rest.details[BTC] = Detail(Decimal(1), Progress(trades, Decimal(trades)))
        scene.pass_time(1)
        seen.append(float(scene.amount()))
    assert seen == sorted(seen)
    assert seen[-1] > 150
    assert scene.rest.calls("Trades") == 0


def tells(scene: Scene, price: str, trades: int, volume: str = "1") -> None:
    """REST's Ticker, when the day has had so many trades."""
    scene.rest.prices[BTC] = price
    scene.rest.details[BTC] = Detail(Decimal(volume), Progress(trades, Decimal(trades)))


def test_a_price_that_is_known_to_be_newer_is_taken_from_an_older_cache_too() -> None:
    scene = Scene(fed=False)
    tells(scene, "100.0", 7)
    scene.pass_time(2)
    known_at = scene.store.all()[BTC].confirmed_at
    tells(scene, "101.0", 8)
    scene.rest.cached_for = 3.0
    scene.pass_time(2)

    assert scene.amount() == "101.0"
    assert scene.store.all()[BTC].confirmed_at >= known_at


def test_a_price_between_two_that_are_equal_is_not_taken_after_the_second() -> None:
    scene = Scene(fed=False)
    for price, trades in (("100.0", 10), ("100.0", 20), ("99.0", 15)):
        tells(scene, price, trades)
        scene.pass_time(2)

    assert (scene.amount(), scene.rest.calls("Trades")) == ("100.0", 0)


def test_rest_that_lags_for_long_takes_no_price_back_because_its_trades_decide() -> None:
    scene = Scene(fed=False)
    tells(scene, "100.0", 70)
    scene.pass_time(2)
    scene.rest.trade_prices[BTC], scene.rest.trade_times[BTC] = "100.0", scene.clock.monotonic()
    tells(scene, "99.0", 60)
    for _ in range(120):
        scene.pass_time(0.5)
        assert (scene.amount(), scene.state()) == ("100.0", "fallback")


def test_rest_that_lags_takes_no_price_back_while_its_trades_cannot_be_had() -> None:
    scene = Scene(fed=False)
    tells(scene, "100.0", 70)
    scene.pass_time(2)
    scene.rest.trade_prices[BTC], scene.rest.trade_times[BTC] = "100.0", scene.clock.monotonic()
    scene.rest.rows[BTC] = [Row(Decimal("99.0"), Decimal(2)), Row(Decimal("100.0"), Decimal(1))]
    tells(scene, "99.0", 60, volume="3")
    scene.pass_time(30)
    scene.rest.trades_broken = True
    for _ in range(120):
        scene.pass_time(0.5)
        assert scene.amount() == "100.0"
    assert scene.state() == "stale"


def test_after_midnight_a_new_price_of_a_day_with_fewer_trades_is_taken_from_trades() -> None:
    scene = Scene(fed=False)
    tells(scene, "100.0", 70)
    scene.pass_time(2)
    scene.rest.trade_times[BTC] = scene.clock.monotonic()
    tells(scene, "99.0", 1)
    for _ in range(120):
        scene.pass_time(0.5)
        assert scene.state() == "fallback"
    assert scene.amount() == "99.0"


def test_once_a_trade_has_its_place_the_days_progress_orders_what_follows(scene: Scene) -> None:
    scene.feed.up = False
    tells(scene, "101.0", 20, volume="0.5")
    scene.rest.rows[BTC] = [Row(Decimal(100), Decimal(3)), Row(Decimal(101), Decimal("0.5"))]
    scene.pass_time(4)
    assert (scene.amount(), scene.rest.calls("Trades")) == ("101.0", 1)
    tells(scene, "102.0", 21)
    scene.pass_time(2)
    assert (scene.amount(), scene.rest.calls("Trades")) == ("102.0", 1)


def test_where_nothing_orders_rests_answers_time_and_id_do() -> None:
    scene = Scene(fed=False)
    scene.pass_time(3)
    scene.rest.prices[BTC], scene.rest.trades_broken = "99.0", True
    scene.pass_time(10)
    assert scene.amount() == "100.0"
    scene.rest.trades_broken = False
    scene.pass_time(15)
    assert scene.amount() == "99.0"


def test_a_feed_that_was_silent_before_it_was_given_up_is_followed_by_rest_at_once(scene: Scene) -> None:
    scene.pass_time(10)
    scene.lose_feed(0.5)

    assert scene.state() == "fallback"
    scene.pass_time(2)
    assert [name for name, _ in scene.rest.asked] == ["Ticker", "SystemStatus", "Ticker"]


def test_a_new_silent_connection_ends_no_fallback(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene.lose_feed(4)
    scene.feed.up = True
    scene.pass_time(10)

    assert scene.poll.active()
    assert scene.state() == "fallback"
    assert "switching back" not in caplog.text
    scene.pass_time(1, alive=(BTC, ETH))
    assert not scene.poll.active()


def test_a_lost_feed_costs_one_poll_in_two_seconds(scene: Scene) -> None:
    scene.lose_feed(60)

    assert 29 <= len(scene.rest.asked) - 2 <= 31  # beside the polls: whether the exchange is matching


def test_each_change_of_the_source_is_logged_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        scene.feed.up = False
        scene.pass_time(20)
        scene.feed.up = True
        scene.deliver(BTC, ETH)
        scene.pass_time(20, alive=(BTC, ETH))

    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if line in (DOWN, BACK)] == [DOWN, BACK, DOWN, BACK]


def test_a_missing_pair_follows_rest_and_others_stay(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene.rest.prices[ETH] = "11.0"
    scene.pass_time(20, alive=(BTC,))

    assert (scene.amount(ETH), scene.state(ETH)) == ("11.0", "fallback")
    assert (scene.amount(BTC), scene.state(BTC)) == ("100.0", "live")
    assert not scene.poll.active()
    assert DOWN not in caplog.text


@pytest.mark.parametrize("price", ["99.0", "100.0"])
def test_rest_never_overrules_a_living_feed(scene: Scene, price: str) -> None:
    scene.rest.prices[BTC] = price
    scene.source.fetch([BTC])

    assert (scene.amount(), scene.state()) == ("100.0", "live")


def test_of_a_pair_that_the_exchange_lacks_by_its_own_word_no_request_asks(scene: Scene) -> None:
    scene.source.exclude(XRP)
    scene.source.fetch([XRP])
    assert scene.rest.asked == []
    scene.source.admit(XRP)
    scene.source.fetch([XRP])
    assert [name for name, _ in scene.rest.asked] == ["Ticker"]


def test_a_deaf_pair_is_found_served_and_subscribed_anew_within_thirty_seconds(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.traded("102.0", 5)
    scene.pass_time(12.5, alive=(BTC, ETH))

    assert scene.amount() == "102.0"
    assert scene.feed.renewed == [BTC]
    assert scene.feed.left == 0


def test_a_pair_deaf_twice_within_a_minute_costs_the_connection(scene: Scene) -> None:
    scene.trade_every_second()
    for price in ("102.0", "103.0"):
        scene.rest.traded(price, 5)
        scene.pass_time(15, alive=(BTC, ETH))
        scene.doubts.settle(BTC)  # the subscription made anew tells its present state

    assert scene.feed.left == 1


@pytest.mark.parametrize("known", ["by the day's progress", "by its date"])
def test_a_feed_is_deaf_too_where_rests_price_was_known_to_be_newer_at_once(scene: Scene, known: str) -> None:
    scene.trade_every_second()
    if known == "by its date":
        scene.late = 1.2
        scene.rest.details[BTC] = Detail(None, None, dated=True)
        scene.rest.prices[BTC] = "102.0"
    else:
        scene.feed.up = False
        tells(scene, "101.0", 20)
        scene.rest.rows[BTC] = [Row(Decimal(101), Decimal(1))]
        scene.pass_time(4)
        scene.feed.up = True
        scene.pass_time(1, alive=(BTC, ETH))
        assert (scene.amount(), scene.state()) == ("101.0", "live")
        tells(scene, "102.0", 21)
    while scene.amount() != "102.0":
        scene.pass_time(0.25, alive=(BTC, ETH))
    assert scene.rest.asked[-1][0] == "Ticker"
    scene.pass_time(2, alive=(BTC, ETH))

    assert (scene.amount(), scene.feed.renewed) == ("102.0", [BTC])


def test_a_late_feed_that_tells_what_rest_told_first_is_not_deaf(scene: Scene) -> None:
    scene.trade_every_second()
    scene.feed.lags = lag = 3.0
    scene.rest.details[BTC] = Detail(None, None, dated=True)
    scene.late = 1.2
    scene.rest.traded("102.0", 5)
    while BTC not in scene.doubts:
        scene.pass_time(0.25, alive=(BTC, ETH))
    scene.pass_time(lag + 0.75, alive=(BTC, ETH))
    now = scene.clock.monotonic()
    scene.store.put(tick("102.0", traded_at=now - lag, received_at=now, happened_at=now - lag))
    scene.pass_time(5, alive=(BTC, ETH))

    assert BTC not in scene.doubts
    assert scene.rest.calls("Trades") == 0
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def contested(scene: Scene, claim: str | None = None) -> None:
    """The channels of the feed tell different prices of BTC, or REST told one of another moment."""
    held, now = scene.store.all()[BTC], scene.clock.monotonic()
    if claim is None:
        scene.doubts.open(BTC, "contested", now, held)
    else:
        scene.doubts.open(BTC, "disputed", now, held, against=tick(claim, source=REST, received_at=now))


@pytest.mark.parametrize("claim", [None, "102.0"])
def test_a_feed_that_is_in_doubt_has_its_time_for_a_trade_that_rest_told_first(
    scene: Scene, claim: str | None
) -> None:
    scene.trade_every_second()
    scene.rest.traded("102.0", 0.1)
    contested(scene, claim)
    scene.pass_time(2, alive=(BTC, ETH))

    assert (scene.amount(), scene.feed.renewed) == ("102.0", [])
    assert scene.meters.told(DEAF_SUBSCRIPTIONS) == []


def test_a_feed_that_is_in_doubt_and_stays_silent_is_found_deaf_within_thirty_seconds(scene: Scene) -> None:
    scene.pass_time(1, alive=(BTC, ETH))
    scene.rest.traded("102.0", 0.1)
    contested(scene)
    scene.pass_time(2, alive=(BTC, ETH))
    scene.rest.traded("103.0", 5)
    scene.pass_time(28, alive=(BTC, ETH))

    assert (scene.amount(), scene.feed.renewed) == ("103.0", [BTC])


def test_a_feed_that_is_in_doubt_is_deaf_at_once_where_it_confirmed_its_price_long_after_the_trade(
    scene: Scene,
) -> None:
    scene.trade_every_second()
    scene.rest.traded("102.0", 1)
    scene.pass_time(5, alive=(BTC, ETH))
    contested(scene)
    scene.pass_time(2, alive=(BTC, ETH))

    assert (scene.amount(), scene.feed.renewed) == ("102.0", [BTC])


def refresh(scene: Scene, alive: Iterable[Pair] = (BTC, ETH)) -> None:
    """A request asks REST, whose answer is known to be newer than the feed's last evidence."""
    scene.rest.details[BTC] = Detail(None, None, dated=True)
    scene.pass_time(0.25, alive=alive)
    scene.clock.advance(1.2)
    scene.rest.traded("102.0", 0)
    scene.source.refresh([BTC])
    assert scene.amount() == "102.0"


@pytest.mark.parametrize("lag", [0.0, 3.0])
def test_a_feed_is_deaf_too_where_a_request_for_rest_showed_it(scene: Scene, lag: float) -> None:
    scene.feed.lags = scene.late = lag
    scene.pass_time(lag, alive=(BTC, ETH))
    refresh(scene)
    scene.pass_time(lag + 2, alive=(BTC, ETH))

    assert (scene.amount(), scene.feed.renewed) == ("102.0", [BTC])
    assert scene.doubts.deaf() == [BTC]


def test_a_feed_that_tells_what_a_request_for_rest_told_first_is_not_deaf(scene: Scene) -> None:
    scene.feed.lags = scene.late = lag = 3.0
    refresh(scene)
    now = scene.clock.monotonic()
    scene.pass_time(lag + 0.75, alive=(BTC, ETH))
    scene.store.put(tick("102.0", traded_at=now, received_at=now + lag, happened_at=now))
    scene.pass_time(3, alive=(BTC, ETH))

    assert BTC not in scene.doubts
    assert (scene.rest.calls("Trades"), scene.feed.renewed, scene.feed.left) == (0, [], 0)


@pytest.mark.parametrize("why", ["silent", "cut", "connected anew", "elsewhere", "none", "REST's own"])
def test_a_feed_that_was_not_in_step_is_not_blamed_for_what_a_request_learnt(why: str) -> None:
    scene = Scene(fed=why != "none", shared=why == "elsewhere").begin()
    if why == "silent":
        scene.clock.advance(0.5)
    elif why == "cut":
        scene.feed.since = None
    elif why == "connected anew":
        scene.feed.since = scene.clock.monotonic() + 2
    elif why == "REST's own":
        scene.clock.advance(25)
        scene.source.refresh([BTC])
    refresh(scene, alive=() if why in ("silent", "REST's own") else (BTC, ETH))

    assert BTC not in scene.doubts
    assert scene.amount() == "102.0"


def test_however_late_the_line_is_a_dispute_is_asked_about_once_its_pair_is_late(scene: Scene) -> None:
    scene.trade_every_second()
    scene.feed.lags = 60.0
    scene.rest.traded("102.0", 5)
    while BTC not in scene.doubts:
        scene.pass_time(0.25, alive=(BTC, ETH))
    scene.pass_time(18, alive=(BTC, ETH))

    assert (scene.amount(), scene.rest.calls("Trades")) == ("102.0", 1)


def deaf(scene: Scene) -> None:
    """BTC is found deaf, and stays so."""
    scene.trade_every_second()
    scene.rest.traded("102.0", 5)
    while not scene.feed.renewed:
        scene.pass_time(0.25, alive=(BTC, ETH))


def test_a_pair_that_stays_deaf_is_subscribed_to_once_a_minute(scene: Scene) -> None:
    deaf(scene)
    scene.pass_time(3 * RENEWED_AGAIN_AFTER_SECONDS + 1, alive=(BTC, ETH))

    assert scene.feed.renewed == [BTC] * 4
    assert scene.meters.told(DEAF_SUBSCRIPTIONS) == [("BTC/USD",)]


def test_a_price_of_a_deaf_pair_that_nothing_orders_is_ordered_by_one_question(scene: Scene) -> None:
    deaf(scene)
    asked = scene.rest.calls("Trades")
    scene.rest.traded("103.0", 0)
    scene.pass_time(22, alive=(BTC, ETH))

    assert (scene.amount(), scene.rest.calls("Trades")) == ("103.0", asked + 1)
    assert scene.doubts.deaf() == [BTC]


def test_the_pause_of_a_lost_connection_is_no_habit(scene: Scene) -> None:
    scene.trade_every_second()
    scene.lose_feed(60)
    scene.feed.up = True
    for price in ("101.0", "102.0"):
        scene.trade(price)
        scene.pass_time(1, alive=(BTC, ETH))
    asked = scene.rest.calls("Ticker")
    scene.pass_time(12, alive=(BTC, ETH))

    assert scene.rest.calls("Ticker") == asked + 1


def test_a_deaf_pair_is_subscribed_anew_though_it_takes_long_to_settle_the_doubt(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.traded("102.0", 5)
    scene.rest.trades_broken = True
    scene.pass_time(40, alive=(BTC, ETH))

    assert (scene.amount(), scene.state(), scene.feed.renewed) == ("102.0", "fallback", [])
    scene.rest.trades_broken = False
    scene.pass_time(7, alive=(BTC, ETH))
    assert scene.feed.renewed == [BTC]


@pytest.mark.parametrize("away", ["cut", "elsewhere"])
def test_a_feed_that_is_cut_or_elsewhere_is_not_blamed_for_its_silence(away: str) -> None:
    scene = Scene(shared=True)
    scene.fleet.leading = True
    scene.trade_every_second()
    scene.feed.up, scene.fleet.leading = away != "cut", away != "elsewhere"
    scene.rest.traded("110.0", 5)
    scene.pass_time(30)

    assert scene.amount() == "110.0"
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def test_a_feed_that_was_cut_is_not_blamed_for_what_was_traded_meanwhile(scene: Scene) -> None:
    scene.feed.up = False
    scene.rest.traded("110.0", 0.5)
    while BTC not in scene.doubts:
        scene.pass_time(0.25)
    scene.feed.up = True
    scene.pass_time(3)

    assert scene.rest.calls("Trades") == 1
    assert scene.amount() == "110.0"
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def test_a_feed_that_was_cut_before_the_doubt_was_settled_is_not_blamed(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.prices[BTC], scene.rest.trades_broken = "102.0", True
    scene.pass_time(12, alive=(BTC, ETH))
    assert BTC in scene.doubts
    scene.lose_feed(1)
    scene.feed.up, scene.rest.trades_broken = True, False
    scene.pass_time(5)

    assert (scene.amount(), scene.feed.renewed) == ("102.0", [])


def test_a_feed_whose_price_only_gets_a_time_is_not_deaf(scene: Scene) -> None:
    scene.clock.advance(5)
    now = scene.clock.monotonic()
    scene.store.put(tick("101.0", received_at=now, happened_at=now))
    while BTC not in scene.doubts:
        scene.pass_time(0.25, alive=(BTC, ETH))
    scene.rest.prices[BTC], scene.rest.trade_times[BTC] = "101.0", now
    scene.pass_time(3, alive=(BTC, ETH))

    assert scene.rest.calls("Trades") == 1
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def test_a_feed_that_tells_a_trade_in_time_decides_a_doubt_by_itself(scene: Scene) -> None:
    scene.rest.traded("101.0", 119)
    while BTC not in scene.doubts:
        scene.pass_time(0.25, alive=(BTC, ETH))
    scene.clock.advance(0.1)
    now = scene.clock.monotonic()
    scene.store.put(tick("101.0", received_at=now, happened_at=now))
    scene.pass_time(3, alive=(BTC, ETH))

    assert scene.rest.calls("Trades") == 0
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def test_a_doubt_that_cannot_be_settled_leaves_other_pairs_their_turn(scene: Scene) -> None:
    for _ in range(20):
        scene.trade("100.0")
        scene.trade("10.0", ETH)
        scene.pass_time(1, alive=(BTC, ETH))
    scene.doubts.open(BTC, "disputed", scene.clock.monotonic())
    scene.rest.trades_broken = True
    scene.rest.prices[ETH] = "11.0"
    scene.pass_time(30, alive=(BTC, ETH))

    assert BTC in scene.doubts
    assert ETH in scene.doubts


def test_a_pair_quiet_for_ten_minutes_is_never_reconnected_and_stays_quiet(scene: Scene) -> None:
    scene.pass_time(600, alive=(BTC, ETH))

    assert scene.state() == "quiet"
    assert (scene.feed.left, scene.feed.renewed) == (0, [])


def test_a_late_rest_answer_about_an_older_trade_changes_nothing(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.traded("98.0", -300)
    scene.pass_time(15, alive=(BTC, ETH))

    assert scene.rest.calls("Trades") >= 1
    assert scene.amount() == "100.0"


def test_sources_that_cannot_both_be_right_are_settled_by_exchange_time(scene: Scene) -> None:
    scene.feed.up = False
    scene.rest.traded("120.0", 1)
    scene.pass_time(5)

    assert scene.amount() == "120.0"
    seen = scene.source.divergences[BTC]
    assert (seen.websocket, seen.rest) == ("100.0", "120.0")


def test_a_wild_rest_price_with_an_older_time_is_not_served(scene: Scene) -> None:
    scene.feed.up = False
    scene.rest.traded("120.0", -500)
    scene.pass_time(4)

    assert scene.amount() == "100.0"


def test_a_lost_feed_is_asked_whether_the_market_is_open(scene: Scene) -> None:
    scene.rest.status = "maintenance"
    scene.lose_feed(4)

    assert scene.state() == "halted"
    scene.rest.status = "online"
    scene.pass_time(4)
    assert scene.state() == "fallback"


def test_a_broken_rest_is_told_and_asked_again(scene: Scene) -> None:
    scene.feed.up = False
    scene.rest.broken = True
    scene.pass_time(10)
    asked = len(scene.rest.asked)
    scene.rest.broken = False
    scene.pass_time(3)

    assert asked >= 4
    assert scene.state() == "fallback"


def test_without_a_websocket_rest_is_the_source_from_the_start(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(fed=False)
    scene.pass_time(0.5)

    assert scene.state() == "fallback"
    assert DOWN not in caplog.text


@pytest.mark.parametrize("in_a_fleet", [False, True])
def test_rest_alone_is_no_fallback_but_the_source(in_a_fleet: bool, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(fed=False, shared=in_a_fleet)
    scene.fleet.leading = True
    scene.rest.status = "maintenance"
    scene.pass_time(5)

    assert not scene.poll.active()
    assert (scene.meters.reports, caplog.text) == ([], "")
    assert scene.state() == "halted"
    scene.rest.status = "online"
    scene.pass_time(5)
    assert scene.state() == "fallback"
    assert scene.rest.calls("Ticker") >= 4


def test_a_short_life_without_evidence_is_never_outlived() -> None:
    scene = Scene(cache_ttl=6.0)
    scene.trade("100.0")
    scene.deliver(BTC, ETH)
    scene.pass_time(6)

    assert scene.clock.monotonic() - scene.store.all()[BTC].confirmed_at < 6.0


def test_the_runner_reports_an_error_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(fed=False)
    scene.rest.broken = True

    class TwoLooks(Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            scene.clock.advance(3.0)
            self.looks += 1
            return self.looks > 2

    scene.poll.run(TwoLooks())

    assert scene.rest.calls("Ticker") == 2
    assert scene.poll.last_error == "REST is down"


def test_a_refresh_that_fails_learns_nothing(scene: Scene) -> None:
    scene.rest.broken = True

    assert scene.source.refresh([BTC]) == frozenset()


def test_a_contradicted_price_is_not_confirmed_until_the_contradiction_is_settled(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.prices[BTC] = "102.0"
    scene.rest.trades_broken = True
    scene.pass_time(11, alive=(BTC, ETH))
    contradicted_at = scene.clock.monotonic()
    scene.pass_time(5, alive=(BTC, ETH))

    assert scene.store.all()[BTC].confirmed_at <= contradicted_at
    scene.rest.trades_broken = False
    scene.rest.trade_times[BTC] = scene.clock.monotonic()
    scene.pass_time(3, alive=(BTC, ETH))
    assert scene.amount() == "102.0"


def test_a_trade_that_the_feed_holds_back_is_no_deafness(scene: Scene) -> None:
    scene.trade_every_second()
    scene.feed.held_back[BTC] = tick("120.0")
    scene.rest.traded("120.0", 5)
    scene.pass_time(15, alive=(BTC, ETH))

    assert scene.amount() == "120.0"
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def test_an_answer_that_may_come_from_a_cache_takes_back_no_ticker_of_the_feed() -> None:
    scene = Scene()
    now = scene.clock.monotonic()
    scene.exchange_clock.answered(now, now, now)
    scene.store.put(tick("101.0", received_at=now))
    scene.rest.dated = False
    scene.rest.trade_times[BTC] = now - 18
    scene.clock.advance(2.5)

    assert scene.source.settle(BTC) == "older"
    assert scene.amount() == "101.0"


def test_a_trade_from_the_far_future_is_refused(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.prices[BTC] = "102.0"
    scene.rest.trade_times[BTC] = 4_102_444_800.0
    scene.pass_time(15, alive=(BTC, ETH))

    assert scene.amount() == "100.0"


def test_a_late_word_about_the_market_does_not_overrule_the_feed(scene: Scene) -> None:
    scene.rest.status = "maintenance"
    scene.store.set_market("online")
    scene.feed.market_told = scene.clock.monotonic() + 60
    scene.lose_feed(4)

    assert scene.store.market() == "online"


@pytest.mark.parametrize(("dated", "within"), [(True, 6.0), (False, LONGEST_CACHE_SECONDS)])
@pytest.mark.parametrize(("said", "cached"), [("maintenance", "online"), ("online", "maintenance")])
def test_a_word_about_the_market_from_a_cache_does_not_overrule_what_the_feed_said_last(
    scene: Scene, dated: bool, within: float, said: MarketStatus, cached: MarketStatus
) -> None:
    scene.rest.dated, scene.rest.status = dated, cached
    scene.rest.cached_for = within if dated else 2.0
    scene.store.set_market(said)
    scene.feed.market_told = scene.clock.monotonic()
    scene.lose_feed(within - 0.5)
    assert scene.rest.calls("SystemStatus") > 1
    assert scene.store.market() == said

    scene.pass_time(6)
    assert scene.store.market() == cached


def test_while_the_feed_is_gone_a_maintenance_that_begins_is_seen(scene: Scene) -> None:
    scene.lose_feed(5)
    scene.rest.status = "maintenance"
    scene.pass_time(31)

    assert scene.store.market() == "maintenance"


def test_what_operators_watch_is_reported(scene: Scene) -> None:
    scene.trade_every_second()
    scene.rest.traded("102.0", 5)
    scene.pass_time(15, alive=(BTC, ETH))
    scene.feed.up = False
    scene.rest.traded("20.0", 0, ETH)
    scene.pass_time(5)
    scene.feed.up = True
    scene.deliver(BTC, ETH)
    scene.pass_time(1, alive=(BTC, ETH))

    assert scene.meters.reports[0] == (DEAF_SUBSCRIPTIONS, "BTC/USD")
    assert (FALLBACKS, "disconnected") in scene.meters.reports
    assert (DIVERGENCES, "ETH/USD") in scene.meters.reports
    assert scene.meters.reports[-1] == (FALLBACK_SECONDS,)
    assert scene.meters.observed[FALLBACK_SECONDS] == [pytest.approx(4.0, abs=2.0)]


# A frame that could not be used, and the market of one pair.


def contradict(scene: Scene, pair: Pair = BTC) -> None:
    """The feed sent something about `pair` that cannot be used."""
    now = scene.clock.monotonic()
    scene.doubts.open(pair, "unusable", now, scene.store.all().get(pair))


def test_a_frame_that_cannot_be_used_makes_rest_tell_the_price_within_two_seconds(scene: Scene) -> None:
    contradict(scene)
    scene.rest.traded("118000.0", 1)
    scene.pass_time(2, alive=(BTC, ETH))

    assert (scene.amount(), scene.state()) == ("118000.0", "live")
    assert (scene.amount(ETH), scene.state(ETH)) == ("10.0", "live")
    assert BTC not in scene.doubts
    assert (scene.feed.renewed, scene.feed.left) == ([], 0)


def test_several_of_them_are_asked_about_in_one_call(scene: Scene) -> None:
    scene.clock.advance(1)
    for pair in (BTC, ETH):
        contradict(scene, pair)
        scene.rest.trade_times[pair] = scene.clock.monotonic()
    scene.pass_time(1.5, alive=())

    assert scene.rest.calls("Ticker") == 1


def test_a_running_fallback_asks_about_it_within_two_seconds_too(scene: Scene) -> None:
    scene.lose_feed(9)
    contradict(scene)
    scene.rest.trade_times[BTC] = scene.clock.monotonic()
    scene.pass_time(2)

    assert scene.rest.calls("Trades") == 1


def test_a_new_doubt_comes_before_the_next_poll(scene: Scene) -> None:
    scene.lose_feed(9)
    polled = scene.rest.calls("Ticker")
    while scene.rest.calls("Ticker") == polled:
        scene.pass_time(0.25)
    scene.pass_time(1.75)
    contradict(scene)
    scene.pass_time(0.5)

    assert scene.rest.asked[-1][0] == "Trades"


def test_nothing_makes_a_doubt_trust_while_rest_cannot_settle_it(scene: Scene) -> None:
    contradict(scene)
    begun = scene.clock.monotonic()
    scene.rest.broken = True
    scene.pass_time(29, alive=(BTC, ETH))

    assert scene.store.all()[BTC].confirmed_at == begun
    assert scene.state(ETH) == "live"
    scene.pass_time(2, alive=(BTC, ETH))
    assert scene.state() == "stale"
    scene.rest.broken = False
    scene.rest.trade_times[BTC] = scene.clock.monotonic()
    scene.pass_time(4, alive=(BTC, ETH))
    assert scene.state() == "live"


@pytest.mark.parametrize("told", ["none", "future", "older"])
def test_an_answer_that_tells_nothing_of_now_settles_nothing(scene: Scene, told: str) -> None:
    contradict(scene)
    begun = scene.clock.monotonic()
    scene.rest.trade_times[BTC] = begun + {"none": 0, "future": 3600, "older": -5}[told]
    scene.rest.prices[BTC] = "99.0"
    if told == "none":
        del scene.rest.prices[BTC]
    scene.pass_time(20, alive=(BTC, ETH))

    assert BTC in scene.doubts
    assert scene.rest.calls("Trades") > 2


def test_an_answer_as_old_as_the_frame_settles_nothing_and_the_next_one_does(scene: Scene) -> None:
    scene.rest.cached_for = 2.0
    scene.pass_time(5, alive=(BTC, ETH))
    contradict(scene)
    scene.rest.trade_times[BTC] = 1000.0
    scene.pass_time(1, alive=(BTC, ETH))
    assert (scene.rest.calls("Trades"), BTC in scene.doubts) == (1, True)

    scene.pass_time(3, alive=(BTC, ETH))
    assert (scene.rest.calls("Trades"), BTC in scene.doubts) == (2, False)


def test_an_answer_of_unknown_age_settles_nothing_while_a_cache_may_keep_it(scene: Scene) -> None:
    scene.rest.dated = False
    contradict(scene)
    scene.rest.trade_times[BTC] = 1000.0
    scene.pass_time(19, alive=(BTC, ETH))
    assert (scene.state(), BTC in scene.doubts) == ("fallback", True)

    scene.pass_time(3, alive=(BTC, ETH))
    assert (scene.state(), BTC in scene.doubts) == ("live", False)


def test_a_pair_that_only_rest_knows_to_stand_still_is_halted(scene: Scene) -> None:
    scene.rest.lists[BTC] = "cancel_only"
    scene.pass_time(6, alive=(BTC, ETH))

    assert (scene.state(), scene.state(ETH)) == ("halted", "live")
    scene.rest.lists[BTC] = "online"
    scene.pass_time(LISTINGS_IN_DOUBT_SECONDS - 3, alive=(BTC, ETH))
    assert scene.state() == "halted"
    scene.pass_time(5, alive=(BTC, ETH))
    assert scene.state() in ("live", "quiet")
    assert len(scene.rest.listed_at) == 2


def test_a_pair_without_a_trade_that_is_not_listed_any_more_is_stale_at_once(scene: Scene) -> None:
    scene.pass_time(60, alive=(BTC, ETH))
    del scene.rest.lists[BTC]
    scene.pass_time(LISTINGS_EVERY_SECONDS - 50, alive=(BTC, ETH))

    assert (scene.state(), scene.state(ETH)) == ("stale", "quiet")
    assert len(scene.rest.listed_at) == 2


@pytest.mark.parametrize("tells", [(), (BTC, ETH)])
def test_of_a_pair_that_trades_one_list_without_it_is_not_believed_and_a_second_is(
    scene: Scene, tells: tuple[Pair, ...]
) -> None:
    scene.feed.tells = set(tells)
    scene.pass_time(6, alive=(BTC, ETH))
    scene.pass_time(LISTINGS_EVERY_SECONDS - 10, alive=(BTC, ETH))
    for is_listed, state in ((True, "live"), (False, "stale")):
        del scene.rest.lists[BTC]
        until = scene.clock.monotonic() + LISTINGS_EVERY_SECONDS + 5
        lists = len(scene.rest.listed_at)
        while len(scene.rest.listed_at) == lists and scene.clock.monotonic() < until:
            scene.trade("100.0")
            scene.pass_time(1, alive=(BTC, ETH))
        assert scene.state() == "live"
        if is_listed:
            scene.rest.lists[BTC] = "online"
        for _ in range(22):
            scene.trade("100.0")
            scene.pass_time(1, alive=(BTC, ETH))
        assert scene.state() == state


def test_a_pair_that_two_lists_lack_is_stale_where_no_trade_came_between_them(scene: Scene) -> None:
    scene.pass_time(3, alive=(BTC, ETH))
    del scene.rest.lists[BTC]
    scene.trade("100.0")
    scene.pass_time(3, alive=(BTC, ETH))
    assert (scene.state(), len(scene.rest.listed_at)) == ("live", 1)

    scene.pass_time(LIST_AGAIN_AFTER_SECONDS, alive=(BTC, ETH))
    assert (scene.state(), len(scene.rest.listed_at)) == ("stale", 2)


def test_a_list_without_any_pair_that_is_served_is_no_list(scene: Scene) -> None:
    scene.rest.lists = {Pair("XMR", "EUR"): "online"}
    scene.pass_time(6, alive=(BTC, ETH))

    assert scene.state() == "live"


def test_a_single_pair_that_neither_the_list_nor_the_prices_of_rest_know_is_delisted() -> None:
    scene = Scene(XRP)
    scene.rest.lists = {BTC: "online"}
    scene.pass_time(10)
    assert scene.store.market_of(XRP) == "unknown"
    scene.rest.unknown = {XRP}
    scene.pass_time(30)

    assert len(scene.rest.listed_at) == 1
    assert scene.store.market_of(XRP) == "delisted"


def test_what_the_feed_tells_of_a_pair_counts_before_rests_list(scene: Scene) -> None:
    scene.feed.tells = {BTC}
    scene.rest.lists = {ETH: "post_only"}
    scene.pass_time(6, alive=(BTC, ETH))

    assert (scene.state(), scene.state(ETH)) == ("live", "halted")


def test_a_pair_that_leaves_rests_list_is_delisted_though_the_feed_does_not_say_so(scene: Scene) -> None:
    scene.feed.tells = {BTC, ETH}
    scene.pass_time(6, alive=(BTC, ETH))
    del scene.rest.lists[BTC]
    scene.pass_time(LISTINGS_EVERY_SECONDS, alive=(BTC, ETH))
    assert (scene.state(), scene.state(ETH)) == ("stale", "quiet")

    scene.pass_time(LISTINGS_IN_DOUBT_SECONDS, alive=(BTC, ETH))
    scene.rest.lists[BTC] = "online"
    scene.pass_time(LISTINGS_IN_DOUBT_SECONDS + 2, alive=(BTC, ETH))
    assert scene.state() not in ("stale", "halted")


def test_a_doubt_makes_rest_list_the_pairs_again_and_prices_come_first(scene: Scene) -> None:
    scene.pass_time(100, alive=(BTC, ETH))
    contradict(scene)
    scene.rest.trade_times[BTC] = scene.clock.monotonic()
    scene.pass_time(1, alive=(BTC, ETH))
    assert (scene.rest.calls("Trades"), len(scene.rest.listed_at)) == (1, 1)
    scene.pass_time(2, alive=(BTC, ETH))
    assert len(scene.rest.listed_at) == 2


def test_a_doubt_about_an_unlisted_pair_does_not_keep_it_from_being_found(scene: Scene) -> None:
    del scene.rest.lists[BTC]
    scene.pass_time(26, alive=(BTC, ETH))
    assert scene.state() == "stale"
    contradict(scene)
    scene.rest.lists[BTC] = "online"
    scene.pass_time(LISTINGS_IN_DOUBT_SECONDS + 2, alive=(BTC, ETH))

    assert scene.state() not in ("stale", "halted")


def test_a_list_that_cannot_be_had_is_asked_for_after_a_minute(scene: Scene) -> None:
    scene.rest.broken = True
    scene.pass_time(70, alive=(BTC, ETH))

    assert len(scene.rest.listed_at) == 2


@pytest.mark.parametrize(
    ("cached_for", "after_ticker", "price"), [(5.0, -3.0, "101.0"), (0.0, -3.0, "99.0"), (5.0, 1.0, "99.0")]
)
def test_a_ticker_stays_when_newer(scene: Scene, cached_for: float, after_ticker: float, price: str) -> None:
    scene.pass_time(20, alive=(BTC, ETH))
    scene.trade("10.5", ETH)
    now = scene.clock.monotonic()
    scene.store.put(tick("101.0", received_at=now))
    contradict(scene)
    scene.rest.cached_for, scene.rest.prices[BTC] = cached_for, "99.0"
    scene.rest.trade_times[BTC] = now + after_ticker
    scene.pass_time(1.5, alive=(BTC, ETH))

    assert scene.rest.calls("Trades") == 1
    assert scene.amount() == price


# When a trade was made of which the feed tells no time.


def test_a_trade_that_the_feed_does_not_date_is_dated_by_rest(scene: Scene) -> None:
    scene.trade("10.0", ETH)
    now = scene.clock.monotonic()
    scene.store.put(tick("101.0", received_at=now + 2))
    scene.clock.advance(2)
    scene.deliver(BTC, ETH)
    assert scene.state() == "fallback"
    scene.rest.prices[BTC], scene.rest.trade_times[BTC] = "101.0", now + 1
    scene.pass_time(2, alive=(BTC, ETH))

    assert scene.rest.calls("Trades") == 1
    assert scene.state() == "live"
    assert scene.store.all()[BTC].tick.happened_at == pytest.approx(now + 1, abs=0.01)


def test_a_trade_that_has_an_exchange_time_is_dated_without_rest_once_the_clock_is_known() -> None:
    scene = Scene()
    scene.store.put(tick("100.0", traded_at=900.0))
    scene.deliver(BTC, ETH)
    scene.pass_time(2, alive=(BTC, ETH))
    assert scene.state() == "fallback"

    scene.trade("10.0", ETH)
    scene.pass_time(2, alive=(BTC, ETH))
    assert scene.rest.asked == []
    assert scene.state() == "quiet"


def test_a_trade_that_cannot_be_dated_is_asked_about_once_a_minute(scene: Scene) -> None:
    scene.store.put(tick("101.0", received_at=1001.0))
    scene.rest.trades_broken = True
    scene.pass_time(59, alive=(BTC, ETH))

    assert scene.rest.calls("Trades") == 1
    assert scene.state() == "fallback"
    scene.pass_time(4, alive=(BTC, ETH))
    assert scene.state() == "quiet"


def untimed(scene: Scene) -> None:
    """The feed tells BTC's price without a time, and REST cannot tell it for a minute."""
    scene.store.put(tick("101.0", received_at=scene.clock.monotonic()))
    scene.rest.trades_broken = True
    scene.pass_time(1, alive=(BTC, ETH))
    scene.rest.trades_broken = False


def is_dated(scene: Scene) -> None:
    """REST is asked for the time of BTC's trade."""
    asked = scene.rest.calls("Trades")
    while scene.rest.calls("Trades") == asked:
        scene.pass_time(0.25, alive=(BTC, ETH))


def test_a_feed_is_deaf_too_that_left_out_a_trade_of_which_rest_tells_for_the_time(scene: Scene) -> None:
    untimed(scene)
    scene.rest.traded("102.0", 5)
    is_dated(scene)

    assert (scene.amount(), scene.feed.renewed) == ("102.0", [BTC])
    assert scene.doubts.deaf() == [BTC]
    assert scene.meters.told(DEAF_SUBSCRIPTIONS) == [("BTC/USD",)]


@pytest.mark.parametrize("why", ["only late", "told a moment ago", "from a cache", "waiting", "cut"])
def test_a_feed_is_not_blamed_for_a_trade_that_it_may_still_tell(scene: Scene, why: str) -> None:
    scene.pass_time(7, alive=(BTC, ETH))
    scene.late = 10.0 if why == "only late" else 0.0
    traded = {"only late": 52, "told a moment ago": 59.5, "from a cache": -1, "waiting": 47}
    scene.rest.traded("102.0", traded.get(why, 5))
    untimed(scene)
    scene.feed.up = why != "cut"
    if why == "waiting":  # for its trade, or in quarantine: the feed's evidence ends
        scene.pass_time(47, alive=(BTC, ETH))
        scene.pass_time(12, alive=(ETH,))
    alive = (ETH,) if why == "waiting" else (BTC, ETH)
    for _ in range(300):
        if scene.amount() != "102.0":
            scene.pass_time(0.25, alive=alive)

    assert scene.amount() == "102.0"
    assert scene.meters.told(DEAF_SUBSCRIPTIONS) == scene.feed.renewed == scene.doubts.deaf() == []


def test_where_rest_told_a_trade_first_the_pair_is_asked_about_soon_again(scene: Scene) -> None:
    untimed(scene)
    scene.rest.traded("102.0", 59.5)
    is_dated(scene)
    scene.rest.traded("103.0", 1)
    scene.pass_time(13, alive=(BTC, ETH))

    assert (scene.amount(), scene.feed.renewed) == ("103.0", [BTC])


def test_what_rest_tells_for_the_time_ends_no_dispute_of_a_feed_that_may_be_late(scene: Scene) -> None:
    untimed(scene)
    scene.pass_time(58, alive=(BTC, ETH))
    scene.feed.lags = 3.0
    scene.rest.traded("102.0", 0)
    now, held = scene.clock.monotonic(), scene.store.all()[BTC]
    scene.doubts.open(BTC, "disputed", now, held, vouched=True, against=tick("102.0", received_at=now))
    asked = scene.rest.calls("Trades")
    scene.pass_time(3.5, alive=(BTC, ETH))
    assert (scene.amount(), scene.rest.calls("Trades")) == ("101.0", asked)

    scene.pass_time(2, alive=(BTC, ETH))
    assert (scene.amount(), scene.feed.renewed) == ("102.0", [BTC])


# One of several processes that share a feed.


def follower(processes: int = 1, ttl: float = 30.0) -> Scene:
    """A process that is fed by another one. So many processes of its machine ask REST when they are not fed."""
    scene = Scene(shared=True, cache_ttl=ttl).begin()
    scene.fleet.asking = processes
    return scene


def test_who_is_fed_by_another_process_never_asks_what_the_feed_keeps_silent_about() -> None:
    scene = follower()
    scene.pass_time(120, alive=(BTC, ETH))
    assert not scene.rest.asked

    scene.fleet.leading = True
    scene.pass_time(60, alive=(BTC, ETH))
    assert scene.rest.calls("Ticker")


def test_a_follower_goes_by_what_it_is_told_and_not_by_its_own_collector() -> None:
    scene = follower()
    scene.feed.up = False
    scene.pass_time(60, alive=(BTC, ETH))
    assert not scene.rest.asked

    scene.feed.up, scene.feed.delivered = True, dict.fromkeys((BTC, ETH), inf)
    scene.pass_time(20)
    assert scene.rest.calls("Ticker")


def test_a_new_owner_goes_by_what_it_was_told_until_its_own_collector_delivers() -> None:
    scene = follower()
    scene.fleet.leading = True
    scene.pass_time(10)
    assert not scene.rest.asked
    scene.pass_time(10)
    assert scene.rest.calls("Ticker")


def test_a_follower_that_is_out_of_step_asks_rest_as_if_the_feed_were_cut() -> None:
    scene = follower()
    scene.fleet.reached = False
    scene.pass_time(3)
    assert scene.meters.told(FALLBACKS) == [("disconnected",)]
    assert scene.rest.calls("Ticker")


@pytest.mark.parametrize(
    ("processes", "leads", "least", "most"), [(4, False, 8, 11), (1, False, 36, 41), (4, True, 36, 41)]
)
def test_unfed_processes_share_what_one_may_ask(processes: int, leads: bool, least: int, most: int) -> None:
    scene = follower(processes)
    scene.fleet.leading, scene.fleet.reached, scene.feed.up = leads, leads, not leads
    scene.pass_time(80)
    assert least <= scene.rest.calls("Ticker") <= most


def test_no_process_asks_faster_than_one_alone_however_short_a_price_lives() -> None:
    assert follower(ttl=3.0).poll._interval(askers=8) == POLL_EVERY_SECONDS  # noqa: SLF001


def test_a_process_for_which_a_neighbour_asks_asks_nothing_until_that_one_is_gone() -> None:
    scene = follower()
    scene.fleet.reached, scene.fleet.asking = False, 0
    scene.doubts.open(BTC, "unordered", scene.clock.monotonic())
    scene.pass_time(20)
    assert not scene.rest.asked
    assert scene.poll.active()

    scene.fleet.asking = 1
    scene.pass_time(1)
    assert scene.rest.calls("Ticker")


@pytest.mark.parametrize("status", ["online", "maintenance"])
def test_polls_doubts_and_questions_about_the_market_keep_a_second_of_distance(status: MarketStatus) -> None:
    scene = Scene(fed=False)
    scene.rest.status = status
    for step in range(240):
        scene.rest.prices = {BTC: f"{step + 1}.5", ETH: f"{step + 1}.25"}
        scene.pass_time(0.25)

    assert {name for name, _ in scene.rest.asked} == {"Ticker", "Trades", "SystemStatus"}
    moments = [at for _, at in scene.rest.asked]
    assert min(later - earlier for earlier, later in pairwise(moments)) >= CALLS_APART_SECONDS


def test_however_many_processes_share_no_price_outlives_its_life() -> None:
    scene = follower(processes=32, ttl=6.0)
    scene.fleet.reached = False
    scene.pass_time(10)
    for _ in range(60):
        scene.pass_time(1)
        oldest = min(price.confirmed_at for price in scene.store.all().values())
        assert scene.clock.monotonic() - oldest <= 6.0


def test_a_follower_is_back_when_the_owner_tells_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = follower()
    scene.fleet.reached = False
    scene.pass_time(5)
    assert scene.poll.active()
    scene.fleet.reached = True
    scene.pass_time(1, alive=(BTC, ETH))
    assert not scene.poll.active()
    assert scene.feed.renewed == []
    assert [message for message in caplog.messages if "WebSocket data" in message] == [DOWN, BACK]


# What is worth less than a price.


def test_one_late_pair_is_enough_for_prices_to_need_rest(scene: Scene) -> None:
    scene.pass_time(20, alive=(BTC, ETH))
    assert not scene.poll.needs_rest()
    scene.pass_time(20, alive=(BTC,))
    assert scene.rest.calls("Ticker") > 0
    assert scene.poll.needs_rest()
    scene.pass_time(1, alive=(BTC, ETH))
    assert not scene.poll.needs_rest()


def test_trades_of_which_the_newest_may_be_unreadable_settle_nothing(scene: Scene) -> None:
    scene.rest.is_whole = False
    contradict(scene)
    scene.pass_time(5, alive=(BTC, ETH))
    assert BTC in scene.doubts
    scene.rest.is_whole = True
    scene.pass_time(5, alive=(BTC, ETH))
    assert BTC not in scene.doubts


def test_a_pair_in_doubt_needs_rest_too(scene: Scene) -> None:
    scene.pass_time(1, alive=(BTC, ETH))
    scene.rest.trades_broken = True
    scene.doubts.open(BTC, "unusable", scene.clock.monotonic(), scene.store.all()[BTC])
    scene.pass_time(1, alive=(BTC, ETH))
    assert scene.poll.needs_rest()


def test_a_pair_that_lives_on_rest_leaves_some_seconds_free(scene: Scene) -> None:
    scene.pass_time(20 + LIVES_ON_REST_SECONDS, alive=(BTC,))
    needed = []
    for _ in range(400):
        scene.pass_time(0.25, alive=(BTC,))
        needed.append(scene.poll.needs_rest())
    assert needed.count(False) / len(needed) == pytest.approx(FREE_SECONDS / FREE_EVERY_SECONDS, abs=0.02)


def test_while_rest_stands_in_for_the_whole_feed_nothing_is_free(scene: Scene) -> None:
    scene.lose_feed(5)
    for _ in range(200):
        assert scene.poll.needs_rest()
        scene.pass_time(0.25)


# --- pairs that are added later


def test_a_pair_that_is_added_has_time_for_its_first_price(scene: Scene) -> None:
    scene.pass_time(60, alive=(BTC, ETH))
    scene.served.replace([BTC, ETH, XRP])
    scene.pass_time(5, alive=(BTC, ETH))
    assert scene.rest.asked == []

    scene.pass_time(15, alive=(BTC, ETH))
    assert scene.rest.calls("Ticker") > 0


def test_a_pair_that_is_added_while_the_feed_is_gone_comes_from_rest_at_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene.lose_feed(60)
    scene.rest.prices[XRP] = "0.5"
    scene.served.replace([BTC, ETH, XRP])
    scene.pass_time(3)

    assert scene.amount(XRP) == "0.5"
    assert BACK not in caplog.messages


def test_a_pair_that_is_added_has_the_status_of_the_last_list_unless_the_feed_tells_it(scene: Scene) -> None:
    gone, told = Pair("GONE", "USD"), Pair("TOLD", "USD")
    scene.feed.tells = {told}
    scene.rest.lists[XRP] = "cancel_only"
    scene.pass_time(10, alive=(BTC, ETH))
    scene.store.set_pair_markets({ETH: "post_only"})
    scene.served.replace([BTC, ETH, XRP, gone, told])
    scene.pass_time(0.25, alive=(BTC, ETH))

    assert len(scene.rest.listed_at) == 1
    markets = [scene.store.market_of(pair) for pair in (XRP, gone, told, ETH)]
    assert markets == ["cancel_only", "delisted", "unknown", "post_only"]


def test_without_a_pair_there_is_nothing_to_fall_back_for(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.served.replace([])
    scene.lose_feed(60)

    assert DOWN not in caplog.messages
    assert scene.rest.calls("Ticker") == 0


def test_what_the_owner_calls_delisted_for_a_day_leaves_the_list_of_a_follower() -> None:
    scene = Scene(BTC, Wildcard("*", "USD"), shared=True)
    scene.pass_time(10)
    assert not scene.served.has_list
    scene.served.listed(online(BTC, ETH), scene.clock.monotonic(), complete=False)
    scene.store.set_pair_markets({BTC: "online", ETH: "delisted"})
    scene.pass_time(LISTINGS_IN_DOUBT_SECONDS + 1, alive=(BTC, ETH))
    scene.clock.advance(KEEP_UNLISTED_SECONDS - LISTINGS_IN_DOUBT_SECONDS - 2)
    scene.pass_time(0.25, alive=(BTC, ETH))
    assert list(scene.served) == [BTC, ETH]
    scene.pass_time(2 * LISTINGS_IN_DOUBT_SECONDS, alive=(BTC, ETH))
    assert list(scene.served) == [BTC]
    assert scene.rest.listed_at == []


def test_while_a_wildcard_waits_for_the_list_it_is_asked_for_every_few_seconds() -> None:
    scene = Scene(Wildcard("*", "USD"))
    scene.rest.broken = True
    scene.pass_time(FIRST_PRICE_WITHIN_SECONDS + 2 * LIST_AGAIN_AFTER_SECONDS - 1)
    assert len(scene.rest.listed_at) == 2
    scene.rest.broken = False
    scene.rest.lists = {BTC: "online", Pair("BTC", "EUR"): "online"}
    scene.pass_time(LIST_AGAIN_AFTER_SECONDS + 1)
    assert scene.poll.pairs == (BTC,)
    assert len(scene.rest.listed_at) == 3
