"""Routes of streams."""

from ltp_service.http.openapi.operation import Answer, Area, Operation, query, request_header
from ltp_service.http.openapi.schemas import Node

_TEXT: Node = {"type": "string"}
_EVENT_STREAM = {"text/event-stream": {"schema": _TEXT}}
_PROBLEMS = ["NOT_SUPPORTED", "TOO_MANY_STREAMS", "TOO_MANY_STREAMS_PER_CLIENT"]
_RESUME = (
    query("last_event_id", _TEXT, "The same as Last-Event-ID, for clients that cannot set it"),
    request_header("Last-Event-ID", "The id of the last event received: what came after it follows"),
)

STREAMING = Area(
    "streams",
    "What changes, as it changes",
    {
        "GET /api/v1/stream": Operation(
            "streamPrices",
            "Prices and trades as they change",
            "Server-sent events: `hello`, then a snapshot, then every change.",
            {200: Answer("Events until the connection ends", _EVENT_STREAM)},
            parameters=[
                query("pair", _TEXT, "A comma list; may repeat. Absent or empty: all pairs"),
                query("pairs", _TEXT, "The same as `pair`"),
                query(
                    "events",
                    {"type": "string", "enum": ["prices", "trades", "all"], "default": "prices"},
                    "What is told",
                ),
                *_RESUME,
            ],
            problems=["UNSUPPORTED_PAIR", *_PROBLEMS],
        ),
        "GET /collectors/stream": Operation(
            "streamExchanges",
            "Trades or best prices on other exchanges as they change",
            "Server-sent events: `hello`, then every trade or every change of the best prices.",
            {200: Answer("Events until the connection ends", _EVENT_STREAM)},
            parameters=[
                query("symbol", _TEXT | {"pattern": "^[A-Za-z0-9]{2,20}$"}, "Needed", required=True),
                query("exchange", _TEXT, "One that is collected here; absent or empty: all"),
                query(
                    "events",
                    {"type": "string", "enum": ["trades", "books"], "default": "trades"},
                    "What is told",
                ),
                *_RESUME,
            ],
            problems=["NOT_FOUND", *_PROBLEMS],
        ),
    },
)
