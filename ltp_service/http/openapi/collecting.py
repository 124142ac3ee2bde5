"""Routes about the collectors and the collected trades, books and symbols."""

from ltp_service.collected.trades import TradeStatistics
from ltp_service.http import shapes
from ltp_service.http.openapi.operation import KEYED_ROUTE, Answer, Area, Operation, in_path, query
from ltp_service.http.openapi.schemas import Node

_SYMBOL: Node = {"type": "string", "pattern": "^[A-Za-z0-9]{2,20}$", "examples": ["BTCUSDT"]}
_ANY_SYMBOL: Node = _SYMBOL | {"pattern": "^([A-Za-z0-9]{2,20})?$"}
_A_SYMBOL_OR_PAIR: Node = _SYMBOL | {"pattern": "^([A-Za-z0-9]{2,20}|[A-Za-z0-9]{1,10}/[A-Za-z0-9]{1,10})$"}
_SYMBOL_OR_PAIR: Node = _SYMBOL | {"pattern": "^([A-Za-z0-9]{2,20}|[A-Za-z0-9]{1,10}/[A-Za-z0-9]{1,10})?$"}
_EXCHANGE: Node = {"type": "string", "examples": ["bybit"]}
_COLLECTOR: Node = {"type": "string", "minLength": 1, "examples": ["bybit_trades"]}
_LIMIT: Node = {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
_DEPTH: Node = _LIMIT | {"maximum": 50, "default": 10}

_OF_A_SYMBOL = query("symbol", _SYMBOL, "The symbol", required=True)
_OF_AN_EXCHANGE = query("exchange", _EXCHANGE, "One that is collected here; absent or empty: all")

COLLECTING = Area(
    "collectors",
    "Trades and order books of other exchanges",
    {
        "GET /collectors/status": Operation(
            "getCollectors",
            "What each collector does",
            "Connection, subscriptions and the last error of each; trade collectors also say when trades may have been missed.",
            {200: Answer("Every collector of this process", shapes.Collectors)},
        ),
        "GET /collectors/status/{name}": Operation(
            "getCollector",
            "What one collector does",
            "The same as in the list; 404 names those that run here.",
            {200: Answer("The collector", shapes.Collector)},
            parameters=[in_path("name", _COLLECTOR)],
            problems=["NOT_FOUND"],
        ),
        "GET /collectors/trades": Operation(
            "getTrades",
            "The newest trades first, by the exchanges' time",
            "Of one symbol or exchange, or of all. Kraken's symbols are its pairs, BTC/USD or BTCUSD, and its last 1,000 trades of"
            " each are kept; those of other exchanges for an hour at most.",
            {200: Answer("Perhaps none", shapes.Trades)},
            parameters=[
                query("symbol", _SYMBOL_OR_PAIR, "Absent or empty: all symbols"),
                _OF_AN_EXCHANGE,
                query("limit", _LIMIT, "The greatest number of trades"),
            ],
        ),
        "GET /collectors/books": Operation(
            "getBooks",
            "The order books of one symbol, one per exchange",
            "A book that is out of sync says so and has no prices at all: no bids, no asks. Kraken's symbols are its pairs,"
            " BTC/USD or BTCUSD, and its books have ten levels on each side.",
            {200: Answer("Those that were ever received", shapes.Books)},
            parameters=[
                query("symbol", _A_SYMBOL_OR_PAIR, "The symbol", required=True),
                _OF_AN_EXCHANGE,
                query("depth", _DEPTH, "Levels on each side, the best ones"),
            ],
        ),
        "GET /collectors/storage/stats": Operation(
            "getTradeStatistics",
            "The counters of the trade storage since the start, and its present state",
            "How many trades of other exchanges than Kraken came, were stored and were discarded, and for which"
            " reason.",
            {200: Answer("This process", TradeStatistics)},
        ),
        "GET /collectors/symbols": Operation(
            "getSymbols",
            "The symbols collected, in the order they were added",
            "One list for all exchanges; `limit` says how many there may be.",
            {200: Answer("All", shapes.Symbols)},
        ),
        "POST /collectors/symbols": Operation(
            "addSymbol",
            "Collect a symbol from now on, also after a restart",
            "Needs a write key. Nothing but this symbol is subscribed anew. At most 200 are collected. Its parameters stand in the query; a body is refused with 400.",
            {200: Answer("It is collected already", shapes.Symbols), 201: Answer("Added", shapes.Symbols)},
            parameters=[_OF_A_SYMBOL],
            security=KEYED_ROUTE,
        ),
        "DELETE /collectors/symbols/{symbol}": Operation(
            "removeSymbol",
            "Collect a symbol no longer",
            "Needs a write key.",
            {200: Answer("Removed", shapes.Symbols)},
            parameters=[in_path("symbol", _SYMBOL)],
            problems=["NOT_FOUND"],
            security=KEYED_ROUTE,
        ),
    },
)
