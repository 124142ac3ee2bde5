"""Routes for administrators: API keys and debugging."""

from ltp_service.http import shapes
from ltp_service.http.openapi.operation import (
    KEYED_ROUTE,
    OPEN_ROUTE,
    Answer,
    Area,
    Operation,
    in_path,
    query,
    request_header,
)
from ltp_service.http.openapi.schemas import Node
from ltp_service.keys.key import PERMISSIONS

_NAME: Node = {"type": "string", "minLength": 1, "maxLength": 64}
_PERMISSION: Node = {"type": "string", "enum": list(PERMISSIONS)}
_LIFE: Node = {"type": "string", "examples": ["7d"]}
_PREFIX: Node = {"type": "string", "minLength": 1, "examples": ["ltp_Ab3dE6gH"]}
_BEGINNING = "The prefix in the list of keys, or a beginning of it that no other key shares"

ADMINISTRATION = Area(
    "administration",
    "API keys and a look inside",
    {
        "GET /auth/api-keys": Operation(
            "getKeys",
            "Every key ever made, oldest first, without its text",
            "Needs an admin key. Expired and revoked ones stay in the list.",
            {200: Answer("Perhaps none", shapes.Keys)},
        ),
        "POST /auth/api-keys": Operation(
            "createKey",
            "Make an API key; its text is shown this once",
            "Needs an admin key. While no key was ever made, this machine itself needs the one-time token that the"
            " service's log tells, and no proxy between; that first key has admin permission. Its parameters stand in the query; a body is refused with 400.",
            {201: Answer("The key", shapes.NewKey, headers=("Cache-Control",))},
            parameters=[
                query("name", _NAME, "The user or program that gets the key", required=True),
                query(
                    "permission",
                    _PERMISSION,
                    "Each permission includes the ones before it; `read` unless given",
                ),
                query("expires", _LIFE, "The life of the key, 1s to 3650d; AUTH_KEY_TTL unless given"),
                request_header("X-Bootstrap-Token", "For the first key: the one-time token"),
            ],
            security=OPEN_ROUTE,
        ),
        "DELETE /auth/api-keys/{prefix}": Operation(
            "revokeKey",
            "End a key: at once here, within 2 s in every process",
            "Needs an admin key. 400 for a beginning of several keys, for a key that is revoked already, and for the last admin key.",
            {200: Answer("The key", shapes.Key)},
            parameters=[in_path("prefix", _PREFIX, description=_BEGINNING)],
            problems=["NOT_FOUND"],
        ),
        "GET /debug/tasks": Operation(
            "getTasks",
            "What runs beside the requests",
            "Needs an admin key. The runners with their restarts, and how many greenlets and threads there are.",
            {200: Answer("This process", shapes.Tasks)},
        ),
        "GET /debug/storage": Operation(
            "getStorage",
            "What every store holds",
            "Needs an admin key. Prices, trades, books, symbols and the journal of decisions.",
            {200: Answer("This process", shapes.Storage)},
        ),
    },
    KEYED_ROUTE,
)
