"""Answers as bytes: exact decimals, RFC 3339 times, one place that builds a response."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Response

from ltp_service.domain.decimals import plain
from ltp_service.runtime.clock import Clock

RETRY_AFTER = 5
"""Seconds after which a caller who got nothing may expect more."""

_encode = msgspec.json.Encoder().encode


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; whoever wants it cached says so in `headers`."""
    return raw_response(_encode(body), status, headers)


def raw_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer whose bytes exist already."""
    response = Response(body, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def number(value: Any) -> msgspec.Raw:
    """A Decimal as a JSON number in plain notation, with the exchange's own digits."""
    return msgspec.Raw(plain(value).encode())


def moment(clock: Clock, monotonic: float | None) -> str | None:
    """The time of day of a monotonic moment."""
    if monotonic is None:
        return None
    return rfc3339(clock.wall() - (clock.monotonic() - monotonic))


def rfc3339(unix_seconds: float | None) -> str | None:
    """`2026-11-21T00:46:21.123456Z`."""
    if unix_seconds is None:
        return None
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
