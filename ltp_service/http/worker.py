"""gunicorn's gevent worker, which closes idle connections as soon as it is told to end.

gunicorn leaves a kept connection the whole keep-alive time for a next request, and ends only after that.
"""

from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any
from weakref import WeakSet

import gevent
from gunicorn.workers.ggevent import GeventWorker

GRACE = 0.25
"""Seconds after TERM in which a kept connection may still bring a request, that its client may be sending already."""


class Worker(GeventWorker):
    """Requests under way are answered as ever, and so is the first request of a new connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: WeakSet[Any] = WeakSet()
        """The greenlets of the connections. Each has a `wait`: the time in which its next request has to arrive."""
        self._keepalive: float = self.cfg.keepalive
        self.told_to_end: Callable[[], None] = lambda: None
        """Called when it was, for the requests that wait for something else."""

    def timeout_ctx(self) -> gevent.Timeout:  # type: ignore[override]  # the stubs believe that it returns nothing
        greenlet: Any = gevent.getcurrent()
        kept = hasattr(greenlet, "wait")
        if not kept:
            self._connections.add(greenlet)
        wait = gevent.Timeout(GRACE if kept and not self.alive else self._keepalive, False)  # type: ignore[arg-type]  # likewise
        greenlet.kept, greenlet.wait = kept, wait
        return wait

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        gevent.spawn(self.told_to_end)
        idle = [(greenlet, greenlet.wait) for greenlet in self._connections if greenlet.kept]
        gevent.spawn_later(GRACE, self._close_idle, idle)

    def _close_idle(self, idle: Sequence[tuple[Any, gevent.Timeout]]) -> None:
        for greenlet, wait in idle:
            gevent.get_hub().loop.run_callback(self._end, greenlet, wait)

    def _end(self, greenlet: Any, wait: gevent.Timeout) -> None:
        # Runs in the hub, so nothing can come between the look and the throw.
        if greenlet.wait is wait and wait.pending:
            greenlet.throw(wait)  # as if its time had run out: gunicorn goes on without a request, and closes
