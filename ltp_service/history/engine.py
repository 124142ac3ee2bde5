"""What a database does for the history. SQLite and PostgreSQL fulfil it, so the SQL is written once.

Parameters are written `?` in their order, or all of them by their numbers, as `?1`, where one is used again. No statement has a `?` or a `%` of another meaning.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

Row = tuple[Any, ...]
T = TypeVar("T")


class Transaction(Protocol):
    """What may be done inside a transaction."""

    @property
    def block(self) -> int:
        """That of the engine."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Runs one statement and returns its rows; none where it has no result."""

    def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Runs one statement without a result for each row of parameters."""


class Engine(Protocol):
    """Every method may raise StoreUnavailable, with the cause and what to do about it.

    `write` is called by one thread at a time and `read` by another one, so each has a connection of its own. Tables are made
    and migrated when they are first written to. Until then a `read` finds nothing.
    """

    @property
    def block(self) -> int:
        """Most trades of a block into which older trades are packed; 0 where each stays a row of its own."""

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of one query."""

    def origin(self) -> object:
        """Another object once `read` may have found another history than before: a file that was put in its place, a server
        that took over, or none any more."""

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Runs `change` in one transaction and returns its result. Others see all of it or nothing.

        `change` may run again after an error. When this raises, it may still be that the change was made (a server that is
        lost while it commits).
        """

    def size(self) -> int:
        """Bytes on the disk."""

    def close(self) -> None:
        """Ends the connections; the next use opens them again."""
