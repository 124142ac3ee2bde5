"""Writes whole lines to stdout or stderr, and never waits for their reader.

When a reader stops reading, its pipe fills, and a plain write to a full pipe blocks the whole process. O_NONBLOCK
cannot be set on it, because it belongs to the open file, which other programs may share. So a pipe or a terminal is
opened a second time, for this process alone; on a socket each write is asked not to wait; a file needs neither. A
stopped terminal may take part of a line: the rest follows later, perhaps after another process's line.
"""

import fcntl
import io
import os
import stat
import termios
import time
from _socket import MSG_DONTWAIT, socket  # gevent's own would set O_NONBLOCK
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from select import PIPE_BUF
from threading import Lock
from typing import NamedTuple

ATOMIC_WRITE_BYTES = PIPE_BUF
"""Most bytes that a pipe or a socket takes whole or not at all, so that lines of several processes never mix."""

MAX_WAITING_PIECES = 256
"""Pieces of at most ATOMIC_WRITE_BYTES that wait for a slow reader. Lines beyond them are dropped."""

_WHOLE = 1 << 20
"""Bytes written at once to a file."""

Put = Callable[[bytes], int]
"""Writes at most these bytes and returns how many it wrote. Raises BlockingIOError instead of waiting, or OSError."""


class LineWriter:
    """Writes to one file descriptor, whose kind is read at the first write. Safe from any thread or greenlet."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.dropped = 0
        """Lines lost so far, because the reader did not take them or the disk was full."""
        self._opened: _Opened | None = None
        self._most = _WHOLE
        self._waiting: deque[bytes] = deque()
        self._begun = False
        """Whether part of the first waiting piece is written."""
        self._torn = False
        """Whether the rest of a piece was lost, so that the next line needs a line end before it."""
        self._turn = Lock()
        self._process = os.getpid()

    def write(self, lines: bytes) -> None:
        """Takes whole lines: writes them now or later, or drops and counts them."""
        if self._opened is None or self._process != os.getpid():
            self._begin()
        if len(self._waiting) >= MAX_WAITING_PIECES:
            self.settle()
        if len(self._waiting) >= MAX_WAITING_PIECES:
            self.dropped += lines.count(b"\n")
        else:
            self._waiting.extend(pieces(lines, self._most))
            self.settle()

    def settle(self) -> None:
        """Writes the waiting lines, as far as the reader takes them now."""
        if not self._turn.acquire(blocking=False):
            return  # another thread is writing
        try:
            while self._waiting and self._attempt(self._waiting[0]):
                self._waiting.popleft()
        finally:
            self._turn.release()

    def is_behind(self) -> bool:
        """Whether lines wait."""
        return bool(self._waiting)

    def finish(self, timeout: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Waits at most `timeout` seconds for a slow reader to take the waiting lines."""
        ends_at = time.monotonic() + timeout
        self.settle()
        while self._waiting and time.monotonic() < ends_at:
            sleep(0.01)
            self.settle()

    def close(self) -> None:
        """Closes the file that it opened itself; the next line opens it again."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def hand_over(self) -> None:
        """Resets the count after a fork, because the child inherits it and reports it."""
        self.dropped = 0

    def _begin(self) -> None:
        """Opens the file, and in a forked child drops the lines that its parent will write."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._waiting.clear()
            self._begun = self._torn = False
            self._turn = Lock()
        if self._opened is None:
            self._opened = _open(self.descriptor)
            self._most = self._opened.most

    def _attempt(self, piece: bytes) -> bool:
        """True when the piece was written or lost; False when it has to wait."""
        if self._opened is None:
            return False
        if self._torn:
            piece = b"\n" + piece
        try:
            written = self._opened.put(piece)
        except BlockingIOError:
            return False
        except OSError:  # the reader is gone, or the disk is full
            self.dropped += self._waiting[0].count(b"\n")
            self._torn = self._torn or self._begun
            self._begun = False
            return True
        self._torn = False
        self._begun = written < len(piece)
        if self._begun:
            self._waiting[0] = piece[written:]
        return not self._begun


class _Opened(NamedTuple):
    """How to write to one descriptor without waiting."""

    put: Put
    most: int
    """Most bytes of one write."""
    close: Callable[[], None]


class Lines(io.BufferedIOBase):
    """The stream that `print` and tracebacks write to, below a text stream with `line_buffering`."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    @property
    def name(self) -> str:
        return f"<descriptor {self._writer.descriptor}>"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._writer.descriptor

    def write(self, lines: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        self._writer.write(bytes(lines))
        return len(lines)


def as_text(writer: LineWriter) -> io.TextIOWrapper:
    """A text stream that replaces sys.stdout or sys.stderr."""
    return io.TextIOWrapper(Lines(writer), "utf-8", "backslashreplace", line_buffering=True)


def pieces(lines: bytes, most: int) -> Iterator[bytes]:
    """`lines` in pieces of whole lines, at most `most` bytes each; a longer line loses its end."""
    start, length = 0, len(lines)
    while length - start > most:
        end = lines.rfind(b"\n", start, start + most) + 1
        if end:
            yield lines[start:end]
            start = end
        else:
            yield lines[start : start + most - 1] + b"\n"
            start = lines.find(b"\n", start) + 1 or length
    if start < length:
        yield lines[start:] if start else lines


def _open(descriptor: int) -> _Opened:
    shared = _Opened(partial(os.write, descriptor), _WHOLE, lambda: None)
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:  # closed: every write fails, and is counted
        return shared
    if stat.S_ISSOCK(mode):
        reader = socket(fileno=os.dup(descriptor))
        return _Opened(lambda piece: reader.send(piece, MSG_DONTWAIT), ATOMIC_WRITE_BYTES, reader.close)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return shared
    names = [f"/proc/self/fd/{descriptor}"]
    if os.isatty(descriptor):
        names.append(os.ttyname(descriptor))
    for name in names:
        with suppress(OSError):  # it belongs to another user, or there is no /proc
            own = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return _Opened(partial(os.write, own), ATOMIC_WRITE_BYTES, partial(os.close, own))
    return _Opened(partial(_write_if_half_empty, descriptor), ATOMIC_WRITE_BYTES, lambda: None)


def _write_if_half_empty(descriptor: int, piece: bytes) -> int:
    """Writes to a pipe that cannot be opened again. Half of it is left free, because other processes may write now."""
    try:
        size = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    except OSError:  # a terminal of another user
        return os.write(descriptor, piece)
    held = int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), "little")
    if 2 * held > size:
        raise BlockingIOError
    return os.write(descriptor, piece)
