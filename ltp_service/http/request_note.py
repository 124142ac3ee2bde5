"""What a view tells the edge about a request."""

from typing import Any, cast

import msgspec

_SLOT = "ltp_service.note"


class RequestNote(msgspec.Struct):
    """Filled in by whoever answers, read when the answer leaves."""

    request_id: str
    route: str = "unmatched"
    """The route's rule, never the raw path."""
    asked: str = ""
    """The path as it came, where that may differ from its normal form."""
    pairs: int | None = None
    """How many pairs were answered."""
    cache_hit: bool | None = None
    """True when every asked price came from memory."""
    waited: float = 0.0
    """Seconds for which it was held because nothing had changed: nobody had to work or wait for them."""
    page: bool = False
    """True for what a browser shows to a person."""


def leave(environ: dict[str, Any], note: RequestNote) -> None:
    """The edge puts an empty note into the WSGI environ."""
    environ[_SLOT] = note


def note_of(environ: dict[str, Any]) -> RequestNote:
    """The note of this request."""
    return cast(RequestNote, environ[_SLOT])
