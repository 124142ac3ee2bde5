"""Runs a function beside everything else: as a greenlet, in whatever kind of process this is."""

import gc
from collections.abc import Callable
from threading import Thread
from typing import Protocol

import gevent
from gevent import monkey
from greenlet import greenlet


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

    def kill(self) -> None:
        self._greenlet.kill(block=False)


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


def abandon(task: Task) -> None:
    """In a forked process: ends the copy of a greenlet, before it runs again. Of a thread there is no copy."""
    if isinstance(task, _Greenlet):
        task.kill()


def socket_rounds() -> Callable[[], int] | None:
    """Tells how often this thread's hub has looked at its sockets; None in an unpatched process, which has threads."""
    if not monkey.is_module_patched("threading"):
        return None
    return lambda: gevent.get_hub().loop.iteration


def when_readable() -> Callable[[int, Callable[[], None]], Callable[[], None]] | None:
    """Has a function called, in the hub, once a file descriptor can be read, and gives what ends that; None in an
    unpatched process, which has threads.
    """
    return _when_readable if monkey.is_module_patched("threading") else None


def _when_readable(handle: int, tell: Callable[[], None]) -> Callable[[], None]:
    watcher = gevent.get_hub().loop.io(handle, 1)  # reading; the socket's own watcher stays as it is

    def told() -> None:
        watcher.stop()  # a socket that can be read would tell so for ever
        tell()

    def end() -> None:
        watcher.stop()
        watcher.close()

    watcher.start(told)
    return end


def greenlets() -> list[str]:
    """The name of each living greenlet of this process: its own, else that of what it runs. Takes milliseconds."""
    # By its type: `isinstance` asks the object itself, and a weak reference whose object is gone does not answer.
    living = [each for each in gc.get_objects() if issubclass(type(each), greenlet) and not each.dead]
    return [_name(each) for each in living]


def _name(each: greenlet) -> str:
    run = getattr(each, "_run", None)
    told = vars(each).get("name") if hasattr(each, "__dict__") else None
    return str(told or getattr(run, "__qualname__", None) or type(each).__qualname__)


def _run_hub(function: Callable[[], None]) -> None:
    try:
        gevent.spawn(function).join()
    finally:
        gevent.get_hub().destroy(destroy_loop=True)
