"""gunicorn's gthread worker, changed so that it ends soon after it is told to, and waits for no client for ever."""

from collections.abc import Callable
from functools import partial
from threading import Thread
from types import FrameType
from typing import Any

from gunicorn.workers import gthread

from ltp_service.http.client_pace import bound_head, keep_pace
from ltp_service.http.gunicorn_once import keep_settings

IDLE_GRACE_SECONDS = 0.25
"""Seconds after TERM before idle connections are closed, because a client may be sending a request already."""


class Connection(gthread.TConn):
    """One on which each request has its time to arrive. gunicorn calls `init` before each."""

    def init(self) -> None:
        super().init()
        parser: Any = self.parser  # of HTTP/1, the only protocol that is on
        bound_head(parser.unreader, self.sock)


# gunicorn has no setting for these.
vars(gthread)["STOP_KEEPALIVE_LINGER"] = IDLE_GRACE_SECONDS
vars(gthread)["TConn"] = Connection


class ThreadWorker(gthread.ThreadWorker):
    """Still answers requests under way; waiting requests end when it is told to end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told_to_end: Callable[[], None] = lambda: None
        """Called when the worker is told to end; ends the waiting requests."""

    def init_process(self) -> None:
        keep_settings(self.cfg)
        super().init_process()

    def handle_request(self, req: Any, conn: Any) -> Any:
        return keep_pace(req, conn.sock, partial(super().handle_request, req, conn))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # The thread that this signal interrupts may hold a lock that `told_to_end` takes.
        Thread(target=self.told_to_end, daemon=True).start()
