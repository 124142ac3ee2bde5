"""Every metric, on a registry of this process; the only importer of prometheus libraries.

With several workers (PROMETHEUS_MULTIPROC_DIR) a scrape merges what all of them wrote into files: counters and
histograms are added up, dead workers' included; a gauge shows the newest or the highest value of those alive. So
nothing is computed at scrape time that another worker could not have written.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import nan
from threading import Event
from typing import Any, get_args

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_flask_exporter import PrometheusMetrics

from ltp_service.backlog import Backlog
from ltp_service.observer import Observer
from ltp_service.pairs import Pair
from ltp_service.quotes.freshness import State
from ltp_service.quotes.quotes import Quote
from ltp_service.services import Services
from ltp_service.version import VERSION

PREFIX = "btc_ltp_"

REFRESH = 1.0
"""Seconds between two settings of the gauges."""

MOST_WAITING = 256
"""Events that wait to be counted; so many are counted in a fraction of a millisecond."""

MOST_SYMBOLS = 500
"""Collected symbols with series of their own; symbols come and go while the service runs."""

_BREAKER = {"closed": 0, "open": 1, "half_open": 2}
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_TOKENS = (0, 1, 5, 10, 25, 50, 75, 90, 100, 250, 1000)
_STATES: tuple[State, ...] = get_args(State)


_Answer = tuple[str, str, int, float, int, int]
"""Method, route, status, seconds, bytes received, bytes sent."""
_Measures = tuple[float, int, int]


class Distribution(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as `observe` for each."""
        for place, count in Tally(map(partial(bisect_left, self._upper_bounds), amounts)).items():
            self._buckets[place].inc(count)
        self._sum.inc(sum(amounts))


class Metrics(Observer):
    """Counts what the parts report."""

    def __init__(self) -> None:
        # They double a scrape, and several workers have none.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._answers: Backlog[_Answer] = Backlog(self._count_answers, MOST_WAITING)
        self._decisions: Backlog[tuple[bool, int]] = Backlog(self._count_decisions, MOST_WAITING)
        self._trades: Backlog[tuple[str, str]] = Backlog(self._count_trades, MOST_WAITING)
        self._symbols: set[str] = set()
        self._shown: set[str] = set()
        self._http()
        self._prices()
        self._sources()
        self._guards()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _newest(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry, multiprocess_mode="livemostrecent")

    def _highest(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry, multiprocess_mode="livemax")

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Distribution:
        return Distribution(PREFIX + name, text, labels, registry=self.registry, buckets=tuple(buckets))

    # What is there to be counted.

    def _http(self) -> None:
        where = ("method", "path", "status_code")
        self._requests = self._counter("http_requests_total", "HTTP requests answered.", *where)
        self._durations = self._histogram(
            "http_request_duration_seconds", "Seconds from request to answer.", _SECONDS, *where
        )
        self._received = self._histogram(
            "http_request_size_bytes", "Bytes of request bodies.", _BYTES, *where[:2]
        )
        self._sent = self._histogram(
            "http_response_size_bytes", "Bytes of answer bodies.", _BYTES, *where[:2]
        )

    def _prices(self) -> None:
        self._cache_operations = self._counter(
            "cache_operations_total", "Looks into the price store.", "operation", "result"
        )
        self._cache_keys = self._highest("cache_keys", "Prices held.", "cache_type")
        self._cache_hits = self._counter("cache_hits_total", "Prices served from memory.")
        self._cache_misses = self._counter("cache_misses_total", "Prices asked for and not in memory.")
        self._price_requests = self._counter(
            "price_requests_total", "Prices asked for.", "pair", "cache_result"
        )
        self._refreshes = self._counter("price_refreshes_total", "Refreshes on demand.", "result")
        self._current = self._newest("current_prices", "Last traded price in quote currency.", "pair")
        self._ages = self._highest("price_age_seconds", "Seconds since the last evidence.", "pair")
        self._moments = self._newest("price_timestamp_seconds", "Unix time of the last evidence.", "pair")
        self._states = self._highest("price_state", "1 for the state that the price is in.", "pair", "state")
        self._diverged = self._counter(
            "price_divergences_total", "WebSocket and REST told prices that cannot both be right.", "pair"
        )

    def _sources(self) -> None:
        self._calls = self._counter(
            "external_api_requests_total", "HTTP calls to exchanges.", "service", "endpoint", "status_code"
        )
        self._call_seconds = self._histogram(
            "external_api_request_duration_seconds",
            "Seconds per HTTP call to an exchange.",
            _SECONDS,
            "service",
            "endpoint",
        )
        self._retries = self._counter(
            "external_api_retries_total", "HTTP calls tried again.", "service", "endpoint"
        )
        self._throttled = self._counter(
            "kraken_rate_limit_drops_total", "Calls that Kraken refused as too many."
        )
        self._breaker = self._highest("circuit_breaker_state", "0 closed, 1 open, 2 half-open.", "service")
        self._activations = self._counter(
            "fallback_activations_total", "Times that REST had to stand in for the feed.", "reason"
        )
        self._fallback_seconds = self._histogram(
            "fallback_duration_seconds", "Seconds for which REST stood in.", (1, 5, 15, 60, 300, 900, 3600)
        )
        self._fallback = self._highest("fallback_active", "1 while REST stands in for the feed.")
        self._connected = self._highest("websocket_connection_status", "1 while connected.", "exchange")
        self._frames = self._counter("websocket_messages_total", "Frames received.", "exchange", "kind")
        self._refused = self._counter(
            "websocket_invalid_messages_total", "Frames or values not used.", "exchange", "reason"
        )
        self._link_errors = self._counter(
            "websocket_errors_total", "Connections that failed or broke.", "exchange", "reason"
        )
        self._reconnections = self._counter(
            "websocket_reconnection_attempts_total", "Connections tried again.", "exchange", "reason"
        )
        self._deaf = self._counter(
            "subscription_deaf_total", "Subscriptions that kept silent about a trade.", "pair"
        )
        self._held = self._counter(
            "quarantined_trades_total", "Lone trades far from all others that were held back.", "pair"
        )
        self._trades_stored = self._counter("trades_stored_total", "Trades stored.", "exchange", "symbol")
        self._trades_discarded = self._counter(
            "trades_discarded_total", "Trades not stored.", "exchange", "reason"
        )

    def _guards(self) -> None:
        self._limits = self._counter("rate_limit_requests_total", "Requests that the limit saw.", "result")
        self._tokens = self._histogram(
            "rate_limit_tokens_remaining", "Tokens left to a client after its request.", _TOKENS
        )
        self._keys = self._counter("api_key_checks_total", "API keys checked.", "result")
        self._info = self._highest("application_info", "1; the version is the label.", "version")
        self._info.labels(VERSION).set(1)
        self._uptime = self._highest("uptime_seconds", "Seconds since the worker started.")

    # Observer: what happens at every request, or thousands of times a second.

    def answered(
        self, method: str, route: str, status: int, seconds: float, received: int, sent: int
    ) -> None:
        self._answers.add((method, route, status, seconds, received, sent))

    def limited(self, allowed: bool, remaining: int) -> None:
        self._decisions.add((allowed, remaining))

    def trade_stored(self, exchange: str, symbol: str) -> None:
        self._trades.add((exchange, symbol))

    def _count_answers(self, rows: list[_Answer]) -> None:
        routes: defaultdict[tuple[str, str, int], list[_Measures]] = defaultdict(list)
        for row in rows:
            routes[row[:3]].append(row[3:])
        for (method, route, status), measures in routes.items():
            seconds, received, sent = zip(*measures, strict=True)
            self._requests.labels(method, route, status).inc(len(measures))
            self._durations.labels(method, route, status).observe_all(seconds)
            self._received.labels(method, route).observe_all(received)
            self._sent.labels(method, route).observe_all(sent)

    def _count_decisions(self, rows: list[tuple[bool, int]]) -> None:
        allowed = sum(allowed for allowed, _ in rows)
        self._limits.labels("allowed").inc(allowed)
        self._limits.labels("limited").inc(len(rows) - allowed)
        self._tokens.observe_all([remaining for _, remaining in rows])

    def _count_trades(self, rows: list[tuple[str, str]]) -> None:
        for (exchange, symbol), count in Tally(rows).items():
            self._trades_stored.labels(exchange, self._bounded(symbol)).inc(count)

    def _bounded(self, symbol: str) -> str:
        if len(self._symbols) < MOST_SYMBOLS:
            self._symbols.add(symbol)
        return symbol if symbol in self._symbols else "other"

    # Observer: the rest.

    def prices_asked(self, pairs: Iterable[Pair], hit: bool, count: int) -> None:
        result = "hit" if hit else "miss"
        asked = 0
        for pair in pairs:
            self._price_requests.labels(str(pair), result).inc(count)
            asked += count
        (self._cache_hits if hit else self._cache_misses).inc(asked)
        self.store_used("get", result, asked)

    def store_used(self, operation: str, result: str, count: int = 1) -> None:
        self._cache_operations.labels(operation, result).inc(count)

    def key_checked(self, result: str) -> None:
        self._keys.labels(result).inc()

    def refreshed(self, result: str) -> None:
        self._refreshes.labels(result).inc()

    def frames_received(self, exchange: str, kind: str, count: int) -> None:
        self._frames.labels(exchange, kind).inc(count)

    def frame_refused(self, exchange: str, reason: str) -> None:
        self._refused.labels(exchange, reason).inc()

    def connection_failed(self, exchange: str, reason: str) -> None:
        self._link_errors.labels(exchange, reason).inc()

    def reconnecting(self, exchange: str, reason: str) -> None:
        self._reconnections.labels(exchange, reason).inc()

    def subscription_deaf(self, pair: Pair) -> None:
        self._deaf.labels(str(pair)).inc()

    def trade_discarded(self, exchange: str, reason: str = "known_or_old") -> None:
        self._trades_discarded.labels(exchange, reason).inc()

    def trade_held(self, pair: Pair) -> None:
        self._held.labels(str(pair)).inc()

    def sources_diverged(self, pair: Pair) -> None:
        self._diverged.labels(str(pair)).inc()

    def external_call(self, service: str, endpoint: str, status_code: int | None, seconds: float) -> None:
        self._calls.labels(service, endpoint, status_code or "none").inc()
        self._call_seconds.labels(service, endpoint).observe(seconds)

    def external_retry(self, service: str, endpoint: str) -> None:
        self._retries.labels(service, endpoint).inc()

    def throttled(self, service: str) -> None:
        self._throttled.inc()

    def fallback_started(self, reason: str) -> None:
        self._activations.labels(reason).inc()

    def fallback_ended(self, seconds: float) -> None:
        self._fallback_seconds.observe(seconds)

    # What is true now. Gauges are not set by events: one that was missed would leave a lie behind.

    def show(self, parts: Services) -> None:
        """Counts what waits to be counted, and sets every gauge."""
        for backlog in (self._answers, self._decisions, self._trades):
            backlog.settle()
        self._uptime.set(parts.clock.monotonic() - parts.started_at)
        self._cache_keys.labels("price").set(len(parts.prices.store.all()))
        self._breaker.labels("kraken").set(_BREAKER[parts.prices.breaker.state().state])
        self._fallback.set(parts.prices.poll.active())
        for name, collector in parts.collectors.items():
            self._connected.labels(name).set(collector.is_connected())
        wall = parts.clock.wall()
        for quote in parts.prices.quotes.look(parts.config.supported_pairs):
            self._show_quote(quote, wall)

    def _show_quote(self, quote: Quote, wall: float) -> None:
        pair, age = str(quote.pair), quote.verdict.age
        for rare in (self._deaf, self._diverged, self._held):
            rare.labels(pair)  # a counter that begins with its first event shows no increase by it
        for state in _STATES:
            self._states.labels(pair, state).set(state == quote.verdict.state)
        if quote.price is not None and age is not None:
            self._shown.add(pair)
            self._current.labels(pair).set(float(quote.price.tick.amount))
            self._ages.labels(pair).set(age)
            self._moments.labels(pair).set(wall - age)
        elif pair in self._shown:  # forgotten since; its last values must not stand as if they were true
            self._current.labels(pair).set(nan)
            self._ages.labels(pair).set(nan)


class Gauges:
    """Runner: keeps the gauges true between scrapes, for those workers that are not asked."""

    name = "gauges"

    def __init__(self, show: Callable[[], None]) -> None:
        self._show = show

    def run(self, stop: Event) -> None:
        """Sets them every second, and a last time so that nothing counted gets lost."""
        # gevent 26.9 forgets whoever begins to wait between set() and its notifications: look first.
        while not (stop.is_set() or stop.wait(REFRESH)):
            self._show()
        self._show()


def serve_metrics(app: Flask, metrics: Metrics, show: Callable[[], None]) -> None:
    """`GET /metrics`: the sum or the newest over all workers, without hooks on other requests."""

    def fresh(view: Callable[..., Any]) -> Callable[..., Any]:
        def prometheus_metrics() -> Any:
            show()
            return view()

        return prometheus_metrics

    PrometheusMetrics(
        app, path="/metrics", registry=metrics.registry, export_defaults=False, metrics_decorator=fresh
    )
