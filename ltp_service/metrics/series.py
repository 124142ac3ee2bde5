"""Every metric: its name, its help text, its labels."""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ltp_service.version import VERSION

METRIC_PREFIX = "btc_ltp_"

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_TOKENS = (0, 1, 5, 10, 25, 50, 75, 90, 100, 250, 1000)


class Distribution(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as `observe` for each."""
        for place, count in Tally(map(partial(bisect_left, self._upper_bounds), amounts)).items():
            self._buckets[place].inc(count)
        self._sum.inc(sum(amounts))


class Series:
    """All metrics on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._http()
        self._prices()
        self._rest()
        self._feed()
        self._guards()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(METRIC_PREFIX + name, text, labels, registry=self._registry)

    def _newest(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(
            METRIC_PREFIX + name, text, labels, registry=self._registry, multiprocess_mode="livemostrecent"
        )

    def _highest(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(METRIC_PREFIX + name, text, labels, registry=self._registry, multiprocess_mode="livemax")

    def _number(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(METRIC_PREFIX + name, text, labels, registry=self._registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Distribution:
        return Distribution(
            METRIC_PREFIX + name, text, labels, registry=self._registry, buckets=tuple(buckets)
        )

    def _http(self) -> None:
        where = ("method", "path", "status_code")
        self.requests = self._counter("http_requests_total", "HTTP requests answered.", *where)
        self.durations = self._histogram(
            "http_request_duration_seconds", "Seconds from request to answer.", _SECONDS, *where
        )
        self.received = self._histogram(
            "http_request_size_bytes", "Bytes of request bodies.", _BYTES, *where[:2]
        )
        self.sent = self._histogram("http_response_size_bytes", "Bytes of answer bodies.", _BYTES, *where[:2])

    def _prices(self) -> None:
        self.cache_operations = self._counter(
            "cache_operations_total", "Looks into the price store.", "operation", "result"
        )
        self.cache_keys = self._highest("cache_keys", "Prices held.", "cache_type")
        self.cache_hits = self._counter("cache_hits_total", "Prices served from memory.")
        self.cache_misses = self._counter("cache_misses_total", "Prices asked for and not in memory.")
        self.price_requests = self._counter(
            "price_requests_total", "Prices asked for.", "pair", "cache_result"
        )
        self.refreshes = self._counter("price_refreshes_total", "Refreshes on demand.", "result")
        self.current = self._newest("current_prices", "Last traded price in quote currency.", "pair")
        self.ages = self._highest("price_age_seconds", "Seconds since the last evidence.", "pair")
        self.moments = self._newest("price_timestamp_seconds", "Unix time of the last evidence.", "pair")
        self.states = self._highest("price_state", "1 for the state that the price is in.", "pair", "state")
        self.diverged = self._counter(
            "price_divergences_total", "WebSocket and REST told prices that cannot both be right.", "pair"
        )

    def _rest(self) -> None:
        self.calls = self._counter(
            "external_api_requests_total", "HTTP calls to exchanges.", "service", "endpoint", "status_code"
        )
        self.call_seconds = self._histogram(
            "external_api_request_duration_seconds",
            "Seconds per HTTP call to an exchange.",
            _SECONDS,
            "service",
            "endpoint",
        )
        self.retries = self._counter(
            "external_api_retries_total", "HTTP calls tried again.", "service", "endpoint"
        )
        self.throttled = self._counter(
            "kraken_rate_limit_drops_total", "Calls that Kraken refused as too many."
        )
        self.breaker = self._highest("circuit_breaker_state", "0 closed, 1 open, 2 half-open.", "service")
        self.activations = self._counter(
            "fallback_activations_total", "Times that REST had to stand in for the feed.", "reason"
        )
        self.fallback_seconds = self._histogram(
            "fallback_duration_seconds", "Seconds for which REST stood in.", (1, 5, 15, 60, 300, 900, 3600)
        )
        self.fallback = self._highest("fallback_active", "1 while REST stands in for the feed.")

    def _feed(self) -> None:
        self.connected = self._highest("websocket_connection_status", "1 while connected.", "exchange")
        self.lag = self._highest(
            "websocket_lag_seconds",
            "By how much a feed's data are late, by the exchange's own clock.",
            "exchange",
        )
        self.frames = self._counter("websocket_messages_total", "Frames received.", "exchange", "kind")
        self.refused = self._counter(
            "websocket_invalid_messages_total", "Frames or values not used.", "exchange", "reason"
        )
        self.link_errors = self._counter(
            "websocket_errors_total", "Connections that failed or broke.", "exchange", "reason"
        )
        self.reconnections = self._counter(
            "websocket_reconnection_attempts_total", "Connections tried again.", "exchange", "reason"
        )
        self.deaf = self._counter(
            "subscription_deaf_total", "Subscriptions that kept silent about a trade.", "pair"
        )
        self.held = self._counter(
            "quarantined_trades_total", "Lone trades far from all others that were held back.", "pair"
        )
        self.trades_stored = self._counter("trades_stored_total", "Trades stored.", "exchange", "symbol")
        self.trades_discarded = self._counter(
            "trades_discarded_total", "Trades not stored.", "exchange", "reason"
        )
        self.books_deaf = self._counter(
            "books_deaf_total", "Order books whose subscription kept silent about changes.", "exchange"
        )
        self.trades_missed = self._counter(
            "trades_missed_total", "Trades that an exchange numbered and that never arrived.", "exchange"
        )

    def _guards(self) -> None:
        self.limits = self._counter("rate_limit_requests_total", "Requests that the limit saw.", "result")
        self.tokens = self._histogram(
            "rate_limit_tokens_remaining", "Tokens left to a client after its request.", _TOKENS
        )
        self.keys = self._counter("api_key_checks_total", "API keys checked.", "result")
        self.log_dropped = self._counter(
            "log_lines_dropped_total", "Log lines lost, because their reader did not read them."
        )
        self.info = self._highest("application_info", "1; the version is the label.", "version")
        self.info.labels(VERSION).set(1)
        self.fleet = self._number("fleet_processes", "Processes that share prices, by what they do.", "role")
        self.uptime = self._highest("uptime_seconds", "Seconds since the worker started.")
