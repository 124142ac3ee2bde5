"""Every route in every spelling of its path, straight to the service and through the nginx that is shipped."""

import re
from collections.abc import Iterator
from itertools import count

import pytest

from ltp_service.http.openapi.document import document
from tests.process.answer import Answer
from tests.process.nginx import Nginx, behind_nginx
from tests.process.raw import answers, request, talk
from tests.process.service import Service
from tests.simulator.client import Simulator

KEY = "ltp_" + "P" * 43
NAMES = {"name": "start.js", "symbol": "BTCUSDT", "prefix": "ltp_Ab3dE6gH"}
LEADS_TO_THE_PAGE = 301, False, None
LIMITED = ("/api/", "/collectors/", "/auth/", "/debug/", "/mcp")
ROUTES = [
    (method.upper(), re.sub(r"\{(\w+)\}", lambda found: NAMES[found[1]], path))
    for path, item in document()["paths"].items()
    for method in item
    if path != "/"  # every spelling of which is another one's beginning
]


def escaped(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


def same(path: str) -> list[str]:
    """Other spellings of the same path (RFC 3986, section 6.2.2, and nginx's merge_slashes)."""
    first, rest = path[1], path[2:]
    return [
        f"/{path}",
        f"//{path}",
        path.replace("/", "//"),
        path.replace("/", "///"),
        f"/.{path}",
        path.replace("/", "/./"),
        f"/x/..{path}",
        f"/x/y/../..{path}",
        f"/x//..{path}",
        f"/%2f{path[1:]}",
        f"/%2F{path}",
        f"/%2e{path}",
        f"/x/%2e%2E{path}",
        f"/x%2f..{path}",
        f"/x%2f%2e%2e%2f{path[1:]}",
        f"/{escaped(first)}{rest}",
        f"/{escaped(path[1:])}",
        "/" + path[1:].replace("/", "%2f"),
        "/" + path[1:].replace("/", "%2f%2f"),
        f"http://localhost{path}",
        f"http://localhost/{path}",
        f"{path}?",
        f"/{path}?",
    ]


def slashed(path: str) -> list[str]:
    """The same with a slash at its end."""
    return [f"{path}{end}" for end in ("/", "//", "/.", "/x/..", "/?", "%2f")]


def above_the_root(path: str) -> list[str]:
    """The same for the service; nginx refuses them."""
    return [f"/..{path}", f"/../..{path}", f"/%2e%2e{path}", f"/x/../..{path}"]


def different(path: str) -> list[str]:
    """Spellings of another path, which no route has but one with a name at its end."""
    return [
        f"{path};a=b",
        f"{path}%00",
        f"{path}%20",
        f"{path}%0a",
        f"/%252f{path[1:]}",
        f"/%5c{path[1:]}",
        f"/x/..;{path}",
        path.upper(),
    ]


@pytest.fixture(scope="module")
def front(simulator: Simulator) -> Iterator[tuple[Nginx, Service]]:
    """Guarded, and with room in the rate limit for all of them."""
    generous = {"RATE_LIMIT_CAPACITY": "1000000", "RATE_LIMIT_REFILL_RATE": "1000000"}
    with behind_nginx(
        simulator, RATE_LIMIT_ENABLED="true", AUTH_API_KEY=KEY, AUTH_ENABLED="true", **generous
    ) as running:
        yield running


def told(port: int, method: str, target: str) -> Answer:
    (answer,) = answers(talk(port, request(target, method=method)))
    return answer


def seen(answer: Answer) -> tuple[int, bool, str | None]:
    """What the doors decided: status, whether it was counted by the rate limit, error code."""
    code = answer.json()["code"] if answer.status >= 400 else None
    return answer.status, "ratelimit-limit" in answer.headers, code


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
def test_no_spelling_of_a_path_passes_by_a_door(front: tuple[Nginx, Service], method: str, path: str) -> None:
    nginx, service = front
    for port in (service.port, nginx.port):
        plain = seen(told(port, method, path))
        assert plain[1] == path.startswith(LIMITED)
        for target in same(path):
            assert (target, seen(told(port, method, target))) == (target, plain)
        for target in slashed(path):
            found = seen(told(port, method, target))
            assert found == (LEADS_TO_THE_PAGE if path == "/docs" else plain), (target, found)
        for target in above_the_root(path):
            found = seen(told(port, method, target))
            assert found == plain or (port == nginx.port and found[0] == 400), (target, found)
        for target in different(path):
            found = seen(told(port, method, target))
            assert found == plain or found[0] in {400, 403, 404, 405}, (target, found)


@pytest.mark.parametrize(("path", "through_nginx"), [("/api/v1/pairs", True), ("/api/v1/ltp", False)])
def test_every_spelling_takes_from_one_bucket(simulator: Simulator, path: str, through_nginx: bool) -> None:
    targets = same(path) + slashed(path)
    few = {"RATE_LIMIT_CAPACITY": str(len(targets)), "RATE_LIMIT_REFILL_RATE": "0.001"}
    with behind_nginx(simulator, RATE_LIMIT_ENABLED="true", **few) as (nginx, service):
        port = nginx.port if through_nginx else service.port
        for left, target in zip(count(len(targets) - 1, -1), targets, strict=False):
            answer = told(port, "GET", target)
            assert (answer.status, answer.headers["ratelimit-remaining"]) == (200, str(left)), target
        for target in targets:
            assert told(port, "GET", target).status == 429, target
        lines = service.get("/metrics").body.decode().splitlines()
    counted = [line for line in lines if "http_requests_total{" in line and "/health" not in line]
    assert all(f'path="{path}"' in line for line in counted), counted
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == 2 * len(targets)
