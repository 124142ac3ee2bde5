"""One line per request, in the envelope of every other log line; written a moment later, many at once."""

import logging
import re
from collections.abc import Callable
from threading import Event

import msgspec

from ltp_service.runtime.backlog import Backlog
from ltp_service.runtime.logs import STDOUT, envelope, timestamp
from ltp_service.runtime.request_id import trace_id

FLUSH = 0.1
"""Seconds after which a line is written at the latest. A killed worker loses no more than that."""

MOST_WAITING = 100
"""Lines written together: less than a pipe holds."""

_KEY = re.compile(r"(?<=ltp_)([A-Za-z0-9_-]{8})[A-Za-z0-9_-]+")
"""An API key with its prefix, as somebody may put it into a path by mistake."""

Row = tuple[float, str, str, str, int, float, bool | None, int | None, str | None]
"""Unix seconds, request id, method, path, status, seconds it took, from memory, pairs answered, traceparent."""


class Fields(msgspec.Struct, frozen=True, gc=False):
    """What is told of an answered request; never its query, its address or its key."""

    http_method: str
    http_path: str
    http_status_code: int
    duration_ms: float
    cache_hit: bool | None
    pairs_count: int | None
    trace_id: str | None


class AccessLog:
    """Runner, so that no line waits for long."""

    name = "access_log"

    def __init__(self, style: str, write: Callable[[bytes], None] = STDOUT.write) -> None:
        self._tell = _as_json if style == "json" else _as_text
        self._write = write
        self._backlog: Backlog[Row] = Backlog(self._put, MOST_WAITING)
        self.add, self.settle = self._backlog.add, self._backlog.settle

    def run(self, stop: Event) -> None:
        """Writes what waits, and the rest at the end."""
        while not stop.wait(FLUSH):
            self.settle()
        self.settle()

    def _put(self, rows: list[Row]) -> None:
        self._write(b"".join(map(self._tell, rows)))


def open_access_log(level: str, style: str) -> AccessLog | None:
    """None where the level keeps requests out of the log."""
    return AccessLog(style) if logging.getLevelName(level.upper()) <= logging.INFO else None


def _as_json(row: Row) -> bytes:
    moment, request_id, method, path, status, seconds, cache_hit, pairs, traceparent = row
    duration = round(seconds * 1000, 3)
    told = Fields(method, _masked(path), status, duration, cache_hit, pairs, trace_id(traceparent))
    return envelope("info", "HTTP request processed", request_id, moment, told) + b"\n"


def _as_text(row: Row) -> bytes:
    moment, request_id, method, path, status, seconds, *_ = row
    told = f"{method} {_masked(path)!a} {status} {seconds * 1000:.3f} ms {request_id}"
    return f"{timestamp(moment)} INFO    {told}\n".encode()


def _masked(path: str) -> str:
    return _KEY.sub(r"\1***", path) if "ltp_" in path else path
