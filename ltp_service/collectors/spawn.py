"""Runs a function beside everything else: as a greenlet, in whatever kind of process this is."""

from collections.abc import Callable
from threading import Thread
from typing import Protocol

import gevent
from gevent import monkey


class Task(Protocol):
    """Something that runs and can be waited for."""

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, at most `timeout` seconds."""

    def is_alive(self) -> bool:
        """True until it has ended."""


class _Greenlet:
    def __init__(self, function: Callable[[], None], name: str) -> None:
        self._greenlet = gevent.spawn(function)
        self._greenlet.name = name

    def join(self, timeout: float | None = None) -> None:
        self._greenlet.join(timeout)

    def is_alive(self) -> bool:
        return not self._greenlet.dead


def spawn(function: Callable[[], None], name: str) -> Task:
    """Starts `function`, which must not raise, and returns what to join.

    In a patched process it is a greenlet on the hub that serves the requests. In an unpatched one nothing
    runs that hub, so the greenlet gets a native thread with a hub of its own.
    """
    if monkey.is_module_patched("threading"):
        return _Greenlet(function, name)
    thread = Thread(target=_run_hub, args=(function,), name=name, daemon=True)
    thread.start()
    return thread


def _run_hub(function: Callable[[], None]) -> None:
    try:
        gevent.spawn(function).join()
    finally:
        gevent.get_hub().destroy(destroy_loop=True)
