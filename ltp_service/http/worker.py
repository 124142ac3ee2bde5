"""gunicorn's gevent worker, changed so that it ends as soon as its requests are answered.

gunicorn itself looks once a second whether it is to end, and keeps an idle connection for the whole keep-alive time.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any
from weakref import WeakSet

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import GeventWorker

from ltp_service.http.client_pace import keep_pace
from ltp_service.http.gunicorn_once import keep_settings

IDLE_GRACE_SECONDS = 0.25
"""Seconds after TERM before idle connections and the listener are closed: a client may be sending a request, or have
connected, already."""

NOTIFY_EVERY_SECONDS = 1.0
"""Seconds between two signs of life for gunicorn's master."""


class Worker(GeventWorker):
    """Still answers requests under way and the first request of a new connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: WeakSet[Any] = WeakSet()
        """The greenlets of the connections. Each has a `wait`: the time in which its next request has to arrive."""
        self._keepalive: float = self.cfg.keepalive
        self.told_to_end: Callable[[], None] = lambda: None
        """Called when the worker is told to end; ends the waiting requests."""
        self._ending = Event()

    def init_process(self) -> None:
        keep_settings(self.cfg)
        super().init_process()

    def run(self) -> None:
        servers = [self._serve(listener) for listener in self.sockets]
        while self.alive:
            self.notify()
            self._ending.wait(NOTIFY_EVERY_SECONDS)
        gevent.sleep(IDLE_GRACE_SECONDS)
        for server in servers:
            server.close()
        ends_at = time.monotonic() + self.cfg.graceful_timeout
        for server in servers:
            while not server.pool.join(NOTIFY_EVERY_SECONDS):
                self.notify()
                if time.monotonic() > ends_at:
                    self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
                    server.stop(timeout=1)
                    break

    def _serve(self, listener: Any) -> Any:
        listener.setblocking(True)
        options: dict[str, Any] = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        server: Any = StreamServer(
            listener, handle=partial(self.handle, listener), spawn=Pool(self.worker_connections), **options
        )
        if self.cfg.workers > 1:
            server.max_accept = 1  # so that the workers take turns
        server.start()
        return server

    def timeout_ctx(self) -> gevent.Timeout:  # type: ignore[override]  # the stubs believe that it returns nothing
        greenlet: Any = gevent.getcurrent()
        kept = hasattr(greenlet, "wait")
        if not kept:
            self._connections.add(greenlet)
        wait = gevent.Timeout(IDLE_GRACE_SECONDS if kept and not self.alive else self._keepalive, False)  # type: ignore[arg-type]  # likewise
        greenlet.kept, greenlet.wait = kept, wait
        return wait

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        return keep_pace(req, sock, partial(super().handle_request, listener_name, req, sock, addr))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._ending.set()
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
