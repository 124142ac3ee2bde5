"""Runs what waits for others side by side, each before a deadline."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from ltp_service.cli.checks.finding import Observation, broken

Look = Callable[[], Iterable[Observation]]
T = TypeVar("T")


def begin(work: Callable[[], T], name: str) -> "Future[T]":
    """Runs it in a thread that holds up nothing, also not the end of the program."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it again
            future.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return future


def run_all(looks: Mapping[str, Look], seconds: float, done: Callable[[float], None]) -> list[Observation]:
    """What all of them saw, in their order and `seconds` from now at the latest. `done` is told how many are over."""
    end = time.monotonic() + seconds
    running = {name: begin(lambda look=look: list(look()), name) for name, look in looks.items()}  # type: ignore[misc]
    seen: list[Observation] = []
    for count, (name, future) in enumerate(running.items(), 1):
        seen += _result(name, future, end, seconds)
        done(count)
    return seen


def _result(
    name: str, future: "Future[list[Observation]]", end: float, seconds: float
) -> Sequence[Observation]:
    try:
        return future.result(max(0.0, end - time.monotonic()))
    except TimeoutError:
        remedy = "run it again, and see whether this machine or its disk hangs"
        return [broken(name, f"not done within {seconds:g} s", remedy)]
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide the others
        seen = f"the check itself broke: {type(error).__name__}: {error}"
        return [broken(name, seen, "this is a fault of ltp doctor; please report it")]


def each(looks: Iterable[Callable[[], T]], seconds: float) -> Iterator[T | None]:
    """The results side by side, in order; None for what is not done in time. Raises what a look raises."""
    end = time.monotonic() + seconds
    for future in [begin(look, "look") for look in looks]:
        try:
            yield future.result(max(0.0, end - time.monotonic()))
        except TimeoutError:
            yield None
