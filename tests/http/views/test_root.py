"""ltp_service.http.views.root"""

from collections.abc import Callable

from ltp_service.version import VERSION
from tests.service import FreshService


def test_the_root_says_what_this_is_and_where_to_go(service: FreshService) -> None:
    answer = service.get("/")

    assert (answer.status_code, answer.content_type) == (200, "application/json")
    told = answer.get_json()
    assert (told["name"], told["version"]) == ("ltp_service", VERSION)
    assert told["links"].keys() == {"docs", "openapi", "ltp", "status", "health", "metrics"}


def test_every_link_leads_to_a_route(service: FreshService) -> None:
    service.trade("100")
    links = service.get("/").get_json()["links"]

    assert {name: service.get(path).status_code for name, path in links.items()} == {
        **dict.fromkeys(links, 200),
        "ltp": 206,  # one of the pairs has a price
    }


def test_the_root_is_open_and_costs_no_token(fresh_service: Callable[..., FreshService]) -> None:
    service = fresh_service(auth_enabled=True, rate_limit_capacity=1)
    answers = [service.get("/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert "RateLimit-Limit" not in answers[0].headers
