"""What the part that answers tells the edge about a request."""

from collections.abc import Callable
from typing import Any, cast

import msgspec

_SLOT = "ltp_service.note"


class RequestNote(msgspec.Struct):
    """Filled in by the fast lane or a view, read by the edge for metrics and log."""

    request_id: str
    route: str = "unmatched"
    """The route's rule, never the raw path."""
    asked: str = ""
    """The path as it came, where that may differ from its normal form."""
    pairs: int | None = None
    """Number of pairs with a price in the answer; None for other routes."""
    cache_hit: bool | None = None
    """True when every asked price came from memory."""
    waited: float = 0.0
    """Seconds that the request waited for a change. They do not count as its duration."""
    page: bool = False
    """True for a page, which gets other security headers."""
    key_hash: str | None = None
    """Of the key that the route accepted; None where it needed none."""
    stream: Callable[[Any, bytes], None] | None = None
    """What takes over the connection and the head of the answer; None unless the answer is a stream."""


def put_note(environ: dict[str, Any], note: RequestNote) -> None:
    """Puts the request's note into its WSGI environ."""
    environ[_SLOT] = note


def note_of(environ: dict[str, Any]) -> RequestNote:
    """The note of this request."""
    return cast(RequestNote, environ[_SLOT])
