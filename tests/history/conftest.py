"""The history's contract is tested with each kind of database."""

from collections.abc import Iterator
from itertools import count

import pytest

from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.history.databases import Database, NewDatabase


@pytest.fixture(scope="module", params=["sqlite"])
def new_database(tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes databases."""
    folder = tmp_path_factory.mktemp("history")
    numbers = count()

    def make() -> Database:
        path = folder / f"{next(numbers)}.sqlite3"
        return Database(lambda: SqliteEngine(path))

    return make


@pytest.fixture
def database(new_database: NewDatabase) -> Iterator[Database]:
    with new_database() as database:
        yield database


@pytest.fixture
def store(database: Database) -> SqlHistory:
    """An empty history."""
    return database.open()
