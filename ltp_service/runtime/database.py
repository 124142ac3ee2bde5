"""The SQLite file that several processes share: opened when first needed, migrated, never waited for inside SQLite.

A wait inside SQLite stops every greenlet of a patched process, so SQLite itself waits LOCK_TIMEOUT at most and the
longer wait is ours, between attempts, through the injected sleep and with no lock held.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryFile
from threading import Event, Lock
from typing import Any, TypeVar

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.runtime.clock import Clock

log = logging.getLogger(__name__)

LOCK_TIMEOUT = 0.005
"""Seconds that one attempt waits for another process: a usual write holds the lock for a tenth of this."""

PAUSE = 0.02
"""Seconds between two attempts."""

PATIENCE = 5.0
"""Seconds after which a file that stays locked is an error."""

LOOK_EVERY = 30.0
"""Seconds between two looks whether the file can be used."""

RELOAD_EVERY = 1.0
"""Seconds between two looks at what other processes wrote."""

MIGRATIONS = (
    """CREATE TABLE api_keys (hash TEXT PRIMARY KEY, prefix TEXT NOT NULL, name TEXT NOT NULL,
    permission TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL, last_used REAL)""",
    "CREATE TABLE symbols (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), list TEXT NOT NULL)",
)
"""Each one brings the file to the `user_version` that is its place in this list, counted from 1."""

Row = tuple[Any, ...]
Execute = Callable[..., list[Row]]
"""SQL and its parameters in, rows out."""
Version = tuple[int, int, int]
T = TypeVar("T")

_NAME = "the database file (DATABASE_PATH)"
_CAUSES = {
    sqlite3.SQLITE_BUSY: "is locked by another process; end that process or try again",
    sqlite3.SQLITE_LOCKED: "is locked by another process; end that process or try again",
    sqlite3.SQLITE_FULL: "has no room: the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "may not be written; let this user write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; let this user read and write the file and its folder",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop the service and restore the file from a backup",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; name another file or restore this one from a backup",
    sqlite3.SQLITE_IOERR: "could not be read or written; look at the disk and its free space",
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# After these the connection is as good as before; closing it would need room or the lock itself.
_HARMLESS = {*_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT}


class Database:
    """Owner of the one connection. Safe from any thread or greenlet. Every method may raise StoreUnavailable.

    A file that does not exist reads as empty and is made by the first write.
    """

    def __init__(self, path: Path, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._path = path
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._opened = 0

    def read(self, sql: str, *parameters: object) -> list[Row]:
        """The rows of one query."""
        return self._patiently(lambda: self._read(sql, parameters), PATIENCE)

    def write(self, change: Callable[[Execute], T], *, urgent: bool = True) -> T:
        """What `change` returned, from one transaction that other processes see whole or not at all.

        `change` may run several times and must do nothing but SQL; when it raises, nothing is changed. Urgent: it is
        on the disk before this returns, and a lock is waited for; otherwise neither.
        """
        try:
            return self._patiently(lambda: self._transact(change, urgent), PATIENCE if urgent else 0.0)
        except StoreUnavailable as error:
            raise StoreUnavailable(f"nothing was changed: {error}") from error

    def data_version(self) -> Version:
        """Another value than before when anybody wrote, this process included."""
        return self._patiently(self._version, PATIENCE)

    def check(self) -> None:
        """Returns where something could be kept, and makes no file. Raises StoreUnavailable with the cause."""
        try:
            self._patiently(self._try, 0.0)
        except StoreUnavailable as error:
            if not (isinstance(error.__cause__, sqlite3.Error) and _code(error.__cause__) in _LOCKED):
                raise  # and one that is locked is in use

    def close(self) -> None:
        """Lets the file go; the next use opens it again."""
        with self._lock:
            self._close()

    def _patiently(self, use: Callable[[], T], patience: float) -> T:
        deadline = self._clock.monotonic() + patience
        while True:
            try:
                return self._attempt(use)
            except (sqlite3.Error, OSError) as error:
                if _code(error) not in _LOCKED or self._clock.monotonic() >= deadline:
                    raise StoreUnavailable(_explain(error)) from error
            self._sleep(PAUSE)

    def _attempt(self, use: Callable[[], T]) -> T:
        with self._lock:
            try:
                return use()
            except sqlite3.Error as error:
                if _code(error) not in _HARMLESS:
                    self._close()
                raise

    def _read(self, sql: str, parameters: tuple[object, ...]) -> list[Row]:
        connection = self._connected()
        return connection.execute(sql, parameters).fetchall() if connection else []

    def _transact(self, change: Callable[[Execute], T], urgent: bool) -> T:
        connection = self._connected() or self._create()
        connection.execute(f"PRAGMA synchronous = {'FULL' if urgent else 'NORMAL'}")
        return _in_one_transaction(connection, change)

    def _version(self) -> Version:
        connection = self._connected()
        if connection is None:
            return (0, 0, 0)
        # SQLite's own number tells of other connections only and starts anew with each of them.
        [(others,)] = connection.execute("PRAGMA data_version").fetchall()
        return (self._opened, others, connection.total_changes)

    def _connected(self) -> sqlite3.Connection | None:
        """None while there is no file."""
        found = _identity(self._path)
        if self._identity not in {None, found}:
            # Closing would now delete the journal of whatever lies there, so the old file is left alone.
            raise StoreUnavailable(
                f"{_NAME} was moved or replaced while in use; put it back or restart the service"
            )
        if self._connection is None and found:
            self._open()
        return self._connection

    def _create(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._open()

    def _try(self) -> None:
        # A name that is too long is told here, by the system.
        if _identity(self._path):
            self._transact(lambda _: None, urgent=False)
        else:
            self._try_the_folder()

    def _try_the_folder(self) -> None:
        """Folders that do not exist are made with the file, so the nearest one that does is tried."""
        folder = next(parent for parent in self._path.absolute().parents if parent.exists())
        with TemporaryFile(dir=folder):
            return

    def _open(self) -> sqlite3.Connection:
        _keep_private(self._path)
        connection = sqlite3.connect(
            self._path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            if _user_version(connection.execute) < len(MIGRATIONS):
                _in_one_transaction(connection, _migrate)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, _identity(self._path)
        self._opened += 1
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()


class Reload:
    """Runner: lets `refresh` see every second what other processes wrote, and calls `finish` when it is stopped.

    StoreUnavailable ends nothing: what is known goes on, and the log says so once.
    """

    def __init__(
        self, name: str, refresh: Callable[[], None], finish: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self._refresh = refresh
        self._finish = finish
        self._failing = False

    def run(self, stop: Event) -> None:
        while not stop.wait(RELOAD_EVERY):
            self.attempt(self._refresh)
        self.attempt(self._finish)

    def attempt(self, step: Callable[[], None]) -> None:
        """Calls `step`, which may raise StoreUnavailable."""
        try:
            step()
        except StoreUnavailable as error:
            if not self._failing:
                log.warning("%s: what is known goes on without the others: %s", self.name, error)
            self._failing = True
        else:
            if self._failing:
                log.info("%s: in step with the others again", self.name)
            self._failing = False


def _keep_private(path: Path) -> None:
    """For its owner alone, whatever the umask: new ones, and those of older versions. SQLite gives its journals the
    same permissions as the file."""
    # Where it cannot be made, SQLite says what is wrong.
    with suppress(OSError):
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.fchmod(file, 0o600)
        os.close(file)
    for each in (path, *(path.with_name(f"{path.name}-{journal}") for journal in ("wal", "shm"))):
        with suppress(OSError):  # there is none, or its owner is another user
            mode = each.stat().st_mode
            if S_ISREG(mode) and mode & 0o077:  # /dev/null is everybody's
                each.chmod(mode & 0o700)


class DatabaseWatch:
    """Runner: knows whether the database file can be used, and tells the log when that changes."""

    name = "database"

    def __init__(self, database: Database) -> None:
        self._database = database
        self.problem: str | None = None
        """Why nothing can be kept; None when it can."""
        self.look()

    def run(self, stop: Event) -> None:
        while not stop.wait(LOOK_EVERY):
            self.look()

    def look(self) -> None:
        """One look."""
        try:
            self._database.check()
        except StoreUnavailable as error:
            if self.problem is None:
                log.error("no API key and no symbol can be kept: %s", error)
            self.problem = str(error)
        else:
            if self.problem is not None:
                log.info("API keys and symbols can be kept again")
            self.problem = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _in_one_transaction(connection: sqlite3.Connection, change: Callable[[Execute], T]) -> T:
    with connection:  # commits, or rolls back when anything is raised
        connection.execute("BEGIN IMMEDIATE")
        return change(lambda sql, *parameters: connection.execute(sql, parameters).fetchall())


def _migrate(execute: Execute) -> None:
    for statement in MIGRATIONS[_user_version(execute) :]:
        execute(statement)
    execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _user_version(execute: Callable[[str], Any]) -> int:
    [(version,)] = execute("PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise StoreUnavailable(f"{_NAME} is of a newer version of the service; run that version")
    return int(version)


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for what comes from elsewhere."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _explain(error: Exception) -> str:
    reason = (error.strerror or "") if isinstance(error, OSError) else str(error)
    return f"{_NAME} {_CAUSES.get(_code(error), f'cannot be used ({reason}); check its path and its permissions')}"
