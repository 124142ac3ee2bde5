"""One message of the Model Context Protocol, read from the body of a request. Pure.

The messages are those of JSON-RPC 2.0, one in each body: no revision that is spoken here has batches
(modelcontextprotocol.io/specification/2026-07-28/basic, "Messages").
"""

from typing import Any, NamedTuple, NoReturn

import msgspec

Id = int | str

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_PROTOCOL_VERSION = -32022

_LARGEST_ID = 1 << 63


class Request(NamedTuple):
    """A message that gets an answer."""

    id: Id
    method: str
    params: dict[str, Any]


class Notification(NamedTuple):
    """A message that gets none."""

    method: str


class Refusal(Exception):
    """The message cannot be answered with a result."""

    def __init__(self, code: int, message: str, data: Any = None, request_id: Id | None = None) -> None:
        """`data` is what the specification adds to this code. `request_id` is None where it could not be read."""
        super().__init__(message)
        self.code = code
        self.data = data
        self.request_id = request_id


def read_message(content: bytes) -> Request | Notification:
    """The one message in the body. Raises Refusal."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(PARSE_ERROR, "the body is not JSON in UTF-8") from None
    if isinstance(found, list):
        raise Refusal(INVALID_REQUEST, "the body is a batch; send each message by itself")
    if not isinstance(found, dict):
        raise Refusal(INVALID_REQUEST, "the body is not a JSON object; send one request or notification")
    request_id = _id(found)
    if found.get("jsonrpc") != "2.0":
        _refuse('jsonrpc is not "2.0"', request_id)
    method, params = found.get("method"), found.get("params", {})
    if not isinstance(method, str):
        _refuse(
            "method is missing or no text; this service asks nothing, so it takes no responses", request_id
        )
    if not isinstance(params, dict):
        _refuse("params is not a JSON object", request_id)
    return Notification(method) if request_id is None else Request(request_id, method, params)


def _id(found: dict[str, Any]) -> Id | None:
    """The id of a request; None for a notification, which has none."""
    given = found.get("id")
    # bool is an int for Python. An id is sent back, and larger numbers cannot be written as they came.
    if isinstance(given, str) or (type(given) is int and -_LARGEST_ID <= given < _LARGEST_ID):
        return given
    if "id" in found:
        _refuse("id is neither a text nor a whole number of 64 bits", None)
    return None


def _refuse(message: str, request_id: Id | None) -> NoReturn:
    raise Refusal(INVALID_REQUEST, message, request_id=request_id)
