"""One thin WSGI layer in front of Flask: request id and access log for every answer, errors included."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ltp_service.clock import Clock
from ltp_service.logs import envelope
from ltp_service.request_id import RequestIds, current_request_id
from ltp_service.request_note import RequestNote, leave

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

Environ = dict[str, Any]


def to_stdout(line: bytes) -> None:
    """One log line where every other log line goes."""
    sys.stdout.write(f"{line.decode()}\n")
    sys.stdout.flush()


class Edge:
    """WSGI middleware."""

    def __init__(
        self, app: "WSGIApplication", clock: Clock, write_line: Callable[[bytes], None] = to_stdout
    ) -> None:
        self._app = app
        self._clock = clock
        self._write_line = write_line
        self._ids = RequestIds(os.urandom)

    def __call__(self, environ: Environ, start_response: "StartResponse") -> Iterable[bytes]:
        started_at = self._clock.monotonic()
        request_id = self._ids.accept(environ.get("HTTP_X_REQUEST_ID"))
        current_request_id.set(request_id)
        note = RequestNote(request_id)
        leave(environ, note)
        statuses: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses.append(status)
            headers.append(("X-Request-ID", request_id))
            return start_response(status, headers, exc_info)

        body = self._app(environ, start)
        self._log(environ, note, statuses[-1], started_at)
        return body

    def _log(self, environ: Environ, note: RequestNote, status: str, started_at: float) -> None:
        fields = {
            "http_method": environ["REQUEST_METHOD"],
            "http_path": environ["PATH_INFO"],
            "http_status_code": int(status[:3]),
            "duration_ms": round((self._clock.monotonic() - started_at) * 1000, 3),
            "cache_hit": note.cache_hit,
            "pairs_count": note.pairs,
        }
        line = envelope("info", "HTTP request processed", note.request_id, self._clock.wall(), fields)
        self._write_line(line)
