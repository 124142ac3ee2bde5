"""The id of a request, which its answer, its log lines and its trace share."""

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import count

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)
"""The request being answered, for the log. It is set at the start of each request, because one greenlet serves all
requests of a connection. A new greenlet or thread does not inherit it."""

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")

# www.w3.org/TR/trace-context: version, trace id, parent id, flags; an id of zeros only is invalid
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def fresh_ids(urandom: Callable[[int], bytes]) -> Iterator[str]:
    """The ids of one worker. Made after the fork, because two workers with one prefix would give the same ids."""
    return map(f"{urandom(8).hex()}-{{:x}}".format, count(1))


def is_acceptable(given: str) -> bool:
    """Whether a client's own id is safe to repeat in a header and a log."""
    return _ACCEPTED.fullmatch(given) is not None


def trace_id(traceparent: str | None) -> str | None:
    """The trace id of a W3C traceparent of version 00; None when there is none that is valid."""
    if traceparent and (parsed := _TRACEPARENT.fullmatch(traceparent)):
        return parsed[1]
    return None
