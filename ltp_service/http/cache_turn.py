"""Keeps nginx's micro-cache (deploy/nginx.conf) from showing a client an older price after a newer one.

nginx keeps one answer to each query for each half second. Two kinds of requests would get a newer price than the
cached one: a request that waited for another one to fill the cache until nginx gave up, and a request whose half
second is over when it is answered. Both are sent back to the cache, under the half second of that time.
"""

from math import floor
from typing import NamedTuple

ASKED_AT = "HTTP_X_ASKED_AT"
"""The header by which nginx tells when it took a request's half second, when it passed the request on, and with a `+`
for each time that it did; both times in unix seconds of this machine."""

NEAR = frozenset({"", "127.0.0.1", "::1"})
"""The addresses of an nginx on this machine: none at a unix socket. A client's own header, which another proxy passes on, would
only pass the rate limit."""

WAITED_SECONDS = 0.05
"""Least seconds between both times of a request that waited for another one: half of proxy_cache_lock_timeout."""

MAX_TRIES = 8
"""Times that a request may be sent back; nginx allows ten internal redirects (nginx, "internal")."""


class Turn(NamedTuple):
    """One request of nginx for its cache."""

    waited: bool
    """Whether it waited for another request, which is about to fill the cache."""
    ends_at: float
    """Unix seconds: the end of its half second."""


def read_turn(text: str) -> Turn | None:
    """The header's content; None for a request to be answered like any other."""
    try:
        asked_at, passed_on_at, tries = text.split(" ")
        asked, passed_on = float(asked_at), float(passed_on_at)
        ends_at = floor(asked * 2) / 2 + 0.5
    except (ValueError, OverflowError):
        return None
    if len(tries) > MAX_TRIES:
        return None
    return Turn(passed_on - asked >= WAITED_SECONDS, ends_at)
