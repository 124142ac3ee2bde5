"""The access log: one line per request, in the form of every log line; many are written together."""

import logging
import re
from collections.abc import Callable
from threading import Event

import msgspec

from ltp_service.runtime.backlog import Backlog
from ltp_service.runtime.logs import STDOUT, envelope, timestamp
from ltp_service.runtime.request_id import trace_id

FLUSH_EVERY_SECONDS = 0.1
"""Seconds after which a line is written at the latest. A killed worker loses the lines of that time."""

MAX_WAITING_LINES = 100
"""Lines that wait at most, and are written together: less than a pipe holds."""

_KEY = re.compile(r"(?<=ltp_)([A-Za-z0-9_-]{8})[A-Za-z0-9_-]+")
"""An API key in a path, where a client may put it by mistake."""

Row = tuple[float, str, str, str, int, float, bool | None, int | None, str | None]
"""Unix seconds, request id, method, path, status, duration in seconds, from memory, pairs answered, traceparent."""


class Fields(msgspec.Struct, frozen=True, gc=False):
    """What is logged of a request; never its query, the client's address or the key."""

    http_method: str
    http_path: str
    http_status_code: int
    duration_ms: float
    cache_hit: bool | None
    pairs_count: int | None
    trace_id: str | None


class AccessLog:
    """Runner: writes the waiting lines every FLUSH_EVERY_SECONDS."""

    name = "access_log"

    def __init__(self, style: str, write: Callable[[bytes], None] = STDOUT.write) -> None:
        self._tell = _as_json if style == "json" else _as_text
        self._write = write
        self._backlog: Backlog[Row] = Backlog(self._put, MAX_WAITING_LINES)
        self.append, self.settle = self._backlog.append, self._backlog.settle

    def run(self, stop: Event) -> None:
        """Writes the waiting lines until `stop` is set, and the rest then."""
        while not stop.wait(FLUSH_EVERY_SECONDS):
            self.settle()
        self.settle()

    def _put(self, rows: list[Row]) -> None:
        self._write(b"".join(map(self._tell, rows)))


def open_access_log(level: str, style: str) -> AccessLog | None:
    """The access log; None where the log level leaves requests out."""
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
