"""The history's file: private, replaced under the service's feet, full, locked, damaged, of another version."""

import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.history import sqlite
from ltp_service.history.rows import Coverage, News, RecordedTrade
from ltp_service.history.sqlite import MIGRATIONS, SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.history.plain import PAIR, candles_of, each_second, runs_of

EVER = 2**62
NOTHING = Coverage((), None, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqlHistory]:
    with closing(SqlHistory(SqliteEngine(path))) as store:
        yield store


@pytest.fixture
def other(path: Path) -> Iterator[SqlHistory]:
    """The same file, as another process opens it."""
    with closing(SqlHistory(SqliteEngine(path))) as store:
        yield store


def write(store: SqlHistory, first: int, last: int) -> int:
    return store.write([News(PAIR, each_second(first, last))]).new


def known(store: SqlHistory) -> list[RecordedTrade]:
    """The trades, after a look at all that is claimed of them."""
    trades = store.trades(PAIR, 0, EVER, 1_000_000)
    assert list(store.coverage(PAIR).runs) == runs_of(trades, 0)
    assert store.candles(PAIR, 1, 0, EVER) == candles_of(trades, 1)
    return trades


def files(path: Path) -> set[str]:
    return {each.name.removeprefix(path.name) for each in path.parent.iterdir()}


def test_reading_makes_no_file(store: SqlHistory, path: Path) -> None:
    assert store.coverage(PAIR) == NOTHING
    assert store.size() == 0
    assert not path.parent.exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_the_file_and_its_journals_are_for_their_owner_alone(
    store: SqlHistory, path: Path, umask: int
) -> None:
    path.parent.mkdir()
    before = os.umask(umask)
    try:
        write(store, 1, 3)
        known(store)
    finally:
        os.umask(before)
    modes = {
        each.name.removeprefix(path.name): stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()
    }
    assert modes == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


def test_a_closed_history_is_one_file(store: SqlHistory, path: Path) -> None:
    write(store, 1, 3)
    known(store)
    store.close()
    assert files(path) == {""}
    assert store.size() == path.stat().st_size


def test_after_the_file_was_deleted_nothing_is_claimed_and_a_new_one_begins(
    store: SqlHistory, other: SqlHistory, path: Path
) -> None:
    write(store, 1, 3)
    known(other)
    path.unlink()
    assert (known(store), known(other)) == ([], [])
    assert write(store, 2, 5) == 4
    assert known(store) == known(other) == list(each_second(2, 5))
    path.unlink()
    assert write(store, 3, 6) == 4, "without a read between"
    assert known(store) == known(other) == list(each_second(3, 6))
    store.close()
    assert known(other) == list(each_second(3, 6))


def test_after_the_file_was_deleted_with_its_journals_and_folder_a_new_one_begins(
    store: SqlHistory, other: SqlHistory, path: Path
) -> None:
    write(store, 1, 3)
    known(other)
    shutil.rmtree(path.parent)
    assert write(store, 2, 5) == 4
    assert known(store) == known(other) == list(each_second(2, 5))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_journals_of_a_file_that_was_deleted_meanwhile_are_not_taken_for_the_new_ones(
    store: SqlHistory, path: Path
) -> None:
    write(store, 1, 3)
    journals = {name: path.with_name(path.name + name).read_bytes() for name in ("-wal", "-shm")}
    store.close()
    path.unlink()
    for name, content in journals.items():
        path.with_name(path.name + name).write_bytes(content)
    assert write(store, 2, 5) == 4
    assert known(store) == list(each_second(2, 5))


def put_a_backup_back(store: SqlHistory, other: SqlHistory, path: Path, backup: Path) -> None:
    """It ends with 3, and the file in whose place it comes ended with 9."""
    write(store, 1, 3)
    store.close()
    shutil.copy(path, backup)
    write(store, 4, 9)
    known(store), known(other)
    backup.replace(path)


def test_after_a_backup_was_put_in_its_place_only_that_is_claimed(
    store: SqlHistory, other: SqlHistory, path: Path, tmp_path: Path
) -> None:
    put_a_backup_back(store, other, path, tmp_path / "backup")
    assert write(store, 8, 10) == 3, "those are not in the backup"
    assert known(store) == known(other) == [*each_second(1, 3), *each_second(8, 10)]


def test_a_reader_that_sees_the_backup_first_leaves_its_journals(
    store: SqlHistory, other: SqlHistory, path: Path, tmp_path: Path
) -> None:
    put_a_backup_back(store, other, path, tmp_path / "backup")
    assert known(other) == known(store) == list(each_second(1, 3))
    assert write(store, 4, 5) == 2
    other.close()
    assert known(other) == known(store) == list(each_second(1, 5))


def test_a_reader_that_came_before_the_first_write_leaves_its_journals_too(
    store: SqlHistory, other: SqlHistory, path: Path, tmp_path: Path
) -> None:
    path.parent.mkdir()
    path.touch(mode=0o600)
    assert other.coverage(PAIR) == NOTHING
    write(store, 1, 3)
    with closing(sqlite3.connect(path)) as whole, closing(sqlite3.connect(tmp_path / "backup")) as backup:
        whole.backup(backup)
    write(store, 4, 9)
    known(other)
    (tmp_path / "backup").replace(path)
    assert known(other) == list(each_second(1, 3))


def test_a_file_of_a_newer_version_is_refused(store: SqlHistory, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    for use in (lambda: store.coverage(PAIR), lambda: write(store, 1, 3)):
        with pytest.raises(StoreUnavailable, match="newer version of the service; run that version"):
            use()


def test_a_file_that_another_process_has_just_made_is_empty_and_then_used(
    store: SqlHistory, path: Path
) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    assert store.coverage(PAIR) == NOTHING
    assert write(store, 1, 3) == 3
    assert known(store) == list(each_second(1, 3))


def test_a_reader_does_not_wait_for_another_one_of_a_file_that_is_being_made(
    store: SqlHistory, other: SqlHistory, path: Path
) -> None:
    path.parent.mkdir()
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT * FROM sqlite_master").fetchall() == []
        assert store.trades(PAIR, 0, EVER, 10) == []
    write(other, 1, 5)
    assert len(known(store)) == 5


def test_what_is_no_database_is_told(store: SqlHistory, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("no database at all, and long enough to be read as a header" * 20)
    for use in (lambda: store.coverage(PAIR), lambda: write(store, 1, 3)):
        with pytest.raises(
            StoreUnavailable, match=r"HISTORY_URL\) is not a SQLite database; name another file"
        ):
            use()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SqlHistory(SqliteEngine(tmp_path / "file" / "history.sqlite3"))
    with pytest.raises(StoreUnavailable, match=r"HISTORY_URL\) cannot be used .*; check its path"):
        write(store, 1, 3)


def test_a_writer_that_is_held_up_gives_up_and_goes_on_later(
    store: SqlHistory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_SECONDS", 0.01)
    write(store, 1, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="is locked by another process"):
            write(store, 4, 6)
        assert known(store) == list(each_second(1, 3)), "readers are not held up"
    assert write(store, 4, 6) == 3


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow beyond that, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_what_does_not_fit_and_no_more(store: SqlHistory, path: Path) -> None:
    write(store, 1, 3)
    with files_of_at_most(100_000):
        with pytest.raises(StoreUnavailable, match=r"HISTORY_URL\)"):
            write(store, 4, 9_000)
        assert known(store) == list(each_second(1, 3))
        with pytest.raises(StoreUnavailable, match=r"HISTORY_URL\)"):
            write(store, 4, 9_000)
    assert write(store, 3, 100) == 97
    assert known(store) == list(each_second(1, 100))


def test_an_error_of_the_change_itself_leaves_the_connection_usable(store: SqlHistory) -> None:
    write(store, 1, 3)
    with pytest.raises(TypeError):
        store.write([News(PAIR, (each_second(4, 4)[0]._replace(traded_at=None),))])  # type: ignore[arg-type]
    assert write(store, 4, 4) == 1
