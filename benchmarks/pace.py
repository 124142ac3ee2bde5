"""The pace of what a benchmark sends."""

import time


def sleep_until(moment: float) -> None:
    """Returns at that monotonic second, at once where it is over.

    Each moment is counted from the beginning, so that one that is late does not make those after it late.
    """
    time.sleep(max(0.0, moment - time.monotonic()))  # the pace is what is varied, and nothing is waited for
