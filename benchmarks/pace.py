"""When a benchmark sends, and what it waits for without being told."""

import time

LATE = 1.0
"""Seconds in which a frame arrives that was sent."""


def sleep_until(moment: float) -> None:
    """Returns at that monotonic second, at once where it is over.

    Each moment is counted from the beginning, so that one that is late does not make those after it late.
    """
    time.sleep(max(0.0, moment - time.monotonic()))  # the pace is what is varied, and nothing is waited for


def settle(seconds: float) -> None:
    """Lets a load begin."""
    time.sleep(seconds)  # the beginning of a load is not what is measured


def let_arrive() -> None:
    """Lets the frames that were sent arrive, so that they count where they were sent and not later."""
    time.sleep(LATE)  # a stream does not tell its clients that nothing is on its way
