"""The exchange of a whole file of tests."""

from collections.abc import Iterator

import pytest

from tests.process.service import Service
from tests.simulator.client import Simulator

SLOWEST = (
    "test_drill test_page_line test_fleet_failures test_page_served test_page_looks test_nginx test_generated_clients"
    " test_schemathesis test_nginx_pauses test_docker_compose test_page test_fleet test_ending test_image"
    " test_fleet_collecting test_stream"
).split()
"""Files that take longest, in this order. The others follow, so that no long one is left to run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first. The order within a file stays."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOWEST)))


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
