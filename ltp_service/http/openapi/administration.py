"""Routes for administrators: API keys and debugging."""

from ltp_service.http.openapi.pieces import (
    COUNT,
    FLAG,
    KEYED_ROUTE,
    LIMIT_HEADERS,
    MOMENT,
    OPEN_ROUTE,
    TEXT,
    TRADE_ID,
    TRADED_AT,
    Area,
    Node,
    answer,
    in_path,
    json_content,
    listing,
    mapping,
    maybe,
    one_of,
    operation,
    query,
    record,
    request_header,
    schema,
    success,
)
from ltp_service.http.openapi.problems import error_answers, too_long

_PERMISSION = one_of("read", "write", "admin")
_ONCE = (*LIMIT_HEADERS, "Cache-Control")


def administration() -> Area:
    """`/auth/…` and `/debug/…`."""
    return Area(
        "administration",
        "API keys and a look inside",
        {
            "/auth/api-keys": {"get": _list(), "post": _create()},
            "/auth/api-keys/{prefix}": {"delete": _revoke()},
            "/debug/tasks": {"get": _tasks()},
            "/debug/storage": {"get": _storage()},
        },
        _schemas(),
    )


def _create() -> Node:
    return operation(
        "createKey",
        "Make an API key; its text is shown this once",
        {"201": answer("The key", json_content(schema("NewKey")), _ONCE)} | too_long() | error_answers(),
        description="Needs an admin key. While no key was ever made, this machine itself needs the one-time token that the"
        " service's log tells, and no proxy between; that first key has admin permission. Its parameters stand in the query; a body is refused with 400.",
        parameters=[
            query("name", {"type": "string", "minLength": 1, "maxLength": 64}, "For whom", required=True),
            query("permission", _PERMISSION, "Includes those before it; `read` unless given"),
            query(
                "expires",
                {"type": "string", "examples": ["7d"]},
                "Its life, 1s to 3650d; AUTH_KEY_TTL unless given",
            ),
            request_header("X-Bootstrap-Token", TEXT, "For the first key: the one-time token"),
        ],
        security=OPEN_ROUTE,
    )


def _list() -> Node:
    return operation(
        "getKeys",
        "Every key ever made, oldest first, without its text",
        success("Perhaps none", record({"keys": listing(schema("Key"))})) | error_answers(),
        description="Needs an admin key. Expired and revoked ones stay in the list.",
        security=KEYED_ROUTE,
    )


def _revoke() -> Node:
    prefix = in_path(
        "prefix",
        {"type": "string", "minLength": 1, "examples": ["ltp_Ab3dE6gH"]},
        description="As the list has it, or as much of its beginning as no other key has",
    )
    return operation(
        "revokeKey",
        "End a key: at once here, within 2 s in every process",
        success("The key", schema("Key")) | error_answers("NOT_FOUND"),
        description="Needs an admin key. 400 for a beginning of several keys, for a key that is revoked already, and for the last admin key.",
        parameters=[prefix],
        security=KEYED_ROUTE,
    )


def _tasks() -> Node:
    return operation(
        "getTasks",
        "What runs beside the requests",
        success("This process", schema("Tasks")) | error_answers(),
        description="Needs an admin key. The runners with their restarts, and how many greenlets and threads there are.",
        security=KEYED_ROUTE,
    )


def _storage() -> Node:
    return operation(
        "getStorage",
        "What every store holds",
        success("This process", schema("Storage")) | error_answers(),
        description="Needs an admin key. Prices, trades, books, symbols and the journal of decisions.",
        security=KEYED_ROUTE,
    )


def _schemas() -> dict[str, Node]:
    key = {
        "prefix": {
            "type": "string",
            "description": "`ltp_…`, or `AUTH_API_KEY` for one of the operator's own choice",
        },
        "name": TEXT,
        "permission": _PERMISSION,
        "state": one_of("active", "expired", "revoked"),
        "created": MOMENT,
        "expires": maybe(MOMENT, "for AUTH_API_KEY"),
        "revoked": maybe(MOMENT, "unless it was"),
        "last_used": maybe(MOMENT, "before it is"),
    }
    running = record({"count": COUNT, "by_name": mapping(COUNT, "Most first")})
    return {
        "Key": record(key),
        "NewKey": record({"key": {"type": "string", "pattern": "^ltp_[A-Za-z0-9_-]{43}$"}, **key}),
        "Tasks": record({"runners": listing(schema("Task")), "greenlets": running, "threads": running}),
        "Storage": record(_stored()),
        "HeldPrice": record(
            {
                "price": TEXT,
                "source": schema("Source"),
                "trade_id": TRADE_ID,
                "traded_at": TRADED_AT,
                "received_at": MOMENT,
                "confirmed_at": MOMENT,
                "confirmed_by": schema("Source"),
            }
        ),
    }


def _stored() -> dict[str, Node]:
    held = mapping(schema("HeldPrice"), "By pair")
    by_symbol = mapping(COUNT, "Trades stored of each symbol")
    return {
        "prices": record({"market": schema("Market"), "held": held}),
        "trades": record({"statistics": schema("TradeStatistics"), "by_symbol": by_symbol}),
        "books": listing(record({"exchange": TEXT, "symbol": TEXT, "in_sync": FLAG})),
        "symbols": listing(TEXT),
        "journal": record({"longest": COUNT, "decisions": mapping(COUNT, "By pair")}),
    }
