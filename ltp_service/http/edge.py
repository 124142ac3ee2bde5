"""A thin WSGI layer in front of Flask. Every answer, of Flask or not, gets its id, rate limit, headers, metrics and log
line here."""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Any

from ltp_service.assembly.limits import Limiter
from ltp_service.http import params
from ltp_service.http.access_log import AccessLog
from ltp_service.http.answers import RETRY_AFTER_SECONDS
from ltp_service.http.cache_turn import ASKED_AT, Turn, read_turn
from ltp_service.http.client_address import client_address, limit_key
from ltp_service.http.errors import OUR_FAULT, encoded_error
from ltp_service.http.fast_lane import ROUTE, FastLane, Ready, is_known
from ltp_service.http.gunicorn_send import send
from ltp_service.http.headers import FOR_JSON, FOR_PAGES, Cors, is_preflight
from ltp_service.http.long_polls import LongPolls
from ltp_service.http.path import normal_path
from ltp_service.http.request_note import RequestNote, put_note
from ltp_service.http.turns import Turns
from ltp_service.limits.bucket import LimitDecision
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.observer import Observer
from ltp_service.runtime.request_id import RequestIds, current_request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

LIMITED_PATHS = ("/api/", "/collectors/", "/auth/", "/debug/")
"""Beginnings of the paths that count against the rate limit."""

AGED_AGAIN = 1.0
"""Seconds between two looks at an answer that a client wants only while its evidence is young."""

MAX_COUNTED_BYTES = 1 << 20
"""Most bytes counted of one request: a client may announce more than a counter holds."""

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


@dataclass(frozen=True)
class EdgeParts:
    """The parts that the edge uses."""

    lane: FastLane
    lane_is_open: bool
    """Whether the fast lane may answer without a key; else Flask checks the key first."""
    long_polls: LongPolls
    limiter: Limiter | None
    cors: Cors
    clock: Clock
    observer: Observer
    access_log: AccessLog | None
    trusted_proxies: int
    """Number of proxies whose X-Forwarded-For is trusted."""
    routes: frozenset[str]
    """The application's routes, for answers that are given before Flask."""
    turns: Turns | None
    """None where each request has a thread of its own."""


class Edge:
    """WSGI middleware."""

    def __init__(self, app: "WSGIApplication", parts: EdgeParts) -> None:
        self._app = app
        self._lane = parts.lane
        self._open_lane = parts.lane if parts.lane_is_open else None
        self._long_polls = parts.long_polls
        self._limiter = parts.limiter
        self._cors = parts.cors
        self._monotonic = parts.clock.monotonic
        self._wall = parts.clock.wall
        self._observer = parts.observer
        self._access_log = parts.access_log
        self._trusted_proxies = parts.trusted_proxies
        self._routes = parts.routes
        self._turns = parts.turns
        self._ids = RequestIds(os.urandom)

    def __call__(self, environ: Environ, start_response: "StartResponse") -> Iterable[bytes]:
        started_at = self._monotonic()
        request_id = self._ids.accept(environ.get("HTTP_X_REQUEST_ID"))
        current_request_id.set(request_id)
        note = RequestNote(request_id)
        headers: Headers = [("X-Request-ID", request_id), *self._cors.answer(environ.get("HTTP_ORIGIN"))]
        status, sent, content = self._answer(environ, note, headers)
        headers += FOR_PAGES if note.page else FOR_JSON
        code = int(status[:3])
        seconds = self._monotonic() - started_at - note.waited
        method = environ["REQUEST_METHOD"]
        self._observer.answered(
            method if method in _METHODS else "OTHER", note.route, code, seconds, _received(environ), sent
        )
        moment = self._wall()
        if self._access_log is not None:
            traceparent = environ.get("HTTP_TRACEPARENT")
            path, hit = environ["PATH_INFO"], note.cache_hit
            self._access_log.add(
                (moment, request_id, method, path, code, seconds, hit, note.pairs, traceparent)
            )
        content = send(start_response, status, headers, content, moment)
        current_request_id.set(None)  # later log lines of this connection are not about this request
        return content

    def _answer(
        self, environ: Environ, note: RequestNote, headers: Headers
    ) -> tuple[str, int, Iterable[bytes]]:
        """Status, bytes of body, and body; adds to `headers`."""
        path = environ["PATH_INFO"]
        if path != ROUTE:  # nearly all are this one, and it is normal
            note.asked = path
            path = environ["PATH_INFO"] = normal_path(path)
        if ASKED_AT in environ and path == ROUTE and self._trusted_proxies:
            turn = read_turn(environ[ASKED_AT])
            if turn is not None:
                return self._answer_cache(environ, note, headers, turn)
        return self._limited(environ, note, headers, path)

    def _answer_cache(
        self, environ: Environ, note: RequestNote, headers: Headers, turn: Turn
    ) -> tuple[str, int, Iterable[bytes]]:
        """Answers nginx's micro-cache: an answer in its half second, or a redirect to the cache."""
        told = len(headers)
        if turn.waited:
            answer = self._routed(environ, note, headers, ROUTE)
            if answer[0] != "200 OK":  # the cache does not keep it, so it costs a token as without a cache
                given = headers[told:]
                del headers[told:]
                if refusal := self._refusal(environ, note, headers, ROUTE):
                    return refusal
                headers += given
        else:
            answer = self._limited(environ, note, headers, ROUTE)
        if answer[0] == "200 OK" and (turn.waited or self._wall() >= turn.ends_at):
            # A request that waited gets no price here, so it pays no token.
            headers[told:] = [("X-Accel-Redirect", f"{ROUTE}?{environ['QUERY_STRING']}")]
            return "204 NO CONTENT", 0, ()
        return answer

    def _limited(
        self, environ: Environ, note: RequestNote, headers: Headers, path: str
    ) -> tuple[str, int, Iterable[bytes]]:
        return self._refusal(environ, note, headers, path) or self._routed(environ, note, headers, path)

    def _refusal(
        self, environ: Environ, note: RequestNote, headers: Headers, path: str
    ) -> tuple[str, int, Iterable[bytes]] | None:
        """The 429 for a client without a token; None after taking one."""
        if self._limiter is None or not path.startswith(LIMITED_PATHS):
            return None
        decision = self._limiter.take(self._limit_key(environ))
        self._observer.limited(decision.allowed, decision.remaining)
        headers += _limit_headers(decision)
        if decision.allowed:
            return None
        self._note_route(note, path)
        return _refused(note, headers, decision.retry_after)

    def _routed(
        self, environ: Environ, note: RequestNote, headers: Headers, path: str
    ) -> tuple[str, int, Iterable[bytes]]:
        if path == ROUTE and "HTTP_PREFER" in environ:
            return self._answer_changed(environ, note, headers)
        return self._answer_now(environ, note, headers, path)

    def _answer_changed(
        self, environ: Environ, note: RequestNote, headers: Headers
    ) -> tuple[str, int, Iterable[bytes]]:
        """Waits for another answer than the client has, at most as long as it asks; returns the answer then."""
        seconds = params.wait(environ.pop("HTTP_PREFER"))
        told = len(headers)
        if seconds:
            self._long_polls.queue()
        answer = self._answer_now(environ, note, headers, ROUTE)
        if not (seconds and answer[0].startswith("304")):
            return answer
        pairs = self._lane.watched(environ["QUERY_STRING"])
        client = environ.get("gunicorn.socket")
        begun_at = self._monotonic()
        with self._long_polls.hold(self._limit_key(environ), pairs, client, seconds) as held:
            if held is None:
                del headers[told:]
                return _no_place(note, headers)
            until = self._monotonic()
            while answer[0].startswith("304") and held.wait(until):
                answer, until = self._look(environ, note, headers, told)
            if answer[0].startswith("304") and self._monotonic() >= begun_at + seconds:
                answer, _ = self._look(
                    environ, note, headers, told
                )  # time alone may have made it another one
        note.waited = self._monotonic() - begun_at
        return answer

    def _look(
        self, environ: Environ, note: RequestNote, headers: Headers, told: int
    ) -> tuple[tuple[str, int, Iterable[bytes]], float]:
        """The answer now, and the monotonic moment from which on it may be another one without a trade."""
        del headers[told:]
        ready = self._lane.answer(environ)
        if ready is not None:
            return _ready(environ, note, headers, ready), ready.until
        is_aged = "max_age" in environ["QUERY_STRING"] or "HTTP_CACHE_CONTROL" in environ
        until = self._monotonic() + AGED_AGAIN if is_aged else inf
        return self._from_flask(environ, note, headers), until

    def _answer_now(
        self, environ: Environ, note: RequestNote, headers: Headers, path: str
    ) -> tuple[str, int, Iterable[bytes]]:
        if path == ROUTE and self._open_lane is not None and (ready := self._open_lane.answer(environ)):
            return _ready(environ, note, headers, ready)
        origin = environ.get("HTTP_ORIGIN")
        if origin and is_preflight(
            environ["REQUEST_METHOD"], origin, environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        ):
            self._note_route(note, path)
            headers[1:] = self._cors.preflight(origin)
            return "204 NO CONTENT", 0, ()
        return self._from_flask(environ, note, headers)

    def _note_route(self, note: RequestNote, path: str) -> None:
        if path in self._routes:  # a route with a name in it stays `unmatched`: only Flask could match it
            note.route = path

    def _limit_key(self, environ: Environ) -> str:
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR") if self._trusted_proxies else None
        if forwarded_for is None:
            return _key_of_peer(environ["REMOTE_ADDR"])
        return limit_key(client_address(environ["REMOTE_ADDR"], forwarded_for, self._trusted_proxies))

    def _from_flask(
        self, environ: Environ, note: RequestNote, headers: Headers
    ) -> tuple[str, int, Iterable[bytes]]:
        if self._turns is not None:
            self._turns.wait()
        put_note(environ, note)
        begun: list[str] = []

        def start(status: str, given: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
            begun[:] = [status]
            headers.extend(given)
            return lambda _: None

        try:
            content = _whole(self._app(environ, start))
        except Exception as error:
            log.error("the application broke", exc_info=error)
            begun, content = ["500 INTERNAL SERVER ERROR"], _broken(note, headers)
        return begun[0], len(content), (content,)


def _ready(
    environ: Environ, note: RequestNote, headers: Headers, ready: Ready
) -> tuple[str, int, Iterable[bytes]]:
    note.route, note.pairs, note.cache_hit = ROUTE, ready.pairs, not ready.failed
    if is_known(ready, environ):
        headers += ready.unchanged
        return "304 NOT MODIFIED", 0, ()
    headers += ready.headers
    if environ["REQUEST_METHOD"] == "HEAD":
        return ready.status, 0, ()
    return ready.status, len(ready.content), (ready.content,)


def _whole(content: Iterable[bytes]) -> bytes:
    """The content in one piece: half an answer, of a worker killed in between, would not be retried by a proxy."""
    try:
        return b"".join(content)
    finally:
        if close := getattr(content, "close", None):
            close()


def _received(environ: Environ) -> int:
    length = environ.get("CONTENT_LENGTH")
    return min(int(length), MAX_COUNTED_BYTES) if length and length.isdecimal() else 0


@lru_cache(10_000)
def _key_of_peer(peer: str) -> str:
    return limit_key(client_address(peer, None, 0))


@lru_cache(10_000)
def _limit_headers(decision: LimitDecision) -> tuple[tuple[str, str], ...]:
    return (
        ("RateLimit-Limit", str(decision.limit)),
        ("RateLimit-Remaining", str(decision.remaining)),
        ("RateLimit-Reset", str(decision.reset_seconds)),
    )


def _refused(note: RequestNote, headers: Headers, retry_after: int) -> tuple[str, int, Iterable[bytes]]:
    message = f"too many requests from this address; wait {retry_after} s"
    content = encoded_error("RATE_LIMIT_EXCEEDED", message, note.request_id)
    headers.append(("Retry-After", str(retry_after)))
    _dress(headers, content)
    return "429 TOO MANY REQUESTS", len(content), (content,)


def _no_place(note: RequestNote, headers: Headers) -> tuple[str, int, Iterable[bytes]]:
    message = "too many requests wait for a change already; ask without Prefer, or again later"
    content = encoded_error("TOO_MANY_WAITING", message, note.request_id)
    headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
    _dress(headers, content)
    return "503 SERVICE UNAVAILABLE", len(content), (content,)


def _broken(note: RequestNote, headers: Headers) -> bytes:
    content = encoded_error("INTERNAL_ERROR", OUR_FAULT, note.request_id)
    del headers[1:]
    _dress(headers, content)
    return content


def _dress(headers: Headers, content: bytes) -> None:
    headers += [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
    ]
