"""`GET /metrics`, and the runner that sets the gauges of a worker that is not scraped."""

import gzip
import os
from collections.abc import Callable
from math import inf
from threading import Event, Lock
from typing import Any

from flask import Flask, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_flask_exporter import PrometheusMetrics

from ltp_service.metrics.counting import Metrics
from ltp_service.metrics.merged import MergedFiles

REFRESH_EVERY_SECONDS = 1.0
"""Seconds between two updates of the gauges, and for which all scrapes get the same text."""

GZIP_LEVEL = 1
"""Takes a third of the time of the default level, for a tenth more bytes (measured)."""


class Gauges:
    """Runner: updates the gauges between scrapes, because a scrape asks only one of several workers."""

    name = "gauges"

    def __init__(self, show: Callable[[], None]) -> None:
        self._show = show

    def run(self, stop: Event) -> None:
        """Updates them every REFRESH_EVERY_SECONDS, and at the end, so that no waiting event is lost."""
        while not stop.wait(REFRESH_EVERY_SECONDS):
            self._show()
        self._show()


class Exposition:
    """The text that Prometheus reads, made at most once in REFRESH_EVERY_SECONDS.

    Making it takes milliseconds of processor time, in which no price is served and no frame is read.
    """

    def __init__(self, make: Callable[[], tuple[str, str]], monotonic: Callable[[], float]) -> None:
        self._make = make
        self._monotonic = monotonic
        self._lock = Lock()
        self._made_at = -inf
        self._content = self._compressed = b""
        self._content_type = ""

    def answer(self, *, compressed: bool) -> tuple[bytes, str]:
        """The text, gzipped if asked, and its content type."""
        with self._lock:
            now = self._monotonic()
            if now - self._made_at >= REFRESH_EVERY_SECONDS:
                text, self._content_type = self._make()
                self._content, self._compressed = text.encode(), b""
                self._made_at = now
            if not compressed:
                return self._content, self._content_type
            if not self._compressed:
                self._compressed = gzip.compress(self._content, GZIP_LEVEL)
            return self._compressed, self._content_type


def serve_metrics(
    app: Flask, metrics: Metrics, show: Callable[[], None], monotonic: Callable[[], float]
) -> None:
    """Adds `GET /metrics` over all workers, without hooks on other requests."""

    def make() -> tuple[str, str]:
        show()
        registry = metrics.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MergedFiles(registry)  # type: ignore[no-untyped-call]
        # `name[]` and Accept are ignored, because the exporter raises for some of their values.
        encode, content_type = choose_encoder("")
        return encode(registry).decode(), content_type

    exposition = Exposition(make, monotonic)

    def prometheus_metrics() -> Any:
        compressed = bool(request.accept_encodings["gzip"])
        content, content_type = exposition.answer(compressed=compressed)
        headers = {"Content-Type": content_type, "Vary": "Accept-Encoding"}
        return content, 200, headers | ({"Content-Encoding": "gzip"} if compressed else {})

    PrometheusMetrics(
        app,
        path="/metrics",
        registry=metrics.registry,
        export_defaults=False,
        metrics_decorator=lambda _: prometheus_metrics,
    )
