"""Every error code of the service, with its status and its cause. The answers and the OpenAPI document use this table."""

from typing import NamedTuple

from ltp_service.domain import errors

MESSAGES = {
    "UNSUPPORTED_PAIR": "Unsupported trading pair",
    "PRICE_STALE": "The last evidence for this price is older than max_age or CACHE_TTL allows; ask with a longer max_age, or with allow_stale=true and without max_age",
    "PRICE_FETCH_ERROR": "No source has given a price for this pair yet; ask again in a few seconds",
    "HISTORY_GAP": "Trades are missing around that moment, or may be, so its price is not known; before and after are the known trades next to it",
    "HISTORY_UNKNOWN": "Nothing is known of that moment; ask for a later one",
}
"""Why a pair has no price, by code."""

NOT_KNOWN_YET = "That moment is too recent: whether a trade followed the one in before is not known yet; ask again in a second"
"""Of HISTORY_GAP, for a moment of the last seconds: no trade is missing."""


class Problem(NamedTuple):
    """What one error code stands for."""

    status: int
    example: str
    """A message as it is served."""
    error: type[errors.LtpError] | None = None
    """The error that is answered with this code; None where no error of the tree is."""


PROBLEMS = {
    "INVALID_PARAMETER": Problem(400, "max_age is 'soon'; write seconds, 0 or more", errors.InvalidParameter),
    "UNSUPPORTED_PAIR": Problem(400, "DOGE/USD: not served here; see /api/v1/pairs", errors.UnknownPair),
    "API_KEY_MISSING": Problem(
        401, "this route needs a key with write permission in the X-API-Key header", errors.KeyMissing
    ),
    "API_KEY_INVALID": Problem(
        401, "the API key is not valid; ask an administrator for a new one", errors.KeyInvalid
    ),
    "PERMISSION_DENIED": Problem(
        403, "this route needs write permission; the key has read", errors.NotPermitted
    ),
    "NOT_FOUND": Problem(
        404,
        "no route has this path; the nearest one is /api/v1/ltp. /docs describes every route",
        errors.NotFound,
    ),
    "HISTORY_UNKNOWN": Problem(404, f"BTC/USD: {MESSAGES['HISTORY_UNKNOWN']}"),
    "METHOD_NOT_ALLOWED": Problem(
        405, "this route takes GET, HEAD, OPTIONS; ask with one of these. /docs describes every route"
    ),
    "HISTORY_GAP": Problem(409, f"BTC/USD: {MESSAGES['HISTORY_GAP']}"),
    "PRECONDITION_FAILED": Problem(
        412,
        "no ETag in If-Match is that of the answer now; ask without If-Match for the new one",
        errors.PreconditionFailed,
    ),
    "RATE_LIMIT_EXCEEDED": Problem(429, "too many requests from this address; wait 1 s", errors.RateLimited),
    "TOO_MANY_STREAMS_PER_CLIENT": Problem(
        429,
        "this address has 20 streams open already; close one first",
        errors.TooManyStreamsOfClient,
    ),
    "CACHE_ERROR": Problem(
        500, "Redis at localhost:6379 (REDIS_ADDR) did not answer just now", errors.StoreUnavailable
    ),
    "INTERNAL_ERROR": Problem(500, "This is our fault; report it with the request_id."),
    "NOT_SUPPORTED": Problem(
        501, "streams need WORKER_CLASS=gevent; ask /api/v1/ltp instead", errors.NotSupported
    ),
    "ALL_PRICES_FAILED": Problem(
        503, "No price can be served for any of the pairs asked; try again later", errors.PriceUnavailable
    ),
    "PRICE_STALE": Problem(503, f"BTC/USD: {MESSAGES['PRICE_STALE']}", errors.PriceStale),
    "TOO_MANY_WAITING": Problem(
        503, "too many requests wait for a change already; ask without Prefer, or again later"
    ),
    "TOO_MANY_STREAMS": Problem(
        503, "5000 streams are open here already; try again later", errors.TooManyStreams
    ),
    "HISTORY_ELSEWHERE": Problem(
        503,
        "the history is a file on another machine; set HISTORY_URL to a PostgreSQL in every process of the fleet",
        errors.HistoryElsewhere,
    ),
    "HISTORY_UNAVAILABLE": Problem(
        503,
        "the history cannot be read: database is locked. Prices do not need it. Look at HISTORY_URL, and ask again",
        errors.HistoryUnavailable,
    ),
    "PRICE_FETCH_ERROR": Problem(503, f"ETH/USD: {MESSAGES['PRICE_FETCH_ERROR']}"),
}

OF_A_PAIR = ("UNSUPPORTED_PAIR", "PRICE_STALE", "PRICE_FETCH_ERROR")
"""Codes of a pair without a price."""

OF_A_PAST_PAIR = ("UNSUPPORTED_PAIR", "HISTORY_GAP", "HISTORY_UNKNOWN")
"""Codes of a pair without a price at a moment."""
