"""Standard output and standard error: what happens where they are closed or full, or where its reader has gone.

A failure of standard output is an error of its own, so that no command takes it for that of a file or a socket. Standard
error has no place to tell its failures, so they change nothing.
"""

import errno
import os
import select
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = range(3)

LOST = 74
"""Exit code: standard output cannot be written. It is EX_IOERR of sysexits.h."""

UNREAD = 141
"""Exit code: the reader of the pipe has gone. It is 128 and the number of SIGPIPE, as in a shell."""

ASCII = "latin-1"
"""The encoding of what only ASCII is written to. For `ascii` itself click would write UTF-8."""


class OutputLost(Exception):
    """Standard output cannot be written. Says why and what to do."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"standard output cannot be written ({error.strerror}); give it a file or a pipe that takes it"
        )
        self.code = UNREAD if error.errno == errno.EPIPE else LOST


class Descriptor(RawIOBase):
    """What writes to a descriptor. After the first failure it takes everything and writes nothing."""

    def __init__(self, number: int, *, is_needed: bool) -> None:
        """Where it is needed, the first failure raises OutputLost."""
        self._number, self._is_needed = number, is_needed
        self.lost: OutputLost | None = None

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, content: "ReadableBuffer", /) -> int:
        while self.lost is None:
            try:
                return os.write(self._number, content)
            except BlockingIOError:  # another program of this terminal has set it so
                select.select([], [self._number], [])
            except OSError as error:
                self.lost = OutputLost(error)
        if self._is_needed:
            self._is_needed = False
            raise self.lost
        return memoryview(content).nbytes


class AsciiText(TextIOWrapper):
    """Writes other characters as their numbers."""

    def write(self, text: str, /) -> int:
        super().write(text.encode("ascii", "backslashreplace").decode("ascii"))
        return len(text)


@contextmanager
def guarded(environ: Mapping[str, str]) -> Generator[Descriptor]:
    """Puts both in the place of Python's. Yields standard output.

    Streams that are not this process's own, those of a test, stay. What is closed is opened, because the next file or
    socket would otherwise take its number.
    """
    _open_what_is_closed()
    before = sys.stdout, sys.stderr
    out, err = Descriptor(STDOUT, is_needed=True), Descriptor(STDERR, is_needed=False)
    if _is_own(sys.stdout, STDOUT):
        sys.stdout = _text(out, _encoding(sys.stdout, environ))
    if _is_own(sys.stderr, STDERR):
        sys.stderr = _text(err, _encoding(sys.stderr, environ))
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


def _open_what_is_closed() -> None:
    """Reading from them gives nothing. Writing to them fails, as it would to a closed one.

    A program that this process becomes has them, too: its log must not get into a socket that has their number.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            lowest = os.open(os.devnull, os.O_RDONLY)  # of the free numbers, so it is this one
            os.set_inheritable(lowest, True)


def _is_own(stream: TextIO | None, number: int) -> bool:
    try:
        return stream is None or stream.fileno() == number
    except (OSError, ValueError):  # it has no number
        return False


def _text(descriptor: Descriptor, encoding: str) -> TextIOWrapper:
    is_for_people = descriptor.isatty() or descriptor.fileno() == STDERR
    kind = AsciiText if encoding == ASCII else TextIOWrapper
    # What the encoding does not have is written as its number: half a line helps less.
    return kind(BufferedWriter(descriptor), encoding, errors="backslashreplace", line_buffering=is_for_people)


def _encoding(stream: TextIO | None, environ: Mapping[str, str]) -> str:
    """ASCII for a terminal in the locale C: Python writes UTF-8 there (PEP 538 and 540), and it cannot be read."""
    encoding = "utf-8" if stream is None else stream.encoding
    is_terminal = stream is not None and stream.isatty()
    return ASCII if is_terminal and _is_locale_c(environ) else encoding


def _is_locale_c(environ: Mapping[str, str]) -> bool:
    of_texts = environ.get("LC_CTYPE", "")
    if of_texts in ("", "C.UTF-8"):  # Python itself sets the latter where LANG is C
        of_texts = environ.get("LANG", "")
    return (environ.get("LC_ALL") or of_texts) in ("C", "POSIX")
