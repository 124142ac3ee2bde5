"""The history in a SQLite file, which one process writes and several read.

SQLite may wait here, because it is called in a thread of its own.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.history.engine import Row, T, Transaction
from ltp_service.runtime.database import explain, identity, leaves_usable, open_private

LOCK_TIMEOUT_SECONDS = 5.0
"""Seconds to wait for another process. Two write only while one takes over from the other."""

MIGRATIONS = (
    (
        """CREATE TABLE tapes (tape INTEGER PRIMARY KEY, pair TEXT NOT NULL, series INTEGER NOT NULL,
        evidence_until INTEGER, kept_from INTEGER, UNIQUE (pair, series))""",
        # Price and quantity have no type, so that SQLite leaves integers and texts as they are.
        """CREATE TABLE trades (tape INTEGER NOT NULL, traded_at INTEGER NOT NULL, trade_id INTEGER NOT NULL,
        price NOT NULL, quantity NOT NULL, form INTEGER NOT NULL,
        PRIMARY KEY (tape, traded_at, trade_id)) WITHOUT ROWID""",
        """CREATE TABLE runs (tape INTEGER NOT NULL, first_trade_id INTEGER NOT NULL, last_trade_id INTEGER NOT NULL,
        first_traded_at INTEGER NOT NULL, last_traded_at INTEGER NOT NULL,
        PRIMARY KEY (tape, first_trade_id)) WITHOUT ROWID""",
        """CREATE TABLE candles (tape INTEGER NOT NULL, minutes INTEGER NOT NULL, begins INTEGER NOT NULL,
        opening TEXT NOT NULL, highest TEXT NOT NULL, lowest TEXT NOT NULL, closing TEXT NOT NULL, volume TEXT NOT NULL,
        turnover TEXT NOT NULL, trades INTEGER NOT NULL, first_trade_id INTEGER NOT NULL, last_trade_id INTEGER NOT NULL,
        PRIMARY KEY (tape, minutes, begins)) WITHOUT ROWID""",
        "CREATE INDEX minutes_by_id ON candles (tape, first_trade_id) WHERE minutes = 1",
        """CREATE TABLE observations (pair TEXT NOT NULL, observed_at INTEGER NOT NULL, evidence_until INTEGER NOT NULL,
        price TEXT NOT NULL, traded_at INTEGER, source TEXT NOT NULL, PRIMARY KEY (pair, observed_at)) WITHOUT ROWID""",
        "CREATE TABLE writer (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), token INTEGER NOT NULL, previous INTEGER)",
    ),
    (
        "CREATE TABLE breaks (tape INTEGER NOT NULL, moment INTEGER NOT NULL, PRIMARY KEY (tape, moment)) WITHOUT ROWID",
    ),
)
"""The statements of one place in this list bring the file to the `user_version` of that place, counted from 1."""

_NAME = "the history's file (HISTORY_URL)"
_JOURNALS = ("-wal", "-shm")


class SqliteEngine:
    """An Engine. A file that was deleted or replaced is noticed before the next use: reading finds what lies there now, and
    writing begins a new file where there is none."""

    block = 0  # a row is as small as its content here

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = _Connection(path, writes=False)
        self._writer = _Connection(path, writes=True)
        self._read_from: sqlite3.Connection | None = None

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with _explained(self._reader):
            connection = self._reader.existing()
            if connection is not None and _user_version(connection) < len(MIGRATIONS):
                self._reader.close()  # the journals that belong to it are only made by the first write
                connection = None
            self._read_from = connection
            return [] if connection is None else connection.execute(sql, parameters).fetchall()

    def origin(self) -> object:
        """The connection that was last read from. Each file has another one."""
        return self._read_from

    def write(self, change: Callable[[Transaction], T]) -> T:
        with _explained(self._writer):
            connection = self._writer.existing() or self._writer.create()
            with connection:  # commits, or rolls back when anything is raised
                connection.execute("BEGIN IMMEDIATE")
                _migrate(connection)
                return change(_Transaction(connection))

    def size(self) -> int:
        found = 0
        for name in ("", *_JOURNALS):
            with suppress(FileNotFoundError):
                found += _beside(self._path, name).stat().st_size
        return found

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class _Transaction:
    block = SqliteEngine.block

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.executemany(sql, rows)


class _Connection:
    """One connection to whatever file lies at the path."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self._path = path
        self._writes = writes
        self._connection: sqlite3.Connection | None = None
        self._opened: list[tuple[int, int] | None] = []
        """Which file and journals are open."""

    def existing(self) -> sqlite3.Connection | None:
        """None where there is no file."""
        found = identity(self._path)
        if self._connection is not None and self._opened[0] != found:
            self._leave()
        if self._connection is None and found is not None:
            self._open()
        return self._connection

    def create(self) -> sqlite3.Connection:
        """Begins a new file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for name in _JOURNALS:  # of a file that was deleted
            _beside(self._path, name).unlink(missing_ok=True)
        return self._open()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = open_private(self._path, LOCK_TIMEOUT_SECONDS)
        try:
            # For all of them. The change needs the file alone, so a reader would wait for another one.
            if self._writes:
                connection.execute("PRAGMA journal_mode = WAL")
            # Without a sync at each commit, a power cut may cost the last transactions, but each of them whole: coverage
            # never outlives its trades. What is lost is a hole, which is filled like any other one. The end of a process,
            # however it comes, costs nothing. FULL would cost a third of the speed, and a wait for the disk each time.
            connection.execute("PRAGMA synchronous = NORMAL")
            _user_version(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._opened = [identity(_beside(self._path, name)) for name in ("", *_JOURNALS)]
        return connection

    def _leave(self) -> None:
        """Closes a file that was deleted or replaced. SQLite notices that, and leaves its journals; they would be taken for
        those of the next file."""
        for name, opened in zip(_JOURNALS, self._opened[1:], strict=True):
            journal = _beside(self._path, name)
            if opened is not None and identity(journal) == opened:
                journal.unlink(missing_ok=True)
        self.close()


@contextmanager
def _explained(connection: _Connection) -> Iterator[None]:
    """Turns errors into StoreUnavailable, and closes a connection that they broke."""
    try:
        yield
    except sqlite3.Error as error:
        if not leaves_usable(error):
            with suppress(sqlite3.Error):
                connection.close()
        raise StoreUnavailable(explain(error, _NAME)) from error
    except OSError as error:
        raise StoreUnavailable(explain(error, _NAME)) from error


def _beside(path: Path, journal: str) -> Path:
    return path.with_name(path.name + journal)


def _migrate(connection: sqlite3.Connection) -> None:
    """Inside a transaction: another process may have begun the file meanwhile."""
    version = _user_version(connection)
    if version == len(MIGRATIONS):
        return
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    # Random, so that what a writer knows of another file is not taken for this one's.
    connection.execute("INSERT OR IGNORE INTO writer VALUES (1, ?, NULL)", (secrets.randbits(62),))


def _user_version(connection: sqlite3.Connection) -> int:
    [(version,)] = connection.execute("PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise StoreUnavailable(f"{_NAME} is of a newer version of the service; run that version")
    return int(version)
