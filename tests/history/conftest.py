"""The servers that tests of the history ask for."""

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One that tests share, each with a database of its own. It is neither stopped nor frozen."""
    with PostgresServer.start() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """One of the test's own, to be stopped, frozen and killed."""
    with PostgresServer.start() as server:
        yield server
