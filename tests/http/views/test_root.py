"""ltp_service.http.views.root"""

import re
from collections.abc import Callable

import pytest

from ltp_service.http.headers import FOR_JSON, FOR_PAGES
from ltp_service.page import CLIENT, FILES, FOLDER, PAGE, WORKER
from ltp_service.version import VERSION
from tests.service import FreshService

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
POLICY = "Content-Security-Policy"
SERVED = {
    **{f"/page/{name}": kind for name, kind in FILES.items()},
    **{f"/{name}": kind for name, kind in CLIENT.items()},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> FreshService:
    """One for all tests: what is asked here does not change."""
    return FreshService(tmp_path_factory.mktemp("asked"))


def test_the_root_says_what_this_is_and_where_to_go(service: FreshService) -> None:
    answer = service.get("/")

    assert (answer.status_code, answer.content_type) == (200, "application/json")
    told = answer.get_json()
    assert (told["name"], told["version"]) == ("ltp_service", VERSION)
    assert told["links"].keys() == {"docs", "openapi", "ltp", "status", "stream", "health", "metrics"}


def test_every_link_leads_to_a_route(service: FreshService) -> None:
    service.trade("100")
    links = service.get("/").get_json()["links"]
    del links["stream"]  # it has no end

    assert {name: service.get(path).status_code for name, path in links.items()} == {
        **dict.fromkeys(links, 200),
        "ltp": 206,  # one of the pairs has a price
    }


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/client.js"])
def test_the_root_and_the_page_are_open_and_cost_no_token(
    fresh_service: Callable[..., FreshService], path: str
) -> None:
    service = fresh_service(auth_enabled=True, rate_limit_capacity=1)
    answers = [service.get(path) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert "RateLimit-Limit" not in answers[0].headers


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/*", True),
        ("text/html, application/json", True),
        ("application/json, text/html;q=0.5", False),
        ("application/json", False),
        ("*/*", False),
        ("text/html;q=0, */*", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_the_page_is_for_those_who_ask_for_html(service: FreshService, accept: str, is_page: bool) -> None:
    answer = service.get("/?kiosk=BTC/USD&theme=dark", Accept=accept)
    assert answer.status_code == 200
    assert answer.content_type == ("text/html; charset=utf-8" if is_page else "application/json")
    assert answer.headers[POLICY] == dict(FOR_PAGES if is_page else FOR_JSON)[POLICY]
    assert answer.vary.find("Accept") >= 0
    if is_page:
        assert answer.get_data() == (FOLDER / PAGE).read_bytes()


def test_the_page_is_not_sent_again_to_those_who_have_it(service: FreshService) -> None:
    tag = service.get("/", Accept=BROWSER).headers["ETag"]
    again = service.get("/", Accept=BROWSER, If_None_Match=tag)
    assert (again.status_code, again.get_data()) == (304, b"")
    assert service.get("/", If_None_Match=tag).status_code == 200
    assert service.client.head("/", headers={"Accept": BROWSER}).content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", SERVED)
def test_a_file_is_served_byte_for_byte_and_may_be_kept(service: FreshService, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.get_data() == (FOLDER / path.rpartition("/")[2]).read_bytes()
    assert answer.content_type == SERVED[path]
    assert re.fullmatch("public, max-age=[0-9]+", answer.headers["Cache-Control"])
    again = service.get(path, If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.get_data()) == (304, b"")


def test_only_the_worker_beside_the_page_may_ask_the_service(service: FreshService) -> None:
    free = [path for path in SERVED if service.get(path).headers[POLICY] == dict(FOR_PAGES)[POLICY]]
    assert free == [f"/page/{WORKER}"]


@pytest.mark.parametrize("name", ["nothing.js", PAGE, "__init__.py", "client.d.ts", "..%2f__init__.py"])
def test_no_other_file_is_served(service: FreshService, name: str) -> None:
    answer = service.get(f"/page/{name}")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")


def test_pages_of_configured_origins_may_import_the_stream(
    fresh_service: Callable[..., FreshService],
) -> None:
    service = fresh_service(cors_origins=("https://a.example",))
    for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        answer = service.get("/client.js", Origin=origin)
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
