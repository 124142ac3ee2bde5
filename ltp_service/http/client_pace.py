"""Bounds on how long a client may take to send a request, and to read its answer. gunicorn has few, so a client that only
keeps its connection would hold one of the worker's places for ever."""

import time
from collections.abc import Callable
from errno import ECONNRESET
from typing import Any, TypeVar

CLIENT_SECONDS = 10.0
"""Seconds for a whole head, a whole body, and each piece of an answer (gunicorn_send.py). deploy/nginx.conf has bounds of
its own."""

UNREAD_SECONDS = 2.0
"""Of these, for what is left of a body after the answer: without it, the client might lose the answer."""

MAX_UNREAD_BYTES = 1 << 20
"""Most bytes that are read after the answer. A client that sends fast leaves the worker no moment for others meanwhile."""

MIN_WAIT_SECONDS = 0.001
"""A timeout of 0 would mean not to wait at all."""

_PIECE_BYTES = 8192

T = TypeVar("T")


class TooSlow(ConnectionResetError):
    """A client is too slow. gunicorn closes its connection, and writes no error to the log, as if the client had done it."""

    def __init__(self, what: str) -> None:
        super().__init__(ECONNRESET, f"the client {what} too slowly")


def bound_head(unreader: Any, client: Any) -> None:
    """Has gunicorn's `unreader` read the next head from the socket `client` in time. Reading raises TooSlow."""
    unreader.sock = _InTime(client, "sends its request")


def keep_pace(request: Any, client: Any, answer: Callable[[], T]) -> T:
    """What `answer` returns, which reads the rest of gunicorn's `request` from the socket `client` and sends the answer there.

    Raises TooSlow.
    """
    client.settimeout(CLIENT_SECONDS)
    body = None
    if getattr(request.body.reader, "length", 1):  # a body in chunks tells no length
        request.unreader.sock = body = _InTime(client, "sends its body")
    try:
        answered = answer()
        if body is not None and client.fileno() >= 0:  # else the socket has been given away
            _finish(request, body)
        return answered
    except TimeoutError as error:
        raise TooSlow("takes its answer") from error
    finally:
        request.unreader.sock = client
        client.settimeout(None)


class _InTime:
    """The socket, as gunicorn reads from it: each piece has what is left of the time for all of them."""

    def __init__(self, client: Any, what: str) -> None:
        """`what` the client does with the pieces."""
        self._client, self._what = client, what
        self.until = time.monotonic() + CLIENT_SECONDS

    def recv(self, size: int) -> bytes:
        """Raises TooSlow when the time is over."""
        self._client.settimeout(max(MIN_WAIT_SECONDS, self.until - time.monotonic()))
        try:
            piece: bytes = self._client.recv(size)
        except TimeoutError:
            raise TooSlow(self._what) from None
        finally:
            self._client.settimeout(CLIENT_SECONDS)
        return piece


def _finish(request: Any, body: _InTime) -> None:
    """Reads what is left. Raises TooSlow, and ConnectionResetError where the body is too long or broken."""
    body.until = min(body.until, time.monotonic() + UNREAD_SECONDS)
    left = MAX_UNREAD_BYTES
    try:
        while piece := request.body.read(_PIECE_BYTES):
            left -= len(piece)
            if left < 0:
                raise ConnectionResetError(ECONNRESET, "the body does not end")
    except ConnectionResetError:
        raise
    except Exception as error:  # of several modules of gunicorn, which would answer a second time
        raise ConnectionResetError(ECONNRESET, f"the body is broken: {error}") from error
