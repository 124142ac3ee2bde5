"""Who may use which route."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from ltp_service.http import auth
from ltp_service.http.services import services_of
from ltp_service.keys.key import Permission
from tests.service import FreshService
from tests.tables import by_result

FAR = "198.51.100.7"
UNKNOWN_KEY = "ltp_" + "x" * 43


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    service = FreshService(tmp_path, rate_limit_enabled=False)
    service.trade("100.0")
    return service


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> FreshService:
    """The same, for questions that change nothing."""
    service = FreshService(tmp_path_factory.mktemp("asked"), rate_limit_enabled=False)
    service.trade("100.0")
    return service


def ask(
    service: FreshService, path: str, key: str | None = None, method: str = "GET", peer: str = FAR
) -> int:
    headers = {} if key is None else {"X-API-Key": key}
    answer = service.client.open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": peer})
    return answer.status_code


def key_for(service: FreshService, permission: Permission, life: float = 3600.0) -> str:
    text, _ = service.services.keyring.create("test", permission, life)
    return text


def routes(app: Flask) -> Iterator[tuple[str, str, auth.Access]]:
    """Path, method and access of every route, with its parameters filled in."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = rule.rule
            for name in rule.arguments:
                converter = next(part for part in (f"<path:{name}>", f"<{name}>") if part in path)
                path = path.replace(converter, "BTCUSDT")
            yield path, method, auth.ACCESS[rule.endpoint]


ALLOWED: dict[str, dict[auth.Access, bool]] = {
    "read": {"public": True, "open": True, "explain": True},
    "write": {"public": True, "open": True, "explain": True, "refresh": True, "write": True},
    "admin": dict.fromkeys(("public", "open", "explain", "refresh", "write", "admin", "bootstrap"), True),
    **{
        holder: {"public": True, "open": True}
        for holder in ("none", "expired", "revoked", "malformed", "unknown")
    },
}


@pytest.mark.parametrize("holder", ALLOWED)
def test_every_route_admits_just_those_whom_it_is_for(service: FreshService, holder: str) -> None:
    keyring = service.services.keyring
    key_for(service, "admin")
    texts = {permission: key_for(service, permission) for permission in ("read", "write", "admin")}
    expired = key_for(service, "admin", 1.0)
    revoked = key_for(service, "admin")
    keyring.revoke(revoked.removeprefix("ltp_")[:8])
    service.clock.advance(2)
    service.heartbeat(*service.services.config.plain_pairs)
    keys = {**texts, "expired": expired, "revoked": revoked, "malformed": "nonsense", "unknown": UNKNOWN_KEY}

    for number, (path, method, access) in enumerate(routes(service.app)):
        # Each route from another address, or the failures would add up to a refusal.
        status = ask(service, path, keys.get(holder), method, peer=f"198.51.100.{number}")
        refused = status in (401, 403, 429)
        assert refused != ALLOWED[holder].get(access, False), (holder, method, path, status)


GUARDED: dict[str, set[auth.Access]] = {
    "POST /api/v1/ltp/refresh": {"refresh"},
    "GET /api/v1/ltp/explain": {"explain"},
    "POST /collectors/symbols": {"write"},
    "DELETE /collectors/symbols/BTCUSDT": {"write"},
    "POST /auth/api-keys": {"bootstrap"},
    "GET /auth/api-keys": {"admin"},
    "DELETE /auth/api-keys/BTCUSDT": {"admin"},
    "GET /debug/tasks": {"admin"},
    "GET /debug/storage": {"admin"},
}
"""Everything that needs a permission."""


def test_what_is_not_for_anybody_is_guarded_as_promised(service: FreshService) -> None:
    guarded: dict[str, set[auth.Access]] = {}
    for path, method, access in routes(service.app):
        if access not in ("public", "open"):
            guarded.setdefault(f"{method} {path}", set()).add(access)

    assert guarded == GUARDED


def test_a_route_that_nobody_classified_keeps_the_service_from_starting(service: FreshService) -> None:
    app = Flask("unfinished")
    app.add_url_rule("/forgotten", "forgotten", lambda: "")

    with pytest.raises(RuntimeError, match="forgotten"):
        auth.refuse_unclassified(app)


def test_reads_need_a_key_when_the_house_is_closed(tmp_path: Path) -> None:
    service = FreshService(tmp_path, auth_enabled=True, rate_limit_enabled=False)
    service.trade("100.0")
    reader = key_for(service, "read")

    assert ask(service, "/api/v1/ltp?pair=BTC/USD") == 401
    assert ask(service, "/api/v1/ltp?pair=BTC/USD", reader) == 200
    assert ask(service, "/health") == 200


@pytest.mark.parametrize("key", [None, UNKNOWN_KEY, "nonsense"])
def test_a_refusal_for_the_key_tells_which_header_is_meant(service: FreshService, key: str | None) -> None:
    headers = {} if key is None else {"X-API-Key": key}
    answer = service.client.get("/debug/tasks", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'ApiKey realm="ltp_service", header="X-API-Key"'
    assert "WWW-Authenticate" not in service.get("/api/v1/pairs").headers


def test_a_key_that_may_not_is_no_reason_to_ask_for_one(service: FreshService) -> None:
    answer = service.client.get("/debug/tasks", headers={"X-API-Key": key_for(service, "read")})

    assert answer.status_code == 403
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("text", ["ltp_" + "a" * 43, "correct-horse/battery+staple=", "p$ss,word:\"x'~#" * 3])
def test_the_key_from_the_environment_is_an_admin_key(tmp_path: Path, text: str) -> None:
    service = FreshService(tmp_path, auth_api_key=text, rate_limit_enabled=False)

    assert ask(service, "/api/v1/ltp/explain?pair=BTC/USD", text) == 200
    assert ask(service, "/debug/tasks", text) == 200
    assert ask(service, "/debug/tasks", text[:-1]) == 401


def test_this_machine_may_ask_why_without_a_key(service: FreshService) -> None:
    assert ask(service, "/api/v1/ltp/explain?pair=BTC/USD", peer="127.0.0.1") == 200


def explain_here(service: FreshService, **headers: str) -> int:
    """The status of asking from this machine without a key."""
    answer = service.client.get(
        "/api/v1/ltp/explain?pair=BTC/USD",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        environ_base={"REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1"},
    )
    return answer.status_code


@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Real_IP", "Forwarded", "Via", "Origin"])
def test_what_came_through_a_proxy_or_a_page_is_not_this_machine(asked: FreshService, header: str) -> None:
    assert explain_here(asked, **{header: "127.0.0.1"}) == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8080", 200), ("127.0.0.1", 200), ("[::1]:8080", 200), ("rebound.example:8080", 401)],
)
def test_a_name_made_to_point_here_is_not_this_machine(asked: FreshService, host: str, status: int) -> None:
    assert explain_here(asked, Host=host) == status


def test_where_a_proxy_is_configured_its_machine_is_nobody(tmp_path: Path) -> None:
    service = FreshService(tmp_path, trusted_proxies=1, rate_limit_enabled=False)

    assert explain_here(service, Host="localhost") == 401


REFRESH = "/api/v1/ltp/refresh?pairs=BTC/USD"
ASKED = 503
"""What a refresh answers that is let in: the exchange was asked, and does not answer in these tests."""


def refresh_here(service: FreshService, peer: str = "127.0.0.1", **more: str) -> int:
    """The status of a refresh from this machine without a key, with more headers or another protocol."""
    protocol = more.pop("protocol", "HTTP/1.1")
    answer = service.client.post(
        REFRESH,
        headers={name.replace("_", "-"): value for name, value in more.items()},
        environ_overrides={"REMOTE_ADDR": peer, "SERVER_PROTOCOL": protocol},
    )
    return answer.status_code


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_a_program_here_may_refresh_without_a_key(service: FreshService, peer: str, host: str) -> None:
    assert refresh_here(service, peer, Host=host) == ASKED


def test_it_may_where_reads_need_a_key_and_where_keys_exist(tmp_path: Path) -> None:
    service = FreshService(tmp_path, auth_enabled=True, auth_api_key="ltp_" + "a" * 43)

    assert refresh_here(service) == ASKED


@pytest.mark.parametrize("peer", [FAR, "192.168.1.2", "127.0.0.6", "", "2001:db8::7"])
def test_another_machine_or_a_sidecar_needs_a_key_to_refresh(asked: FreshService, peer: str) -> None:
    assert refresh_here(asked, peer) == 401


@pytest.mark.parametrize(
    "header",
    ["X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "X_Real_IP", "Forwarded", "Via", "Origin"],
)
@pytest.mark.parametrize("value", ["127.0.0.1", "http://localhost:8080", "null", ""])
def test_a_proxy_or_a_page_needs_a_key_to_refresh(asked: FreshService, header: str, value: str) -> None:
    assert refresh_here(asked, **{header: value}) == 401


@pytest.mark.parametrize(
    ("site", "status"),
    by_result({ASKED: ["none"], 401: ["cross-site", "same-site", "same-origin", "none, cross-site", ""]}),
)
def test_a_browsers_page_needs_a_key_to_refresh(service: FreshService, site: str, status: int) -> None:
    assert refresh_here(service, Sec_Fetch_Site=site) == status


@pytest.mark.parametrize("host", ["rebound.example:8080", "ltp.example.org", "localhost.example.org", ""])
def test_a_refresh_for_another_host_needs_a_key(asked: FreshService, host: str) -> None:
    assert refresh_here(asked, Host=host) == 401


def test_a_refresh_behind_a_silent_proxy_needs_a_key(service: FreshService, tmp_path: Path) -> None:
    trusting = FreshService(tmp_path, trusted_proxies=1, rate_limit_enabled=False)

    assert refresh_here(trusting) == 401
    assert refresh_here(service, protocol="HTTP/1.0") == 401


def test_on_this_machine_too_a_key_that_is_sent_has_to_be_good_for_it(service: FreshService) -> None:
    assert refresh_here(service, X_API_Key=UNKNOWN_KEY) == 401
    assert refresh_here(service, X_API_Key=key_for(service, "read")) == 403
    assert refresh_here(service, X_API_Key=key_for(service, "write")) == ASKED


def test_the_refusal_of_a_refresh_names_both_ways_in(service: FreshService) -> None:
    answer = service.client.post(REFRESH, environ_base={"REMOTE_ADDR": FAR})

    assert answer.get_json()["code"] == "API_KEY_MISSING"
    for word in ("write permission", "X-API-Key", "localhost", "TRUSTED_PROXIES"):
        assert word in answer.get_json()["message"]


def test_ten_wrong_keys_close_the_door_for_a_minute_to_wrong_ones_only(service: FreshService) -> None:
    reader = key_for(service, "read")
    path = "/api/v1/ltp/explain?pair=BTC/USD"
    wrong = [ask(service, path, UNKNOWN_KEY) for _ in range(11)]

    assert wrong == [401] * 10 + [429]
    assert ask(service, path, reader) == 200
    assert ask(service, path, UNKNOWN_KEY, peer="203.0.113.9") == 401
    assert ask(service, path, UNKNOWN_KEY) == 429
    service.clock.advance(61)
    assert ask(service, path, UNKNOWN_KEY) == 401


def test_the_refusal_of_too_many_keys_says_when_to_come_back(service: FreshService) -> None:
    for _ in range(10):
        ask(service, "/api/v1/ltp/explain?pair=BTC/USD", UNKNOWN_KEY)
    answer = service.client.get(
        "/api/v1/ltp/explain?pair=BTC/USD",
        headers={"X-API-Key": UNKNOWN_KEY},
        environ_base={"REMOTE_ADDR": FAR},
    )

    assert answer.get_json()["code"] == "RATE_LIMIT_EXCEEDED"
    assert int(answer.headers["Retry-After"]) in range(55, 61)


def test_services_are_found_through_the_app(service: FreshService) -> None:
    assert services_of(service.app) is service.services


def test_a_ticket_opens_one_stream_and_nothing_else(tmp_path: Path) -> None:
    service = FreshService(tmp_path, auth_enabled=True)
    made = service.client.post("/api/v1/stream/tickets", headers={"X-API-Key": key_for(service, "read")})
    ticket = made.get_json()["ticket"]

    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    assert ask(service, "/api/v1/stream/tickets", method="POST") == 401
    assert ask(service, f"/api/v1/status?ticket={ticket}") == 401
    # Streams need gunicorn, so the client of a test is refused after its ticket was taken.
    assert ask(service, f"/api/v1/stream?ticket={ticket}") == 501
    assert ask(service, f"/collectors/stream?symbol=BTCUSDT&ticket={ticket}") == 401


def test_a_stream_without_a_key_is_told_of_tickets(tmp_path: Path) -> None:
    service = FreshService(tmp_path, auth_enabled=True)

    for path in ("/api/v1/stream", "/collectors/stream?symbol=BTCUSDT"):
        assert "POST /api/v1/stream/tickets" in service.client.get(path).get_json()["message"]
    assert "ticket" not in service.client.get("/api/v1/status").get_json()["message"]


def test_guessed_tickets_count_as_wrong_keys(tmp_path: Path) -> None:
    service = FreshService(tmp_path, auth_enabled=True, rate_limit_enabled=False)
    guesses = [ask(service, f"/api/v1/stream?ticket=ltp_ticket_{guess}") for guess in range(11)]

    assert guesses == [401] * 10 + [429]
