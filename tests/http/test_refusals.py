import json
import socket

import pytest

from ltp_service.http.refusals import refuse


def refusal(status: int, message: str) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers by their names in lower case, and body."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        refuse(ours, status, "Reason", message)
        ours.close()
        received = b"".join(iter(lambda: theirs.recv(4096), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_PARAMETER"),
        (414, "INVALID_PARAMETER"),
        (431, "INVALID_PARAMETER"),
        (501, "INVALID_PARAMETER"),
        (500, "INTERNAL_ERROR"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_like_any_other(status: int, code: str) -> None:
    first, headers, body = refusal(status, "")
    told = json.loads(body)
    assert first == f"HTTP/1.1 {status} Reason"
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(body)
    assert (headers["connection"], headers["cache-control"]) == ("close", "no-store")
    assert headers["x-content-type-options"] == "nosniff"
    assert told.keys() == {"error", "message", "code", "request_id"}
    assert told["error"] == told["code"] == code
    assert told["request_id"] == headers["x-request-id"]


def test_a_refusal_repeats_nothing_of_the_request() -> None:
    first, headers, body = refusal(400, "Invalid Header 'ltp_secret'")
    assert "ltp_secret" not in f"{first}{headers}{body!r}"
