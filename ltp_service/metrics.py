"""Every metric, on a registry of this process; the only importer of prometheus libraries."""

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_flask_exporter import PrometheusMetrics

from ltp_service.observer import Observer
from ltp_service.pairs import Pair

PREFIX = "btc_ltp"


class Metrics:
    """The registry, and what writes to it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.observer: Observer = CountingObserver(self.registry)

    def register(self, app: Flask) -> None:
        """Serves /metrics and counts requests by route."""
        PrometheusMetrics(
            app, registry=self.registry, group_by="url_rule", defaults_prefix=PREFIX, path="/metrics"
        )


class CountingObserver(Observer):
    """Counts what the parts report."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._frames = Counter(
            f"{PREFIX}_websocket_messages_total", "Frames received.", ["exchange", "kind"], registry=registry
        )
        self._refused = Counter(
            f"{PREFIX}_websocket_invalid_messages_total",
            "Frames or values that could not be used.",
            ["exchange", "reason"],
            registry=registry,
        )
        self._connected = Gauge(
            f"{PREFIX}_websocket_connection_status",
            "1 while connected, else 0.",
            ["exchange"],
            registry=registry,
        )
        self._errors = Counter(
            f"{PREFIX}_websocket_errors_total",
            "Connections that failed or ended with an error.",
            ["exchange", "reason"],
            registry=registry,
        )
        self._deaf = Counter(
            f"{PREFIX}_subscription_deaf_total",
            "Subscriptions that kept silent about a trade.",
            ["pair"],
            registry=registry,
        )

    def frames_received(self, exchange: str, kind: str, count: int) -> None:
        self._frames.labels(exchange, kind).inc(count)

    def frame_refused(self, exchange: str, reason: str) -> None:
        self._refused.labels(exchange, reason).inc()

    def connection_changed(self, exchange: str, connected: bool) -> None:
        self._connected.labels(exchange).set(connected)

    def connection_failed(self, exchange: str, reason: str) -> None:
        self._errors.labels(exchange, reason).inc()

    def subscription_deaf(self, pair: Pair) -> None:
        self._deaf.labels(str(pair)).inc()
