"""ltp_service.http.views.keys"""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ltp_service.keys.first_key import BOOTSTRAP_HEADER
from ltp_service.keys.key import MARK
from tests.service import FreshService, MakeService, refusal

HOME, FAR = "127.0.0.1", "198.51.100.7"
KEYS = "/auth/api-keys"


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    return FreshService(tmp_path, rate_limit_enabled=False)


@pytest.fixture
def admin(service: FreshService) -> str:
    """The text of the first key."""
    return str(first(service).get_json()["key"])


def ask(
    service: FreshService,
    method: str,
    path: str = "",
    key: str | None = None,
    peer: str = FAR,
    **headers: str,
) -> TestResponse:
    given = headers if key is None else headers | {"X-API-Key": key}
    return service.client.open(KEYS + path, method=method, headers=given, environ_base={"REMOTE_ADDR": peer})


def token(service: FreshService) -> str:
    """What the owner of the machine reads in the file."""
    service.services.first_key.offer(8080)
    return service.services.first_key.path.read_text().strip()


def first(service: FreshService, query: str = "?name=ops", peer: str = HOME, **headers: str) -> TestResponse:
    """Asks for the first key with the token."""
    return ask(service, "POST", query, peer=peer, **{BOOTSTRAP_HEADER: token(service), **headers})


def listed(service: FreshService, admin: str) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = ask(service, "GET", key=admin).get_json()["keys"]
    return keys


def test_who_has_the_token_makes_the_first_key_once(service: FreshService) -> None:
    given = token(service)
    made = ask(service, "POST", "?name=ops", peer=HOME, **{BOOTSTRAP_HEADER: given})

    assert made.status_code == 201
    assert made.get_json()["permission"] == "admin"
    assert not service.services.first_key.path.exists()
    again = ask(service, "POST", "?name=more", peer=HOME, **{BOOTSTRAP_HEADER: given})
    assert refusal(again) == (401, "API_KEY_MISSING")


def test_without_the_token_it_is_told_where(service: FreshService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    answer = ask(service, "POST", "?name=ops", peer=HOME)

    assert refusal(answer) == (401, "API_KEY_MISSING")
    assert BOOTSTRAP_HEADER in answer.get_json()["message"]
    given = token(service)
    assert given not in answer.get_data(as_text=True)
    assert f"{BOOTSTRAP_HEADER}: {given}" in caplog.text
    assert "/auth/api-keys?name=ops" in caplog.text
    assert service.services.keyring.empty()


@pytest.mark.parametrize("wrong", ["", "x", "x" * 43, "\xe4" * 43])
def test_a_wrong_token_opens_nothing_and_counts_as_a_guess(service: FreshService, wrong: str) -> None:
    given = token(service)
    guesses = [ask(service, "POST", "?name=ops", peer=HOME, **{BOOTSTRAP_HEADER: wrong}) for _ in range(11)]

    wrong_ones = [(401, "API_KEY_INVALID")] * 10
    assert list(map(refusal, guesses)) == [*wrong_ones, (429, "RATE_LIMIT_EXCEEDED")]
    assert service.services.keyring.empty()
    assert ask(service, "POST", "?name=ops", peer=HOME, **{BOOTSTRAP_HEADER: given}).status_code == 201


def test_a_question_that_cannot_be_read_does_not_use_the_token_up(service: FreshService) -> None:
    assert refusal(first(service, "")) == (400, "INVALID_PARAMETER")
    assert refusal(first(service, "?name=x&role=admin")) == (400, "INVALID_PARAMETER")
    assert first(service).status_code == 201


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        *((peer, {}) for peer in (FAR, "127.0.0.6", "")),
        (HOME, {"X-Forwarded-For": HOME}),
        (HOME, {"Origin": "http://localhost:8080"}),
        (HOME, {"Host": "ltp.example.org"}),
    ],
)
def test_the_first_key_is_for_this_machine(service: FreshService, peer: str, headers: dict[str, str]) -> None:
    assert refusal(first(service, peer=peer, **headers)) == (401, "API_KEY_MISSING")
    assert service.services.keyring.empty()


def test_a_key_in_the_environment_closes_the_door_for_the_first_one(fresh_service: MakeService) -> None:
    service = fresh_service(auth_api_key=MARK + "a" * 43)

    assert refusal(first(service)) == (401, "API_KEY_MISSING")


def test_a_first_key_made_elsewhere_a_moment_ago_counts(service: FreshService, tmp_path: Path) -> None:
    first(FreshService(tmp_path))

    assert service.services.keyring.empty()  # as far as it knows
    assert refusal(first(service, "?name=here")) == (401, "API_KEY_MISSING")


def test_without_a_store_the_first_key_is_refused(fresh_service: MakeService, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    service = fresh_service(database_path=tmp_path / "a file" / "ltp.sqlite3")
    answer = ask(service, "POST", "?name=ops", peer=HOME)

    assert refusal(answer) == (500, "CACHE_ERROR")
    assert "DATABASE_PATH" in answer.get_json()["message"]


def test_the_first_key_must_be_able_to_make_others(service: FreshService) -> None:
    assert refusal(first(service, "?name=x&permission=read")) == (400, "INVALID_PARAMETER")


def test_a_new_key_is_shown_once_stored_by_nobody_and_works(service: FreshService, admin: str) -> None:
    made = ask(service, "POST", "?name=grafana&expires=90s", admin)
    text = made.get_json()["key"]

    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    assert next(iter(made.get_json())) == "key"
    assert made.get_json() | {"key": ""} == {
        "key": "",
        "prefix": text[: len(MARK) + 8],
        "name": "grafana",
        "permission": "read",
        "state": "active",
        "created": "2026-09-21T14:13:20.000000Z",
        "expires": "2026-09-21T14:14:50.000000Z",
        "revoked": None,
        "last_used": None,
    }
    assert ask(service, "GET", key=text).status_code == 403
    assert text not in ask(service, "GET", key=admin).get_data(as_text=True)


def test_the_list_has_no_hashes(service: FreshService, admin: str) -> None:
    assert [set(key) for key in listed(service, admin)] == [
        {"prefix", "name", "permission", "state", "created", "expires", "revoked", "last_used"}
    ]


def test_the_list_tells_when_a_key_was_last_used(service: FreshService, admin: str) -> None:
    service.clock.advance(1)

    assert listed(service, admin)[0]["last_used"] == "2026-09-21T14:13:21.000000Z"


def test_a_new_key_lives_as_long_as_the_settings_say(fresh_service: MakeService) -> None:
    made = first(fresh_service(auth_key_ttl=60.0)).get_json()

    assert made["expires"] == "2026-09-21T14:14:20.000000Z"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        *((query, "name is missing") for query in ("", "?name=")),
        ("?name=" + "x" * 65, "1 to 64"),
        ("?name=a%07b", "printable"),
        ("?name=x&permission=root", "read, write, admin"),
        ("?name=x&expires=soon", "expires must be 1s to 3650d"),
        ("?name=x&expires=", "expires must be"),
        ("?name=x&expires=0", "expires must be"),
    ],
)
def test_an_impossible_key_is_refused(service: FreshService, admin: str, query: str, says: str) -> None:
    answer = ask(service, "POST", query, admin)

    assert refusal(answer) == (400, "INVALID_PARAMETER")
    assert says in answer.get_json()["message"]


def test_a_revoked_key_opens_nothing_from_now_on(service: FreshService, admin: str) -> None:
    made = ask(service, "POST", "?name=spare&permission=admin", admin).get_json()
    answer = ask(service, "DELETE", f"/{made['prefix']}", admin)

    assert (answer.status_code, answer.get_json()["state"]) == (200, "revoked")
    assert refusal(ask(service, "GET", key=made["key"])) == (401, "API_KEY_INVALID")
    assert refusal(ask(service, "DELETE", f"/{made['prefix']}", admin)) == (400, "INVALID_PARAMETER")


def test_the_last_admin_key_stays(service: FreshService, admin: str) -> None:
    answer = ask(service, "DELETE", f"/{admin[:12]}", admin)

    assert refusal(answer) == (400, "INVALID_PARAMETER")
    assert "last admin key" in answer.get_json()["message"]
    assert ask(service, "GET", key=admin).status_code == 200
