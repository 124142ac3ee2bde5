"""Databases for one test each, of a kind in which a history can lie."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from ltp_service.history.engine import Engine, T, Transaction
from ltp_service.history.store import SqlHistory


class Database:
    """One database, empty at first. All that was opened is closed at the end."""

    def __init__(self, connect: Callable[[], Engine]) -> None:
        self._connect = connect
        self._open = ExitStack()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def engine(self) -> Engine:
        """Connects to it once more, as another process does."""
        engine = self._connect()
        self._open.callback(engine.close)
        return engine

    def open(self) -> SqlHistory:
        """The history in it."""
        return SqlHistory(self.engine())


NewDatabase = Callable[[], AbstractContextManager[Database]]


class Lost(Exception):
    """The transaction failed where the test wanted it to."""


class FailingEngine:
    """An engine whose next transaction fails: before it is committed, or when it has been."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.fails_before_commit = self.fails_after_commit = False
        self.read, self.origin = engine.read, engine.origin
        self.size, self.close = engine.size, engine.close
        self.block = engine.block

    def write(self, change: Callable[[Transaction], T]) -> T:
        def failing(transaction: Transaction) -> T:
            done = change(transaction)
            if self.fails_before_commit:
                raise Lost
            return done

        try:
            done = self._engine.write(failing)
            if self.fails_after_commit:
                raise Lost
        finally:
            self.fails_before_commit = self.fails_after_commit = False
        return done
