"""What the core asks of a shell. The core decides, the shell does, blocking or not.

A core is a generator. It yields steps; a shell sends the result of each, or throws the OSError with which it failed. What a
core yields beside steps is for the user.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from ltp_service.client.wire import Base

CONNECT_SECONDS = 5.0
"""Longest wait for a connection."""


@dataclass(frozen=True, slots=True)
class Open:
    """Connect; what was open before is closed."""

    base: Base
    seconds: float = CONNECT_SECONDS


@dataclass(frozen=True, slots=True)
class Send:
    content: bytes
    seconds: float = CONNECT_SECONDS


@dataclass(frozen=True, slots=True)
class Receive:
    """The result is what came, b"" at the end, None when nothing came in time; with 0 s only what is there already."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    pass


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


Step = Open | Send | Receive | Close | Sleep
Result = bytes | None
Outcome = tuple[Result, OSError | None]
"""The result of a step, or the error with which it failed."""

NOTHING: Outcome = None, None
"""What a core is told that has asked for no step."""

Yielded = TypeVar("Yielded")


def resume(core: Generator[Yielded, Result, object], outcome: Outcome) -> Yielded:
    """Tells a core how its step ended, and returns what it yields next. Raises what the core raises, StopIteration at its
    end."""
    result, failure = outcome
    return core.send(result) if failure is None else core.throw(failure)


def steady() -> float:
    """Seconds that only grow, and grow while the machine sleeps, where the system can tell."""
    return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()


_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""Linux has the first; the second sleeps there, but not on macOS."""
