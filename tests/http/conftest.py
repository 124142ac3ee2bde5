"""The service, fresh for each test of a route."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.service import FreshService


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    """With its default settings and no price yet."""
    return FreshService(tmp_path)


@pytest.fixture
def fresh_service(tmp_path: Path) -> Callable[..., FreshService]:
    """Makes it with other settings, given by field name."""
    return partial(FreshService, tmp_path)
