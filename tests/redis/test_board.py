"""ltp_service.redis.board: the file in which the workers of one machine tell each other something."""

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

from ltp_service.redis.board import SLOT_BYTES, Board


@pytest.fixture
def file() -> Iterator[int]:
    with tempfile.TemporaryFile() as opened:
        yield opened.fileno()


def in_a_fork(act: Callable[[], bool]) -> bool:
    """What it returns in a process of its own, which ends with it."""
    if not (child := os.fork()):
        answer = 2
        try:
            answer = int(act())
        finally:
            os._exit(answer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return bool(code)


def told_there(file: int, text: bytes) -> Callable[[], bool]:
    def tell() -> bool:
        Board(file).tell(text, 1001.0, hears=False)
        return True

    return tell


def test_of_all_processes_one_asks_and_the_next_one_when_it_is_gone(file: int) -> None:
    assert in_a_fork(Board(file).become_asker)  # and dies of it
    here = Board(file)
    assert here.become_asker()
    assert not in_a_fork(Board(file).become_asker)
    here.resign()
    assert in_a_fork(Board(file).become_asker)


def test_a_text_is_read_by_the_others_and_not_by_its_writer(file: int) -> None:
    here = Board(file)
    here.tell(b"here", 1000.0, hears=True)
    assert here.read().heads == []
    assert in_a_fork(told_there(file, b"there"))
    (head,) = here.read().heads
    assert (here.text(head), head.told_at, head.hears) == (b"there", 1001.0, False)


def test_a_new_process_goes_on_where_one_before_it_ended(file: int) -> None:
    reader = Board(file)
    versions = []
    for text in (b"first", b"second"):
        assert in_a_fork(told_there(file, text))
        (head,) = reader.read().heads
        assert reader.text(head) == text
        versions.append((head.slot, head.version))
    assert versions == [(0, 1), (0, 2)]


def test_a_text_that_is_just_written_is_not_read(file: int) -> None:
    assert in_a_fork(told_there(file, b"whole"))
    here = Board(file)
    (head,) = here.read().heads
    assert here.text(head._replace(checksum=head.checksum ^ 1)) is None


def test_a_text_without_room_is_refused(file: int) -> None:
    with pytest.raises(OSError, match="no room"):
        Board(file).tell(bytes(SLOT_BYTES + 1), 1000.0, hears=True)
