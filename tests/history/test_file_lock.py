"""The writer's lock beside a file, between real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.history.file_lock import FileLock
from tests.conftest import ROOT
from tests.fakes import eventually

HOLDER = """
import sys, time
from pathlib import Path
from ltp_service.history.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
time.sleep(600)
"""


def test_one_has_it_until_it_is_released(tmp_path: Path) -> None:
    one, other = (FileLock(tmp_path / "data" / "history.sqlite3") for _ in range(2))
    assert [one.take(), one.take(), other.take()] == [True, True, False]
    one.release()
    assert [other.take(), one.take()] == [True, False]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["history.sqlite3.lock"]


def test_a_process_that_is_killed_has_it_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    mine = FileLock(path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "True\n"
            assert not mine.take()
        finally:
            holder.kill()
    eventually(mine.take)


def test_a_lock_whose_file_was_deleted_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    one, other = FileLock(path), FileLock(path)
    assert one.take()
    path.with_name("history.sqlite3.lock").unlink()
    assert other.take()
    assert [one.take(), other.take()] == [False, True]


def test_a_lock_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="let this user write the file"):
        FileLock(tmp_path / "file" / "history.sqlite3").take()


def test_a_file_that_is_put_in_the_place_of_the_history_is_told_from_it(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    lock = FileLock(path)
    assert lock.place() is None
    path.touch()
    first = lock.place()
    assert first is not None
    path.with_name("backup").touch()
    path.with_name("backup").rename(path)
    assert lock.place() not in {None, first}
    assert FileLock(path / "below").place() is None
