"""The history's contract is tested with each kind of database."""

from collections.abc import Iterator
from itertools import count

import pytest

from ltp_service.history.postgres import PostgresEngine
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.history.databases import Database, NewDatabase
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes databases."""
    numbers = count()
    if request.param == "postgresql":
        return in_postgres(request.getfixturevalue("postgres"), numbers)
    folder = tmp_path_factory.mktemp("history")

    def make() -> Database:
        path = folder / f"{next(numbers)}.sqlite3"
        return Database(lambda: SqliteEngine(path))

    return make


def in_postgres(server: PostgresServer, numbers: Iterator[int], block: int = 4) -> NewDatabase:
    """A schema each, because it is made faster than a database. Blocks are small, so that few trades have some of them."""
    url = server.new_database()

    def make() -> Database:
        schema = f"history_{next(numbers)}"
        server.run(f"CREATE SCHEMA {schema}", url=url)
        return Database(lambda: PostgresEngine(f"{url}?options=-csearch_path%3D{schema}", block))

    return make


@pytest.fixture
def database(new_database: NewDatabase) -> Iterator[Database]:
    with new_database() as database:
        yield database


@pytest.fixture
def store(database: Database) -> SqlHistory:
    """An empty history."""
    return database.open()
