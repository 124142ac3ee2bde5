"""Binance's REST: the depth snapshot, the latest trades, what is listed."""

from collections.abc import Callable, Mapping
from typing import Any

from ltp_service.simulator.binance import eight_places, last_update_id, price_text, size_text
from ltp_service.simulator.market import SpotTape
from ltp_service.simulator.order_book import Half
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.wire import Reply, Request, json_reply

PREFIX = "/api/v3/"
_MOST_LEVELS = 5000
_MOST_TRADES = 1000
_NOT_LISTED = {"code": -1121, "msg": "Invalid symbol."}
_NO_SYMBOL = {
    "code": -1102,
    "msg": "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
}

Query = Mapping[str, str]


class BinanceRest:
    """Answers GET under `/api/v3/`; unlike Kraken's, an error has an HTTP status of its own."""

    def __init__(self, exchange: Spot) -> None:
        self._exchange = exchange
        self._methods: dict[str, Callable[[SpotTape, Query], object]] = {
            "depth": self._depth,
            "trades": self._trades,
        }

    def answer(self, request: Request) -> Reply:
        method = request.path.removeprefix(PREFIX)
        self._exchange.counters.called(method)
        refusal = self._exchange.refuse_rest(method, request)
        return refusal or self._right_answer(method, request.query)

    def _right_answer(self, method: str, query: Query) -> Reply:
        if method == "exchangeInfo":
            return json_reply(self._exchange_info())
        if method not in self._methods:
            return Reply(b"<html><body>404 Not found</body></html>", 404, {"Content-Type": "text/html"})
        symbol = query.get("symbol")
        if not symbol:
            return json_reply(_NO_SYMBOL, 400)
        with self._exchange.lock:
            tape = self._exchange.find(symbol)
            if tape is None:
                return json_reply(_NOT_LISTED, 400)
            answer = self._methods[method](tape, query)
        return json_reply(answer, headers={"X-MBX-USED-WEIGHT-1M": "25"})

    def _depth(self, tape: SpotTape, query: Query) -> object:
        limit = min(int(query.get("limit", "100")), _MOST_LEVELS)
        book = tape.book
        return {
            "lastUpdateId": last_update_id(tape),
            "bids": _rows(tape, book.bids, limit),
            "asks": _rows(tape, book.asks, limit),
        }

    def _trades(self, tape: SpotTape, query: Query) -> object:
        limit = min(int(query.get("limit", "500")), _MOST_TRADES)
        return [
            {
                "id": trade.trade_id,
                "price": eight_places(trade.price),
                "qty": eight_places(trade.volume),
                "time": trade.millis,
                "isBuyerMaker": trade.side == "sell",
                "isBestMatch": True,
            }
            for trade in list(tape.trades)[-limit:]
        ]

    def _exchange_info(self) -> dict[str, Any]:
        market = self._exchange.market
        with self._exchange.lock:
            pairs = [tape.pair for name, tape in market.tapes.items() if self._exchange.find(name)]
        symbols = [
            {"symbol": each.name, "status": "TRADING", "baseAsset": each.base, "quoteAsset": each.quote}
            for each in pairs
        ]
        return {"timezone": "UTC", "serverTime": market.millis(), "symbols": symbols}


def _rows(tape: SpotTape, half: Half, limit: int) -> list[list[str]]:
    return [[price_text(tape, ticks), size_text(units)] for ticks, units in half.top(limit).items()]
