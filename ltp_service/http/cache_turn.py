"""Keeps nginx's micro-cache (deploy/nginx.conf) from showing a client an older price after a newer one.

nginx keeps one answer to each question for each half second. Two kinds of requests would get a newer price than the
kept one, past it: one that waited in vain for the one that fills the cache, and one whose half second is over when
it is answered. Both are sent back to look into the cache again, under the half second that it is by then.
"""

from math import floor
from typing import NamedTuple

HEADER = "HTTP_X_ASKED_AT"
"""nginx's word on a request for its cache: when its half second was taken, when it was passed on, and a `+` for
each time that it was passed on; both in unix seconds, by the clock of this machine."""

WAITED = 0.05
"""Seconds between both from which on a request waited for another one: half of nginx's proxy_cache_lock_timeout."""

MOST_TRIES = 8
"""After that many a request is answered as it is: nginx allows ten."""


class Turn(NamedTuple):
    """One request for the cache."""

    waited: bool
    """Whether another request is about to fill the cache."""
    ends_at: float
    """Unix seconds: the end of its half second."""


def read_turn(text: str) -> Turn | None:
    """None for what has to be answered as any other request."""
    try:
        asked_at, passed_on_at, tries = text.split(" ")
        asked, passed_on = float(asked_at), float(passed_on_at)
        ends_at = floor(asked * 2) / 2 + 0.5
    except (ValueError, OverflowError):
        return None
    if len(tries) > MOST_TRIES:
        return None
    return Turn(passed_on - asked >= WAITED, ends_at)
