"""Routes about the collectors and the collected trades, books and symbols."""

from ltp_service.http.openapi.pieces import (
    COUNT,
    FLAG,
    KEYED_ROUTE,
    LIMIT_HEADERS,
    MILLISECONDS,
    MOMENT,
    OPEN_ROUTE,
    SECONDS,
    TEXT,
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
    schema,
    success,
)
from ltp_service.http.openapi.problems import error_answers, too_long

_SYMBOL: Node = {"type": "string", "pattern": "^[A-Za-z0-9]{2,20}$", "examples": ["BTCUSDT"]}
_COLLECTOR: Node = {"type": "string", "minLength": 1, "examples": ["bybit_trades"]}
_EXCHANGE: Node = {"type": "string", "examples": ["bybit"]}
_POSITIVE: Node = {"type": "number", "exclusiveMinimum": 0}


def collecting() -> Area:
    """`/collectors/…`."""
    return Area(
        "collectors",
        "Trades and order books of other exchanges",
        {
            "/collectors/status": {"get": _status()},
            "/collectors/status/{name}": {"get": _one()},
            "/collectors/trades": {"get": _trades()},
            "/collectors/books": {"get": _books()},
            "/collectors/storage/stats": {"get": _statistics()},
            "/collectors/symbols": {"get": _symbols(), "post": _add()},
            "/collectors/symbols/{symbol}": {"delete": _remove()},
        },
        _schemas(),
    )


def _status() -> Node:
    body = record({"collectors": mapping(schema("Collector"), "By name")})
    return operation(
        "getCollectors",
        "What each collector does",
        success("Every collector of this process", body) | error_answers(),
        description="Connection, subscriptions and the last error of each; trade collectors also say when trades may have been missed.",
        security=OPEN_ROUTE,
    )


def _one() -> Node:
    return operation(
        "getCollector",
        "What one collector does",
        success("The collector", schema("Collector")) | error_answers("NOT_FOUND"),
        description="The same as in the list; 404 names those that run here.",
        parameters=[in_path("name", _COLLECTOR)],
        security=OPEN_ROUTE,
    )


def _trades() -> Node:
    limit: Node = {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
    return operation(
        "getTrades",
        "The newest trades first, by the exchanges' time",
        success("Perhaps none", record({"trades": listing(schema("Trade"))})) | too_long() | error_answers(),
        description="Of one symbol or exchange, or of all. They are kept in memory for an hour at most.",
        parameters=[
            query("symbol", _SYMBOL | {"pattern": "^([A-Za-z0-9]{2,20})?$"}, "Absent or empty: all symbols"),
            query("exchange", _EXCHANGE, "One that is collected here; absent or empty: all"),
            query("limit", limit, "At most so many"),
        ],
        security=OPEN_ROUTE,
    )


def _books() -> Node:
    depth: Node = {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}
    return operation(
        "getBooks",
        "The order books of one symbol, one per exchange",
        success("Those that were ever received", record({"books": listing(schema("Book"))}))
        | too_long()
        | error_answers(),
        description="A book that is out of sync says so and has no prices at all: no bids, no asks.",
        parameters=[
            query("symbol", _SYMBOL, "Needed", required=True),
            query("exchange", _EXCHANGE, "One that is collected here; absent or empty: all"),
            query("depth", depth, "Levels on each side, the best ones"),
        ],
        security=OPEN_ROUTE,
    )


def _statistics() -> Node:
    return operation(
        "getTradeStatistics",
        "The counters of the trade storage since the start, and its present state",
        success("This process", schema("TradeStatistics")) | error_answers(),
        description="How many trades came, were stored and were discarded, and for which reason.",
        security=OPEN_ROUTE,
    )


def _symbols() -> Node:
    return operation(
        "getSymbols",
        "The symbols collected, in the order they were added",
        success("All", schema("Symbols")) | error_answers(),
        description="One list for all exchanges; `limit` says how many there may be.",
        security=OPEN_ROUTE,
    )


def _add() -> Node:
    content = json_content(schema("Symbols"))
    return operation(
        "addSymbol",
        "Collect a symbol from now on, also after a restart",
        {
            "200": answer("It is collected already", content, LIMIT_HEADERS),
            "201": answer("Added", content, LIMIT_HEADERS),
        }
        | too_long()
        | error_answers(),
        description="Needs a write key. Nothing but this symbol is subscribed anew. At most 200 are collected. Its parameters stand in the query; a body is refused with 400.",
        parameters=[query("symbol", _SYMBOL, "Needed", required=True)],
        security=KEYED_ROUTE,
    )


def _remove() -> Node:
    return operation(
        "removeSymbol",
        "Collect a symbol no longer",
        success("Removed", schema("Symbols")) | error_answers("NOT_FOUND"),
        description="Needs a write key.",
        parameters=[in_path("symbol", _SYMBOL)],
        security=KEYED_ROUTE,
    )


def _schemas() -> dict[str, Node]:
    return {
        "Collector": _collector(),
        "Trade": record(
            {
                "exchange": TEXT,
                "symbol": TEXT,
                "side": one_of("buy", "sell", description="The taker's"),
                "price": _POSITIVE,
                "quantity": _POSITIVE,
                "timestamp": MOMENT | {"description": "The exchange's time of the trade"},
                "trade_id": TEXT,
                "received_at": MOMENT,
                "raw": {"type": "string", "description": "The exchange's own text of this trade"},
            }
        ),
        "Level": record({"price": _POSITIVE, "size": _POSITIVE}),
        "Book": record(
            {
                "exchange": TEXT,
                "symbol": TEXT,
                "in_sync": {"type": "boolean", "description": "False: it may have missed something"},
                "best_bid": maybe(schema("Level"), "when out of sync, or when nobody buys"),
                "best_ask": maybe(schema("Level"), "when out of sync, or when nobody sells"),
                "bids": listing(schema("Level"), description="Highest first"),
                "asks": listing(schema("Level"), description="Lowest first"),
                "changed_at": TRADED_AT,
                "received_at": maybe(MOMENT, "before the first update"),
                "age_ms": maybe(MILLISECONDS, "before the first update"),
            }
        ),
        "TradeStatistics": record(_counted()),
        "Symbols": record({"symbols": listing(TEXT), "limit": COUNT}),
    }


def _collector() -> Node:
    gap = record(
        {
            "since": MOMENT,
            "until": maybe(MOMENT, "while it lasts"),
            "symbol": maybe(TEXT, "when it concerns every symbol"),
            "missing": maybe(COUNT, "where the exchange does not number its trades"),
        }
    )
    properties = {
        "name": TEXT,
        "state": one_of(
            *("stopped", "connecting", "connected", "subscribing", "active", "reconnecting", "error")
        ),
        "healthy": {"type": "boolean", "description": "Connected and without a problem"},
        "connected": FLAG,
        "generation": COUNT | {"description": "Connections made so far"},
        "attempts": COUNT,
        "last_frame_at": maybe(MOMENT, "before the first frame"),
        "last_error": maybe(TEXT, "when there was none"),
        "problem": maybe(TEXT, "when the collector is of use"),
        "subscriptions": mapping(TEXT, "Symbol to one word, or to the exchange's refusal"),
        "gaps": listing(
            gap, description="Of trade collectors: when trades may have been missed, oldest first"
        ),
    }
    return record(properties, required=[name for name in properties if name != "gaps"])


def _counted() -> dict[str, Node]:
    return {
        "total_trades_received": COUNT,
        "total_trades_stored": COUNT,
        "trades_discarded": COUNT,
        "discarded_by_reason": mapping(COUNT, "Of those: `duplicate`, `too_old`, `left`, `too_large`"),
        "symbols_count": COUNT,
        "symbols_tracked": listing(TEXT),
        "current_trades_stored": COUNT,
        "trades_per_second": {"type": "number", "minimum": 0},
        "uptime_seconds": SECONDS,
        "memory_usage": COUNT | {"description": "Bytes, estimated"},
    }
