"""Moments as text."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from ltp_service.domain.errors import InvalidParameter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""The last moment of the year 9999, in unix microseconds. None later can be written."""

_UNIX_SECONDS = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    # A `+` that is not escaped in a URL arrives as a blank.
    r"(?:([Zz])|([+ -])([0-9]{2}:[0-9]{2}))?"
)
MOMENT_RULE = "write RFC 3339 with a zone, as in 2026-11-21T00:46:21Z, or unix seconds"


@lru_cache(2000)  # one trade is told again and again, and many pairs are confirmed at one moment
def rfc3339(unix_seconds: float) -> str:
    """`2026-11-21T00:46:21.123456Z`."""
    second, rest = divmod(unix_seconds, 1)
    microseconds = round(rest * 1e6)
    if microseconds == 1_000_000:
        second, microseconds = second + 1, 0
    return f"{to_the_second(second)}.{microseconds:06d}Z"


@lru_cache(100)  # most moments that are told are of the last seconds
def to_the_second(unix_seconds: float) -> str:
    """`2026-11-21T00:46:21`, from a whole number."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().removesuffix("+00:00")


def rfc3339_exact(unix_microseconds: int) -> str:
    """The same from whole microseconds, which a float may not hold."""
    moment = EPOCH + timedelta(microseconds=unix_microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_moment(name: str, text: str) -> int:
    """A moment in unix microseconds, from RFC 3339 with a zone or unix seconds. Raises InvalidParameter, which names `name`."""
    if _UNIX_SECONDS.fullmatch(text):
        return int(Decimal(text) * 1_000_000)
    if re.fullmatch("[0-9]{12,}(\\.[0-9]*)?", text):
        raise InvalidParameter(f"{name} is {text[:40]!r}, which is too long for seconds; {MOMENT_RULE}")
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise InvalidParameter(f"{name} is {text[:40]!r}; {MOMENT_RULE}")
    if not (found[5] or found[6]):
        raise InvalidParameter(
            f"{name} is {text[:40]!r}, which has no zone; add Z for UTC, or as in {text[:40]}+01:00 (+ is %2B in a URL)"
        )
    return _microseconds(name, text, found)


def _microseconds(name: str, text: str, found: re.Match[str]) -> int:
    day, minute, second, fraction, _, sign, offset = found.groups()
    zone = f"{'-' if sign == '-' else '+'}{offset or '00:00'}"
    is_leap_second = second == "60"  # the second after 59, as clocks of computers count
    try:
        whole = datetime.fromisoformat(f"{day}T{minute}:{'59' if is_leap_second else second}{zone}")
        told = (whole - EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise InvalidParameter(f"{name} is {text[:40]!r}, which no calendar has; {MOMENT_RULE}") from None
    told += is_leap_second * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])
    if told < 0:
        raise InvalidParameter(f"{name} is {text[:40]!r}, which is before 1970")
    if told > LATEST:
        raise InvalidParameter(f"{name} is {text[:40]!r}, which is after the year 9999 in UTC")
    return told
