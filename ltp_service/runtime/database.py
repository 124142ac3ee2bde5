"""The SQLite file that several processes share. It is opened and migrated when it is first needed.

A wait inside SQLite stops every greenlet of a patched process. So SQLite itself waits at most LOCK_TIMEOUT_SECONDS, and the
longer wait happens here, between attempts, through the injected sleep and with no lock held.
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
from ltp_service.runtime.runtime import Runtime

log = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 0.005
"""Seconds that one attempt waits for another process. A usual write holds the lock for a tenth of this."""

LOCK_RETRY_EVERY_SECONDS = 0.02
"""Seconds between two attempts at a locked file."""

LONGEST_LOCK_SECONDS = 5.0
"""Seconds after which a file that stays locked is an error."""

CHECK_EVERY_SECONDS = 30.0
"""Seconds between two checks that the file can be used."""

RELOAD_EVERY_SECONDS = 1.0
"""Seconds between two checks for changes by other processes."""

MIGRATIONS = (
    """CREATE TABLE api_keys (hash TEXT PRIMARY KEY, prefix TEXT NOT NULL, name TEXT NOT NULL,
    permission TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL, last_used REAL)""",
    "CREATE TABLE symbols (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), list TEXT NOT NULL)",
    "CREATE TABLE tickets (hash TEXT PRIMARY KEY, key_hash TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID",
)
"""Each statement brings the file to the `user_version` that is its place in this list, counted from 1."""

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
# After these errors the connection still works; closing it would need disk space or the lock itself.
_HARMLESS = {*_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT}


class Database:
    """Owns the process's one connection. Safe from any thread or greenlet. Every method may raise StoreUnavailable.

    A file that does not exist reads as empty; the first write makes it.
    """

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._path = path
        self._clock = runtime.clock
        self._sleep = runtime.sleep
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._opened = 0

    def read(self, sql: str, *parameters: object) -> list[Row]:
        """The rows of one query."""
        return self._patiently(lambda: self._read(sql, parameters), LONGEST_LOCK_SECONDS)

    def write(self, change: Callable[[Execute], T], *, urgent: bool = True) -> T:
        """Runs `change` in one transaction and returns its result. Other processes see all of it or nothing.

        `change` may run several times and must do nothing but SQL; when it raises, nothing is changed. An urgent write
        waits for a lock and is on the disk when this returns; another one does neither.
        """
        try:
            return self._patiently(
                lambda: self._transact(change, urgent), LONGEST_LOCK_SECONDS if urgent else 0.0
            )
        except StoreUnavailable as error:
            raise StoreUnavailable(f"nothing was changed: {error}") from error

    def data_version(self) -> Version:
        """A value that differs from the last one after any write, by this process too."""
        return self._patiently(self._version, LONGEST_LOCK_SECONDS)

    def check(self) -> None:
        """Returns when the file could be written; makes no file. Raises StoreUnavailable with the cause."""
        try:
            self._patiently(self._try, 0.0)
        except StoreUnavailable as error:
            if not (isinstance(error.__cause__, sqlite3.Error) and _code(error.__cause__) in _LOCKED):
                raise  # a locked file can be used

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _patiently(self, use: Callable[[], T], patience: float) -> T:
        deadline = self._clock.monotonic() + patience
        while True:
            try:
                return self._attempt(use)
            except (sqlite3.Error, OSError) as error:
                if _code(error) not in _LOCKED or self._clock.monotonic() >= deadline:
                    raise StoreUnavailable(explain(error, _NAME)) from error
            self._sleep(LOCK_RETRY_EVERY_SECONDS)

    def _attempt(self, use: Callable[[], T]) -> T:
        with self._lock:
            try:
                return use()
            except sqlite3.Error as error:
                if not leaves_usable(error):
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
        # SQLite's data_version counts the writes of other connections only, and anew for each connection.
        [(others,)] = connection.execute("PRAGMA data_version").fetchall()
        return (self._opened, others, connection.total_changes)

    def _connected(self) -> sqlite3.Connection | None:
        """None while there is no file."""
        found = identity(self._path)
        if self._identity not in {None, found}:
            # To close it now would delete the journal of the file that lies there, so the old one stays open.
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
        # The system refuses a name that is too long here.
        if identity(self._path):
            self._transact(lambda _: None, urgent=False)
        else:
            self._try_the_folder()

    def _try_the_folder(self) -> None:
        """Tries the nearest folder that exists, because the missing ones are made with the file."""
        folder = next(parent for parent in self._path.absolute().parents if parent.exists())
        with TemporaryFile(dir=folder):
            return

    def _open(self) -> sqlite3.Connection:
        connection = open_private(self._path, LOCK_TIMEOUT_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            if _user_version(connection.execute) < len(MIGRATIONS):
                _in_one_transaction(connection, _migrate)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, identity(self._path)
        self._opened += 1
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()


class Reload:
    """Runner: calls `refresh` every second, so that it sees what other processes wrote, and `finish` at the end.

    After StoreUnavailable the process goes on with what it knows, and the log says so once.
    """

    def __init__(
        self, name: str, refresh: Callable[[], None], finish: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self._refresh = refresh
        self._finish = finish
        self._failing = False

    def run(self, stop: Event) -> None:
        while not stop.wait(RELOAD_EVERY_SECONDS):
            self.attempt(self._refresh)
        self.attempt(self._finish)

    def attempt(self, step: Callable[[], None]) -> None:
        """Calls `step`; logs a StoreUnavailable that it raises."""
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


def open_private(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection for any thread, one at a time, to a file that only its owner reads. It waits `timeout` seconds for a lock,
    and begins no transaction by itself."""
    _keep_private(path)
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)


def _keep_private(path: Path) -> None:
    """Lets only the owner read and write the file, whatever the umask, also one of an older version. SQLite gives its
    journals the permissions of the file."""
    # Where the file cannot be made, SQLite says what is wrong.
    with suppress(OSError):
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.fchmod(file, 0o600)
        os.close(file)
    for each in (path, *(path.with_name(f"{path.name}-{journal}") for journal in ("wal", "shm"))):
        with suppress(OSError):  # it does not exist, or belongs to another user
            mode = each.stat().st_mode
            if S_ISREG(mode) and mode & 0o077:  # not /dev/null, which all users share
                each.chmod(mode & 0o700)


class DatabaseWatch:
    """Runner: checks whether the database file can be used, and logs when that changes."""

    name = "database"

    def __init__(self, database: Database) -> None:
        self._database = database
        self.problem: str | None = None
        """Why the file cannot be used; None when it can."""
        self.look()

    def run(self, stop: Event) -> None:
        while not stop.wait(CHECK_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Checks the file once."""
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


def identity(path: Path) -> tuple[int, int] | None:
    """Tells a file from another one of the same name. None where there is none."""
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
    """SQLite's primary result code; 0 for an error of another origin."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def explain(error: Exception, name: str) -> str:
    """What is wrong with the file that is called `name`, and what to do about it."""
    reason = (error.strerror or "") if isinstance(error, OSError) else str(error)
    return f"{name} {_CAUSES.get(_code(error), f'cannot be used ({reason}); check its path and its permissions')}"


def leaves_usable(error: sqlite3.Error) -> bool:
    """Whether the connection still works after an error."""
    return _code(error) in _HARMLESS
