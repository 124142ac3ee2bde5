"""Lines to a reader that does not read: a pipe, a socket, a terminal; files and what is closed."""

import errno
import os
import pty
import resource
import socket
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from ltp_service.runtime import line_writer
from ltp_service.runtime.line_writer import (
    ATOMIC_WRITE_BYTES,
    MAX_WAITING_PIECES,
    LineWriter,
    as_text,
    pieces,
)

Pair = tuple[int, int]
"""Where it is read and where it is written."""


def a_pipe() -> Pair:
    return os.pipe()


def a_terminal() -> Pair:
    return pty.openpty()


def a_socket() -> Pair:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


_made: list[LineWriter] = []


def to(descriptor: int) -> LineWriter:
    """A writer that is closed after the test."""
    _made.append(LineWriter(descriptor))
    return _made[-1]


@pytest.fixture(autouse=True)
def closed_afterwards() -> Generator[None]:
    yield
    while _made:
        _made.pop().close()


@pytest.fixture(params=[a_pipe, a_terminal, a_socket])
def ends(request: pytest.FixtureRequest) -> Generator[Pair]:
    make: Callable[[], Pair] = request.param
    reader, writer = make()
    os.set_blocking(reader, False)
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


@pytest.fixture
def pipe() -> Generator[Pair]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for descriptor in ends:
        os.close(descriptor)


def line(number: int) -> bytes:
    return f"{number:06d} {'x' * (number % 500)}\n".encode()


def everything(reader: int, writer: LineWriter) -> list[bytes]:
    """The lines, as a reader that is back finds them."""
    read = b""
    while True:
        try:
            read += os.read(reader, 1 << 16)
        except BlockingIOError:
            if not writer.is_behind():
                return read.replace(b"\r\n", b"\n").splitlines(keepends=True)  # a terminal's line ends
            writer.settle()


def test_a_reader_that_stops_costs_lines_and_those_written_are_whole_and_in_order(ends: Pair) -> None:
    reader, descriptor = ends
    writer = to(descriptor)
    number = 0
    while not writer.dropped:
        writer.write(line(number))
        number += 1
    found = everything(reader, writer)

    assert found == [line(each) for each in range(number - 1)]


def test_a_reader_that_is_back_gets_the_newest_lines(ends: Pair) -> None:
    reader, descriptor = ends
    writer = to(descriptor)
    while not writer.dropped:
        writer.write(line(1))
    everything(reader, writer)
    writer.write(b"back\n")

    assert everything(reader, writer) == [b"back\n"]
    assert writer.dropped == 1


def test_the_flags_that_others_share_stay_as_they_are(ends: Pair) -> None:
    descriptor = ends[1]
    to(descriptor).write(b"x\n")

    assert os.get_blocking(descriptor)


def test_two_processes_never_mix_their_lines() -> None:
    reader, end = os.pipe()
    os.set_blocking(reader, False)
    first, second = to(end), to(os.dup(end))
    while not (first.dropped and second.dropped):
        first.write(b"a" * 3000 + b"\n")
        second.write(b"b" * 5000 + b"\n" + b"c" * 10 + b"\n")
    found = everything(reader, first) + everything(reader, second)

    assert {len(set(each)) for each in found} == {2}
    for descriptor in (reader, end, second.descriptor):
        os.close(descriptor)


def test_a_terminal_is_opened_by_its_name_where_proc_does_not_let_us(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refused(name: str, flags: int) -> int:
        if name.startswith("/proc/"):
            raise PermissionError(name)
        return opened(name, flags)

    monkeypatch.setattr("ltp_service.runtime.line_writer.os.open", refused)
    reader, end = pty.openpty()
    os.set_blocking(reader, False)
    writer = to(end)
    while not writer.dropped:
        writer.write(line(400))
    assert set(everything(reader, writer)) == {line(400)}
    for descriptor in (reader, end):
        os.close(descriptor)


def test_a_pipe_that_cannot_be_reopened_blocks_nobody(pipe: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "of another user")

    monkeypatch.setattr(os, "open", refuse)
    reader, end = pipe
    writer = to(end)
    while not writer.dropped:
        writer.write(line(3))

    assert set(everything(reader, writer)) == {line(3)}


def test_a_file_gets_every_line_where_others_write_too(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        writer = to(file.fileno())
        file.write(b"before\n")
        writer.write(b"x" * 3 * ATOMIC_WRITE_BYTES + b"\n")
        file.write(b"after\n")

    assert (tmp_path / "log").read_bytes() == b"before\n" + b"x" * 3 * ATOMIC_WRITE_BYTES + b"\nafter\n"


def test_a_line_after_one_that_a_full_disk_cut_off_stands_alone(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab", buffering=0) as file:
        writer = to(file.fileno())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))  # stands for the disk's end
        try:
            for line in (b"first\n", b"second\n", b"third\n"):
                writer.write(line)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        for line in (b"fourth\n", b"fifth\n"):
            writer.write(line)

    assert (tmp_path / "log").read_bytes().splitlines() == [b"first", b"se", b"fourth", b"fifth"]
    assert writer.dropped == 2


def test_a_full_disk_costs_the_lines_and_counts_them() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = to(full.fileno())
        writer.write(b"one\ntwo\n")

    assert (writer.dropped, writer.is_behind()) == (2, False)


@pytest.mark.parametrize("closed", ["the reader", "the descriptor"])
def test_what_is_closed_costs_the_lines_and_counts_them(closed: str) -> None:
    reader, end = os.pipe()
    writer = to(end)
    os.close(reader)
    if closed == "the descriptor":
        os.close(end)
    writer.write(b"one\n")

    assert (writer.dropped, writer.is_behind()) == (1, False)


def test_a_child_leaves_its_parents_lines_to_the_parent(pipe: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, end = pipe
    writer = to(end)
    written = 0
    while not writer.is_behind():
        writer.write(line(400))
        written += 1
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as after a fork
    writer.write(b"of the child\n")
    found = everything(reader, writer)

    assert found == [line(400)] * (written - 1) + [b"of the child\n"]


def test_a_slow_reader_gets_the_last_lines_before_the_end(pipe: Pair) -> None:
    reader, end = pipe
    writer = to(end)
    while not writer.is_behind():
        writer.write(line(400))
    reads: list[bytes] = []
    writer.finish(60.0, sleep=lambda _: reads.append(os.read(reader, 1 << 16)))

    assert not writer.is_behind()


def test_what_is_printed_or_raised_goes_the_same_way(ends: Pair) -> None:
    reader, descriptor = ends
    writer = to(descriptor)
    stream = as_text(writer)
    while not writer.dropped:
        print("a" * 100, "b" * 100, file=stream)
    assert stream.fileno() == descriptor

    assert set(everything(reader, writer)) == {b"a" * 100 + b" " + b"b" * 100 + b"\n"}
    stream.detach()


@pytest.mark.parametrize("size", [1, 10, ATOMIC_WRITE_BYTES - 1, ATOMIC_WRITE_BYTES, ATOMIC_WRITE_BYTES + 1])
def test_pieces_end_with_a_line(size: int) -> None:
    lines = (b"x" * size + b"\n") * 20
    cut = list(pieces(lines, ATOMIC_WRITE_BYTES))

    assert all(len(each) <= ATOMIC_WRITE_BYTES and each.endswith(b"\n") for each in cut)
    assert b"".join(cut).count(b"\n") == 20
    if size < ATOMIC_WRITE_BYTES:
        assert b"".join(cut) == lines


def test_what_waits_is_bounded(pipe: Pair) -> None:
    _, end = pipe
    writer = to(end)
    for _ in range(3 * MAX_WAITING_PIECES):
        writer.write(b"x" * 4000 + b"\n")

    assert sys.getsizeof(writer._waiting) < 1 << 20  # noqa: SLF001 - only the writer has what it keeps
    assert writer.dropped >= MAX_WAITING_PIECES
    assert line_writer.MAX_WAITING_PIECES * ATOMIC_WRITE_BYTES <= 1 << 20
