"""ltp_service.metrics"""

import errno
import gzip
import math
import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from ltp_service import meters as table
from ltp_service.domain.errors import Rejected, Unreachable
from ltp_service.domain.tick import WEBSOCKET
from ltp_service.exchanges.kraken_rest import KrakenRest
from ltp_service.http.counted import count_answers
from ltp_service.http.edge import MAX_COUNTED_BYTES
from ltp_service.meters import METERS, RECONNECTIONS, TRADES_STORED, Counter, Meters
from ltp_service.metrics import folder
from ltp_service.metrics.counting import MAX_SYMBOL_SERIES, MAX_WAITING_EVENTS, Distribution, Metrics
from ltp_service.metrics.merged import forget, read_reports, write_report
from ltp_service.metrics.pairs import Report, Shown, lines
from ltp_service.metrics.serving import REFRESH_EVERY_SECONDS, Gauges
from ltp_service.prices.freshness import PriceState
from ltp_service.prices.memory import FORGET_AFTER_SECONDS
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpAnswer, HttpClient
from ltp_service.runtime.backlog import Backlog
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import IN_FULL
from tests.fakes import BTC, ETH, Script, ScriptedStop, in_threads, kraken_collector, memory_store
from tests.scrape import PREFIX, Scrape, promtool
from tests.service import NOWHERE, FreshService

LABELLED = {
    "": (
        "cache_hits_total cache_misses_total rate_limit_tokens_remaining kraken_rate_limit_drops_total uptime_seconds"
        " fallback_duration_seconds fallback_active log_lines_dropped_total stream_clients"
        " history_rows_total history_lost_total history_refused_total history_gap_seconds_total history_lag_seconds"
        " history_bytes"
    ),
    "method path status_code": "http_requests_total http_request_duration_seconds",
    "method path": "http_request_size_bytes http_response_size_bytes",
    "operation result": "cache_operations_total",
    "cache_type": "cache_keys",
    "service endpoint status_code": "external_api_requests_total",
    "service endpoint": "external_api_request_duration_seconds external_api_retries_total",
    "pair cache_result": "price_requests_total",
    "result": "price_refreshes_total rate_limit_requests_total api_key_checks_total",
    "pair": (
        "current_prices price_age_seconds price_timestamp_seconds price_divergences_total quarantined_trades_total"
        " subscription_deaf_total price_deviating"
    ),
    "pair source": "prices_substituted_total",
    "pair state": "price_state",
    "state": "pairs",
    "version": "application_info",
    "reason": "fallback_activations_total stream_dropped_total",
    "event": "stream_events_total",
    "exchange": "websocket_connection_status websocket_lag_seconds trades_missed_total books_deaf_total",
    "exchange kind": "websocket_messages_total",
    "exchange reason": (
        "websocket_invalid_messages_total websocket_errors_total websocket_reconnection_attempts_total"
        " trades_discarded_total"
    ),
    "service": "circuit_breaker_state",
    "exchange symbol": "trades_stored_total",
    "role": "fleet_processes",
}
CONTRACT = {name: labels for labels, names in LABELLED.items() for name in names.split()}
"""Metric to its labels, as SPEC.md has them, and seven more: one counts pairs by state, two count doubts about prices, one shows the fleet, one
counts lost log lines, one lost trades, one shows how late the feed is."""

HISTOGRAMS = {name for name in CONTRACT if name.endswith(("_size_bytes", "duration_seconds", "remaining"))}


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    return FreshService(tmp_path)


def scrape(service: FreshService) -> Scrape:
    return Scrape(service.client.get("/metrics").get_data(as_text=True))


def report_everything(meters: Meters) -> None:
    """One report to each meter, with whatever labels."""
    for meter in METERS:
        labels = ["some"] * len(meter.labels)
        if isinstance(meter, Counter):
            meters.count(meter, *labels)
        if isinstance(meter, table.Histogram):
            meters.observe(meter, [0.1], *labels)


# The contract.


def test_metrics_and_their_labels_are_those_of_the_contract(service: FreshService, tmp_path: Path) -> None:
    service.trade("100")
    report_everything(service.services.meters)
    seen = scrape(service)
    of_a_fleet = scrape(FreshService(tmp_path, cache_backend="redis", redis_addr=NOWHERE))

    assert of_a_fleet.labels("fleet_processes") == {"role"}
    assert {name: seen.labels(name) for name in CONTRACT} | {"fleet_processes": {"role"}} == {
        name: set(labels.split()) for name, labels in CONTRACT.items()
    }
    assert {name.removeprefix(PREFIX) for name in seen.types()} == CONTRACT.keys()


def test_each_metric_has_the_type_that_its_name_promises(service: FreshService) -> None:
    def expected(name: str) -> str:
        return "histogram" if name in HISTOGRAMS else "counter" if name.endswith("_total") else "gauge"

    assert scrape(service).types() == {PREFIX + name: expected(name) for name in CONTRACT}


def test_every_meter_of_the_table_is_reported_to() -> None:
    sources = [path for path in Path(table.__file__).parent.rglob("*.py") if path != Path(table.__file__)]
    used = " ".join(path.read_text() for path in sources)
    names = [name for name, each in vars(table).items() if isinstance(each, table.Meter)]

    assert len(names) == len(METERS) == len(CONTRACT)
    assert [name for name in names if not re.search(rf"\b{name}\b", used)] == []


def test_of_several_workers_the_highest_value_is_shown_but_for_four_gauges() -> None:
    modes = {each.name: each.mode for each in METERS if isinstance(each, table.Gauge)}

    assert {name: mode for name, mode in modes.items() if mode != "livemax"} == {
        "current_prices": "livemostrecent",
        "price_timestamp_seconds": "livemostrecent",
        "fleet_processes": "livesum",
        "stream_clients": "livesum",
    }


def test_promtool_finds_nothing_to_say_about_a_scrape(service: FreshService) -> None:
    service.trade("100")
    report_everything(service.services.meters)
    judged = promtool("check", "metrics", text=scrape(service).text)

    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


# Counting.


def test_a_request_is_counted_with_its_route_its_seconds_and_its_sizes(service: FreshService) -> None:
    service.client.post("/health", data=b"x" * 300)
    service.services.meters.later(count_answers, ("GET", "/slow", 200, 0.3, 0, 5000))
    seen = scrape(service)

    assert seen.value("http_requests_total", method="POST", path="unmatched", status_code="405") == 1
    assert seen.value("http_request_size_bytes_sum", method="POST") == 300
    assert seen.value("http_request_size_bytes_bucket", method="POST", le="256.0") == 0
    assert seen.value("http_request_size_bytes_bucket", method="POST", le="1024.0") == 1
    assert seen.value("http_request_duration_seconds_sum", path="/slow") == pytest.approx(0.3)
    assert seen.value("http_request_duration_seconds_bucket", path="/slow", le="0.25") == 0
    assert seen.value("http_request_duration_seconds_bucket", path="/slow", le="0.5") == 1
    assert seen.value("http_response_size_bytes_sum", path="/slow") == 5000


def test_what_is_refused_or_asked_first_counts_for_the_route_that_was_meant(tmp_path: Path) -> None:
    service = FreshService(tmp_path, rate_limit_capacity=1)
    asking = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    service.client.options("/api/v1/ltp", headers=asking)
    for path in ("/api/v1/ltp", "/api/v1/nowhere"):
        assert service.get(path).status_code == 429
    seen = scrape(service)

    assert seen.value("http_requests_total", path="/api/v1/ltp", status_code="204") == 1
    assert seen.value("http_requests_total", path="/api/v1/ltp", status_code="429") == 1
    assert seen.value("http_requests_total", path="unmatched", status_code="429") == 1


def test_a_body_larger_than_any_number_spoils_no_count(service: FreshService) -> None:
    service.client.get("/health", environ_overrides={"CONTENT_LENGTH": "9" * 400})
    service.client.get("/ready")
    seen = scrape(service)

    assert seen.value("http_requests_total", path="/ready") == 1
    assert seen.value("http_request_size_bytes_sum", path="/health") == MAX_COUNTED_BYTES


def test_an_answer_without_its_body_counts_no_bytes_of_it(service: FreshService) -> None:
    service.trade("100")
    for path in ("/api/v1/pairs", "/api/v1/ltp?pair=BTC/USD"):
        assert int(service.client.head(path).headers["Content-Length"]) > 0
    seen = scrape(service)

    assert seen.value("http_response_size_bytes_sum", method="HEAD", path="/api/v1/pairs") == 0
    assert seen.value("http_response_size_bytes_sum", method="HEAD", path="/api/v1/ltp") == 0


def test_many_observations_at_once_count_like_one_by_one() -> None:
    amounts = [0.0, 0.5, 1.0, 1.0000001, 2.0, 4.9, 5.0, 7.0, math.inf]
    one_by_one = Histogram("amounts", "Amounts.", registry=CollectorRegistry(), buckets=(1, 2, 5))
    at_once = Distribution("amounts", "Amounts.", registry=CollectorRegistry(), buckets=(1, 2, 5))
    for amount in amounts:
        one_by_one.observe(amount)
    at_once.observe_all(amounts)

    def values(histogram: Histogram) -> list[tuple[str, dict[str, str], float]]:
        (family,) = histogram.collect()
        return [(each.name, each.labels, each.value) for each in family.samples]

    assert values(at_once) == values(one_by_one)


def test_what_threads_add_while_others_settle_is_counted_exactly_once() -> None:
    counted: list[int] = []
    backlog: Backlog[int] = Backlog(counted.extend, MAX_WAITING_EVENTS)
    each = 5 * MAX_WAITING_EVENTS

    firsts = count(0, each)

    def work() -> None:
        first = next(firsts)
        for number in range(first, first + each):
            backlog.add(number)
            if number % 7 == 0:
                backlog.settle()

    with in_threads(8, work):
        pass
    backlog.settle()

    assert sorted(counted) == list(range(8 * each))


def test_a_backlog_never_grows_beyond_its_bound() -> None:
    sizes: list[int] = []
    backlog: Backlog[int] = Backlog(lambda rows: sizes.append(len(rows)), MAX_WAITING_EVENTS)
    for number in range(3 * MAX_WAITING_EVENTS + 1):
        backlog.add(number)

    assert sizes == [MAX_WAITING_EVENTS] * 3


def test_a_worker_that_stops_counts_what_still_waits(service: FreshService) -> None:
    shown: list[float] = []
    stop = ScriptedStop(service.clock)
    stop.set()
    Gauges(lambda: shown.append(1.0)).run(stop)

    assert shown == [1.0]


def test_a_price_from_memory_is_a_hit_however_it_is_asked_for(service: FreshService) -> None:
    service.trade("100")
    for path in ("?pair=BTC/USD", "?pair=BTC/USD", "?pair=BTC/USD&detail=true", "/cached?pair=BTC/USD"):
        assert service.get(f"/api/v1/ltp{path}").status_code == 200
    seen = scrape(service)

    assert seen.value("price_requests_total", pair="BTC/USD", cache_result="hit") == 4
    assert seen.value("cache_operations_total", operation="get", result="hit") == 4
    assert (seen.value("cache_hits_total"), seen.value("cache_misses_total")) == (4, 0)


def test_a_price_that_is_not_in_memory_is_a_miss(service: FreshService) -> None:
    service.trade("100")
    assert service.get("/api/v1/ltp?pair=BTC/USD,ETH/USD").status_code == 206
    seen = scrape(service)

    assert seen.value("price_requests_total", pair="BTC/USD", cache_result="hit") == 1
    assert seen.value("price_requests_total", pair="ETH/USD", cache_result="miss") == 1
    assert (seen.value("cache_hits_total"), seen.value("cache_misses_total")) == (1, 1)


def test_a_refresh_that_reaches_nobody_is_counted_as_failed(tmp_path: Path) -> None:
    key = "ltp_" + "a" * 43
    service = FreshService(tmp_path, auth_api_key=key)
    answer = service.client.post("/api/v1/ltp/refresh?pairs=BTC/USD", headers={"X-API-Key": key})

    assert answer.status_code == 503
    assert scrape(service).value("price_refreshes_total", result="failure") == 1
    assert scrape(service).value("api_key_checks_total", result="accepted") == 1


def test_the_rate_limit_is_counted_with_the_tokens_it_left(tmp_path: Path) -> None:
    service = FreshService(tmp_path, rate_limit_capacity=3, rate_limit_refill_rate=0.001)
    for _ in range(5):
        service.get("/api/v1/pairs")
    seen = scrape(service)

    assert seen.value("rate_limit_requests_total", result="allowed") == 3
    assert seen.value("rate_limit_requests_total", result="limited") == 2
    assert seen.value("rate_limit_tokens_remaining_sum") == 2 + 1


def test_another_attempt_to_connect_tells_why_the_last_one_was_over() -> None:
    script = Script(Unreachable("no", reason="refused"), [], Unreachable("no", reason="timeout"))
    store = memory_store(script.clock)
    script.play(kraken_collector("ws://x/v2", [BTC], store, script.equipment))

    assert script.meters.told(RECONNECTIONS) == [("kraken", why) for why in ("refused", "closed", "timeout")]


def test_a_call_that_the_exchange_refused_as_too_many_is_counted() -> None:
    class Throttling(HttpClient):
        def get(
            self, url: str, params: Mapping[str, str], deadline_seconds: float, *, body_cap: int = 0
        ) -> HttpAnswer:
            return HttpAnswer(429, "text/plain", None, b"")

    metrics = Metrics()
    world = Runtime(meters=metrics)
    rest = KrakenRest(Config(), Throttling(world.clock, "test"), CircuitBreaker(world), world)
    with pytest.raises(Rejected):
        rest.last_trades([BTC])

    assert metrics.registry.get_sample_value(f"{PREFIX}kraken_rate_limit_drops_total") == 1


# Gauges.


def test_the_feed_is_shown_as_down_before_it_ever_was_up(service: FreshService) -> None:
    seen = scrape(service)

    assert seen.value("websocket_connection_status", exchange="kraken") == 0
    assert seen.value("circuit_breaker_state", service="kraken") == 0
    assert seen.value("fallback_active") == 0


def test_in_a_fleet_a_process_shows_its_role_and_alone_none(service: FreshService, tmp_path: Path) -> None:
    alone = scrape(service)
    cut_off = scrape(FreshService(tmp_path, cache_backend="redis", redis_addr=NOWHERE))
    roles = ("owner", "follower", "out_of_step")

    assert [alone.value("fleet_processes", role=role) for role in roles] == [None, None, None]
    assert [cut_off.value("fleet_processes", role=role) for role in roles] == [0.0, 0.0, 1.0]


def test_a_price_is_shown_with_its_age_its_moment_and_its_one_state(service: FreshService) -> None:
    service.trade("115643.10")
    service.clock.advance(4.0)
    seen = scrape(service)

    assert seen.value("current_prices", pair="BTC/USD") == 115643.1
    assert seen.value("price_age_seconds", pair="BTC/USD") == 4.0
    assert seen.value("price_timestamp_seconds", pair="BTC/USD") == service.clock.wall() - 4.0
    assert seen.value("price_state", pair="BTC/USD", state="live") == 1
    assert seen.value("price_state", pair="BTC/USD") == 1
    assert seen.value("price_state", pair="ETH/USD", state="unknown") == 1
    assert seen.value("price_age_seconds", pair="ETH/USD") is None
    assert seen.value("cache_keys", cache_type="price") == 1


def test_a_price_that_was_forgotten_is_not_shown_as_if_it_stood(service: FreshService) -> None:
    service.trade("100")
    moment = scrape(service).value("price_timestamp_seconds", pair="BTC/USD")
    service.clock.advance(FORGET_AFTER_SECONDS + 1)
    service.trade("200", ETH)
    seen = scrape(service)

    assert math.isnan(seen.value("current_prices", pair="BTC/USD") or 0.0)
    assert math.isnan(seen.value("price_age_seconds", pair="BTC/USD") or 0.0)
    assert seen.value("price_state", pair="BTC/USD", state="unknown") == 1
    assert seen.value("price_timestamp_seconds", pair="BTC/USD") == moment


def test_a_rare_event_counts_from_zero_so_that_the_first_one_is_an_increase(service: FreshService) -> None:
    seen = scrape(service)

    for name in ("subscription_deaf_total", "price_divergences_total", "quarantined_trades_total"):
        assert seen.value(name, pair="BTC/USD") == 0


# Pairs.


def test_without_series_of_pairs_the_worst_pair_and_the_sums_stand_in_their_place(tmp_path: Path) -> None:
    service = FreshService(tmp_path, metrics_per_pair=False)
    service.trade("100", BTC)
    service.clock.advance(9.0)
    service.trade("200", ETH)
    for pair in (BTC, ETH):
        service.services.meters.count(table.DEAF_SUBSCRIPTIONS, str(pair))
    seen = scrape(service)

    assert "pair" not in {label for name, labels in seen.samples for label, _ in labels}
    assert seen.value("price_age_seconds") == 9.0
    assert seen.value("price_timestamp_seconds") == service.clock.wall() - 9.0
    assert (seen.value("price_state", state="unknown"), seen.value("price_state", state="stale")) == (1, 0)
    assert (seen.value("subscription_deaf_total"), seen.value("price_divergences_total")) == (2, 0)
    assert (seen.value("pairs", state="live"), seen.value("pairs", state="unknown")) == (2, 5)
    assert seen.value("current_prices") is None
    assert promtool("check", "metrics", text=seen.text).stderr == ""


def test_of_two_workers_the_newest_price_the_highest_age_and_the_sum_is_shown(tmp_path: Path) -> None:
    name, hit = table.PRICE_REQUESTS.name, ("BTC/USD", "hit")
    older = Report(1.0, {"BTC/USD": Shown(("quiet",), 100.0, 7.0, 50.0)}, {name: {hit: 2}})
    newer = Report(2.0, {"BTC/USD": Shown(("live",), 101.0, math.nan, 60.0)}, {name: {hit: 3}})
    write_report(newer, tmp_path, 1)
    write_report(older, tmp_path, 2)
    both = read_reports(tmp_path)
    forget(1, tmp_path)
    forget(2, tmp_path)

    assert both.shown == {"BTC/USD": Shown(("quiet", "live"), 101.0, 7.0, 60.0)}
    assert both.counted == {name: {hit: 5}}
    assert read_reports(tmp_path) == Report(counted={name: {hit: 5}})


def test_a_worker_makes_the_folder_again_when_it_has_gone(tmp_path: Path) -> None:
    gone = tmp_path / "run" / "metrics"
    report = Report(counted={"price_requests_total": {("BTC/USD", "hit"): 5}})

    write_report(report, gone, 1)

    assert read_reports(gone) == report
    assert gone.stat().st_mode & 0o077 == 0


def test_without_a_folder_that_can_be_used_a_worker_tells_its_own_numbers(
    service: FreshService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "metrics"
    file.touch()
    alone = scrape(service).names()
    service.clock.advance(REFRESH_EVERY_SECONDS)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(file))

    assert scrape(service).names() == alone
    assert f"{file} cannot be used (File exists)" in caplog.text


def test_a_text_of_a_thousand_pairs_has_pauses_in_it() -> None:
    report = Report(0.0, {f"C{number}/USD": Shown(("live",), 1.5, 0.0, 1e9) for number in range(1000)})
    pauses: list[object] = []
    text = lines(table.PRICE_STATE, report, lambda: pauses.append(None))

    assert len(pauses) >= 10
    assert 'btc_ltp_price_state{pair="C999/USD",state="live"} 1.0' in text.splitlines()
    assert len(text.splitlines()) == 2 + len(get_args(PriceState)) * 1000


def test_the_numbers_of_pairs_are_written_as_the_library_writes_its_own() -> None:
    values = (0, 3, 1e-8, 999_999.9, 1e6, 1_790_000_000.25, math.nan)
    report = Report(0.0, {f"C{place}/USD": Shown(("live",), value) for place, value in enumerate(values)})
    gauge = Gauge(
        f"{PREFIX}current_prices", table.CURRENT_PRICES.text, ["pair"], registry=CollectorRegistry()
    )
    for place, value in enumerate(values):
        gauge.labels(f"C{place}/USD").set(value)

    assert lines(table.CURRENT_PRICES, report, lambda: None) == generate_latest(gauge).decode()


# Labels.

SECRET = "ltp_" + "S3cr3t" * 7 + "x"


def ask_like_an_attacker(service: FreshService, number: int) -> None:
    text = f"evil{number}"
    headers = {"X-Forwarded-For": f"203.0.113.{number % 256}", "X-API-Key": SECRET, "X-Request-ID": text * 3}
    service.client.get(f"/{text}/<script>?{text}={text}", headers=headers)
    service.client.get(f"/api/v1/ltp?pair=EVIL{number % 10}/{'USD' if number % 2 else text}", headers=headers)
    service.client.open("/api/v1/ltp", method=text.upper(), headers=headers)


def test_the_text_is_made_once_a_second_for_all_who_ask(service: FreshService) -> None:
    service.trade("115643")
    first = scrape(service)
    service.trade("115644")
    service.clock.advance(REFRESH_EVERY_SECONDS - 0.01)
    in_the_same_second = scrape(service)
    service.clock.advance(0.01)
    after = scrape(service)

    assert in_the_same_second.text == first.text
    assert after.value("current_prices", pair="BTC/USD") == 115644


def test_a_client_that_takes_gzip_gets_the_same_text_compressed(service: FreshService) -> None:
    plain = service.get("/metrics")
    compressed = service.get("/metrics", Accept_Encoding="gzip")

    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == compressed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(compressed.get_data()) == plain.get_data()
    assert len(compressed.get_data()) < len(plain.get_data()) / 4


UNKNOWN = 2000 if IN_FULL else 300


def test_hundreds_of_unknown_pairs_paths_and_methods_make_no_series(tmp_path: Path) -> None:
    service = FreshService(tmp_path, rate_limit_enabled=False, trusted_proxies=1, log_level="error")
    ask_like_an_attacker(service, 0)
    ask_like_an_attacker(service, 1)
    scrape(service)  # which is counted when it is answered
    service.clock.advance(REFRESH_EVERY_SECONDS)
    before = scrape(service).samples.keys()
    for number in range(2, UNKNOWN):
        ask_like_an_attacker(service, number)
    service.clock.advance(REFRESH_EVERY_SECONDS)
    after = scrape(service)

    assert after.samples.keys() == before
    assert after.value("http_requests_total", method="OTHER") == UNKNOWN


def test_no_label_holds_an_address_a_key_or_what_a_client_wrote(service: FreshService) -> None:
    for number in range(20):
        ask_like_an_attacker(service, number)
    told = " ".join(scrape(service).label_values()).lower()

    assert not [text for text in ("evil", "203.0", "127.0", "ltp_", "script") if text in told]


def test_symbols_without_end_share_one_series() -> None:
    metrics = Metrics()
    for number in range(2 * MAX_SYMBOL_SERIES):
        metrics.count(TRADES_STORED, "bybit", f"SYMBOL{number}USDT")
    (stored,) = [each for each in metrics.registry.collect() if each.name == f"{PREFIX}trades_stored"]

    assert len(stored.samples) == MAX_SYMBOL_SERIES + 1


def test_the_price_is_the_same_number_that_is_served(service: FreshService) -> None:
    service.trade("0.00000012", source=WEBSOCKET)

    assert scrape(service).value("current_prices", pair="BTC/USD") == 1.2e-7


def test_a_folder_that_can_be_made_nowhere_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file" / "metrics"))
    (tmp_path / "file").touch()
    folder.keep(tmp_path / "file" / "metrics")

    assert "cannot be used any more (Not a directory), and a new worker may end the service" in caplog.text
    assert folder.shared_folder() == tmp_path / "file" / "metrics"
