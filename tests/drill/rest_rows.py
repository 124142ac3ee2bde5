"""What goes wrong with REST, alone and together with the WebSocket."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ltp_service.feed.backoff import LONGEST_URGENT_DELAY_SECONDS
from ltp_service.rest.poll import CALLS_APART_SECONDS, POLL_EVERY_SECONDS
from tests.drill.clients import Reading
from tests.drill.machine import holdings
from tests.drill.row import Stage, row

QUIET = 20.0
"""Events per second over 19 pairs at which some of them are silent for long enough to be asked about."""

FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rest_500": ("rest_status", {"status": 500}),
    "rest_502": ("rest_status", {"status": 502}),
    "rest_503": ("rest_status", {"status": 503}),
    "rest_html": ("rest_html", {}),
    "rest_429": ("rest_status", {"status": 429, "retry_after": 5}),
    "rest_redirect": ("rest_status", {"status": 302, "location": "http://169.254.169.254/"}),
    "rest_huge": ("rest_huge", {}),
    "rest_drip": ("rest_drip", {}),
    "rest_garbage": ("rest_garbage", {}),
    "rest_limit": ("rest_error", {}),
}

TITLES = {
    "rest_500": "REST 500, WebSocket alive, then gone for a while",
    "rest_502": "the same with 502",
    "rest_503": "the same with 503",
    "rest_html": "the same with an HTML page in HTTP 200",
    "rest_429": "the same with 429 and Retry-After: 5",
    "rest_redirect": "the same with a redirect to 169.254.169.254",
    "rest_huge": "the same with a body of 200 MiB",
    "rest_drip": "the same with one byte per 200 ms",
    "rest_garbage": "the same with bytes that are no JSON",
    "rest_limit": "the same with EGeneral:Too many requests in HTTP 200",
}

ELSEWHERE = {
    "rest_502": "exchanges/test_kraken_rest.py",
    "rest_503": "exchanges/test_kraken_rest.py",
    "rest_429": "exchanges/test_kraken_rest.py",
    "rest_html": "exchanges/test_kraken_rest.py",
    "rest_redirect": "rest/test_http_client.py",
    "rest_huge": "rest/test_http_client.py",
    "rest_drip": "rest/test_http_client.py",
    "rest_garbage": "exchanges/test_kraken_rest_answers.py",
    "rest_limit": "exchanges/test_kraken_rest.py",
}
"""Where the tests show what these do to one call."""


def _broken(fault: str, arguments: dict[str, Any], stage: Stage) -> None:
    """Prices outlive a short time without any source."""
    gap = min(stage.tempo.of(8.0, 1.5), stage.tempo.ttl / 2)
    with stage.faulty():
        stage.simulator.fault(fault, **arguments)
        stage.hold(stage.tempo.of(4.0, 0.3))
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        stage.hold(gap)
        calls = stage.rest_calls()
        stage.simulator.fault("refuse", on=False)
        stage.until(stage.fed, 15.0, "the feed is back though REST is not")
        stage.simulator.clear()
    stage.remarks.append(f"{calls} REST calls, breaker {stage.status()['breaker']['state']}")


for _name, (_fault, _arguments) in FAULTS.items():
    _marks = {"beside": "rest", "elsewhere": ELSEWHERE.get(_name, "")}
    row(_name, TITLES[_name], walk=QUIET, **_marks)(partial(_broken, _fault, _arguments))


@row("rest_only", "WebSocket gone, 200 requests/s: REST alone", elsewhere="process/test_rest_alone.py")
def rest_only(stage: Stage) -> None:
    seconds = stage.tempo.of(60.0, 5.0)
    with stage.faulty():
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        stage.until(stage.fallback, 5.0, "fallback begins")
        stage.hold(2.0)
        polls, calls, start = stage.rest_calls("Ticker"), stage.rest_calls(), time.monotonic()
        stage.hold(seconds)
        took = time.monotonic() - start
        polls, calls = stage.rest_calls("Ticker") - polls, stage.rest_calls() - calls
        until = time.monotonic()
        _follows(stage)
        stage.simulator.clear()
    stage.check(
        polls <= took / POLL_EVERY_SECONDS + 1 and calls <= took / CALLS_APART_SECONDS + 1,
        f"{polls} polls among {calls} REST calls in {took:.0f} s",
    )
    stage.seen.append(lambda readings: _calm(stage, [each for each in readings if start <= each.due < until]))


def _follows(stage: Stage) -> None:
    stage.simulator.trade("XRP/USD", "2.99999")
    stage.simulator.walk(on=False)
    stage.simulator.trade("XRP/USD", price := "2.98765")
    follow = stage.until(
        lambda: stage.detail("XRP/USD").get("price", "").startswith(price), 5.0, "the price follows"
    )
    stage.check(follow <= 3.0, f"price follows in {follow:.1f} s")
    stage.simulator.walk(80.0)


def _calm(stage: Stage, readings: list[Reading]) -> None:
    ordered = sorted(each.answered_at - each.due for each in readings)
    p99 = 1000 * ordered[int(0.99 * (len(ordered) - 1))]
    stage.check(p99 < 20 or stage.tempo.short, f"p99 meanwhile {p99:.1f} ms")


def _dark(stage: Stage, first: str) -> None:
    """Both sources down until prices are stale, then `first` comes back, then the other one."""
    ttl = stage.tempo.ttl
    with stage.faulty():
        stage.simulator.fault("refuse")
        stage.simulator.fault("rest_status", status=503)
        stage.simulator.cut()
        stage.dark_from = time.monotonic()
        stage.until(lambda: not stage.served(), ttl + 5.0, "503 once the prices are stale")
        stale = time.monotonic() - stage.dark_from
        stage.check(
            stale >= ttl - stage.tempo.heartbeat - 0.25, f"503 after {stale:.1f} s of CACHE_TTL {ttl:g} s"
        )
        stage.hold(1.0)
        _answers_while_dark(stage)
        stage.until(lambda: stage.status()["breaker"]["state"] == "open", 40.0, "the breaker opens")
        _only_the_probe(stage)
        stage.simulator.fault("refuse" if first == "websocket" else "rest_status", on=False)
        took = stage.until(stage.served, 65.0, f"served again by {first}")
        stage.check(
            took <= LONGEST_URGENT_DELAY_SECONDS + 3.0, f"served {took:.1f} s after {first} came back"
        )
        stage.simulator.clear()


def _answers_while_dark(stage: Stage) -> None:
    refused, health, ready = (stage.service.get(path) for path in ("/api/v1/ltp", "/health", "/ready"))
    stage.check(
        (refused.status, health.status, ready.status) == (503, 200, 503)
        and int(refused.headers["retry-after"]) > 0,
        f"ltp {refused.status}, health {health.status}, ready {ready.status}, Retry-After {refused.headers.get('retry-after')}",
    )


def _only_the_probe(stage: Stage) -> None:
    stage.hold(stage.tempo.request)  # a call that was under way when the breaker opened may arrive until then
    breaker = stage.status()["breaker"]
    wait = float(breaker["retry_in_s"])
    before = stage.rest_calls()
    stage.hold(min(wait * 0.9, stage.tempo.of(10.0, 1.0)))
    stage.check(
        stage.rest_calls() == before, f"{stage.rest_calls() - before} REST calls while the breaker was open"
    )


@row("dark_websocket", "both sources down, the WebSocket returns first", walk=QUIET, beside="rest")
def dark_websocket(stage: Stage) -> None:
    _dark(stage, "websocket")


@row("dark_rest", "both sources down, REST returns first", long=True)
def dark_rest(stage: Stage) -> None:
    _dark(stage, "rest")


@row(
    "cold_drip",
    "no price yet, WebSocket gone, REST drips: how long one request takes",
    elsewhere="rest/test_http_client.py",
)
def cold_drip(stage: Stage) -> None:
    _cold(stage, "rest_drip", stage.tempo.request + 0.2)


@row(
    "cold_huge",
    "no price yet, WebSocket gone, REST sends 200 MiB: how long one request takes",
    elsewhere="rest/test_http_client.py",
)
def cold_huge(stage: Stage) -> None:
    _cold(stage, "rest_huge", stage.tempo.of(0.1, 0.5))


def _cold(stage: Stage, fault: str, bound: float) -> None:
    """A second service starts in the dark: it has only REST, and REST misbehaves."""
    with stage.faulty():
        stage.simulator.fault(fault)
        with stage.another(KRAKEN_WEBSOCKET_ENABLED="false", KRAKEN_MAX_RETRIES="0") as dark:
            first = _timed(lambda: dark.get("/api/v1/ltp?pair=BTC/USD"))
            before = holdings(dark.worker_pids()).rss
            took = max(first, *(_timed(lambda: dark.get("/api/v1/ltp?pair=BTC/USD")) for _ in range(2)))
            growth = holdings(dark.worker_pids()).rss - before
        stage.simulator.clear()
    stage.check(took <= bound, f"{took:.2f} s at most for a request")
    stage.check(growth < 5.0, f"memory {growth:+.1f} MiB")


def _timed(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start
