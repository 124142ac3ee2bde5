"""Moments as text."""

from datetime import UTC, datetime


def rfc3339(unix_seconds: float) -> str:
    """`2026-11-21T00:46:21.123456Z`."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
