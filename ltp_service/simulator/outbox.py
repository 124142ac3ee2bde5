"""Bytes on their way to one client."""

import select
import socket
import threading
from collections import deque

_LIMIT = 512 * 1024 * 1024
_POLL_MS = 100


class Outbox:
    """Sends at once when the client takes it; else keeps it in order, as the exchange queues for a slow consumer.

    `send` never blocks. A client that leaves 512 MiB unread is dropped."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._changed = threading.Condition()
        self._pending: deque[memoryview] = deque()
        self._size = 0
        self._held = False
        self._closed = False
        self._flusher: threading.Thread | None = None

    def send(self, content: bytes) -> None:
        with self._changed:
            if self._closed:
                return
            left = memoryview(content)
            if not self._pending and not self._held:
                left = left[self._write(left) :]
            if left and not self._closed:
                self._queue(left)

    def hold(self, held: bool) -> None:
        """While held nothing leaves; what was sent meanwhile leaves afterwards."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def wait_until_below(self, size: int, timeout: float) -> bool:
        """True when less than `size` bytes wait or the client is gone; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._size < size, timeout)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._pending.clear()
            self._size = 0
            self._changed.notify_all()

    def _queue(self, left: memoryview) -> None:
        self._pending.append(left)
        self._size += len(left)
        if self._size > _LIMIT:
            self._closed = True
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush, name="outbox", daemon=True)
            self._flusher.start()
        self._changed.notify_all()

    def _write(self, content: memoryview) -> int:
        try:
            return self._peer.send(content, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            self._closed = True
            return len(content)

    def _flush(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._pending and not self._held))
                if self._closed:
                    return
                written = self._write(self._pending[0])
                self._taken(written)
            if not written:
                self._wait_for_room()

    def _taken(self, written: int) -> None:
        if self._closed:
            return
        self._size -= written
        left = self._pending[0][written:]
        if left:
            self._pending[0] = left
        else:
            self._pending.popleft()
        self._changed.notify_all()

    def _wait_for_room(self) -> None:
        descriptor = self._peer.fileno()
        if descriptor < 0:
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll(_POLL_MS)
