"""Builds responses: exact decimals, RFC 3339 times."""

from decimal import Decimal
from typing import overload

import msgspec
from flask import Response

from ltp_service.domain.decimals import plain
from ltp_service.runtime import moments
from ltp_service.runtime.clock import Clock

RETRY_AFTER_SECONDS = 5
"""Retry-After of an answer without a price, where no other time is known."""

_encode = msgspec.json.Encoder().encode


def json_response(body: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer, `no-store` unless `headers` say otherwise."""
    return raw_response(_encode(body), status, headers)


def raw_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer from bytes, `no-store` unless `headers` say otherwise."""
    response = Response(body, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if headers:
        response.headers.update(headers)
    return response


def number(value: Decimal) -> msgspec.Raw:
    """A Decimal as a JSON number in plain notation, with the exchange's own digits."""
    return msgspec.Raw(plain(value).encode())


@overload
def moment(clock: Clock, monotonic: float) -> str: ...
@overload
def moment(clock: Clock, monotonic: float | None) -> str | None: ...
def moment(clock: Clock, monotonic: float | None) -> str | None:
    """A monotonic second as RFC 3339 time."""
    if monotonic is None:
        return None
    return rfc3339(clock.wall() - (clock.monotonic() - monotonic))


@overload
def rfc3339(unix_seconds: float) -> str: ...
@overload
def rfc3339(unix_seconds: float | None) -> str | None: ...
def rfc3339(unix_seconds: float | None) -> str | None:
    """`2026-11-21T00:46:21.123456Z`."""
    return None if unix_seconds is None else moments.rfc3339(unix_seconds)
