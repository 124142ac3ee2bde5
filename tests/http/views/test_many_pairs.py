"""Answers about many pairs: what they cost, and that others have their turn meanwhile."""

import pytest

from ltp_service.assembly.services import Services
from ltp_service.domain.pairs import Pair
from tests.service import FreshService, MakeService

KEY = "ltp_" + "a" * 43
PAIRS = tuple(Pair(f"C{number}", "USD") for number in range(100))


@pytest.fixture
def service(fresh_service: MakeService) -> FreshService:
    """With a price of each of a hundred pairs."""
    service = fresh_service(supported_pairs=PAIRS, auth_api_key=KEY)
    for pair in PAIRS:
        service.trade("100.0", pair)
    return service


@pytest.mark.parametrize(
    "path", ["/api/v1/ltp?detail=true", "/api/v1/ltp/cached", "/api/v1/status", "/debug/storage"]
)
def test_there_may_be_a_pause_after_each_pair(
    service: FreshService, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    pauses: list[None] = []
    monkeypatch.setattr(Services, "pauses", lambda _: lambda: pauses.append(None))

    assert service.get(path, X_API_Key=KEY).status_code == 200
    assert len(pauses) == len(PAIRS)
