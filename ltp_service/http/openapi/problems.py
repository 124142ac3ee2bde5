"""Every error answer of the service: its status, its code, an example."""

from http import HTTPStatus
from typing import Any, NamedTuple

from ltp_service.http.openapi.pieces import (
    COMMON_HEADERS,
    LIMIT_HEADERS,
    PAIR,
    TEXT,
    Node,
    answer,
    listing,
    one_of,
    record,
    schema,
)


class ErrorCode(NamedTuple):
    """The status and an example of one error code."""

    status: int
    message: str
    """An example of its message."""
    headers: tuple[str, ...] = ()


PROBLEMS = {
    "INVALID_PARAMETER": ErrorCode(400, "max_age is 'soon'; write seconds, 0 or more"),
    "UNSUPPORTED_PAIR": ErrorCode(400, "DOGE/USD: not served here; see /api/v1/pairs"),
    "API_KEY_MISSING": ErrorCode(
        401, "this route needs a key with write permission in the X-API-Key header", ("WWW-Authenticate",)
    ),
    "API_KEY_INVALID": ErrorCode(401, "the API key is unknown, expired or revoked", ("WWW-Authenticate",)),
    "PERMISSION_DENIED": ErrorCode(403, "this route needs write permission; the key has read"),
    "NOT_FOUND": ErrorCode(
        404, "no route has this path; the nearest one is /api/v1/ltp. /docs describes every route"
    ),
    "METHOD_NOT_ALLOWED": ErrorCode(
        405,
        "this route takes GET, HEAD, OPTIONS; ask with one of these. /docs describes every route",
        ("Allow",),
    ),
    "PRECONDITION_FAILED": ErrorCode(
        412, "no ETag in If-Match is that of the answer now; ask without If-Match for the new one"
    ),
    "RATE_LIMIT_EXCEEDED": ErrorCode(429, "too many requests from this address; wait 1 s", ("Retry-After",)),
    "CACHE_ERROR": ErrorCode(500, "the store of prices does not answer"),
    "INTERNAL_ERROR": ErrorCode(500, "This is our fault; report it with the request_id."),
    "ALL_PRICES_FAILED": ErrorCode(
        503, "No price can be served for any of the pairs asked; try again later", ("Retry-After",)
    ),
    "PRICE_STALE": ErrorCode(503, "BTC/USD: The last known price is older than allowed", ("Retry-After",)),
    "TOO_MANY_WAITING": ErrorCode(
        503,
        "too many requests wait for a change already; ask without Prefer, or again later",
        ("Retry-After",),
    ),
    "PRICE_FETCH_ERROR": ErrorCode(
        503, "BTC/USD: No source has given a price for this pair yet", ("Retry-After",)
    ),
}

OF_THE_QUESTION = ("INVALID_PARAMETER", "PRECONDITION_FAILED")
OF_A_PAIR = ("UNSUPPORTED_PAIR", "PRICE_STALE", "PRICE_FETCH_ERROR")
ANYWHERE = ("CACHE_ERROR", "INTERNAL_ERROR")
OF_KEYS = ("API_KEY_MISSING", "API_KEY_INVALID", "PERMISSION_DENIED")
LIMITED_ANYWHERE = ("RATE_LIMIT_EXCEEDED", *ANYWHERE)

SCHEMAS = {
    "Error": record(
        {
            "error": one_of(*PROBLEMS, description="The same as `code`"),
            "message": {"type": "string", "description": "What happened and what to do, for people"},
            "code": one_of(*PROBLEMS),
            "request_id": {"type": "string", "description": "As in the header X-Request-ID"},
            "errors": listing(
                schema("PairError"), description="When prices were asked: why each pair has none"
            ),
        },
        required=["error", "message", "code", "request_id"],
    ),
    "PairError": record(
        {
            "pair": PAIR,
            "error": {"const": "Failed to fetch price"},
            "code": one_of(*OF_A_PAIR),
            "message": TEXT,
        }
    ),
}


def problems(*codes: str, headers: tuple[str, ...] = LIMIT_HEADERS) -> dict[str, Node]:
    """The answers for these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {str(status): _answer(status, group, headers) for status, group in sorted(by_status.items())}


def error_answers(*codes: str) -> dict[str, Node]:
    """The answers for these codes, and those of every route with a rate limit and a key."""
    return problems(*OF_THE_QUESTION, *codes, *OF_KEYS, *LIMITED_ANYWHERE)


def too_long() -> dict[str, Node]:
    """gunicorn's answer to a request line that is too long."""
    about = "Longer than 4094 bytes with all its parameters"
    return {"414": answer(about, {"application/json": {"schema": schema("Error")}})}


def _answer(status: int, codes: list[str], headers: tuple[str, ...]) -> Node:
    content = {
        "schema": schema("Error"),
        "examples": {code: {"summary": PROBLEMS[code].message, "value": _example(code)} for code in codes},
    }
    more = tuple(name for name in PROBLEMS[codes[0]].headers if name not in headers)
    about = f"{HTTPStatus(status).phrase}: {', '.join(codes)}"
    return answer(about, {"application/json": content}, headers + more)


def _example(code: str) -> dict[str, Any]:
    return {
        "error": code,
        "message": PROBLEMS[code].message,
        "code": code,
        "request_id": "9f86d081884c7d65-2a",
    }


def unrouted() -> dict[str, Node]:
    """The answers to a wrong path or method. No operation has them, so they are components of the document."""
    found = problems("NOT_FOUND", "METHOD_NOT_ALLOWED", headers=COMMON_HEADERS)
    return {"NotFound": found["404"], "MethodNotAllowed": found["405"]}
