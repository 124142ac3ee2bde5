"""How long a test waits for what must happen, and how much of the suite is run."""

import os

DEADLINE = float(os.environ.get("LTP_DEADLINE", "60"))
"""Seconds after which a test takes something for hung. It is no promise: a slow machine may need most of it."""

IN_FULL = bool(os.environ.get("LTP_IN_FULL"))
"""Whether the long forms are run: `make test FULL=1`."""


def generous(*constants: float) -> float:
    """The upper bound in seconds for what takes the sum of these constants of the product, on any machine."""
    return 3 * sum(constants) + 10
