"""Routes of streams."""

from typing import Any

from ltp_service.http import shapes
from ltp_service.http.openapi.operation import Answer, Area, Operation, query, request_header
from ltp_service.http.openapi.schemas import Node, schema

_TEXT: Node = {"type": "string"}


def _events(**shape_of: Any) -> Node:
    """A stream of server-sent events; `x-events` has the schema of the JSON in each event's `data`."""
    told = {name: schema(shape) for name, shape in shape_of.items()}
    return {"text/event-stream": {"schema": _TEXT, "x-events": told}}


_OF_PAIRS = _events(
    hello=shapes.Hello,
    price=shapes.DetailedPrice | shapes.NoPrice,
    trade=shapes.StreamedTrade,
    book=shapes.StreamedBook,
    gap=shapes.TradeGap,
    heartbeat=shapes.Heartbeat,
    bye=shapes.Bye,
)
_OF_EXCHANGES = _events(
    hello=shapes.ExchangeHello,
    trade=shapes.ExchangeTrade,
    gap=shapes.ExchangeGap,
    book=shapes.BestPrices,
    heartbeat=shapes.Heartbeat,
    bye=shapes.Bye,
)
_PROBLEMS = ["NOT_SUPPORTED", "TOO_MANY_STREAMS", "TOO_MANY_STREAMS_PER_CLIENT"]
_TICKET = query("ticket", _TEXT, "In place of X-API-Key, with AUTH_ENABLED: from POST /api/v1/stream/tickets")
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
            {200: Answer("Events until the connection ends", _OF_PAIRS)},
            parameters=[
                query("pair", _TEXT, "A comma list; may repeat. Absent or empty: all pairs"),
                query("pairs", _TEXT, "The same as `pair`"),
                query(
                    "events",
                    {"type": "string", "enum": ["prices", "trades", "all"], "default": "prices"},
                    "The kinds of events to send",
                ),
                query(
                    "books",
                    {"type": "boolean", "default": False},
                    "Whether the best bid and ask on Kraken are told, too: `book` events, at most ten times a second. Needs"
                    " `kraken_books` in COLLECTORS",
                ),
                *_RESUME,
                _TICKET,
            ],
            problems=["UNSUPPORTED_PAIR", "ALL_PRICES_FAILED", *_PROBLEMS],
        ),
        "POST /api/v1/stream/tickets": Operation(
            "createTicket",
            "A ticket, which opens one stream within 30 s",
            "For browsers' EventSource, which can set no header: the ticket goes into the stream's `ticket` parameter."
            " It holds in every process of the service. Without AUTH_ENABLED no stream needs one.",
            {201: Answer("The ticket", shapes.Ticket, headers=("Cache-Control",))},
        ),
        "GET /collectors/stream": Operation(
            "streamExchanges",
            "Trades or best prices on other exchanges as they change",
            "Server-sent events: `hello`, then every trade or every change of the best prices.",
            {200: Answer("Events until the connection ends", _OF_EXCHANGES)},
            parameters=[
                query("symbol", _TEXT | {"pattern": "^[A-Za-z0-9]{2,20}$"}, "The symbol", required=True),
                query("exchange", _TEXT, "One that is collected here; absent or empty: all"),
                query(
                    "events",
                    {"type": "string", "enum": ["trades", "books"], "default": "trades"},
                    "The kinds of events to send",
                ),
                *_RESUME,
                _TICKET,
            ],
            problems=["NOT_FOUND", *_PROBLEMS],
        ),
    },
)
