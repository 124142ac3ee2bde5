"""ltp_service.http.mcp.protocol"""

import json
import logging
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from ltp_service.http.mcp.messages import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR
from ltp_service.http.mcp.protocol import Answer, Tools, answer_message
from ltp_service.http.mcp.revisions import SUPPORTED
from ltp_service.version import VERSION
from tests.http.mcp.test_revisions import HEADERS, META

RESULT = {"content": [{"type": "text", "text": "hello"}], "isError": False}


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    if name == "break":
        raise ZeroDivisionError(arguments)
    return RESULT if name == "greet" else None


TOOLS = Tools([{"name": "greet"}, {"name": "break"}], call)


def told(answer: Answer) -> tuple[int, Any]:
    return answer.status, json.loads(answer.content)


def ask(method: str, *, stateless: bool, **params: Any) -> tuple[int, Any]:
    """Status and body of the answer in one of the two ways."""
    headers = HEADERS | {"Mcp-Method": method, "Mcp-Name": str(params.get("name"))} if stateless else {}
    if stateless:
        params["_meta"] = META
    body = {"jsonrpc": "2.0", "id": "x", "method": method, "params": params}
    status, content = told(answer_message(json.dumps(body).encode(), Headers(headers), TOOLS))
    assert (content["jsonrpc"], content["id"]) == ("2.0", "x")
    return status, content


both_ways = pytest.mark.parametrize("stateless", [True, False], ids=["stateless", "handshake"])


def test_discovery_tells_versions_abilities_and_who_answers() -> None:
    status, content = ask("server/discover", stateless=True)
    result = content["result"]

    assert status == 200
    assert result["supportedVersions"] == list(SUPPORTED)
    assert result["capabilities"] == {"tools": {}}
    assert result["resultType"] == "complete"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == VERSION
    assert (result["ttlMs"], result["cacheScope"]) == (3_600_000, "public")


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ],
)
def test_a_handshake_agrees_on_the_version_asked_for_or_the_newest(asked: str, agreed: str) -> None:
    status, content = ask("initialize", stateless=False, protocolVersion=asked)

    assert (status, content["result"]["protocolVersion"]) == (200, agreed)
    assert content["result"]["serverInfo"]["name"] == "ltp_service"


def test_a_handshake_without_a_version_is_refused() -> None:
    status, content = ask("initialize", stateless=False)

    assert (status, content["error"]["code"]) == (200, INVALID_PARAMS)


def test_a_client_of_a_handshake_can_ping() -> None:
    assert ask("ping", stateless=False) == (200, {"jsonrpc": "2.0", "id": "x", "result": {}})


@both_ways
def test_tools_are_listed_and_called(stateless: bool) -> None:
    _, listed = ask("tools/list", stateless=stateless)
    _, called = ask("tools/call", stateless=stateless, name="greet")

    assert listed["result"]["tools"] == TOOLS.listed
    assert ("ttlMs" in listed["result"]) is stateless
    assert called["result"].items() >= RESULT.items()
    assert ("resultType" in called["result"]) is stateless


@pytest.mark.parametrize(
    ("method", "params", "code", "status"),
    [
        ("resources/list", {}, METHOD_NOT_FOUND, 404),
        ("tools/call", {"name": "shout"}, INVALID_PARAMS, 400),
        ("tools/call", {"name": 1}, INVALID_PARAMS, 400),
        ("tools/call", {}, INVALID_PARAMS, 400),
        ("tools/call", {"name": "greet", "arguments": []}, INVALID_PARAMS, 400),
        ("tools/list", {"cursor": "next"}, INVALID_PARAMS, 400),
    ],
)
@both_ways
def test_what_cannot_be_done_is_an_error_of_json_rpc(
    stateless: bool, method: str, params: dict[str, Any], code: int, status: int
) -> None:
    answered, content = ask(method, stateless=stateless, **params)

    assert (answered, content["error"]["code"]) == (status if stateless else 200, code)


@pytest.mark.parametrize(
    ("method", "stateless"), [("initialize", True), ("ping", True), ("server/discover", False)]
)
def test_a_method_of_the_other_way_is_not_there(method: str, stateless: bool) -> None:
    _, content = ask(method, stateless=stateless, protocolVersion="2025-11-25")

    assert content["error"]["code"] == METHOD_NOT_FOUND


@both_ways
def test_our_own_fault_is_told_without_its_cause_and_logged_with_it(
    stateless: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, content = ask("tools/call", stateless=stateless, name="break", arguments={"secret": 1})

    assert (status, content["error"]["code"]) == (500, INTERNAL_ERROR)
    assert "secret" not in str(content)
    assert "ZeroDivisionError" in caplog.text


def test_a_notification_is_accepted_without_an_answer() -> None:
    body = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

    assert answer_message(body, Headers(), TOOLS) == (202, b"")
    assert answer_message(body, Headers({"MCP-Protocol-Version": "1900-01-01"}), TOOLS).status == 400


def test_an_error_has_no_id_where_none_could_be_read() -> None:
    status, content = told(answer_message(b"{", Headers(), TOOLS))

    assert (status, content["error"]["code"], "id" in content) == (400, PARSE_ERROR, False)
