"""ltp_service.http.preconditions"""

from pathlib import Path

import pytest

from ltp_service.http.preconditions import holds
from tests.service import FreshService

KEY = "ltp_" + "m" * 43
LTP = "/api/v1/ltp?pair=BTC/USD"
WITH_ETAG = [LTP, "/api/v1/ltp/cached", f"{LTP}&detail=true", "/openapi.json", "/docs", "/docs/start.js"]


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    service = FreshService(tmp_path, rate_limit_enabled=False, auth_api_key=KEY)
    service.trade("115643.10")
    return service


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> FreshService:
    """The same, for questions that change nothing."""
    service = FreshService(tmp_path_factory.mktemp("asked"), rate_limit_enabled=False)
    service.trade("115643.10")
    return service


def tag_of(service: FreshService, path: str) -> str:
    return service.get(path).headers["ETag"]


@pytest.mark.parametrize("path", WITH_ETAG)
def test_an_answer_is_given_while_it_is_the_one_held(asked: FreshService, path: str) -> None:
    tag = tag_of(asked, path)

    for if_match in (tag, f'"other", {tag}', f"{tag},W/{tag}", "*", " * "):
        assert asked.get(path, If_Match=if_match).status_code == 200


@pytest.mark.parametrize("path", WITH_ETAG)
def test_an_answer_that_is_another_one_is_not_given(asked: FreshService, path: str) -> None:
    for if_match in ['"other"', '"other", "more"', "W/{tag}", "other", '"*"', '*, "other"', "", ","]:
        answer = asked.get(path, If_Match=if_match.format(tag=tag_of(asked, path)))

        assert (answer.status_code, answer.get_json()["code"]) == (412, "PRECONDITION_FAILED")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


def test_a_price_that_changed_meanwhile_is_not_given(service: FreshService) -> None:
    tag = tag_of(service, LTP)
    service.clock.advance(1)
    service.trade("115644.00")

    assert service.get(LTP, If_Match=tag).status_code == 412
    assert service.get(LTP, If_Match=tag_of(service, LTP)).status_code == 200


def test_it_goes_before_if_none_match(service: FreshService) -> None:
    tag = tag_of(service, LTP)

    assert service.get(LTP, If_Match=tag, If_None_Match=tag).status_code == 304
    assert service.get(LTP, If_Match='"other"', If_None_Match=tag).status_code == 412


def test_what_has_no_etag_matches_no_list(service: FreshService) -> None:
    some = f"{LTP},DOGE/USD"
    for path, status in (("/api/v1/pairs", 200), (some, 206)):
        assert service.get(path, If_Match="*").status_code == status
        assert service.get(path, If_Match='"other"').status_code == 412


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/api/v1/ltp?pair=DOGE/USD", 400), ("/api/v1/ltp?x=1", 400), ("/ready", 200)],
)
def test_an_error_is_told_whatever_was_expected(service: FreshService, path: str, status: int) -> None:
    assert service.get(path, If_Match="*").status_code == status


def test_nothing_is_changed_where_nothing_can_match(service: FreshService) -> None:
    answer = service.client.post(
        "/collectors/symbols?symbol=XRPUSDT", headers={"X-API-Key": KEY, "If-Match": '"other"'}
    )

    assert answer.status_code == 412
    assert "XRPUSDT" not in service.services.trades.symbols.all()
    answer = service.client.post(
        "/collectors/symbols?symbol=XRPUSDT", headers={"X-API-Key": KEY, "If-Match": "*"}
    )
    assert answer.status_code == 201


def test_a_stranger_is_told_of_the_key_first(service: FreshService) -> None:
    answer = service.client.post("/collectors/symbols?symbol=XRPUSDT", headers={"If-Match": '"other"'})

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_probe_expects_nothing(service: FreshService, path: str) -> None:
    assert service.get(path, If_Match='"other"').status_code == 200


def test_no_weak_tag_ever_matches() -> None:
    assert not holds('W/"a"', '"a"')
    assert not holds('W/"a"', None)
