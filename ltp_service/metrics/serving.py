"""`GET /metrics`, and what keeps a worker's gauges true when another one is asked."""

from collections.abc import Callable
from threading import Event
from typing import Any

from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

from ltp_service.metrics.counting import Metrics

REFRESH = 1.0
"""Seconds between two settings of the gauges."""


class Gauges:
    """Runner: keeps the gauges true between scrapes, for those workers that are not asked."""

    name = "gauges"

    def __init__(self, show: Callable[[], None]) -> None:
        self._show = show

    def run(self, stop: Event) -> None:
        """Sets them every second, and a last time so that nothing counted gets lost."""
        while not stop.wait(REFRESH):
            self._show()
        self._show()


def serve_metrics(app: Flask, metrics: Metrics, show: Callable[[], None]) -> None:
    """`GET /metrics`: the sum or the newest over all workers, without hooks on other requests."""

    def prometheus_metrics() -> Any:
        show()
        # Of what a client may want otherwise, in `name[]` or Accept, the exporter breaks at some.
        content, content_type = exporter.generate_metrics()
        return content, 200, {"Content-Type": content_type}

    exporter = PrometheusMetrics(
        app,
        path="/metrics",
        registry=metrics.registry,
        export_defaults=False,
        metrics_decorator=lambda _: prometheus_metrics,
    )
