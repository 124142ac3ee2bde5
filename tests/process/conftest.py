"""The order of the files, and the service of a whole file of tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.process.browser import Tabs, chromium, tabs
from tests.process.scripted_service import ScriptedService, scripted_service
from tests.process.service import Service
from tests.simulator.client import Simulator

SLOWEST = (
    "test_image test_generated_clients test_schemathesis test_page_line test_drill test_page test_page_served"
    " test_fleet_failures test_stream test_page_looks test_logs test_first_key test_hostile_http test_history"
    " test_collectors test_fleet test_starting test_ending test_nginx test_command_line test_rest_alone test_paths"
    " test_client test_metrics test_one_send test_long_polls test_history_postgres test_kept_trades test_fleet_limit"
    " test_fleet_collecting"
).split()
"""Files that take longest, in this order. The others follow, so that no long one is left to run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first. The order within a file stays."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOWEST)))


@pytest.fixture(scope="module")
def service(simulator: Simulator) -> Iterator[Service]:
    """One with nothing set, for a file that needs no other."""
    with Service.start(simulator) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file."""
    with chromium() as running:
        yield running


@pytest.fixture
def scripted() -> Iterator[tuple[ScriptedService, str]]:
    """A service that does what the test says, and its address."""
    with scripted_service() as running:
        yield running


@pytest.fixture
def opened(browser: Browser, scripted: tuple[ScriptedService, str]) -> Iterator[Tabs]:
    """Tabs on that service's page."""
    with tabs(browser, scripted[1]) as running:
        yield running
