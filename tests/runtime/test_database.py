"""The SQLite file: made when needed, shared by processes, never waited for inside SQLite, errors with a remedy."""

import logging
import os
import socket
import sqlite3
import stat
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ltp_service.domain.errors import InvalidParameter, StoreUnavailable
from ltp_service.runtime.database import (
    LOCK_RETRY_EVERY_SECONDS,
    LOCK_TIMEOUT_SECONDS,
    LONGEST_LOCK_SECONDS,
    MIGRATIONS,
    RELOAD_EVERY_SECONDS,
    Database,
    DatabaseWatch,
    Execute,
    Reload,
)
from ltp_service.runtime.runtime import Runtime
from tests.fakes import in_threads, runtime
from tests.steered_clock import SteeredClock

LIST = "SELECT list FROM symbols"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ltp.sqlite3"


class File(Database):
    """With what it was made of, for a test to use."""

    def __init__(self, path: Path, clock: SteeredClock) -> None:
        super().__init__(path, runtime(clock))
        self.path, self.clock = path, clock


@pytest.fixture
def database(path: Path, clock: SteeredClock) -> Generator[File]:
    with closing(File(path, clock)) as database:
        yield database


@pytest.fixture
def stored(database: File) -> File:
    """With one list of symbols in it."""
    store("BTCUSDT", database)
    return database


@pytest.fixture
def other(path: Path, clock: SteeredClock) -> Generator[File]:
    """The same file, as another process opens it."""
    with closing(File(path, clock)) as other:
        yield other


def store(text: str, database: Database, *, urgent: bool = True) -> None:
    database.write(lambda run: run("INSERT OR REPLACE INTO symbols VALUES (1, ?)", text), urgent=urgent)


@contextmanager
def locked(path: Path) -> Generator[sqlite3.Connection]:
    """Another program writes for as long as this lasts."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_reading_makes_no_file_and_finds_nothing(database: File) -> None:
    assert database.read(LIST) == []
    assert database.data_version() == (0, 0, 0)
    assert not database.path.parent.exists()


def test_the_first_write_makes_the_file_and_its_folders(tmp_path: Path, clock: SteeredClock) -> None:
    path = tmp_path / "var" / "lib" / "ltp.sqlite3"
    with closing(Database(path, runtime(clock))) as database:
        store("BTCUSDT", database)
        assert path.is_file()
        assert database.read(LIST) == [("BTCUSDT",)]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_the_file_and_its_journals_are_for_their_owner_alone(database: File, umask: int) -> None:
    database.path.parent.mkdir()
    before = os.umask(umask)
    try:
        store("BTCUSDT", database)
    finally:
        os.umask(before)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in database.path.parent.iterdir()}
    assert modes == {f"{database.path.name}{journal}": 0o600 for journal in ("", "-wal", "-shm")}


def test_a_readable_file_is_closed_to_others_and_a_read_only_one_stays_so(database: File) -> None:
    database.path.parent.mkdir()
    for mode, kept in ((0o664, 0o600), (0o640, 0o600), (0o444, 0o400)):
        database.path.touch()
        database.path.chmod(mode)
        database.read(LIST)
        database.close()
        assert stat.S_IMODE(database.path.stat().st_mode) == kept


def test_the_file_is_in_wal_mode_and_at_the_newest_version(stored: File) -> None:
    assert stored.read("PRAGMA journal_mode") == [("wal",)]
    assert stored.read("PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_a_file_of_an_older_version_is_brought_up_to_date_with_its_rows_kept(database: File) -> None:
    database.path.parent.mkdir()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as old:
        old.execute(MIGRATIONS[0])
        old.execute("INSERT INTO api_keys VALUES ('hash', 'prefix', 'name', 'read', 1, 2, NULL, NULL)")
        old.execute("PRAGMA user_version = 1")
    assert database.read(LIST) == []
    assert database.read("SELECT name FROM api_keys") == [("name",)]


def test_a_file_of_a_newer_version_is_refused_and_left_alone(database: File) -> None:
    database.path.parent.mkdir()
    with closing(sqlite3.connect(database.path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = database.path.read_bytes()
    with pytest.raises(StoreUnavailable, match="newer version of the service; run that version"):
        store("BTCUSDT", database)
    with closing(sqlite3.connect(database.path)) as newer:
        assert newer.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    assert before[60:64] == database.path.read_bytes()[60:64]


def test_an_urgent_write_waits_for_the_disk_and_one_that_is_not_does_not(database: File) -> None:
    full, normal = 2, 1
    store("BTCUSDT", database)
    assert database.read("PRAGMA synchronous") == [(full,)]
    store("ETHUSDT", database, urgent=False)
    assert database.read("PRAGMA synchronous") == [(normal,)]


def test_what_one_process_writes_another_reads_and_notices(stored: File, other: File) -> None:
    before = other.data_version()
    assert other.data_version() == before
    store("ETHUSDT", stored)
    assert other.data_version() != before
    assert other.read(LIST) == [("ETHUSDT",)]


def test_the_version_tells_of_own_writes_too(stored: File) -> None:
    before = stored.data_version()
    store("ETHUSDT", stored)
    assert stored.data_version() != before


def test_the_version_is_another_one_once_the_file_exists(database: File, other: File) -> None:
    before = database.data_version()
    store("BTCUSDT", other)
    assert database.data_version() != before


def test_a_reader_that_was_closed_meanwhile_notices_a_write(stored: File, other: File) -> None:
    before = other.data_version()
    other.close()
    store("ETHUSDT", stored)
    assert other.data_version() != before


def test_a_change_that_raises_changes_nothing(stored: File, other: File) -> None:

    def change(execute: Execute) -> None:
        execute("DELETE FROM symbols")
        raise InvalidParameter("not this one")

    with pytest.raises(InvalidParameter, match="not this one"):
        stored.write(change)
    assert other.read(LIST) == [("BTCUSDT",)]
    store("ETHUSDT", stored)


def test_a_locked_file_is_waited_for_outside_sqlite_until_it_is_free(stored: File) -> None:
    with locked(stored.path) as writer:

        def sleep(seconds: float) -> None:
            stored.clock.sleep(seconds)
            if len(stored.clock.slept) == 3:
                writer.execute("ROLLBACK")

        with closing(Database(stored.path, runtime(stored.clock, sleep=sleep))) as patient:
            store("ETHUSDT", patient)
    assert stored.clock.slept == [LOCK_RETRY_EVERY_SECONDS] * 3
    assert stored.read(LIST) == [("ETHUSDT",)]


def test_sqlite_itself_never_waits_longer_than_a_hub_can_bear(stored: File) -> None:
    assert stored.read("PRAGMA busy_timeout") == [(LOCK_TIMEOUT_SECONDS * 1000,)]
    assert LOCK_TIMEOUT_SECONDS <= 0.02


def test_a_file_that_stays_locked_is_an_error_after_the_patience_and_nothing_is_changed(stored: File) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        stored.clock.advance(LONGEST_LOCK_SECONDS / 4)

    with (
        closing(Database(stored.path, runtime(stored.clock, sleep=sleep))) as waiting,
        locked(stored.path),
        pytest.raises(StoreUnavailable, match=r"nothing was changed.*locked by another process; end that"),
    ):
        store("ETHUSDT", waiting)
    assert waits == [LOCK_RETRY_EVERY_SECONDS] * 4
    assert stored.read(LIST) == [("BTCUSDT",)]


def test_a_write_that_is_not_urgent_gives_up_at_the_first_lock_before_it_begins(stored: File) -> None:
    begun: list[object] = []
    with locked(stored.path), pytest.raises(StoreUnavailable, match="locked"):
        stored.write(begun.append, urgent=False)
    assert begun == stored.clock.slept == []


def test_reading_goes_on_while_another_process_writes(stored: File) -> None:
    with locked(stored.path):
        assert stored.read(LIST) == [("BTCUSDT",)]
    assert stored.clock.slept == []


def test_no_lock_of_ours_is_held_while_we_wait(stored: File) -> None:
    seen = []

    def sleep(_: float) -> None:
        seen.append(waiting.read(LIST))
        stored.clock.advance(LONGEST_LOCK_SECONDS)

    with (
        closing(Database(stored.path, runtime(stored.clock, sleep=sleep))) as waiting,
        locked(stored.path),
        pytest.raises(StoreUnavailable),
    ):
        store("ETHUSDT", waiting)
    assert seen == [[("BTCUSDT",)]]


def test_threads_share_the_one_connection(database: File) -> None:
    store("0", database)

    def count(execute: Execute) -> None:
        [(text,)] = execute(LIST)
        execute("UPDATE symbols SET list = ?", str(int(text) + 1))

    with in_threads(4, lambda: [database.write(count) for _ in range(20)]):
        pass
    assert database.read(LIST) == [("80",)]


def test_a_full_disk_refuses_the_write_keeps_everything_and_reads_on(stored: File, other: Database) -> None:
    [(pages,)] = stored.read("PRAGMA page_count")
    stored.read(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match=r"nothing was changed.*the disk is full; free some space"):
        store("X" * 100_000, stored)
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        store("X" * 100_000, stored)
    assert stored.read(LIST) == other.read(LIST) == [("BTCUSDT",)]
    stored.read("PRAGMA max_page_count = 1000")
    store("X" * 100_000, stored)


def test_a_file_that_may_not_be_written_says_so(stored: File) -> None:
    stored.close()
    with stored.path.open("r+b") as file:
        file.seek(18)
        file.write(
            b"\x03"
        )  # the format's write version (sqlite.org/fileformat2.html 1.3.3): read-only for today's SQLite
    with pytest.raises(
        StoreUnavailable, match=r"nothing was changed.*may not be written; let this user write"
    ):
        store("ETHUSDT", stored)


def test_a_path_that_cannot_be_used_says_so_and_comes_right_without_a_restart(database: File) -> None:
    database.path.parent.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match=r"cannot be used \(Not a directory\); check its path"):
        database.read(LIST)
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        store("BTCUSDT", database)
    database.path.parent.unlink()
    store("BTCUSDT", database)


def test_a_folder_in_place_of_the_file_says_so(database: File) -> None:
    database.path.mkdir(parents=True)
    with pytest.raises(StoreUnavailable, match="cannot be opened; let this user read and write"):
        database.read(LIST)


def test_a_file_that_is_no_database_says_so_and_is_left_alone(database: File) -> None:
    database.path.parent.mkdir()
    database.path.write_text("dear diary, " * 100)
    with pytest.raises(StoreUnavailable, match="is not a SQLite database; name another file"):
        store("BTCUSDT", database)
    assert database.path.read_text() == "dear diary, " * 100


def test_a_damaged_file_that_was_mended_in_its_place_is_opened_anew(database: File) -> None:
    store("BTCUSDT " * 10_000, database)
    database.close()
    sound = database.path.read_bytes()
    before = database.data_version()
    database.path.write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
    with pytest.raises(StoreUnavailable, match="is damaged; stop the service and restore"):
        database.read(LIST)
    database.path.write_bytes(sound)
    assert database.data_version() != before
    assert database.read(LIST) == [("BTCUSDT " * 10_000,)]


def test_the_finer_codes_of_sqlite_are_told_like_the_coarse_ones(database: File) -> None:
    def change(_: Execute) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    with pytest.raises(StoreUnavailable, match="could not be read or written; look at the disk"):
        database.write(change)


def test_no_error_tells_where_the_file_is(database: File) -> None:
    database.path.mkdir(parents=True)
    with pytest.raises(StoreUnavailable) as refused:
        store("BTCUSDT", database)
    assert str(database.path.parent) not in str(refused.value)


@pytest.mark.parametrize("restored", [False, True])
def test_a_file_that_goes_away_is_never_silently_started_anew(restored: bool, stored: File) -> None:
    stored.path.rename(stored.path.with_suffix(".away"))
    if restored:
        stored.path.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="moved or replaced while in use; put it back or restart"):
        store("ETHUSDT", stored)
    with pytest.raises(StoreUnavailable):
        stored.data_version()
    stored.path.with_suffix(".away").rename(stored.path)
    assert stored.read(LIST) == [("BTCUSDT",)]


def test_a_closed_database_opens_again_and_is_another_version(stored: File) -> None:
    before = stored.data_version()
    stored.close()
    assert stored.read(LIST) == [("BTCUSDT",)]
    assert stored.data_version() != before


def test_processes_that_start_together_migrate_once(path: Path) -> None:
    start = threading.Barrier(8)
    failures = []

    def begin() -> None:
        database = Database(path, Runtime())
        start.wait()
        try:
            store("BTCUSDT", database)
        except StoreUnavailable as error:
            failures.append(error)
        database.close()

    with in_threads(8, begin):
        pass
    assert failures == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_open_files_do_not_grow_with_failures(database: File) -> None:
    database.path.parent.mkdir()
    database.path.write_text("dear diary, " * 100)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            database.read(LIST)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - only the count


class ScriptedStop(threading.Event):
    """Is set at the end of the given number of waits, which take no time."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return len(self.waits) > self.rounds


def test_a_reload_refreshes_every_second_and_finishes_once() -> None:
    calls = []
    stop = ScriptedStop(3)
    Reload("keys", lambda: calls.append("refresh"), lambda: calls.append("finish")).run(stop)
    assert calls == ["refresh"] * 3 + ["finish"]
    assert stop.waits == [RELOAD_EVERY_SECONDS] * 4
    assert RELOAD_EVERY_SECONDS < 2


def test_a_reload_survives_a_database_in_trouble_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = iter([StoreUnavailable("disk gone"), StoreUnavailable("disk gone"), None, None])

    def refresh() -> None:
        if error := next(answers):
            raise error

    Reload("keys", refresh).run(ScriptedStop(4))
    assert caplog.messages == [
        "keys: what is known goes on without the others: disk gone",
        "keys: in step with the others again",
    ]


def test_what_is_no_file_keeps_its_permissions(tmp_path: Path, clock: SteeredClock) -> None:
    """DATABASE_PATH=/dev/null, as root, must not close it to all other users; a socket stands for it here."""
    place = tmp_path / "no file"
    with socket.socket(socket.AF_UNIX) as holder, closing(Database(place, runtime(clock))) as database:
        holder.bind(str(place))
        place.chmod(0o666)
        with pytest.raises(StoreUnavailable):
            store("BTCUSDT", database)
        assert stat.S_IMODE(place.stat().st_mode) == 0o666


# Whether anything can be kept, before anything has to be.


def test_a_check_makes_neither_file_nor_folder(database: File) -> None:
    database.check()
    assert not database.path.parent.exists()
    assert not list(database.path.parent.parent.iterdir())


@pytest.mark.parametrize(
    "place", ["/proc/x", "/proc/x/ltp.sqlite3", "/dev/null/ltp.sqlite3", "/proc", "x" * 300, "x" * 300 + "/y"]
)
def test_a_check_tells_of_a_place_where_nothing_can_be_kept(place: str, clock: SteeredClock) -> None:
    with (
        closing(Database(Path(place), runtime(clock))) as database,
        pytest.raises(StoreUnavailable, match="the database file"),
    ):
        database.check()


def test_a_check_leaves_a_file_that_another_process_writes_to_in_peace(stored: File) -> None:
    now = stored.clock.monotonic()
    with locked(stored.path):
        stored.check()
    assert stored.clock.monotonic() == now


def test_a_watch_tells_once_when_the_file_cannot_be_used_and_once_when_it_can_again(
    tmp_path: Path, clock: SteeredClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("not a folder")
    with caplog.at_level(logging.INFO), closing(Database(tmp_path / "data" / "x", runtime(clock))) as broken:
        watch = DatabaseWatch(broken)
        watch.look()
        problems = [watch.problem]
        (tmp_path / "data").unlink()
        watch.look()
        watch.look()
        problems.append(watch.problem)
    assert [problem is None for problem in problems] == [False, True]
    assert [(record.levelname, record.getMessage().partition(":")[0]) for record in caplog.records] == [
        ("ERROR", "no API key and no symbol can be kept"),
        ("INFO", "API keys and symbols can be kept again"),
    ]
