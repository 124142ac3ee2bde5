"""gunicorn's gevent worker, changed so that it closes idle connections soon after it is told to end.

gunicorn itself keeps an idle connection, and the worker, for the whole keep-alive time.
"""

from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any
from weakref import WeakSet

import gevent
from gunicorn.workers.ggevent import GeventWorker

IDLE_GRACE_SECONDS = 0.25
"""Seconds after TERM before idle connections are closed, because a client may be sending a request already."""


class Worker(GeventWorker):
    """Still answers requests under way and the first request of a new connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: WeakSet[Any] = WeakSet()
        """The greenlets of the connections. Each has a `wait`: the time in which its next request has to arrive."""
        self._keepalive: float = self.cfg.keepalive
        self.told_to_end: Callable[[], None] = lambda: None
        """Called when the worker is told to end; ends the waiting requests."""

    def timeout_ctx(self) -> gevent.Timeout:  # type: ignore[override]  # the stubs believe that it returns nothing
        greenlet: Any = gevent.getcurrent()
        kept = hasattr(greenlet, "wait")
        if not kept:
            self._connections.add(greenlet)
        wait = gevent.Timeout(IDLE_GRACE_SECONDS if kept and not self.alive else self._keepalive, False)  # type: ignore[arg-type]  # likewise
        greenlet.kept, greenlet.wait = kept, wait
        return wait

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        gevent.spawn(self.told_to_end)
        idle = [(greenlet, greenlet.wait) for greenlet in self._connections if greenlet.kept]
        gevent.spawn_later(IDLE_GRACE_SECONDS, self._close_idle, idle)

    def _close_idle(self, idle: Sequence[tuple[Any, gevent.Timeout]]) -> None:
        for greenlet, wait in idle:
            gevent.get_hub().loop.run_callback(self._end, greenlet, wait)

    def _end(self, greenlet: Any, wait: gevent.Timeout) -> None:
        # Runs in the hub, so nothing can come between the look and the throw.
        if greenlet.wait is wait and wait.pending:
            greenlet.throw(wait)  # as if its time had run out: gunicorn goes on without a request, and closes
