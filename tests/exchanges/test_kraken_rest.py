"""One question about many pairs: who is to blame, when to ask again, what counts against the exchange."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from ltp_service.domain.errors import BadFrame, BreakerOpen, ExchangeError, Rejected, Unreachable
from ltp_service.domain.pairs import Pair, kraken_rest_symbol, kraken_v1_symbol, read_pair
from ltp_service.exchanges.kraken_rest import (
    FORGET_UNKNOWN_AFTER_SECONDS,
    LISTINGS_AGAIN_AFTER_SECONDS,
    MAX_ANSWER_BYTES,
    MAX_QUERY_BYTES,
    UNKNOWN_AGAIN_AFTER_SECONDS,
    UNTOLD_CACHE_SECONDS,
    KrakenRest,
)
from ltp_service.meters import EXCHANGE_CALL_SECONDS, EXCHANGE_CALLS, EXCHANGE_RETRIES, FRAMES_REFUSED
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpAnswer, HttpClient
from ltp_service.rest.pace import CALL_DISTANCE_SECONDS
from ltp_service.rest.source import RestAnswer
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import RecordingMeters, runtime
from tests.simulator.client import Simulator
from tests.steered_clock import SteeredClock

URL = "http://exchange/0/public"

Reply = HttpAnswer | ExchangeError


class Exchange(HttpClient):
    """Kraken as far as a batch of pairs goes: it lists `listed`, and any other pair spoils the whole answer.

    `replies` come first, one per call; a None among them is the right answer. Each call takes `takes` seconds (a `slow`
    endpoint its own), or the deadline when that is less.
    """

    def __init__(self, clock: SteeredClock, *listed: str) -> None:
        super().__init__(clock, "test")
        self.clock = clock
        self.listed = {kraken_rest_symbol(read_pair(name)): read_pair(name) for name in listed}
        self.prices = dict.fromkeys(self.listed, "1.50")
        self.replies: Iterator[Reply | None] = iter(())
        self.broken: dict[str, Reply] = {}
        self.takes = 0.1
        self.slow: dict[str, float] = {}
        self.calls: list[tuple[str, str]] = []
        self.deadlines: list[float] = []
        self.caps: list[int] = []

    def get(
        self, url: str, params: Mapping[str, str], deadline_seconds: float, *, body_cap: int = 0
    ) -> HttpAnswer:
        base, endpoint = url.rsplit("/", 1)
        assert base == URL
        self.calls.append((endpoint, params.get("pair", "")))
        self.deadlines.append(deadline_seconds)
        self.caps.append(body_cap)
        self.clock.advance(min(self.slow.get(endpoint, self.takes), deadline_seconds))
        reply = next(self.replies, None) or self.broken.get(endpoint) or self._right_answer(endpoint, params)
        if isinstance(reply, ExchangeError):
            raise reply
        return reply

    def _right_answer(self, endpoint: str, params: Mapping[str, str]) -> HttpAnswer:
        match endpoint:
            case "AssetPairs":
                return good(
                    {
                        symbol: {"altname": symbol, "wsname": kraken_v1_symbol(pair)}
                        for symbol, pair in self.listed.items()
                    }
                )
            case "SystemStatus":
                return good({"status": "cancel_only"})
            case "Trades":
                row = ["2.50", "1", 1_700_000_001.5, "b", "m", "", 9]
                return good({params["pair"]: [row], "last": "1"})
        asked = params["pair"].split(",")
        if not all(symbol in self.listed for symbol in asked):
            return error("EQuery:Unknown asset pair")
        return good({symbol: {"c": [self.prices[symbol], "1"]} for symbol in asked})

    def asked(self, endpoint: str = "Ticker") -> list[str]:
        return [pairs for name, pairs in self.calls if name == endpoint]


def good(result: Any) -> HttpAnswer:
    return HttpAnswer(200, "application/json", None, msgspec.json.encode({"error": [], "result": result}))


def error(text: str) -> HttpAnswer:
    return HttpAnswer(200, "application/json", None, msgspec.json.encode({"error": [text]}))


def status(code: int, retry_after: float | None = None) -> HttpAnswer:
    return HttpAnswer(code, "text/html", retry_after, b"<html>")


def unreachable(reason: str = "timeout") -> Unreachable:
    return Unreachable("no answer", reason=reason)


@pytest.fixture
def reports() -> RecordingMeters:
    return RecordingMeters()


@pytest.fixture
def breaker(clock: SteeredClock) -> CircuitBreaker:
    return CircuitBreaker(runtime(clock))


@pytest.fixture
def exchange(clock: SteeredClock) -> Exchange:
    return Exchange(clock, "BTC/USD", "ETH/USD", "DOGE/USD", "BTC/USDT")


Make = Callable[..., KrakenRest]


@pytest.fixture
def make(exchange: Exchange, breaker: CircuitBreaker, clock: SteeredClock, reports: RecordingMeters) -> Make:
    def make(chance: float = 1.0, **settings: Any) -> KrakenRest:
        config = Config(kraken_rest_url=URL, **settings)
        return KrakenRest(config, exchange, breaker, runtime(clock, reports, random=lambda: chance))

    return make


@pytest.fixture
def rest(make: Make) -> KrakenRest:
    return make()


def pairs(*names: str) -> list[Pair]:
    return [read_pair(name) for name in names]


def prices(rest: KrakenRest, asked: Iterable[Pair]) -> dict[str, str]:
    return {str(tick.pair): tick.price for tick in rest.last_trades(asked).ticks}


def test_all_pairs_are_asked_for_in_one_call_by_their_altnames(rest: KrakenRest, exchange: Exchange) -> None:
    assert prices(rest, pairs("BTC/USD", "DOGE/USD")) == {"BTC/USD": "1.50", "DOGE/USD": "1.50"}
    assert exchange.calls == [("Ticker", "XBTUSD,XDGUSD")]
    assert exchange.caps == [MAX_ANSWER_BYTES]


LAST = {"XBTUSD": {"c": ["1.50", "1"]}}


@pytest.mark.parametrize(
    ("cached_for", "age"), [(None, UNTOLD_CACHE_SECONDS), (0.0, 0.0), (1.0, 1.0), (11.0, 11.0)]
)
def test_a_tick_is_evidence_of_the_moment_before_which_no_cache_can_have_kept_it(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock, cached_for: float | None, age: float
) -> None:
    asked_at, exchange.takes = clock.monotonic(), 2.0
    exchange.replies = iter([good(LAST)._replace(cached_for=cached_for)])
    (tick,) = rest.last_trades(pairs("BTC/USD")).ticks
    assert (tick.received_at, tick.source, tick.traded_at, tick.trade_id, tick.happened_at) == (
        asked_at - age,
        "kraken:rest",
        None,
        None,
        None,
    )


def test_an_answer_with_an_older_date_than_others_is_as_old_as_that(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    ahead = 5_000.0  # of this machine's clocks, which are not asked
    for age in (0.0, 10.0, 0.0):
        date = clock.monotonic() + exchange.takes + ahead - age
        exchange.replies = iter([good(LAST)._replace(date=date, cached_for=0.0)])
        asked_at = clock.monotonic()
        (tick,) = rest.last_trades(pairs("BTC/USD")).ticks
        assert asked_at - tick.received_at == pytest.approx(max(0.0, age - exchange.takes))
        clock.advance(2)


@pytest.mark.parametrize(
    ("after_midnight", "counts"), [(-5.0, True), (1.0, False), (24.0, False), (26.0, True)]
)
def test_just_after_midnight_the_counts_of_the_day_order_nothing(
    rest: KrakenRest, exchange: Exchange, after_midnight: float, counts: bool
) -> None:
    day = {"XXBTZUSD": {"c": ["2", "0.5"], "t": [7, 70], "v": ["12.5", "125"]}}
    exchange.replies = iter([good(day)._replace(date=86400.0 * 20_000 + after_midnight)])
    (detail,) = rest.last_trades(pairs("BTC/USD")).details.values()
    assert (detail.progress is not None) is counts


def test_a_retried_tick_is_evidence_of_the_last_question(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    exchange.replies = iter([unreachable()])
    asked_at = clock.monotonic()
    (tick,) = rest.last_trades(pairs("BTC/USD")).ticks
    assert tick.received_at == asked_at + CALL_DISTANCE_SECONDS + 0.25 - UNTOLD_CACHE_SECONDS


def test_no_pairs_are_no_call(rest: KrakenRest, exchange: Exchange) -> None:
    assert rest.last_trades([]) == RestAnswer([], frozenset())
    assert exchange.calls == []


def listing(exchange: Exchange, count: int) -> list[Pair]:
    many = [Pair(f"C{number:03}", "USD") for number in range(count)]
    exchange.listed = {kraken_rest_symbol(pair): pair for pair in many}
    exchange.prices = dict.fromkeys(exchange.listed, "1")
    return many


def test_one_call_asks_for_as_many_of_the_first_pairs_as_have_room_in_a_url(
    rest: KrakenRest, exchange: Exchange
) -> None:
    many = listing(exchange, 1000)
    answer = rest.last_trades(many)
    (asked,) = exchange.asked()
    assert MAX_QUERY_BYTES - 10 < len(asked) <= MAX_QUERY_BYTES
    room = len(asked.split(","))
    assert room >= 200
    assert [tick.pair for tick in answer.ticks] == many[:room]
    assert answer.asked == set(many[:room])


def test_the_search_for_an_unknown_pair_goes_on_where_time_ended_it(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    many = listing(exchange, 200)
    bad = many[77]
    del exchange.listed[kraken_rest_symbol(bad)]
    exchange.broken = {"AssetPairs": status(404)}
    told: set[Pair] = set()
    unknown: frozenset[Pair] = frozenset()
    for _ in range(10):
        with suppress(Rejected):
            answer = rest.last_trades([pair for pair in many if pair not in told], budget=3.0)
            told |= {tick.pair for tick in answer.ticks}
            unknown = answer.unknown
    assert told == set(many) - {bad}
    assert unknown == {bad}
    assert len(exchange.asked()) < 20


def test_one_unknown_pair_never_fails_the_batch(rest: KrakenRest, exchange: Exchange) -> None:
    found = rest.last_trades(pairs("BTC/USD", "FOO/USD", "ETH/USD"))
    assert {str(tick.pair) for tick in found.ticks} == {"BTC/USD", "ETH/USD"}
    assert found.unknown == {Pair("FOO", "USD")}
    assert [endpoint for endpoint, _ in exchange.calls] == ["Ticker", "AssetPairs", "Ticker"]


def test_an_unknown_pair_is_remembered_so_that_the_next_batch_is_one_call(
    rest: KrakenRest, exchange: Exchange
) -> None:
    rest.last_trades(pairs("BTC/USD", "FOO/USD"))
    exchange.calls.clear()
    found = rest.last_trades(pairs("BTC/USD", "FOO/USD"))
    assert exchange.calls == [("Ticker", "XBTUSD")]
    assert found.unknown == {Pair("FOO", "USD")}


def test_a_pair_that_was_refused_for_a_moment_is_asked_for_again_within_seconds(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    for _ in range(2):
        exchange.replies = iter([error("EQuery:Unknown asset pair")])
        assert prices(rest, pairs("BTC/USD")) == {}
        clock.advance(UNKNOWN_AGAIN_AFTER_SECONDS)
        assert prices(rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}


def test_a_pair_that_stays_unknown_is_asked_for_ever_less_often_down_to_once_an_hour(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    asked_at: list[float] = []
    begun = clock.monotonic()
    while clock.monotonic() < begun + 6 * FORGET_UNKNOWN_AFTER_SECONDS:
        before = len(exchange.asked())
        rest.last_trades(pairs("FOO/USD"))
        asked_at += [clock.monotonic()] * (len(exchange.asked()) - before)
        clock.advance(UNKNOWN_AGAIN_AFTER_SECONDS / 2)
    waits = [later - earlier for earlier, later in pairwise(asked_at)]
    assert waits[0] < 2 * UNKNOWN_AGAIN_AFTER_SECONDS
    assert all(later > earlier - UNKNOWN_AGAIN_AFTER_SECONDS for earlier, later in pairwise(waits))
    assert waits[-1] == pytest.approx(FORGET_UNKNOWN_AFTER_SECONDS, abs=UNKNOWN_AGAIN_AFTER_SECONDS)


def test_asset_pairs_is_fetched_at_most_once_a_minute(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    begun = clock.monotonic()
    for number in range(40):
        rest.last_trades(pairs("BTC/USD", f"FOO{number}/USD"))
    minutes = (clock.monotonic() - begun) / LISTINGS_AGAIN_AFTER_SECONDS
    assert 1 <= len(exchange.asked("AssetPairs")) <= 1 + minutes


def test_a_listed_pair_that_was_renamed_is_asked_for_by_its_new_name(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    rest.last_trades(pairs("FOO/USD"))  # which loads the listings
    clock.advance(LISTINGS_AGAIN_AFTER_SECONDS)
    exchange.listed["BTCUSD"] = exchange.listed.pop("XBTUSD")
    exchange.prices["BTCUSD"] = "2.50"
    found = rest.last_trades(pairs("BTC/USD", "ETH/USD"))
    assert {str(tick.pair): tick.price for tick in found.ticks} == {"BTC/USD": "2.50", "ETH/USD": "1.50"}
    assert found.unknown == frozenset()


def test_a_renamed_pair_is_found_again_within_two_minutes_of_the_last_list(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    rest.last_trades(pairs("FOO/USD"))
    exchange.listed["BTCUSD"] = exchange.listed.pop("XBTUSD")
    exchange.prices["BTCUSD"] = "2.50"
    begun = clock.monotonic()
    while not rest.last_trades(pairs("BTC/USD")).ticks:
        clock.advance(2)
        assert clock.monotonic() < begun + 120


def test_a_renamed_pair_is_found_by_the_question_for_its_trades_too(
    rest: KrakenRest, exchange: Exchange, clock: SteeredClock
) -> None:
    rest.last_trades(pairs("FOO/USD"))
    clock.advance(LISTINGS_AGAIN_AFTER_SECONDS)
    exchange.broken = {"Trades": error("EQuery:Unknown asset pair")}
    exchange.listed["BTCUSD"] = exchange.listed.pop("XBTUSD")
    with pytest.raises(Rejected):
        rest.trades(Pair("BTC", "USD"))
    exchange.broken = {}
    rest.trades(Pair("BTC", "USD"))
    assert exchange.asked("Trades") == ["XBTUSD", "BTCUSD"]


def test_without_asset_pairs_the_unknown_ones_are_found_by_halving(
    rest: KrakenRest, exchange: Exchange
) -> None:
    exchange.broken = {"AssetPairs": status(404)}
    found = rest.last_trades(pairs("BTC/USD", "FOO/USD", "ETH/USD", "DOGE/USD", "BAR/USD", "BTC/USDT"))
    assert {str(tick.pair) for tick in found.ticks} == {"BTC/USD", "ETH/USD", "DOGE/USD", "BTC/USDT"}
    assert found.unknown == {Pair("FOO", "USD"), Pair("BAR", "USD")}
    assert len(exchange.asked("AssetPairs")) == 1


def test_a_slow_asset_pairs_leaves_time_for_the_halving(rest: KrakenRest, exchange: Exchange) -> None:
    exchange.broken, exchange.slow = {"AssetPairs": unreachable()}, {"AssetPairs": 99.0}
    assert set(prices(rest, pairs("BTC/USD", "FOO/USD", "ETH/USD"))) == {"BTC/USD", "ETH/USD"}


def test_a_listed_pair_that_is_refused_all_the_same_is_found_by_halving(
    rest: KrakenRest, exchange: Exchange
) -> None:
    rest.last_trades(pairs("FOO/USD"))  # which loads the listings
    del exchange.listed["ETHUSD"]
    found = rest.last_trades(pairs("BTC/USD", "ETH/USD", "DOGE/USD"))
    assert {str(tick.pair) for tick in found.ticks} == {"BTC/USD", "DOGE/USD"}
    assert found.unknown == {Pair("ETH", "USD")}


def test_a_bad_value_concerns_its_pair_and_is_reported(
    rest: KrakenRest, exchange: Exchange, reports: RecordingMeters, breaker: CircuitBreaker
) -> None:
    exchange.prices["XBTUSD"] = "0"
    assert prices(rest, pairs("BTC/USD", "ETH/USD")) == {"ETH/USD": "1.50"}
    assert reports.told(FRAMES_REFUSED) == [("kraken:rest", "not_positive")]
    assert breaker.state().failures == 0


def test_a_network_fault_is_retried_within_the_limit(
    rest: KrakenRest, exchange: Exchange, reports: RecordingMeters
) -> None:
    exchange.replies = iter([unreachable("closed"), unreachable("refused"), status(502)])
    assert prices(rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}
    assert reports.told(EXCHANGE_RETRIES) == [("kraken", "Ticker")] * 3
    statuses = ("none", "none", "502", "200")
    assert reports.told(EXCHANGE_CALLS) == [("kraken", "Ticker", status) for status in statuses]
    assert reports.told(EXCHANGE_CALL_SECONDS)[0] == ("kraken", "Ticker")
    assert reports.observed[EXCHANGE_CALL_SECONDS][0] == pytest.approx(0.1)


def test_after_the_last_retry_the_fault_is_told(make: Make, exchange: Exchange) -> None:
    exchange.broken = {"Ticker": unreachable("refused")}
    with pytest.raises(Unreachable):
        make(kraken_max_retries=2).last_trades(pairs("BTC/USD"))
    assert len(exchange.calls) == 3


def test_waits_beyond_the_turn_double_under_full_jitter(
    make: Make, exchange: Exchange, clock: SteeredClock
) -> None:
    exchange.broken, exchange.takes = {"Ticker": unreachable("refused")}, 0.0
    with pytest.raises(Unreachable):
        make(chance=0.5).last_trades(pairs("BTC/USD"))
    assert clock.slept == [
        CALL_DISTANCE_SECONDS + 0.125,
        CALL_DISTANCE_SECONDS + 0.25,
        CALL_DISTANCE_SECONDS + 0.5,
    ]


def test_all_tries_share_one_time_budget(make: Make, exchange: Exchange, clock: SteeredClock) -> None:
    exchange.broken, exchange.takes = {"Ticker": unreachable()}, 99.0
    begun = clock.monotonic()
    with pytest.raises(Unreachable):
        make(kraken_timeout=5.0, kraken_max_retries=9).last_trades(pairs("BTC/USD"))
    assert clock.monotonic() - begun <= 5.0
    assert exchange.deadlines == [3.0, pytest.approx(1.75)]


def test_a_caller_may_have_less_time_than_the_settings_allow(
    make: Make, exchange: Exchange, clock: SteeredClock
) -> None:
    exchange.broken, exchange.takes = {"Ticker": unreachable()}, 99.0
    begun = clock.monotonic()
    with pytest.raises(Unreachable):
        make().last_trades(pairs("BTC/USD"), budget=2.0)
    assert clock.monotonic() - begun <= 2.0
    assert exchange.deadlines == [2.0]


@pytest.mark.parametrize(
    "reply",
    [
        HttpAnswer(200, "text/html", None, b"<html>"),
        HttpAnswer(200, "application/json", None, b"{"),
        status(404),
        status(429),
        error("EGeneral:Too many requests"),
        error("EGeneral:Invalid arguments"),
        unreachable("too_large"),
        unreachable("redirect"),
        unreachable("tls"),
    ],
)
def test_what_another_try_cannot_mend_is_not_retried(
    rest: KrakenRest, exchange: Exchange, reply: Reply
) -> None:
    exchange.broken = {"Ticker": reply}
    with pytest.raises(ExchangeError):
        rest.last_trades(pairs("BTC/USD"))
    assert len(exchange.calls) == 1


@pytest.mark.parametrize(
    "reply",
    [
        unreachable(),
        unreachable("too_large"),
        unreachable("redirect"),
        unreachable("name_resolution"),
        status(500),
        error("EService:Unavailable"),
        HttpAnswer(200, "text/html", None, b"<html>"),
        HttpAnswer(200, "application/json", None, b"{"),
    ],
)
def test_an_exchange_in_bad_health_opens_the_breaker(
    make: Make, exchange: Exchange, breaker: CircuitBreaker, reply: Reply
) -> None:
    exchange.broken = {"Ticker": reply}
    rest = make(kraken_max_retries=0)
    for _ in range(5):
        with pytest.raises((Unreachable, BadFrame)):
            rest.last_trades(pairs("BTC/USD"))
    with pytest.raises(BreakerOpen):
        rest.last_trades(pairs("BTC/USD"))
    assert len(exchange.calls) == 5
    assert breaker.state().state == "open"


@pytest.mark.parametrize("reply", [status(404), error("EGeneral:Invalid arguments")])
def test_our_own_mistakes_do_not_open_the_breaker(
    rest: KrakenRest, exchange: Exchange, breaker: CircuitBreaker, reply: Reply
) -> None:
    exchange.broken = {"Ticker": reply}
    for _ in range(6):
        with pytest.raises(Rejected):
            rest.last_trades(pairs("BTC/USD"))
    assert breaker.state() == ("closed", 0, 0.0)


def test_unknown_pairs_do_not_open_the_breaker(rest: KrakenRest, breaker: CircuitBreaker) -> None:
    for number in range(6):
        assert rest.last_trades([Pair(f"FOO{number}", "USD")]).ticks == []
    assert breaker.state() == ("closed", 0, 0.0)


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (status(429, 600.0), 600.0),
        (status(503, 20.0), 20.0),
        (status(429), 60.0),
        (error("EGeneral:Too many requests"), 5.0),
        (error("EGeneral:Temporary lockout"), 60.0),
        (status(503, 7200.0), 3600.0),
    ],
)
def test_an_exchange_that_asks_for_peace_is_left_alone_without_sleeping(
    rest: KrakenRest,
    exchange: Exchange,
    breaker: CircuitBreaker,
    clock: SteeredClock,
    reply: Reply,
    seconds: float,
) -> None:
    exchange.broken = {"Ticker": reply}
    with pytest.raises((Rejected, Unreachable)):
        rest.last_trades(pairs("BTC/USD"))
    assert clock.slept == []
    assert breaker.state().state == "open"
    assert breaker.state().retry_in == pytest.approx(seconds, abs=1)
    with pytest.raises(BreakerOpen):
        rest.last_trades(pairs("BTC/USD"))
    assert len(exchange.calls) == 1


def test_the_probe_that_succeeds_closes_the_breaker(
    make: Make, exchange: Exchange, clock: SteeredClock, breaker: CircuitBreaker
) -> None:
    rest = make(kraken_max_retries=0)
    exchange.replies = iter([unreachable()] * 5)
    for _ in range(5):
        with pytest.raises(Unreachable):
            rest.last_trades(pairs("BTC/USD"))
    assert breaker.state().state == "open"
    clock.advance(30)
    assert prices(rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}
    assert breaker.state().state == "closed"


def test_trades_brings_time_and_id(rest: KrakenRest, exchange: Exchange) -> None:
    trades = rest.trades(Pair("BTC", "USD"))
    assert trades is not None
    tick = trades.newest
    assert (tick.price, tick.traded_at, tick.trade_id) == ("2.50", 1_700_000_001.5, 9)
    assert exchange.calls == [("Trades", "XBTUSD")]


def test_the_systems_status_is_told(rest: KrakenRest, exchange: Exchange) -> None:
    assert rest.system_status() == "cancel_only"
    assert exchange.caps == [MAX_ANSWER_BYTES]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator.start() as simulator:
        yield simulator


@pytest.fixture
def real(simulator: Simulator) -> Iterator[KrakenRest]:
    """Everything real but the exchange."""
    world = Runtime()
    http = HttpClient(world.clock, "ltp_service/test")
    config = Config(
        kraken_rest_url=simulator.rest_url,
        kraken_request_timeout=DEADLINE,
        kraken_timeout=DEADLINE,
        kraken_max_retries=0,
    )
    yield KrakenRest(config, http, CircuitBreaker(world), world)
    simulator.clear()
    http.close()


DEFAULT_PAIRS = pairs("BTC/USD", "BTC/EUR", "ETH/USD", "LTC/USD", "XRP/USD")


def test_over_the_wire_every_default_pair_has_its_price(real: KrakenRest, simulator: Simulator) -> None:
    simulator.trade("BTC/USD", "115643.0")
    found = {tick.pair: tick.amount for tick in real.last_trades(DEFAULT_PAIRS).ticks}
    assert set(found) == set(DEFAULT_PAIRS)
    assert found[Pair("BTC", "USD")] == 115643


def test_over_the_wire_an_unknown_pair_is_isolated(real: KrakenRest) -> None:
    found = real.last_trades([*DEFAULT_PAIRS, Pair("FOO", "USD")])
    assert len(found.ticks) == len(DEFAULT_PAIRS)
    assert found.unknown == {Pair("FOO", "USD")}


def test_over_the_wire_trades_and_status_are_read(real: KrakenRest, simulator: Simulator) -> None:
    simulator.trade("ETH/USD", "3000.5")
    trades = real.trades(Pair("ETH", "USD"))
    assert trades is not None
    assert trades.newest.amount * 2 == 6001
    assert trades.newest.trade_id is not None
    assert real.system_status() == "online"


@pytest.mark.parametrize(
    ("fault", "arguments", "reason"),
    [
        ("rest_huge", {}, "too_large"),
        ("rest_huge", {"announced": True}, "too_large"),
        ("rest_html", {}, "html"),
        ("rest_status", {"status": 503}, "server_error"),
        ("rest_status", {"status": 302, "location": "http://127.0.0.1:1/"}, "redirect"),
        ("rest_error", {}, "throttled"),
        ("rest_garbage", {}, "malformed"),
        ("rest_refuse", {}, "closed"),
    ],
)
def test_over_the_wire_each_fault_has_its_name(
    real: KrakenRest, simulator: Simulator, fault: str, arguments: dict[str, Any], reason: str
) -> None:
    simulator.fault(fault, **arguments)
    with pytest.raises(ExchangeError) as caught:
        real.last_trades(DEFAULT_PAIRS)
    assert caught.value.reason == reason


def test_over_the_wire_an_answer_that_drips_ends_with_the_budget(
    real: KrakenRest, simulator: Simulator
) -> None:
    simulator.fault("rest_drip")
    with pytest.raises(Unreachable) as caught:
        real.last_trades(DEFAULT_PAIRS, budget=0.5)
    assert caught.value.reason == "timeout"
