"""The fake service as a fixture of pytest: `pytest_plugins = ["ltp_service.client.pytest_plugin"]`."""

from collections.abc import Iterator

import pytest

from ltp_service.client.testing import FakeService


@pytest.fixture
def fake_service() -> Iterator[FakeService]:
    """A service of the test's own, without a price."""
    with FakeService() as service:
        yield service
