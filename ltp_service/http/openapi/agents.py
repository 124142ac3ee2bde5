"""The route of agents. Its messages are described by the Model Context Protocol; here is their envelope."""

from ltp_service.http import shapes
from ltp_service.http.mcp.revisions import HANDSHAKES, STATELESS
from ltp_service.http.openapi.operation import Answer, Area, Operation
from ltp_service.http.openapi.schemas import Node, schema

_TEXT: Node = {"type": "string"}
_ID: Node = {"anyOf": [_TEXT, {"type": "integer", "format": "int64"}]}
_VERSION: Node = {"const": "2.0"}

_MESSAGE: Node = {
    "type": "object",
    "description": "A request, or without `id` a notification.",
    "properties": {"jsonrpc": _VERSION, "id": _ID, "method": _TEXT, "params": {"type": "object"}},
    "required": ["jsonrpc", "method"],
}
_FAILURE: Node = {
    "type": "object",
    "description": "An error of JSON-RPC; without `id` where that of the request could not be read.",
    "properties": {
        "jsonrpc": _VERSION,
        "id": _ID,
        "error": {
            "type": "object",
            "properties": {"code": {"type": "integer"}, "message": _TEXT, "data": {}},
            "required": ["code", "message"],
        },
    },
    "required": ["jsonrpc", "error"],
}
_RESULT: Node = {
    "type": "object",
    "description": "The result of a request.",
    "properties": {"jsonrpc": _VERSION, "id": _ID, "result": {"type": "object"}},
    "required": ["jsonrpc", "id", "result"],
}

_ASKED = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "get_price", "arguments": {"pair": "BTC/USD"}},
}


def _json(node: Node) -> Node:
    return {"application/json": {"schema": node}}


def _refused(about: str) -> Answer:
    return Answer(about, _json(_FAILURE))


def _either(about: str) -> Answer:
    """An error of JSON-RPC, or one as other routes have it, from before the body was read."""
    return Answer(about, _json({"anyOf": [_FAILURE, schema(shapes.Error)]}))


AGENTS = Area(
    "agents",
    "Prices for agents, by the Model Context Protocol",
    {
        "POST /mcp": Operation(
            "sendMessage",
            "One message of the Model Context Protocol",
            f"Streamable HTTP, in revision {STATELESS} and, after `initialize`, in {' and '.join(HANDSHAKES)}. There are no"
            " sessions and no streams. Tools: `get_price`, `explain_price`, `price_at` and `list_pairs`. A price that"
            " /api/v1/ltp would refuse is a result with `isError`, without a number. A web page may use it only when"
            " CORS_ORIGINS names its Origin.",
            {
                200: Answer(
                    "The result; in revisions with `initialize` also an error",
                    _json({"anyOf": [_RESULT, _FAILURE]}),
                ),
                202: Answer("A notification, which has no answer"),
                400: _either("No message, or one that cannot be answered"),
                403: _either("Another page's Origin, or a key without permission"),
                404: _refused(f"A method that does not exist, in {STATELESS}"),
                413: _refused(f"A body of more than {shapes.MAX_BODY_BYTES} bytes"),
                415: _refused("A body that is not application/json"),
                500: _either("Our fault"),
            },
            needs_body=True,
            body=Answer(
                f"At most {shapes.MAX_BODY_BYTES} bytes",
                {
                    "application/json": {
                        "schema": _MESSAGE,
                        "examples": {"price": {"summary": "A price", "value": _ASKED}},
                    }
                },
            ),
        )
    },
)
