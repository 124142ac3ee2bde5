"""Moments as text: the same as the standard library writes, to the last microsecond."""

from datetime import UTC, datetime
from random import Random

import pytest

from ltp_service.runtime.moments import rfc3339


@pytest.mark.parametrize(
    ("unix_seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_795_991_384, "2026-11-29T22:29:44.000000Z"),
        (1_795_991_384.75, "2026-11-29T22:29:44.750000Z"),
        (1_795_991_384.9999997, "2026-11-29T22:29:45.000000Z"),
        (-0.25, "1969-12-31T23:59:59.750000Z"),
    ],
)
def test_a_moment_has_six_digits_and_its_zone(unix_seconds: float, text: str) -> None:
    assert rfc3339(unix_seconds) == text


def test_every_moment_is_rounded_as_the_standard_library_does() -> None:
    chance = Random(7)
    for _ in range(2_000):
        unix_seconds = chance.uniform(0, 4e9)
        told = datetime.fromtimestamp(unix_seconds, UTC)
        assert datetime.fromisoformat(rfc3339(unix_seconds)) == told
