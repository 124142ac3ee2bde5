"""Maps the error tree to HTTP statuses and JSON bodies."""

import logging

import msgspec
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ltp_service.domain import errors
from ltp_service.http import shapes
from ltp_service.http.answers import RETRY_AFTER_SECONDS, json_response
from ltp_service.http.nearest_route import nearest_route
from ltp_service.http.path import documented
from ltp_service.http.problems import PROBLEMS
from ltp_service.http.request_note import note_of

log = logging.getLogger(__name__)

CHALLENGE = 'ApiKey realm="ltp_service", header="X-API-Key"'
"""What a 401 must say (RFC 9110, section 11.6.1). The scheme is our own: with a registered one a browser would ask
for a password."""

OUR_FAULT = PROBLEMS["INTERNAL_ERROR"].example

_CODES = {problem.error: code for code, problem in PROBLEMS.items() if problem.error}
_ROUTING = {PROBLEMS[code].status: code for code in ("NOT_FOUND", "METHOD_NOT_ALLOWED")}


def encoded_error(code: str, message: str, request_id: str) -> bytes:
    """The body of an error as bytes, for answers without Flask."""
    return msgspec.json.encode(shapes.Error(code, message, code, request_id))


def headers_of(content: bytes) -> list[tuple[str, str]]:
    """The headers that go with such a body."""
    return [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
    ]


def register(app: Flask) -> None:
    """Has every error of every route answered with JSON."""
    app.register_error_handler(errors.LtpError, answer_to)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def answer_to(error: errors.LtpError) -> Response:
    """The response for an error."""
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), None)
    if code is None:
        return _unexpected(error)
    status = PROBLEMS[code].status
    if isinstance(error, errors.StoreUnavailable):
        log.error("%s", error, extra={"once_a_minute": ("store", str(error))})
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    if status in (429, 503):
        headers["Retry-After"] = str(
            max(1, round(getattr(error, "retry_after", None) or RETRY_AFTER_SECONDS))
        )
    return _respond(status, code, str(error), headers)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if 300 <= status < 400:  # a routing redirect is an answer, not an error
        return Response(error.get_response(request.environ).data, status, error.get_headers())
    code = _ROUTING.get(status, "INVALID_PARAMETER" if status < 500 else "INTERNAL_ERROR")
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _respond(status, code, _what_to_do(error), headers)


def _what_to_do(error: HTTPException) -> str:
    """Repeats nothing that the client sent."""
    if isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(error.valid_methods or ()))
        return f"this route takes {methods}; ask with one of these. /docs describes every route"
    if error.code != 404:
        return error.description or error.name
    routes = [documented(rule.rule) for rule in current_app.url_map.iter_rules()]
    nearest = nearest_route(request.path, routes)
    hint = f"; the nearest one is {nearest}" if nearest else ""
    return f"no route has this path{hint}. /docs describes every route"


def _unexpected(error: Exception) -> Response:
    log.error("request failed by our own fault", exc_info=error)
    return _respond(500, "INTERNAL_ERROR", OUR_FAULT, {})


def _respond(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    request_id = note_of(request.environ).request_id
    return json_response(shapes.Error(code, message, code, request_id), status, headers)
