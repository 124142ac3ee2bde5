"""`GET /metrics`, and the runner that sets the gauges of a worker that is not scraped.

A text of a thousand pairs takes tens of milliseconds, so there are pauses for other greenlets between its parts.
"""

import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from pathlib import Path
from threading import Event, Lock
from typing import Any

from flask import Flask, request
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics

from ltp_service.metrics.counting import Metrics
from ltp_service.metrics.folder import shared_folder
from ltp_service.metrics.merged import MergedFiles, read_reports, write_report
from ltp_service.metrics.pairs import METRIC_PREFIX, Report, lines
from ltp_service.runtime.pauses import Pauses
from ltp_service.runtime.runtime import Runtime

log = logging.getLogger(__name__)

REFRESH_EVERY_SECONDS = 1.0
"""Seconds between two updates of the gauges, and for which all scrapes get the same text."""

GZIP_LEVEL = 1
"""Takes a third of the time of the default level, for a tenth more bytes (measured)."""

PACKED_AT_ONCE = 1 << 17
"""Bytes of text between two pauses; to compress them takes a millisecond."""


class Gauges:
    """Runner: updates the gauges between scrapes, because a scrape asks only one of several workers."""

    name = "gauges"

    def __init__(self, show: Callable[[], object]) -> None:
        self._show = show

    def run(self, stop: Event) -> None:
        """Updates them every REFRESH_EVERY_SECONDS, and at the end, so that no waiting event is lost."""
        while not stop.wait(REFRESH_EVERY_SECONDS):
            self._show()
        self._show()


class Exposition:
    """The text that Prometheus reads, made at most once in REFRESH_EVERY_SECONDS."""

    def __init__(self, make: Callable[[Pauses], Iterable[str]], runtime: Runtime) -> None:
        """`make` gives the parts of the text, and may pause while it makes one."""
        self._make = make
        self._monotonic, self._sleep = runtime.clock.monotonic, runtime.sleep
        self._lock = Lock()
        self._made_at = -inf
        self._parts: Sequence[bytes] = ()
        self._compressed = b""

    def answer(self, *, compressed: bool) -> bytes:
        """The text, gzipped if asked."""
        with self._lock:
            now, pause = self._monotonic(), Pauses(self._monotonic, self._sleep)
            if now - self._made_at >= REFRESH_EVERY_SECONDS:
                self._parts = [part.encode() for part in self._make(pause)]
                self._compressed, self._made_at = b"", now
            if not compressed:
                return b"".join(self._parts)
            if not self._compressed:
                self._compressed = b"".join(_gzipped(self._parts, pause))
            return self._compressed


def _gzipped(parts: Iterable[bytes], pause: Pauses) -> Iterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)  # 16 means gzip's own header
    for part in parts:
        for begin in range(0, len(part), PACKED_AT_ONCE):
            yield packer.compress(part[begin : begin + PACKED_AT_ONCE])
            pause()
    yield packer.flush()


class _One(Collector):
    """One metric, as the library's encoder takes it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def serve_metrics(app: Flask, metrics: Metrics, show: Callable[[], Report], runtime: Runtime) -> None:
    """Adds `GET /metrics` over all workers, without hooks on other requests."""
    # `name[]` and Accept are ignored, because the exporter raises for some of their values.
    encode, content_type = choose_encoder("")

    def make(pause: Pauses) -> Iterator[str]:
        folder, merged = shared_folder(), {}
        report = show()
        if folder is not None:
            try:
                write_report(report, folder, os.getpid())
                families = MergedFiles(None, folder).collect()  # type: ignore[no-untyped-call]
                report, merged = read_reports(folder), {family.name: family for family in families}
            except OSError as error:
                _tell_alone(folder, error)
                folder = None
        for meter, own in metrics.families():
            pause()
            if own is None:
                yield lines(meter, report, pause)
            elif folder is None:
                yield encode(own).decode()
            elif family := merged.get(METRIC_PREFIX + meter.name.removesuffix("_total")):
                yield encode(_One(family)).decode()

    exposition = Exposition(make, runtime)

    def prometheus_metrics() -> Any:
        compressed = bool(request.accept_encodings["gzip"])
        headers = {"Content-Type": content_type, "Vary": "Accept-Encoding"}
        content = exposition.answer(compressed=compressed)
        return content, 200, headers | ({"Content-Encoding": "gzip"} if compressed else {})

    PrometheusMetrics(
        app,
        path="/metrics",
        registry=metrics.registry,
        export_defaults=False,
        metrics_decorator=lambda _: prometheus_metrics,
    )


def _tell_alone(folder: Path, error: OSError) -> None:
    log.warning(
        "PROMETHEUS_MULTIPROC_DIR: %s cannot be used (%s), and /metrics shows the numbers of one worker alone; make room"
        " there, or let the user of the service write there",
        folder,
        error.strerror,
        extra={"once_a_minute": ("metrics folder",)},
    )
