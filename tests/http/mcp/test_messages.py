"""ltp_service.http.mcp.messages"""

import json
from typing import Any

import pytest

from ltp_service.http.mcp.messages import (
    INVALID_REQUEST,
    PARSE_ERROR,
    Notification,
    Refusal,
    Request,
    read_message,
)

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def refusal(content: bytes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        read_message(content)
    return refused.value


@pytest.mark.parametrize("request_id", [1, 0, -7, (1 << 63) - 1, "a", ""])
def test_a_request_is_read_with_its_id_as_it_came(request_id: int | str) -> None:
    read = read_message(json.dumps(PING | {"id": request_id, "params": {"a": 1}}).encode())

    assert read == Request(request_id, "ping", {"a": 1})


def test_a_message_without_an_id_is_a_notification() -> None:
    assert read_message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}') == Notification(
        "notifications/initialized"
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{} {}", b'"\xff"', b"NaN", b"[" * 4000, b'"\\ud800"', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_is_a_parse_error(content: bytes) -> None:
    assert refusal(content).code == PARSE_ERROR


@pytest.mark.parametrize("content", [b"[]", b"1", b"null", b'"ping"', json.dumps([PING, PING]).encode()])
def test_a_batch_and_what_is_no_object_are_no_request(content: bytes) -> None:
    assert refusal(content).code == INVALID_REQUEST


@pytest.mark.parametrize("request_id", [None, True, 1.5, 1.0, [], {}, 1 << 63, -(1 << 63) - 1])
def test_an_id_that_cannot_be_sent_back_is_refused_without_one(request_id: Any) -> None:
    refused = refusal(json.dumps(PING | {"id": request_id}).encode())

    assert (refused.code, refused.request_id) == (INVALID_REQUEST, None)
    assert "id is neither" in str(refused)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"jsonrpc": "1.0"}, "jsonrpc"),
        ({"jsonrpc": None}, "jsonrpc"),
        ({"method": None}, "method"),
        ({"method": 1}, "method"),
        ({"params": None}, "params"),
        ({"params": ["BTC/USD"]}, "params"),
    ],
)
def test_a_member_of_the_wrong_kind_is_named_to_the_request_that_has_it(
    change: dict[str, Any], wrong: str
) -> None:
    refused = refusal(json.dumps(PING | change).encode())

    assert (refused.code, refused.request_id) == (INVALID_REQUEST, 1)
    assert str(refused).startswith(wrong)


def test_a_response_is_refused_because_nothing_was_asked() -> None:
    assert "takes no responses" in str(refusal(b'{"jsonrpc":"2.0","id":1,"result":{}}'))
