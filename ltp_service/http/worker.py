"""gunicorn's gevent worker, which closes idle connections as soon as it is told to end.

gunicorn leaves a kept connection the whole keep-alive time for a next request, and ends only after that.
"""

from collections.abc import Callable
from types import FrameType
from typing import Any, Literal, Self

import gevent
from gunicorn.workers.ggevent import GeventWorker

GRACE = 0.25
"""Seconds after TERM in which a kept connection may still bring a request, that its client may be sending already."""


class Worker(GeventWorker):
    """Requests under way are answered as ever, and so is the first request of a new connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Any, _Wait] = {}
        """The greenlets of connections that wait for a request."""
        self.told_to_end: Callable[[], None] = lambda: None
        """Called when it was, for the requests that wait for something else."""

    def timeout_ctx(self) -> "_Wait":  # type: ignore[override]  # the stubs believe that it returns nothing
        kept = getattr(gevent.getcurrent(), "kept", False)
        return _Wait(GRACE if kept and not self.alive else self.cfg.keepalive, kept, self._waiting)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        gevent.spawn(self.told_to_end)
        gevent.spawn_later(GRACE, self._close_idle, dict(self._waiting))

    def _close_idle(self, idle: "dict[Any, _Wait]") -> None:
        """Of those, the kept ones that still wait for the same request."""
        for greenlet, wait in idle.items():
            if wait.kept:
                gevent.get_hub().loop.run_callback(self._end, greenlet, wait)

    def _end(self, greenlet: Any, wait: "_Wait") -> None:
        # Runs in the hub, so nothing can come between the look and the throw.
        if self._waiting.get(greenlet) is wait:
            greenlet.throw(wait)


class _Wait(gevent.Timeout):
    """The time in which a request has to arrive; to its greenlet, being thrown is like running out."""

    def __init__(self, seconds: float, kept: bool, waiting: "dict[Any, _Wait]") -> None:
        super().__init__(seconds)
        self._waiting = waiting
        self.kept = kept
        """Whether its connection has brought a request before."""

    def __enter__(self) -> Self:
        greenlet: Any = gevent.getcurrent()
        greenlet.kept = True
        self._waiting[greenlet] = self
        self.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Literal[True] | None:
        del self._waiting[gevent.getcurrent()]
        self.close()
        return True if error is self else None  # gunicorn goes on without a request, and closes
