"""A thin WSGI layer in front of Flask. Every answer, of Flask or not, gets its id, rate limit, headers, metrics and log
line here."""

import logging
import os
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from math import inf
from typing import TYPE_CHECKING, Any

from ltp_service.assembly.services import Services
from ltp_service.http import params
from ltp_service.http.access_log import MAX_WAITING_LINES, AccessLog
from ltp_service.http.answers import RETRY_AFTER_SECONDS
from ltp_service.http.cache_turn import ASKED_AT, NEAR, Turn, read_turn
from ltp_service.http.client_address import client_address, limit_key
from ltp_service.http.counted import count_answers, count_decisions
from ltp_service.http.errors import OUR_FAULT, encoded_error, headers_of
from ltp_service.http.fast_lane import ROUTE, FastLane, Ready, client_has
from ltp_service.http.gunicorn_send import hand_over, send
from ltp_service.http.headers import FOR_JSON, FOR_PAGES, Cors, is_preflight
from ltp_service.http.long_polls import LongPolls
from ltp_service.http.path import normal_path
from ltp_service.http.problems import PROBLEMS
from ltp_service.http.request_note import RequestNote, put_note
from ltp_service.http.turns import Turns
from ltp_service.limits.buckets import LimitDecision
from ltp_service.runtime.backlog import Backlog
from ltp_service.runtime.request_id import current_request_id, fresh_ids, is_acceptable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

Answered = tuple[str, int, Iterable[bytes]]
"""Status, bytes of body, and body."""

LIMITED_PATHS = ("/api/", "/collectors/", "/auth/", "/debug/", "/mcp")
"""Beginnings of the paths that count against the rate limit."""

AGED_LOOK_EVERY_SECONDS = 1.0
"""Seconds between two looks at an answer that a client wants only while its evidence is young."""

MAX_COUNTED_BYTES = 1 << 20
"""Most bytes counted of one request: a client may announce more than a counter holds."""

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"})


class Edge:
    """WSGI middleware."""

    def __init__(
        self,
        app: "WSGIApplication",
        services: Services,
        lane: FastLane,
        long_polls: LongPolls,
        *,
        access_log: AccessLog | None,
        turns: Turns | None,
        routes: frozenset[str],
    ) -> None:
        """`turns` is None where each request has a thread of its own. `routes` are the application's, for answers that
        are given before Flask."""
        config = services.config
        self._app = app
        self._lane = lane
        # With AUTH_ENABLED Flask checks the key first.
        self._keyless_lane = None if config.auth_enabled else lane
        self._long_polls = long_polls
        self._limiter = services.limiter
        self._cors = Cors(config.cors_origins)
        self._monotonic = services.clock.monotonic
        self._wall = services.clock.wall
        # Appended to without `Backlog.add`, to save a call at each request.
        self._answers = Backlog(partial(count_answers, services.meters), MAX_WAITING_LINES)
        self._decisions = Backlog(partial(count_decisions, services.meters), MAX_WAITING_LINES)
        self._access_log = access_log
        self._trusted_proxies = config.trusted_proxies
        self._routes = routes
        self._turns = turns
        self._fresh_ids = fresh_ids(os.urandom)

    def __call__(self, environ: Environ, start_response: "StartResponse") -> Iterable[bytes]:
        started_at = self._monotonic()
        given, origin = environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_ORIGIN")
        request_id = given if given and is_acceptable(given) else next(self._fresh_ids)
        current_request_id.set(request_id)
        note = RequestNote(request_id)
        cors = self._cors.answer(origin) if origin else self._cors.others
        headers: Headers = [("X-Request-ID", request_id), *cors]
        status, sent, content = self._answer(environ, note, headers)
        headers += FOR_PAGES if note.page else FOR_JSON
        code = int(status[:3])
        seconds = self._monotonic() - started_at - note.waited
        method = environ["REQUEST_METHOD"]
        received = _received(length) if (length := environ.get("CONTENT_LENGTH")) else 0
        if note.stream is None:  # a stream's duration says nothing about this service
            self._answers.append(
                (method if method in _METHODS else "OTHER", note.route, code, seconds, received, sent)
            )
        moment = self._wall()
        if self._access_log is not None:
            traceparent = environ.get("HTTP_TRACEPARENT")
            path, hit = environ["PATH_INFO"], note.cache_hit
            self._access_log.append(
                (moment, request_id, method, path, code, seconds, hit, note.pairs, traceparent)
            )
        if len(self._answers) >= MAX_WAITING_LINES:
            self.settle()
        if note.stream is None:
            content = send(start_response, status, headers, content, moment)
        else:
            note.stream(*hand_over(start_response, status, headers, moment))
            content = ()
        current_request_id.set(None)  # later log lines of this connection are not about this request
        return content

    def settle(self) -> None:
        """Counts and writes what waits."""
        self._answers.settle()
        self._decisions.settle()
        if self._access_log is not None:
            self._access_log.settle()

    def _answer(self, environ: Environ, note: RequestNote, headers: Headers) -> Answered:
        """Adds to `headers`."""
        path = environ["PATH_INFO"]
        if path != ROUTE:  # nearly all are this one, and it is normal
            note.asked = path
            path = environ["PATH_INFO"] = normal_path(path)
        if ASKED_AT in environ and path == ROUTE and self._trusted_proxies and environ["REMOTE_ADDR"] in NEAR:
            turn = read_turn(environ[ASKED_AT])
            if turn is not None:
                return self._answer_cache(environ, note, headers, turn)
        return self._refusal(environ, note, headers, path) or self._routed(environ, note, headers, path)

    def _answer_cache(self, environ: Environ, note: RequestNote, headers: Headers, turn: Turn) -> Answered:
        """Answers nginx's micro-cache, or sends the request back to the cache when its half second is over."""
        own_headers = len(headers)
        if turn.waited:
            answer = self._routed(environ, note, headers, ROUTE)
            if answer[0] != "200 OK":  # the cache does not keep it, so it costs a token as without a cache
                given = headers[own_headers:]
                del headers[own_headers:]
                if refusal := self._refusal(environ, note, headers, ROUTE):
                    return refusal
                headers += given
        else:
            refusal = self._refusal(environ, note, headers, ROUTE)
            answer = refusal or self._routed(environ, note, headers, ROUTE)
        if answer[0] == "200 OK" and (turn.waited or self._wall() >= turn.ends_at):
            # It gets a redirect and no price, so it takes nothing from the rate limit.
            headers[own_headers:] = [("X-Accel-Redirect", f"{ROUTE}?{environ['QUERY_STRING']}")]
            return "204 NO CONTENT", 0, ()
        return answer

    def _refusal(self, environ: Environ, note: RequestNote, headers: Headers, path: str) -> Answered | None:
        """The 429 for a client without a token; None after taking one."""
        if self._limiter is None or not path.startswith(LIMITED_PATHS):
            return None
        decision = self._limiter.take(self._limit_key(environ))
        self._decisions.append((decision.allowed, decision.remaining))
        headers += _limit_headers(decision)
        if decision.allowed:
            return None
        self._note_route(note, path)
        headers.append(("Retry-After", str(decision.retry_after)))
        message = f"too many requests from this address; wait {decision.retry_after} s"
        return _error(note, headers, "429 TOO MANY REQUESTS", "RATE_LIMIT_EXCEEDED", message)

    def _routed(self, environ: Environ, note: RequestNote, headers: Headers, path: str) -> Answered:
        if path == ROUTE:
            if "HTTP_PREFER" in environ:
                return self._answer_changed(environ, note, headers)
            if self._keyless_lane is not None and (ready := self._keyless_lane.answer(environ)):
                return _from_lane(environ, note, headers, ready)
        origin = environ.get("HTTP_ORIGIN")
        if origin and is_preflight(
            environ["REQUEST_METHOD"], origin, environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        ):
            self._note_route(note, path)
            headers[1:] = self._cors.preflight(origin)
            return "204 NO CONTENT", 0, ()
        return self._from_flask(environ, note, headers)

    def _answer_changed(self, environ: Environ, note: RequestNote, headers: Headers) -> Answered:
        """Waits for another answer than the client has, at most as long as it asks; returns the answer then."""
        seconds = params.wait(environ.pop("HTTP_PREFER"))
        own_headers = len(headers)
        if seconds:
            self._long_polls.queue()
        answer = self._routed(environ, note, headers, ROUTE)
        if not (seconds and answer[0].startswith("304")):
            return answer
        pairs = self._lane.watched(environ["QUERY_STRING"])
        client = environ.get("gunicorn.socket")
        begun_at = self._monotonic()
        with self._long_polls.hold(self._limit_key(environ), pairs, client, seconds) as held:
            if held is None:
                headers[own_headers:] = [("Retry-After", str(RETRY_AFTER_SECONDS))]
                message = PROBLEMS["TOO_MANY_WAITING"].example
                return _error(note, headers, "503 SERVICE UNAVAILABLE", "TOO_MANY_WAITING", message)
            until = self._monotonic()
            while answer[0].startswith("304") and held.wait(until):
                answer, until = self._look(environ, note, headers, own_headers)
            if answer[0].startswith("304") and self._monotonic() >= begun_at + seconds:
                # Time alone may have made it another one.
                answer, _ = self._look(environ, note, headers, own_headers)
        note.waited = self._monotonic() - begun_at
        return answer

    def _look(
        self, environ: Environ, note: RequestNote, headers: Headers, own_headers: int
    ) -> tuple[Answered, float]:
        """The answer now, and the monotonic moment from which on it may be another one without a trade."""
        del headers[own_headers:]
        ready = self._lane.answer(environ)
        if ready is not None:
            return _from_lane(environ, note, headers, ready), ready.until
        query = environ["QUERY_STRING"]
        is_aged = "max_age" in query or "HTTP_CACHE_CONTROL" in environ
        by_time = is_aged or self._lane.may_change_unannounced(query)
        until = self._monotonic() + AGED_LOOK_EVERY_SECONDS if by_time else inf
        return self._from_flask(environ, note, headers), until

    def _note_route(self, note: RequestNote, path: str) -> None:
        if path in self._routes:  # a route with a name in it stays `unmatched`: only Flask could match it
            note.route = path

    def _limit_key(self, environ: Environ) -> str:
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR") if self._trusted_proxies else None
        if forwarded_for is None:
            return _key_of_peer(environ["REMOTE_ADDR"])
        return limit_key(client_address(environ["REMOTE_ADDR"], forwarded_for, self._trusted_proxies))

    def _from_flask(self, environ: Environ, note: RequestNote, headers: Headers) -> Answered:
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
            del headers[1:]
            return _error(note, headers, "500 INTERNAL SERVER ERROR", "INTERNAL_ERROR", OUR_FAULT)
        if not begun[0].startswith("200"):
            note.stream = None  # the stream was refused after it had been prepared, for example by If-Match
        return begun[0], len(content), (content,)


def _from_lane(environ: Environ, note: RequestNote, headers: Headers, ready: Ready) -> Answered:
    note.route, note.pairs, note.cache_hit = ROUTE, len(ready.ticks), not ready.failed
    if "HTTP_IF_NONE_MATCH" in environ and client_has(ready, environ["HTTP_IF_NONE_MATCH"]):
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


def _received(length: str) -> int:
    return min(int(length), MAX_COUNTED_BYTES) if length.isdecimal() else 0


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


def _error(note: RequestNote, headers: Headers, status: str, code: str, message: str) -> Answered:
    content = encoded_error(code, message, note.request_id)
    headers += headers_of(content)
    return status, len(content), (content,)
