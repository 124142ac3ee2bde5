"""Work in a thread that nothing waits for: it holds up neither its caller nor the end of the process."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def begin(work: Callable[[], T], name: str) -> "Future[T]":
    """Begins it. What it raises is raised again by the future's `result`."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it again
            future.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return future
