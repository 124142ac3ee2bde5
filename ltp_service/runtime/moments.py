"""Moments as text."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""The last moment of the year 9999, in unix microseconds. None later can be written."""


def rfc3339(unix_seconds: float) -> str:
    """`2026-11-21T00:46:21.123456Z`."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def rfc3339_exact(unix_microseconds: int) -> str:
    """The same from whole microseconds, which a float may not hold."""
    moment = EPOCH + timedelta(microseconds=unix_microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
