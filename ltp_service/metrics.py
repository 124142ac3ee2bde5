"""Every metric, on a registry of this process; the only importer of prometheus libraries.

With several workers (PROMETHEUS_MULTIPROC_DIR) the numbers of all of them are added up, so gauges say how they
want to be merged, and nothing is computed at scrape time that another worker could not have written.
"""

from collections.abc import Callable, Iterable
from threading import Event
from typing import Any, get_args

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_flask_exporter import PrometheusMetrics

from ltp_service.observer import Observer
from ltp_service.pairs import Pair
from ltp_service.quotes.freshness import State
from ltp_service.services import Services
from ltp_service.version import VERSION

PREFIX = "btc_ltp_"

REFRESH = 1.0
"""Seconds between two settings of the gauges."""

_BREAKER = {"closed": 0, "open": 1, "half_open": 2}
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_TOKENS = (0, 1, 5, 10, 25, 50, 75, 90, 100, 250, 1000)
_STATES: tuple[State, ...] = get_args(State)


class Metrics(Observer):
    """Counts what the parts report."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._cached: dict[tuple[str, str, int], tuple[Any, Any, Any, Any]] = {}
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

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=tuple(buckets))

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
        self._ages = self._newest("price_age_seconds", "Seconds since the last evidence.", "pair")
        self._moments = self._newest("price_timestamp_seconds", "Unix time of the last evidence.", "pair")
        self._states = self._newest("price_state", "1 for the state that the price is in.", "pair", "state")
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
        self._breaker = self._newest("circuit_breaker_state", "0 closed, 1 open, 2 half-open.", "service")
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
        self._trades_stored = self._counter("trades_stored_total", "Trades stored.", "exchange", "symbol")
        self._trades_discarded = self._counter(
            "trades_discarded_total", "Trades not stored.", "exchange", "reason"
        )

    def _guards(self) -> None:
        self._limits = self._counter("rate_limit_requests_total", "Requests that the limit saw.", "result")
        self._tokens = self._histogram(
            "rate_limit_tokens_remaining", "Tokens left to a client after its request.", _TOKENS
        )
        self._allowed, self._blocked = self._limits.labels("allowed"), self._limits.labels("limited")
        self._keys = self._counter("api_key_checks_total", "API keys checked.", "result")
        self._info = self._highest("application_info", "1; the version is the label.", "version")
        self._info.labels(VERSION).set(1)
        self._uptime = self._highest("uptime_seconds", "Seconds since the worker started.")

    # Observer.

    def answered(
        self, method: str, route: str, status: int, seconds: float, received: int, sent: int
    ) -> None:
        key = (method, route, status)
        children = self._cached.get(key)
        if children is None:
            children = self._cached[key] = (
                self._requests.labels(method, route, status),
                self._durations.labels(method, route, status),
                self._received.labels(method, route),
                self._sent.labels(method, route),
            )
        children[0].inc()
        children[1].observe(seconds)
        children[2].observe(received)
        children[3].observe(sent)

    def prices_asked(self, pairs: Iterable[Pair], hit: bool, count: int) -> None:
        result = "hit" if hit else "miss"
        asked = 0
        for pair in pairs:
            self._price_requests.labels(str(pair), result).inc(count)
            asked += count
        (self._cache_hits if hit else self._cache_misses).inc(asked)
        self._cache_operations.labels("get", result).inc(asked)

    def limited(self, allowed: bool, remaining: int) -> None:
        (self._allowed if allowed else self._blocked).inc()
        self._tokens.observe(remaining)

    def key_checked(self, result: str) -> None:
        self._keys.labels(result).inc()

    def refreshed(self, result: str) -> None:
        self._refreshes.labels(result).inc()

    def frames_received(self, exchange: str, kind: str, count: int) -> None:
        self._frames.labels(exchange, kind).inc(count)

    def frame_refused(self, exchange: str, reason: str) -> None:
        self._refused.labels(exchange, reason).inc()

    def connection_changed(self, exchange: str, connected: bool) -> None:
        self._connected.labels(exchange).set(connected)

    def connection_failed(self, exchange: str, reason: str) -> None:
        self._link_errors.labels(exchange, reason).inc()

    def reconnecting(self, exchange: str, reason: str) -> None:
        self._reconnections.labels(exchange, reason).inc()

    def subscription_deaf(self, pair: Pair) -> None:
        self._deaf.labels(str(pair)).inc()

    def sources_diverged(self, pair: Pair) -> None:
        self._diverged.labels(str(pair)).inc()

    def external_call(self, service: str, endpoint: str, status_code: int | None, seconds: float) -> None:
        self._calls.labels(service, endpoint, status_code or "none").inc()
        self._call_seconds.labels(service, endpoint).observe(seconds)

    def external_retry(self, service: str, endpoint: str) -> None:
        self._retries.labels(service, endpoint).inc()

    def throttled(self, service: str) -> None:
        self._throttled.inc()

    def breaker_changed(self, service: str, state: str) -> None:
        self._breaker.labels(service).set(_BREAKER[state])

    def fallback_started(self, reason: str) -> None:
        self._activations.labels(reason).inc()
        self._fallback.set(1)

    def fallback_ended(self, seconds: float) -> None:
        self._fallback_seconds.observe(seconds)
        self._fallback.set(0)

    # Gauges.

    def show(self, parts: Services) -> None:
        """Sets every gauge to what is true now."""
        now, wall = parts.clock.monotonic(), parts.clock.wall()
        self._uptime.set(now - parts.started_at)
        self._cache_keys.labels("price").set(len(parts.prices.store.all()))
        self._breaker.labels("kraken").set(_BREAKER[parts.prices.breaker.state().state])
        for quote in parts.prices.quotes.look(parts.config.supported_pairs):
            pair = str(quote.pair)
            for state in _STATES:
                self._states.labels(pair, state).set(state == quote.verdict.state)
            if quote.price is not None:
                self._current.labels(pair).set(float(quote.price.tick.amount))
                self._ages.labels(pair).set(quote.verdict.age or 0.0)
                self._moments.labels(pair).set(wall - (quote.verdict.age or 0.0))


class Gauges:
    """Runner: keeps the gauges true between scrapes, for those workers that are not asked."""

    name = "gauges"

    def __init__(self, show: Callable[[], None]) -> None:
        self._show = show

    def run(self, stop: Event) -> None:
        """Sets them every second."""
        while not stop.wait(REFRESH):
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
