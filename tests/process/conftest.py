"""The exchange of a whole file of tests."""

from collections.abc import Iterator

import pytest

from tests.process.service import Service
from tests.simulator.client import Simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Its counters begin with the file, and only the file's services connect to it."""
    with Simulator.start() as running:
        yield running


@pytest.fixture(scope="module")
def service(simulator: Simulator) -> Iterator[Service]:
    """One with nothing set, for a file that needs no other."""
    with Service.start(simulator) as running:
        yield running
