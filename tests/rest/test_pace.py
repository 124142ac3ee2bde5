"""How often REST is asked, by everything that asks it together, and that no pair is forgotten."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from ltp_service.domain.errors import ExchangeError, Unreachable
from ltp_service.domain.exchange_clock import ExchangeClock
from ltp_service.domain.pairs import Pair, kraken_rest_symbol
from ltp_service.exchanges.kraken_rest import KrakenRest
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.served import ServedPairs
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpAnswer, HttpClient
from ltp_service.rest.pace import CALL_DISTANCE_SECONDS, Pace
from ltp_service.rest.poll import LOOK_EVERY_SECONDS, POLL_EVERY_SECONDS, Poll
from ltp_service.rest.source import RestSource
from ltp_service.settings.config import Config
from tests.deadline import IN_FULL
from tests.fakes import memory_store, runtime
from tests.rest.test_poll import FakeFeed
from tests.steered_clock import SteeredClock

URL = "http://exchange/0/public"
TTL = 30.0


def many(count: int) -> tuple[Pair, ...]:
    return tuple(Pair(f"C{number:03}", "USD") for number in range(count))


class Exchange(HttpClient):
    """REST that answers everything after `takes` seconds, and counts. `prices` change whenever a test likes."""

    def __init__(self, clock: SteeredClock) -> None:
        super().__init__(clock, "test")
        self.clock = clock
        self.takes = 0.1
        self.fails = False
        self.price = "1.5"
        self.listed: list[str] = []
        """What a question that names no pair is answered about; it is refused where this is empty."""
        self.refused: set[str] = set()
        self.unusable: set[str] = set()
        self.moments: list[float] = []
        self.endpoints: Counter[str] = Counter()

    def get(
        self, url: str, params: Mapping[str, str], deadline_seconds: float, *, body_cap: int = 0
    ) -> HttpAnswer:
        self.moments.append(self.clock.monotonic())
        endpoint = url.rsplit("/", 1)[1]
        self.endpoints[endpoint] += 1
        self.clock.advance(min(self.takes, deadline_seconds))
        if self.fails or self.takes > deadline_seconds:
            raise Unreachable("no answer", reason="timeout")
        return HttpAnswer(200, "application/json", None, msgspec.json.encode(self._body(endpoint, params)))

    def _body(self, endpoint: str, params: Mapping[str, str]) -> object:
        names = params["pair"].split(",") if "pair" in params else self.listed
        if self.refused.intersection(names):
            return {"error": ["EQuery:Unknown asset pair"]}
        if endpoint == "AssetPairs":
            return {"error": ["EGeneral:Internal error"]}
        if endpoint == "Ticker" and not names:
            return {"error": ["EGeneral:Invalid arguments"]}
        if endpoint == "SystemStatus":
            return {"error": [], "result": {"status": "online"}}
        if endpoint == "Trades":
            row = [self.price, "1", 1_790_000_000.5 + len(self.moments), "b", "m", "", len(self.moments)]
            return {"error": [], "result": {names[0]: [row], "last": "1"}}
        return {"error": [], "result": {name: {"c": [self._price(name), "1"]} for name in names}}

    def _price(self, name: str) -> str:
        return "0" if name in self.unusable else self.price


class Scene:
    """Everything between the poll and the wire, on one clock. Without a feed unless one is given."""

    def __init__(self, pairs: tuple[Pair, ...], feed: FakeFeed | None = None) -> None:
        self.pairs = pairs
        self.clock = SteeredClock()
        self.exchange = Exchange(self.clock)
        self.exchange.listed = list(map(kraken_rest_symbol, pairs))
        self.store = memory_store(self.clock)
        config = Config(kraken_rest_url=URL, cache_ttl=TTL)
        world, doubts = runtime(self.clock, random=lambda: 0.5), Doubts()
        rest = KrakenRest(config, self.exchange, CircuitBreaker(world, failures=1000), world)
        self.source = RestSource(config, rest, self.store, doubts, ExchangeClock(), world)
        self.poll = Poll(config, ServedPairs(pairs), self.source, self.store, doubts, world, feed)

    def pass_time(self, seconds: float) -> None:
        """As the runner of the poll does it."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(LOOK_EVERY_SECONDS)
            try:
                self.poll.look()
            except ExchangeError as error:
                self.poll.last_error = str(error)

    def ages(self) -> dict[Pair, float]:
        now, held = self.clock.monotonic(), self.store.all()
        return {pair: now - held[pair].confirmed_at for pair in self.pairs if pair in held}

    def assert_paced(self) -> None:
        gaps = [later - earlier for earlier, later in pairwise(self.exchange.moments)]
        assert min(gaps) >= CALL_DISTANCE_SECONDS - 1e-6


@pytest.mark.parametrize(
    ("count", "takes"), [(7, 0.1), (200, 0.9), *(((60, 0.1), (1000, 0.1)) if IN_FULL else ())]
)
def test_without_a_feed_one_call_in_two_seconds_keeps_every_pair(count: int, takes: float) -> None:
    scene = Scene(many(count))
    scene.exchange.takes = takes
    scene.pass_time(30)
    before = scene.exchange.endpoints["Ticker"]
    scene.pass_time(60)

    assert scene.exchange.endpoints["Ticker"] - before <= 60 / POLL_EVERY_SECONDS + 1
    scene.assert_paced()
    ages = scene.ages()
    assert len(ages) == count
    assert max(ages.values()) < TTL
    assert scene.poll.last_error is None
    assert scene.source.errors.keys() <= set(scene.pairs)


@pytest.mark.parametrize("count", [7, 200, *((60, 1000) if IN_FULL else ())])
def test_silent_pairs_are_probed_at_most_once_a_second_and_in_turn(count: int) -> None:
    feed = FakeFeed()
    scene = Scene(many(count), feed)
    for _ in range(300):
        feed.delivered = dict.fromkeys(scene.pairs, scene.clock.monotonic())
        scene.pass_time(1)

    scene.assert_paced()
    assert 0 < len(scene.exchange.moments) < 300 / 10
    assert set(scene.store.all()) == set(scene.pairs)


@pytest.mark.parametrize("count", [7, 60, 200, 1000])
def test_an_exchange_that_fails_is_asked_no_faster(count: int) -> None:
    scene = Scene(many(count))
    scene.exchange.fails = True
    scene.pass_time(60)

    scene.assert_paced()
    assert scene.poll.last_error == "no answer"
    assert scene.source.errors == dict.fromkeys(scene.pairs, "REST: no answer")


def test_prices_that_nothing_orders_are_asked_for_by_time_and_the_others_are_kept() -> None:
    scene = Scene(many(7))
    for step in range(60):
        scene.exchange.price = f"{step + 1}.5"
        scene.pass_time(1)

    scene.assert_paced()
    assert max(scene.ages().values()) < TTL
    assert min(price.tick.amount for price in scene.store.all().values()) > Decimal(40)


def test_a_search_for_the_pair_to_blame_keeps_the_pace_and_the_others_their_prices() -> None:
    scene = Scene(many(200))
    scene.exchange.refused = {kraken_rest_symbol(scene.pairs[77])}
    scene.pass_time(120)

    scene.assert_paced()
    assert set(scene.ages()) == set(scene.pairs) - {scene.pairs[77]}
    assert max(scene.ages().values()) < TTL
    assert scene.source.unknown == {scene.pairs[77]}


def test_pairs_without_a_usable_price_take_no_turn_from_the_others() -> None:
    scene = Scene(many(400))
    scene.exchange.listed.clear()
    scene.exchange.unusable = set(map(kraken_rest_symbol, scene.pairs[:300]))
    scene.pass_time(60)

    assert set(scene.ages()) == set(scene.pairs[300:])
    assert max(scene.ages().values()) < TTL


def test_what_cannot_be_kept_is_told_with_the_reason_of_each_pair() -> None:
    scene = Scene(many(7))
    scene.pass_time(5)
    scene.exchange.takes = 2.9
    scene.exchange.price = "0"
    scene.pass_time(40)

    assert scene.poll.last_error is not None
    assert scene.poll.last_error.startswith(
        "7 pairs are without evidence for CACHE_TTL; C000/USD: REST: no price"
    )
    assert set(scene.source.errors) == set(scene.pairs)


def test_while_pairs_wait_for_their_turn_that_is_told() -> None:
    scene = Scene(many(1000))
    scene.exchange.listed.clear()
    scene.pass_time(2)

    assert scene.poll.last_error is not None
    waiting = [pair for pair in scene.pairs if pair not in scene.store.all()]
    assert waiting
    assert all("not its turn yet" in scene.source.errors[pair] for pair in waiting)


def test_a_request_waits_for_its_turn_and_no_longer(clock: SteeredClock) -> None:
    pace = Pace(runtime(clock))
    pace.take_turn(clock.monotonic() + 1, list)
    assert clock.slept == []
    clock.advance(0.25)
    pace.take_turn(clock.monotonic() + 1, list)
    assert clock.slept == [0.75]
    with pytest.raises(Unreachable):  # the turn comes when the time is over
        pace.take_turn(clock.monotonic() + CALL_DISTANCE_SECONDS, list)


def test_a_turn_that_is_not_permitted_is_left_to_the_next(clock: SteeredClock) -> None:
    pace = Pace(runtime(clock))

    def refuse() -> None:
        raise Unreachable("the breaker is open", reason="breaker_open")

    with pytest.raises(Unreachable, match="breaker"):
        pace.take_turn(clock.monotonic() + 1, refuse)
    assert pace.free_at() == clock.monotonic()
