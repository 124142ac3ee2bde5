"""Security and CORS headers.

They are built once. Nothing that a client sends is ever written into them.
"""

from collections.abc import Collection

from ltp_service.http.client_address import is_loopback_host

Headers = tuple[tuple[str, str], ...]

ANY_ORIGIN = "*"

PREFLIGHT_SECONDS = 7200
"""Seconds for which a browser may remember a preflight: the longest that Chromium accepts
(developer.mozilla.org, Access-Control-Max-Age)."""

_METHODS = "GET, HEAD, POST, DELETE"
_REQUEST_HEADERS = (
    "Cache-Control, Content-Type, If-None-Match, Last-Event-ID, Mcp-Method, Mcp-Name, MCP-Protocol-Version, Prefer,"
    " traceparent, X-API-Key, X-Request-ID"
)
_EXPOSED = "X-Request-ID, X-Price-Source, Retry-After, ETag, Link, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"


def _security(policy: str) -> Headers:
    return (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
        ("Content-Security-Policy", policy),
    )


FOR_JSON = _security("default-src 'none'; frame-ancestors 'none'")
"""Security headers of JSON, which a browser must never execute."""

FOR_PAGES = _security(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Security headers of a page: scripts, workers and styles from the service's files, requests to this service only."""


class Cors:
    """Which pages of other origins may read answers; never with cookies, because an API key is sent on purpose.

    `origins`: exact ones, as a browser writes them (`https://example.org`), or `*` alone; without any no page may.
    """

    def __init__(self, origins: Collection[str]) -> None:
        # A shared cache gives one browser the answer to another one, or to a program without Origin. So answers
        # that depend on the origin always have Vary, and with `*` no answer depends on it.
        exact = [origin for origin in origins if origin != ANY_ORIGIN]
        vary: Headers = (("Vary", "Origin"),) if exact else ()
        self.others = _readable(ANY_ORIGIN) if ANY_ORIGIN in origins else vary
        """Headers for any answer to a request without Origin."""
        self._answers = {origin: _readable(origin) + vary for origin in exact}
        self._other_preflights = _askable(ANY_ORIGIN) if ANY_ORIGIN in origins else vary
        self._preflights = {origin: _askable(origin) + vary for origin in exact}

    def answer(self, origin: str | None) -> Headers:
        """Headers for any answer but a preflight's; `origin` is the request's header."""
        return self._answers.get(origin, self.others) if origin else self.others

    def preflight(self, origin: str) -> Headers:
        """Headers for the 204 that answers a preflight; an unknown origin gets no permission."""
        return self._preflights.get(origin, self._other_preflights)


def is_preflight(method: str, origin: str | None, requested_method: str | None) -> bool:
    """Whether this is a preflight: OPTIONS with Origin and Access-Control-Request-Method."""
    return method == "OPTIONS" and origin is not None and requested_method is not None


def is_trusted_page(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Whether a request with that Origin may be one that only programs and trusted pages may send.

    `host` is the Host header, `allowed` the origins of the settings. A page of this machine may ask itself. Elsewhere an
    Origin that is the Host proves nothing: a page whose name was made to point here (DNS rebinding) has both.
    """
    if ANY_ORIGIN in allowed or origin in allowed:
        return True
    return is_loopback_host(host) and origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _readable(origin: str) -> Headers:
    return (("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", _EXPOSED))


def _askable(origin: str) -> Headers:
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Allow-Headers", _REQUEST_HEADERS),
        ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
    )
