"""Whole lines to stdout or stderr, without ever waiting for whoever reads them.

A reader that stops reading fills its pipe, and a plain write to a full pipe blocks the whole process. O_NONBLOCK
cannot simply be set: it belongs to the open file, which other programs may share. So a pipe or a terminal is opened
a second time, for this process alone; a socket is asked not to wait with each write; and a file never waits for a
reader. A terminal that is stopped may take a part of a line: the rest follows, perhaps after another process's line.
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

LONGEST = PIPE_BUF
"""Bytes that a pipe or a socket takes at once or not at all: lines of several processes never mix."""

MOST_WAITING = 256
"""Pieces of at most that length that wait for a slow reader. Lines beyond them are dropped."""

_WHOLE = 1 << 20
"""Bytes written at once to a file."""

Put = Callable[[bytes], int]
"""Writes at most these bytes and returns how many it wrote. Raises BlockingIOError instead of waiting, or OSError."""


class LineWriter:
    """Writes to one file descriptor, which is looked at when it is first used. Safe from any thread or greenlet."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.dropped = 0
        """Lines lost so far, because no reader took them or because the disk was full."""
        self._opened: _Opened | None = None
        self._most = _WHOLE
        self._waiting: deque[bytes] = deque()
        self._begun = False
        """Whether a part of the first piece is written."""
        self._torn = False
        """Whether the rest of a piece was lost, so that the next line needs a line end before it."""
        self._turn = Lock()
        self._process = os.getpid()

    def write(self, lines: bytes) -> None:
        """Takes whole lines: they are written now, or soon, or dropped and counted."""
        if self._opened is None or self._process != os.getpid():
            self._begin()
        if len(self._waiting) >= MOST_WAITING:
            self.settle()
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += lines.count(b"\n")
        else:
            self._waiting.extend(pieces(lines, self._most))
            self.settle()

    def settle(self) -> None:
        """Writes what waits, as far as it is taken now."""
        if not self._turn.acquire(blocking=False):
            return  # another thread is at it
        try:
            while self._waiting and self._attempt(self._waiting[0]):
                self._waiting.popleft()
        finally:
            self._turn.release()

    def is_behind(self) -> bool:
        """Whether lines wait."""
        return bool(self._waiting)

    def finish(self, timeout: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Gives a reader that is only slow at most `timeout` seconds for what waits."""
        ends_at = time.monotonic() + timeout
        self.settle()
        while self._waiting and time.monotonic() < ends_at:
            sleep(0.01)
            self.settle()

    def close(self) -> None:
        """Lets go of what it opened itself; the next line opens it again."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def hand_over(self) -> None:
        """To be called after a fork: the new process has inherited the count of what was dropped, and tells it."""
        self.dropped = 0

    def _begin(self) -> None:
        """A child's: what its parent still has to write is the parent's."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._waiting.clear()
            self._begun = self._torn = False
            self._turn = Lock()
        if self._opened is None:
            self._opened = _open(self.descriptor)
            self._most = self._opened.most

    def _attempt(self, piece: bytes) -> bool:
        """Whether it is done with: written, or lost."""
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
    """How to write there without waiting."""

    put: Put
    most: int
    """Bytes at once."""
    close: Callable[[], None]


class Lines(io.BufferedIOBase):
    """What `print` and tracebacks write to, under a text stream with `line_buffering`."""

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
    """A stream to put in the place of sys.stdout or sys.stderr."""
    return io.TextIOWrapper(Lines(writer), "utf-8", "backslashreplace", line_buffering=True)


def pieces(lines: bytes, most: int) -> Iterator[bytes]:
    """The same in pieces of at most `most` bytes that end with a line; a line that is longer loses its end."""
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
        return _Opened(lambda piece: reader.send(piece, MSG_DONTWAIT), LONGEST, reader.close)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return shared
    names = [f"/proc/self/fd/{descriptor}"]
    if os.isatty(descriptor):
        names.append(os.ttyname(descriptor))
    for name in names:
        with suppress(OSError):  # of another user, or there is no /proc
            own = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return _Opened(partial(os.write, own), LONGEST, partial(os.close, own))
    return _Opened(partial(_write_if_half_empty, descriptor), LONGEST, lambda: None)


def _write_if_half_empty(descriptor: int, piece: bytes) -> int:
    """For a pipe that cannot be opened again: half of it is left for those who look at the same time."""
    try:
        size = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    except OSError:  # a terminal of another user
        return os.write(descriptor, piece)
    held = int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), "little")
    if 2 * held > size:
        raise BlockingIOError
    return os.write(descriptor, piece)
