"""Answers one message of the Model Context Protocol, in revision 2026-07-28 or in those that begin with `initialize`."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from werkzeug.datastructures import Headers

from ltp_service.http.mcp import revisions
from ltp_service.http.mcp.messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Notification,
    Refusal,
    Request,
    read_message,
)
from ltp_service.http.problems import PROBLEMS
from ltp_service.version import VERSION

log = logging.getLogger(__name__)

Node = dict[str, Any]
"""A JSON object."""

LIST_SECONDS = 3600
"""Seconds for which a client may keep the list of tools. It changes with the version of the service alone."""

_SERVER = {"name": "ltp_service", "title": "Last traded prices", "version": VERSION}
_CAPABILITIES: Node = {"tools": {}}
_INSTRUCTIONS = (
    "Last traded prices of currency pairs, from Kraken. A price is a text with the exchange's own digits; repeat it as it is."
    " A result with isError has no price: say that there is none and why, and use no older one in its place."
)
_CACHING = {"ttlMs": LIST_SECONDS * 1000, "cacheScope": "public"}
_STATUSES = {METHOD_NOT_FOUND: 404, INTERNAL_ERROR: 500}
"""The status of the HTTP answer, by the code of the error; 400 for all other codes."""


class Tools(NamedTuple):
    """What an agent can use."""

    listed: list[Node]
    """The tools in the shape of `tools/list`."""
    call: Callable[[str, Node], Node | None]
    """Takes name and arguments, and returns the result of `tools/call`; None for an unknown name."""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    content: bytes
    """Empty for a notification."""


def answer_message(content: bytes, headers: Headers, tools: Tools) -> Answer:
    """The answer to the body and the headers of one POST."""
    request: Request | None = None
    handshake = False
    try:
        message = read_message(content)
        if isinstance(message, Notification):
            revisions.check_version(headers.get(revisions.VERSION_HEADER))
            return Answer(202, b"")
        request = message
        handshake = not revisions.is_stateless(request, headers)
        result = _in_handshake(request, tools) if handshake else _stateless(request, tools)
        answer = {"jsonrpc": "2.0", "id": request.id, "result": result}
        return Answer(200, msgspec.json.encode(answer))
    except Refusal as error:
        refusal = error
    except Exception as error:
        log.error("an agent's request failed by our own fault", exc_info=error)
        refusal = Refusal(INTERNAL_ERROR, PROBLEMS["INTERNAL_ERROR"].example)
    if request is not None:
        refusal.request_id = request.id
    status = _STATUSES.get(refusal.code, 400)
    if handshake and status < 500:
        status = 200  # clients of those revisions read an error of JSON-RPC only there
    return answer_refusal(status, refusal)


def answer_refusal(status: int, refusal: Refusal) -> Answer:
    """An error of JSON-RPC. It has no `id` where the request's is not known."""
    error: Node = {"code": refusal.code, "message": str(refusal)}
    if refusal.data is not None:
        error["data"] = refusal.data
    told = {
        "jsonrpc": "2.0",
        **({} if refusal.request_id is None else {"id": refusal.request_id}),
        "error": error,
    }
    return Answer(status, msgspec.json.encode(told))


def _stateless(request: Request, tools: Tools) -> Node:
    """The result in 2026-07-28."""
    match request.method:
        case "server/discover":
            result = _introduction() | {"supportedVersions": revisions.SUPPORTED} | _CACHING
        case "tools/list":
            result = _tools(request, tools) | _CACHING
        case "tools/call":
            result = _called(request, tools)
        case _:
            raise _unknown(request.method, "server/discover, tools/list and tools/call")
    return {"resultType": "complete", **result, "_meta": {revisions.SERVER_INFO: _SERVER}}


def _in_handshake(request: Request, tools: Tools) -> Node:
    """The result in revisions that begin with `initialize`."""
    match request.method:
        case "initialize":
            return _introduction() | {"protocolVersion": _negotiated(request), "serverInfo": _SERVER}
        case "ping":
            return {}
        case "tools/list":
            return _tools(request, tools)
        case "tools/call":
            return _called(request, tools)
        case _:
            raise _unknown(request.method, "initialize, ping, tools/list and tools/call")


def _introduction() -> Node:
    return {"capabilities": _CAPABILITIES, "instructions": _INSTRUCTIONS}


def _negotiated(request: Request) -> str:
    """The revision asked for, or else the newest one; the client ends the handshake if it does not speak that."""
    asked = request.params.get("protocolVersion")
    if not isinstance(asked, str):
        raise Refusal(INVALID_PARAMS, "params.protocolVersion is missing or no text")
    return asked if asked in revisions.HANDSHAKES else revisions.HANDSHAKES[0]


def _tools(request: Request, tools: Tools) -> Node:
    if request.params.get("cursor") is not None:
        raise Refusal(INVALID_PARAMS, "params.cursor is not known: the list has one page; ask without it")
    return {"tools": tools.listed}


def _called(request: Request, tools: Tools) -> Node:
    name, arguments = request.params.get("name"), request.params.get("arguments", {})
    if not isinstance(name, str):
        raise Refusal(INVALID_PARAMS, "params.name is missing or no text; name a tool of tools/list")
    if not isinstance(arguments, dict):
        raise Refusal(INVALID_PARAMS, "params.arguments is not a JSON object")
    result = tools.call(name, arguments)
    if result is None:
        names = ", ".join(each["name"] for each in tools.listed)
        raise Refusal(INVALID_PARAMS, f"unknown tool {name[:40]!r}; there are {names}")
    return result


def _unknown(method: str, known: str) -> Refusal:
    return Refusal(METHOD_NOT_FOUND, f"no method {method[:40]!r} here; there are {known}")
