"""gunicorn's gevent worker, changed so that it closes idle connections soon after it is told to end.

gunicorn itself keeps an idle connection, and the worker, for the whole keep-alive time.
"""

from collections.abc import Callable
from types import FrameType
from typing import Any, Literal, Self

import gevent
from gunicorn.workers.ggevent import GeventWorker

IDLE_GRACE_SECONDS = 0.25
"""Seconds after TERM before idle connections are closed, because a client may be sending a request already."""


class Worker(GeventWorker):
    """Still answers requests under way and the first request of a new connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Any, _Wait] = {}
        """The greenlets of connections that wait for a request."""
        self.told_to_end: Callable[[], None] = lambda: None
        """Called when the worker is told to end; ends the waiting requests."""

    def timeout_ctx(self) -> "_Wait":  # type: ignore[override]  # the stubs say that it returns None
        kept = getattr(gevent.getcurrent(), "kept", False)
        return _Wait(
            IDLE_GRACE_SECONDS if kept and not self.alive else self.cfg.keepalive, kept, self._waiting
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        gevent.spawn(self.told_to_end)
        gevent.spawn_later(IDLE_GRACE_SECONDS, self._close_idle, dict(self._waiting))

    def _close_idle(self, idle: "dict[Any, _Wait]") -> None:
        """Closes the kept connections in `idle` that still wait for the same request."""
        for greenlet, wait in idle.items():
            if wait.kept:
                gevent.get_hub().loop.run_callback(self._end, greenlet, wait)

    def _end(self, greenlet: Any, wait: "_Wait") -> None:
        # Runs in the hub, so that no greenlet runs between the check and the throw.
        if self._waiting.get(greenlet) is wait:
            greenlet.throw(wait)


class _Wait(gevent.Timeout):
    """The timeout for a request to arrive. To throw it at its greenlet has the effect of running out."""

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
        return True if error is self else None  # gunicorn gets no request and closes the connection
