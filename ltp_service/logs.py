"""Log lines: one JSON object each, whoever wrote them; the same complaint at most once a minute."""

import logging
import os
import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import gunicorn.glogging
import msgspec

from ltp_service.request_id import current_request_id
from ltp_service.version import VERSION

SERVICE = "btc-ltp-service"
HOLD_BACK = 60.0
"""Seconds for which a repeated complaint is only counted."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Line(msgspec.Struct, frozen=True, gc=False):
    """The envelope of every log line."""

    timestamp: str
    level: str
    message: str
    request_id: str | None
    service: str
    version: str
    fields: object


def to_stdout(lines: bytes) -> None:
    """Where all log lines go. A full disk costs the lines, not the requests."""
    with suppress(OSError):
        os.write(1, lines)


def timestamp(unix_seconds: float) -> str:
    """`2026-11-21T00:46:21.123Z`."""
    return f"{_second(int(unix_seconds))}.{int(unix_seconds * 1000) % 1000:03d}Z"


@lru_cache(2)
def _second(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().removesuffix("+00:00")


def envelope(level: str, message: str, request_id: str | None, moment: float, fields: object) -> bytes:
    """One line, without the line end. `moment` in unix seconds."""
    return _encode(Line(timestamp(moment), level, message, request_id, SERVICE, VERSION, fields))


class JsonFormatter(logging.Formatter):
    """The envelope for any library's record."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {"logger": record.name}
        if held_back := getattr(record, "held_back", 0):
            fields["held_back"] = held_back
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        level = "warn" if record.levelname == "WARNING" else record.levelname.lower()
        line = envelope(level, record.getMessage(), current_request_id.get(), record.created, fields)
        return line.decode()


class TextFormatter(logging.Formatter):
    """The same for people; a trace follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name for it
        line = f"{timestamp(record.created)} {record.levelname:7} {record.name}: {record.message}"
        if held_back := getattr(record, "held_back", 0):
            line += f" ({held_back} more held back)"
        return f"{line} {request_id}" if (request_id := current_request_id.get()) else line


class OnceAMinute(logging.Filter):
    """Holds back records whose `once_a_minute` key was logged within a minute, and counts them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key: Hashable = getattr(record, "once_a_minute", None)
        if key is None:
            return True
        now = self._monotonic()
        since, held_back = self._seen.get(key, (-HOLD_BACK, 0))
        if now - since < HOLD_BACK:
            self._seen[key] = (since, held_back + 1)
            return False
        self._seen[key] = (now, 0)
        record.held_back = held_back
        return True


class ServerLog(gunicorn.glogging.Logger):
    """gunicorn's own lines in our form, and no access log beside the edge's."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True
        self.error_log.handlers.clear()

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        return None


def configure(level: str, style: str, monotonic: Callable[[], float]) -> None:
    """One handler on stdout for every logger of the process."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    handler.addFilter(OnceAMinute(monotonic))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
