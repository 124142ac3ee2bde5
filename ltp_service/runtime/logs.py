"""Log lines: one JSON object each, from every library; the same complaint at most once a minute."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import gunicorn.glogging
import msgspec

from ltp_service.meters import LOG_LINES_DROPPED, Meters
from ltp_service.runtime.line_writer import ATOMIC_WRITE_BYTES, LineWriter, as_text
from ltp_service.runtime.moments import to_the_second
from ltp_service.runtime.once_a_minute import OnceAMinute
from ltp_service.runtime.request_id import current_request_id
from ltp_service.version import VERSION

SERVICE_NAME = "btc-ltp-service"
LATE_LINES_EVERY_SECONDS = 0.2
"""Seconds between two attempts to write lines that a slow reader did not take."""

STDOUT, STDERR = LineWriter(1), LineWriter(2)
"""The writers of all lines, of the access log too."""

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder(enc_hook=str).encode


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """The envelope of every log line."""

    timestamp: str
    level: str
    message: str
    request_id: str | None
    service: str
    version: str
    fields: object


def timestamp(unix_seconds: float) -> str:
    """`2026-11-21T00:46:21.123Z`."""
    return f"{to_the_second(int(unix_seconds))}.{int(unix_seconds * 1000) % 1000:03d}Z"


def envelope(level: str, message: str, request_id: str | None, moment: float, fields: object) -> bytes:
    """One line, without the line end, shorter than ATOMIC_WRITE_BYTES. `moment` in unix seconds."""
    at = timestamp(moment)
    line = _encode(LogLine(at, level, message, request_id, SERVICE_NAME, VERSION, fields))
    if len(line) < ATOMIC_WRITE_BYTES:
        return line
    for most in _SHORTER:
        less = {name: _cut(text, most) for name, text in msgspec.to_builtins(fields, enc_hook=str).items()}
        line = _encode(LogLine(at, level, _cut(message, most), request_id, SERVICE_NAME, VERSION, less))
        if len(line) < ATOMIC_WRITE_BYTES:
            break
    return line


_SHORTER = (2000, 500, 60)
"""Characters left of each text of a line that is too long; a control character takes six bytes."""


def _cut(value: Any, most: int) -> Any:
    """A long text without its middle: the start of a trace says where the error was, its end what it was."""
    if not isinstance(value, str) or len(value) <= most:
        return value
    return f"{value[: most // 4]} [{len(value) - most} characters left out] {value[-(most - most // 4) :]}"


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
    """Lines for people; a trace follows on its own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name for it
        line = f"{timestamp(record.created)} {record.levelname:7} {record.name}: {record.message}"
        if held_back := getattr(record, "held_back", 0):
            line += f" ({held_back} more held back)"
        return f"{line} {request_id}" if (request_id := current_request_id.get()) else line


class ServerLog(gunicorn.glogging.Logger):
    """gunicorn's own lines in this format, and no access log beside the edge's."""

    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True
        self.error_log.handlers.clear()

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Does nothing, because the edge logs the requests."""


class LineHandler(logging.Handler):
    """Writes every record as whole lines."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 - as in logging: a record that cannot be formatted ends nothing
            self.handleError(record)


class LateLines:
    """Runner: writes lines that a slow reader did not take at once, and logs how many were dropped."""

    name = "late_lines"

    def __init__(self, meters: Meters, writers: Sequence[LineWriter] = (STDOUT, STDERR)) -> None:
        self._meters = meters
        self._writers = writers
        self._counted = 0
        self._told = 0

    def run(self, stop: Event) -> None:
        while not stop.wait(LATE_LINES_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Writes and counts once."""
        for writer in self._writers:
            writer.settle()
        dropped = sum(writer.dropped for writer in self._writers)
        if dropped > self._counted:
            self._meters.count(LOG_LINES_DROPPED, amount=dropped - self._counted)
            self._counted = dropped
        elif dropped > self._told and not any(writer.is_behind() for writer in self._writers):
            lost, self._told = dropped - self._told, dropped
            log.warning("%d log line(s) were dropped, because their reader did not read them", lost)


def finish(timeout: float) -> None:
    """Writes the last lines of a process. Waits at most `timeout` seconds for each of the two readers."""
    for writer in (STDOUT, STDERR):
        writer.finish(timeout)


def style_of(log_format: str, descriptor: int = STDOUT.descriptor) -> str:
    """`json` or `text`; what `auto` means depends on who reads: a person at a terminal, or a program."""
    if log_format != "auto":
        return log_format
    return "text" if os.isatty(descriptor) else "json"


def configure(level: str, style: str, monotonic: Callable[[], float], writer: LineWriter = STDOUT) -> None:
    """One handler on stdout for every logger of the process."""
    handler = LineHandler(writer)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    handler.addFilter(OnceAMinute(monotonic))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def take_over_streams() -> None:
    """Sends the output of `print`, broken greenlets and warnings through the same writers, which never block."""
    sys.stdout, sys.stderr = as_text(STDOUT), as_text(STDERR)
