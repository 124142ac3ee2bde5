"""One question about many pairs: who is to blame, when to ask again, what counts against the exchange."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from ltp_service.domain.errors import BadFrame, BreakerOpen, ExchangeError, Rejected, Unreachable
from ltp_service.domain.pairs import Pair, kraken_rest_symbol, kraken_v1_symbol, read_pair
from ltp_service.domain.trade import Trade
from ltp_service.exchanges import kraken_rest_answers as answers
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
from ltp_service.rest.sequence import LONGEST_CACHE_SECONDS
from ltp_service.rest.source import RestAnswer
from ltp_service.runtime.pauses import WORK_SECONDS
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import RecordingMeters, fails, runtime
from tests.simulator.client import Simulator
from tests.steered_clock import SteeredClock

URL = "http://exchange/0/public"

Reply = HttpAnswer | ExchangeError


class Kraken(HttpClient):
    """Kraken as far as a batch of pairs goes: it lists `listed`, and any other pair spoils the whole answer.

    `replies` come first, one per call; a None among them is the right answer. Each call takes `takes` seconds (a `slow`
    endpoint its own), or the deadline when that is less. `rest` is the client that asks it.
    """

    def __init__(self, clock: SteeredClock, *listed: str) -> None:
        super().__init__(clock, "test")
        self.clock = clock
        self.listed = {kraken_rest_symbol(read_pair(name)): read_pair(name) for name in listed}
        self.prices = dict.fromkeys(self.listed, "1.50")
        self.replies: Iterator[Reply | None] = iter(())
        self.broken: dict[str, Reply] = {}
        self.refusal = "EQuery:Unknown asset pair"
        """The error that an unknown pair earns."""
        self.takes = 0.1
        self.slow: dict[str, float] = {}
        self.calls: list[tuple[str, str]] = []
        self.deadlines: list[float] = []
        self.caps: list[int] = []
        self.reports = RecordingMeters()
        self.breaker = CircuitBreaker(runtime(clock))
        self.rest = self.client()

    def client(self, chance: float = 1.0, **settings: Any) -> KrakenRest:
        config = Config(kraken_rest_url=URL, **settings)
        world = runtime(self.clock, self.reports, random=lambda: chance)
        return KrakenRest(config, self, self.breaker, world)

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
        asked = params["pair"].split(",") if "pair" in params else list(self.listed)
        if not all(symbol in self.listed for symbol in asked):
            return error(self.refusal)
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
def kraken(clock: SteeredClock) -> Kraken:
    return Kraken(clock, "BTC/USD", "ETH/USD", "DOGE/USD", "BTC/USDT")


def pairs(*names: str) -> list[Pair]:
    return [read_pair(name) for name in names]


def prices(rest: KrakenRest, asked: Iterable[Pair]) -> dict[str, str]:
    return {str(tick.pair): tick.price for tick in rest.last_trades(asked).ticks}


def test_all_pairs_are_asked_for_in_one_call_by_their_altnames(kraken: Kraken) -> None:
    assert prices(kraken.rest, pairs("BTC/USD", "DOGE/USD")) == {"BTC/USD": "1.50", "DOGE/USD": "1.50"}
    assert kraken.calls == [("Ticker", "XBTUSD,XDGUSD")]
    assert kraken.caps == [MAX_ANSWER_BYTES]


LAST = {"XBTUSD": {"c": ["1.50", "1"]}}


@pytest.mark.parametrize(
    ("cached_for", "age"), [(None, UNTOLD_CACHE_SECONDS), (0.0, 0.0), (1.0, 1.0), (11.0, 11.0)]
)
def test_a_tick_is_evidence_of_before_any_cache(kraken: Kraken, cached_for: float | None, age: float) -> None:
    asked_at, kraken.takes = kraken.clock.monotonic(), 2.0
    kraken.replies = iter([good(LAST)._replace(cached_for=cached_for)])
    (tick,) = kraken.rest.last_trades(pairs("BTC/USD")).ticks
    assert (tick.received_at, tick.source, tick.traded_at, tick.trade_id, tick.happened_at) == (
        asked_at - age,
        "kraken:rest",
        None,
        None,
        None,
    )


def test_an_answer_with_an_older_date_than_others_is_as_old_as_that(kraken: Kraken) -> None:
    ahead = 5_000.0  # of this machine's clocks, which are not asked
    for age in (0.0, 10.0, 0.0):
        date = kraken.clock.monotonic() + kraken.takes + ahead - age
        kraken.replies = iter([good(LAST)._replace(date=date, cached_for=0.0)])
        asked_at = kraken.clock.monotonic()
        (tick,) = kraken.rest.last_trades(pairs("BTC/USD")).ticks
        assert asked_at - tick.received_at == pytest.approx(max(0.0, age - kraken.takes))
        kraken.clock.advance(2)


@pytest.mark.parametrize(
    ("after_midnight", "counts"), [(-5.0, True), (1.0, False), (24.0, False), (26.0, True)]
)
def test_after_midnight_the_day_orders_nothing(kraken: Kraken, after_midnight: float, counts: bool) -> None:
    day = {"XXBTZUSD": {"c": ["2", "0.5"], "t": [7, 70], "v": ["12.5", "125"]}}
    kraken.replies = iter([good(day)._replace(date=86400.0 * 20_000 + after_midnight)])
    (detail,) = kraken.rest.last_trades(pairs("BTC/USD")).details.values()
    assert (detail.progress is not None) is counts


def test_a_retried_tick_is_evidence_of_the_last_question(kraken: Kraken) -> None:
    kraken.replies = iter([unreachable()])
    asked_at = kraken.clock.monotonic()
    (tick,) = kraken.rest.last_trades(pairs("BTC/USD")).ticks
    assert tick.received_at == asked_at + CALL_DISTANCE_SECONDS + 0.25 - UNTOLD_CACHE_SECONDS


def test_no_pairs_are_no_call(kraken: Kraken) -> None:
    assert kraken.rest.last_trades([]) == RestAnswer([], frozenset())
    assert kraken.calls == []


def listing(exchange: Kraken, count: int) -> list[Pair]:
    many = [Pair(f"C{number:03}", "USD") for number in range(count)]
    exchange.listed = {kraken_rest_symbol(pair): pair for pair in many}
    exchange.prices = dict.fromkeys(exchange.listed, "1")
    return many


def test_more_pairs_than_have_room_in_a_url_are_asked_for_in_one_call_that_names_none(kraken: Kraken) -> None:
    many = listing(kraken, 1000)
    answer = kraken.rest.last_trades(many[:900])
    assert kraken.asked() == [""]
    assert {tick.pair for tick in answer.ticks} == answer.asked == set(many[:900])
    assert not kraken.reports.refused


def test_where_that_is_refused_one_call_asks_for_as_many_of_the_first_as_have_room(kraken: Kraken) -> None:
    many = listing(kraken, 1000)
    kraken.replies = iter([error("EGeneral:Invalid arguments")])
    answer = kraken.rest.last_trades(many)
    _, asked = kraken.asked()
    assert MAX_QUERY_BYTES - 10 < len(asked) <= MAX_QUERY_BYTES
    room = len(asked.split(","))
    assert room >= 200
    assert [tick.pair for tick in answer.ticks] == many[:room]
    assert answer.asked == set(many[:room])


def test_the_search_for_an_unknown_pair_goes_on_where_time_ended_it(kraken: Kraken) -> None:
    many = listing(kraken, 200)
    bad = many[77]
    del kraken.listed[kraken_rest_symbol(bad)]
    kraken.broken = {"AssetPairs": status(404)}
    told: set[Pair] = set()
    unknown: frozenset[Pair] = frozenset()
    for _ in range(10):
        with suppress(Rejected):
            answer = kraken.rest.last_trades([pair for pair in many if pair not in told], budget=3.0)
            told |= {tick.pair for tick in answer.ticks}
            unknown = answer.unknown
    assert told == set(many) - {bad}
    assert unknown == {bad}
    assert len(kraken.asked()) < 20


@pytest.mark.parametrize("refusal", ["EQuery:Unknown asset pair", "EGeneral:Invalid arguments"])
def test_one_unknown_pair_never_fails_the_batch(kraken: Kraken, refusal: str) -> None:
    kraken.refusal = refusal
    found = kraken.rest.last_trades(pairs("BTC/USD", "FOO/USD", "ETH/USD"))
    assert {str(tick.pair) for tick in found.ticks} == {"BTC/USD", "ETH/USD"}
    assert found.unknown == {Pair("FOO", "USD")}
    assert [endpoint for endpoint, _ in kraken.calls] == ["Ticker", "AssetPairs", "Ticker"]


def test_an_unknown_pair_is_remembered_so_that_the_next_batch_is_one_call(kraken: Kraken) -> None:
    kraken.rest.last_trades(pairs("BTC/USD", "FOO/USD"))
    kraken.calls.clear()
    found = kraken.rest.last_trades(pairs("BTC/USD", "FOO/USD"))
    assert kraken.calls == [("Ticker", "XBTUSD")]
    assert found.unknown == {Pair("FOO", "USD")}


def test_a_pair_that_was_refused_for_a_moment_is_asked_for_again_within_seconds(kraken: Kraken) -> None:
    for _ in range(2):
        kraken.replies = iter([error("EQuery:Unknown asset pair")])
        assert prices(kraken.rest, pairs("BTC/USD")) == {}
        kraken.clock.advance(UNKNOWN_AGAIN_AFTER_SECONDS)
        assert prices(kraken.rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}


def test_a_pair_that_stays_unknown_is_asked_for_ever_less_often_down_to_once_an_hour(kraken: Kraken) -> None:
    asked_at: list[float] = []
    begun = kraken.clock.monotonic()
    while kraken.clock.monotonic() < begun + 6 * FORGET_UNKNOWN_AFTER_SECONDS:
        before = len(kraken.asked())
        kraken.rest.last_trades(pairs("FOO/USD"))
        asked_at += [kraken.clock.monotonic()] * (len(kraken.asked()) - before)
        kraken.clock.advance(UNKNOWN_AGAIN_AFTER_SECONDS / 2)
    waits = [later - earlier for earlier, later in pairwise(asked_at)]
    assert waits[0] < 2 * UNKNOWN_AGAIN_AFTER_SECONDS
    assert all(later > earlier - UNKNOWN_AGAIN_AFTER_SECONDS for earlier, later in pairwise(waits))
    assert waits[-1] == pytest.approx(FORGET_UNKNOWN_AFTER_SECONDS, abs=UNKNOWN_AGAIN_AFTER_SECONDS)


def test_asset_pairs_is_fetched_at_most_once_a_minute(kraken: Kraken) -> None:
    begun = kraken.clock.monotonic()
    for number in range(40):
        kraken.rest.last_trades(pairs("BTC/USD", f"FOO{number}/USD"))
    minutes = (kraken.clock.monotonic() - begun) / LISTINGS_AGAIN_AFTER_SECONDS
    assert 1 <= len(kraken.asked("AssetPairs")) <= 1 + minutes


def test_a_listed_pair_that_was_renamed_is_asked_for_by_its_new_name(kraken: Kraken) -> None:
    kraken.rest.last_trades(pairs("FOO/USD"))  # which loads the listings
    kraken.clock.advance(LISTINGS_AGAIN_AFTER_SECONDS)
    kraken.listed["BTCUSD"] = kraken.listed.pop("XBTUSD")
    kraken.prices["BTCUSD"] = "2.50"
    found = kraken.rest.last_trades(pairs("BTC/USD", "ETH/USD"))
    assert {str(tick.pair): tick.price for tick in found.ticks} == {"BTC/USD": "2.50", "ETH/USD": "1.50"}
    assert found.unknown == frozenset()


def test_a_renamed_pair_is_found_again_within_two_minutes_of_the_last_list(kraken: Kraken) -> None:
    kraken.rest.last_trades(pairs("FOO/USD"))
    kraken.listed["BTCUSD"] = kraken.listed.pop("XBTUSD")
    kraken.prices["BTCUSD"] = "2.50"
    begun = kraken.clock.monotonic()
    while not kraken.rest.last_trades(pairs("BTC/USD")).ticks:
        kraken.clock.advance(2)
        assert kraken.clock.monotonic() < begun + 120


def test_a_renamed_pair_is_found_by_the_question_for_its_trades_too(kraken: Kraken) -> None:
    kraken.rest.last_trades(pairs("FOO/USD"))
    kraken.clock.advance(LISTINGS_AGAIN_AFTER_SECONDS)
    kraken.broken = {"Trades": error("EQuery:Unknown asset pair")}
    kraken.listed["BTCUSD"] = kraken.listed.pop("XBTUSD")
    with pytest.raises(Rejected):
        kraken.rest.trades(Pair("BTC", "USD"))
    kraken.broken = {}
    kraken.rest.trades(Pair("BTC", "USD"))
    assert kraken.asked("Trades") == ["XBTUSD", "BTCUSD"]


@pytest.mark.parametrize("refusal", ["EQuery:Unknown asset pair", "EGeneral:Invalid arguments"])
def test_without_asset_pairs_the_unknown_ones_are_found_by_halving(kraken: Kraken, refusal: str) -> None:
    kraken.refusal = refusal
    kraken.broken = {"AssetPairs": status(404)}
    found = kraken.rest.last_trades(pairs("BTC/USD", "FOO/USD", "ETH/USD", "DOGE/USD", "BAR/USD", "BTC/USDT"))
    assert {str(tick.pair) for tick in found.ticks} == {"BTC/USD", "ETH/USD", "DOGE/USD", "BTC/USDT"}
    assert found.unknown == {Pair("FOO", "USD"), Pair("BAR", "USD")}
    assert len(kraken.asked("AssetPairs")) == 1


def test_a_slow_asset_pairs_leaves_time_for_the_halving(kraken: Kraken) -> None:
    kraken.broken, kraken.slow = {"AssetPairs": unreachable()}, {"AssetPairs": 99.0}
    assert set(prices(kraken.rest, pairs("BTC/USD", "FOO/USD", "ETH/USD"))) == {"BTC/USD", "ETH/USD"}


def test_a_listed_pair_that_is_refused_all_the_same_is_found_by_halving(kraken: Kraken) -> None:
    kraken.rest.last_trades(pairs("FOO/USD"))  # which loads the listings
    del kraken.listed["ETHUSD"]
    found = kraken.rest.last_trades(pairs("BTC/USD", "ETH/USD", "DOGE/USD"))
    assert {str(tick.pair) for tick in found.ticks} == {"BTC/USD", "DOGE/USD"}
    assert found.unknown == {Pair("ETH", "USD")}


def test_a_bad_value_concerns_its_pair_and_is_reported(kraken: Kraken) -> None:
    kraken.prices["XBTUSD"] = "0"
    assert prices(kraken.rest, pairs("BTC/USD", "ETH/USD")) == {"ETH/USD": "1.50"}
    assert kraken.reports.told(FRAMES_REFUSED) == [("kraken:rest", "not_positive")]
    assert kraken.breaker.state().failures == 0


def test_a_network_fault_is_retried_within_the_limit(kraken: Kraken) -> None:
    kraken.replies = iter([unreachable("closed"), unreachable("refused"), status(502)])
    assert prices(kraken.rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}
    assert kraken.reports.told(EXCHANGE_RETRIES) == [("kraken", "Ticker")] * 3
    statuses = ("none", "none", "502", "200")
    assert kraken.reports.told(EXCHANGE_CALLS) == [("kraken", "Ticker", status) for status in statuses]
    assert kraken.reports.told(EXCHANGE_CALL_SECONDS)[0] == ("kraken", "Ticker")
    assert kraken.reports.observed[EXCHANGE_CALL_SECONDS][0] == pytest.approx(0.1)


def test_after_the_last_retry_the_fault_is_told(kraken: Kraken) -> None:
    kraken.broken = {"Ticker": unreachable("refused")}
    with pytest.raises(Unreachable):
        kraken.client(kraken_max_retries=2).last_trades(pairs("BTC/USD"))
    assert len(kraken.calls) == 3


def test_waits_beyond_the_turn_double_under_full_jitter(kraken: Kraken) -> None:
    kraken.broken, kraken.takes = {"Ticker": unreachable("refused")}, 0.0
    with pytest.raises(Unreachable):
        kraken.client(chance=0.5).last_trades(pairs("BTC/USD"))
    assert kraken.clock.slept == [
        CALL_DISTANCE_SECONDS + 0.125,
        CALL_DISTANCE_SECONDS + 0.25,
        CALL_DISTANCE_SECONDS + 0.5,
    ]


def test_all_tries_share_one_time_budget(kraken: Kraken) -> None:
    kraken.broken, kraken.takes = {"Ticker": unreachable()}, 99.0
    begun = kraken.clock.monotonic()
    with pytest.raises(Unreachable):
        kraken.client(kraken_timeout=5.0, kraken_max_retries=9).last_trades(pairs("BTC/USD"))
    assert kraken.clock.monotonic() - begun <= 5.0
    assert kraken.deadlines == [3.0, pytest.approx(1.75)]


def test_a_caller_may_have_less_time_than_the_settings_allow(kraken: Kraken) -> None:
    kraken.broken, kraken.takes = {"Ticker": unreachable()}, 99.0
    begun = kraken.clock.monotonic()
    with pytest.raises(Unreachable):
        kraken.client().last_trades(pairs("BTC/USD"), budget=2.0)
    assert kraken.clock.monotonic() - begun <= 2.0
    assert kraken.deadlines == [2.0]


@pytest.mark.parametrize(
    ("reply", "again", "opens"),
    [
        *((unreachable(reason), True, True) for reason in ("timeout", "name_resolution")),
        *((unreachable(reason), False, True) for reason in ("too_large", "redirect", "tls")),
        (status(500), True, True),
        (error("EService:Unavailable"), True, True),
        (HttpAnswer(200, "text/html", None, b"<html>"), False, True),
        (HttpAnswer(200, "application/json", None, b"{"), False, True),
        (status(404), False, False),
        (error("EGeneral:Invalid arguments"), False, False),
    ],
)
def test_what_another_try_may_mend_is_tried_again_and_an_exchange_in_bad_health_opens_the_breaker(
    kraken: Kraken, reply: Reply, again: bool, opens: bool
) -> None:
    kraken.broken = {"Ticker": reply}
    kind: tuple[type[ExchangeError], ...] = (Unreachable, BadFrame) if opens else (Rejected,)
    with pytest.raises(kind):
        kraken.client(kraken_max_retries=1).last_trades(pairs("BTC/USD"))
    assert len(kraken.calls) == (2 if again else 1)
    rest = kraken.client(kraken_max_retries=0)
    while len(kraken.calls) < 5:
        with pytest.raises(kind):
            rest.last_trades(pairs("BTC/USD"))
    with pytest.raises(BreakerOpen if opens else Rejected):
        rest.last_trades(pairs("BTC/USD"))
    assert kraken.breaker.state()[:2] == (("open", 5) if opens else ("closed", 0))
    assert len(kraken.calls) == (5 if opens else 6)


def test_unknown_pairs_do_not_open_the_breaker(kraken: Kraken) -> None:
    for number in range(6):
        assert kraken.rest.last_trades([Pair(f"FOO{number}", "USD")]).ticks == []
    assert kraken.breaker.state() == ("closed", 0, 0.0)


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
def test_an_exchange_that_asks_for_peace_is_left_alone(kraken: Kraken, reply: Reply, seconds: float) -> None:
    kraken.broken = {"Ticker": reply}
    with pytest.raises((Rejected, Unreachable)):
        kraken.rest.last_trades(pairs("BTC/USD"))
    assert kraken.clock.slept == []
    assert kraken.breaker.state().state == "open"
    assert kraken.breaker.state().retry_in == pytest.approx(seconds, abs=1)
    with pytest.raises(BreakerOpen):
        kraken.rest.last_trades(pairs("BTC/USD"))
    assert len(kraken.calls) == 1


def test_the_probe_that_succeeds_closes_the_breaker(kraken: Kraken) -> None:
    rest = kraken.client(kraken_max_retries=0)
    kraken.replies = iter([unreachable()] * 5)
    for _ in range(5):
        with pytest.raises(Unreachable):
            rest.last_trades(pairs("BTC/USD"))
    assert kraken.breaker.state().state == "open"
    kraken.clock.advance(30)
    assert prices(rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}
    assert kraken.breaker.state().state == "closed"


def test_trades_brings_time_and_id(kraken: Kraken) -> None:
    trades = kraken.rest.trades(Pair("BTC", "USD"))
    assert trades is not None
    tick = trades.newest
    assert (tick.price, tick.traded_at, tick.trade_id) == ("2.50", 1_700_000_001.5, 9)
    assert kraken.calls == [("Trades", "XBTUSD")]


def test_a_row_of_the_list_that_cannot_be_read_is_the_pair_that_it_was(kraken: Kraken) -> None:
    row = {"altname": "ODDUSD.1", "wsname": "ODD/USD"}
    kraken.replies = iter([good({"8ODD": row}), good({"8ODD": None})])
    for _ in range(2):
        kraken.rest.ask_listings()
        assert kraken.rest.listed().keys() == {Pair("ODD", "USD")}


@pytest.mark.parametrize(
    ("cached_for", "age"), [(None, UNTOLD_CACHE_SECONDS + LONGEST_CACHE_SECONDS), (0.0, 0.0), (11.0, 11.0)]
)
def test_the_systems_status_is_told_and_of_which_moment(
    kraken: Kraken, cached_for: float | None, age: float
) -> None:
    asked_at, kraken.takes = kraken.clock.monotonic(), 2.0
    kraken.replies = iter([good({"status": "cancel_only"})._replace(cached_for=cached_for)])
    assert kraken.rest.system_status() == ("cancel_only", asked_at - age)
    assert kraken.caps == [MAX_ANSWER_BYTES]


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
    assert real.system_status().status == "online"


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
    with fails(reason, kind=ExchangeError):
        real.last_trades(DEFAULT_PAIRS)


def test_over_the_wire_a_dripping_answer_ends_with_the_budget(real: KrakenRest, simulator: Simulator) -> None:
    simulator.fault("rest_drip")
    with fails("timeout"):
        real.last_trades(DEFAULT_PAIRS, budget=0.5)


# Questions that no price needs.


def trades_in_vain(kraken: Kraken, times: int) -> list[float]:
    """Asks for trades whenever that is free. Returns the seconds between the questions, rounded to ten."""
    asked_at: list[float] = []
    while len(asked_at) <= times:
        if kraken.rest.is_free():
            asked_at.append(kraken.clock.monotonic())
            with pytest.raises(ExchangeError):
                kraken.rest.trades_after(Pair("BTC", "USD"), None)
        kraken.clock.advance(0.5)
    assert len(kraken.asked("Trades")) == len(asked_at)
    return [round(later - earlier, -1) for earlier, later in pairwise(asked_at)]


@pytest.mark.parametrize(
    "reply", [error("EGeneral:Too many requests"), error("EGeneral:Temporary lockout"), status(429)]
)
def test_an_exchange_that_throttles_trades_alone_goes_on_telling_prices(
    kraken: Kraken, reply: HttpAnswer
) -> None:
    kraken.broken = {"Trades": reply}
    for _ in range(100):
        if kraken.rest.is_free():
            with pytest.raises(Rejected):
                kraken.rest.trades_after(Pair("BTC", "USD"), None)
        assert kraken.breaker.state() == ("closed", 0, 0.0)
        assert prices(kraken.rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}
        kraken.clock.advance(2)
    assert 1 < len(kraken.asked("Trades")) < 6


def test_while_it_throttles_them_the_pauses_become_ever_longer(kraken: Kraken) -> None:
    kraken.broken = {"Trades": status(429)}
    assert trades_in_vain(kraken, 6) == [60, 60, 120, 240, 300, 300]


def test_an_exchange_that_does_not_answer_them_is_left_alone_in_the_same_way(kraken: Kraken) -> None:
    kraken.broken = {"Trades": unreachable()}
    assert trades_in_vain(kraken, 6)[-2:] == [30, 60]
    assert kraken.breaker.state() == ("closed", 0, 0.0)


def test_the_first_question_after_a_failure_of_prices_is_one_for_a_price(kraken: Kraken) -> None:
    kraken.broken = {"Ticker": unreachable("closed")}
    while kraken.breaker.state().state == "closed":
        with pytest.raises(ExchangeError):
            kraken.rest.last_trades(pairs("BTC/USD"))
    kraken.broken = {}
    kraken.clock.advance(300)
    assert kraken.breaker.state().retry_in == 0
    assert not kraken.rest.is_free()
    with pytest.raises(BreakerOpen):
        kraken.rest.trades_after(Pair("BTC", "USD"), None)
    assert kraken.breaker.state().state == "open"
    probe = kraken.breaker.acquire()
    with pytest.raises(BreakerOpen):
        kraken.rest.trades_after(Pair("BTC", "USD"), None)
    probe.succeeded()

    assert prices(kraken.rest, pairs("BTC/USD")) == {"BTC/USD": "1.50"}
    kraken.clock.advance(CALL_DISTANCE_SECONDS)
    assert kraken.rest.is_free()
    assert len(kraken.rest.trades_after(Pair("BTC", "USD"), None)) == 1


@pytest.mark.parametrize(("cached_for", "age"), [(None, UNTOLD_CACHE_SECONDS), (0.0, 0.0), (11.0, 11.0)])
def test_the_newest_trades_are_evidence_of_before_any_cache(
    kraken: Kraken, cached_for: float | None, age: float
) -> None:
    row = ["2.50", "1", 1_700_000_001.5, "b", "m", "", 9]
    kraken.replies = iter([good({"XBTUSD": [row], "last": "1"})._replace(cached_for=cached_for)])
    asked_at = kraken.clock.monotonic()
    (trade,), as_of = kraken.rest.newest_trades(Pair("BTC", "USD"))
    assert (trade.trade_id, as_of) == ("9", asked_at - age)


def test_others_have_their_turns_while_a_long_page_is_read(
    kraken: Kraken, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_trade, read, read_at_pauses = answers._whole_trade, list[Trade](), list[int]()  # noqa: SLF001 - each is to take its time

    def slow(row: list[msgspec.Raw], pair: Pair, received_at: float) -> Trade:
        kraken.clock.advance(WORK_SECONDS / 4)
        read.append(whole_trade(row, pair, received_at))
        return read[-1]

    monkeypatch.setattr(answers, "_whole_trade", slow)
    rows = [["2.50", "1", 1_700_000_000.0 + number, "b", "m", "", number] for number in range(1, 12)]
    kraken.replies = iter([good({"XBTUSD": rows, "last": "1"})])
    world = runtime(kraken.clock, sleep=lambda _: read_at_pauses.append(len(read)))
    rest = KrakenRest(Config(kraken_rest_url=URL), kraken, kraken.breaker, world)

    assert len(rest.trades_after(Pair("BTC", "USD"), None)) == 11
    assert read_at_pauses == [4, 8]
