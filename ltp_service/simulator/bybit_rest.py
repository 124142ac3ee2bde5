"""Bybit's REST: the latest trades of a symbol, newest first."""

from ltp_service.simulator.market import Trade
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.wire import Reply, Request, json_reply

PREFIX = "/v5/market/"
_MOST_TRADES = 60


class BybitRest:
    """Answers GET `/v5/market/recent-trade`; errors come in HTTP 200 with a retCode."""

    def __init__(self, exchange: Spot) -> None:
        self._exchange = exchange

    def answer(self, request: Request) -> Reply:
        method = request.path.removeprefix(PREFIX)
        self._exchange.counters.called(method)
        refusal = self._exchange.refuse_rest(method, request)
        if refusal is not None:
            return refusal
        if method != "recent-trade":
            return self._envelope(10017, "Route not found.", {})
        tape = self._exchange.find(request.query.get("symbol", ""))
        if tape is None or request.query.get("category") != "spot":
            return self._envelope(10001, "Not supported symbols", {})
        limit = min(int(request.query.get("limit", str(_MOST_TRADES))), _MOST_TRADES)
        with self._exchange.lock:
            latest = list(tape.trades)[-limit:]
        rows = [_row(trade) for trade in reversed(latest)]
        return self._envelope(0, "OK", {"category": "spot", "list": rows})

    def _envelope(self, code: int, message: str, result: dict[str, object]) -> Reply:
        content = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}}
        return json_reply({**content, "time": self._exchange.market.millis()})


def _row(trade: Trade) -> dict[str, object]:
    return {
        "execId": str(trade.trade_id),
        "symbol": trade.pair.name,
        "price": trade.price,
        "size": trade.volume,
        "side": trade.side.capitalize(),
        "time": str(trade.millis),
        "isBlockTrade": trade.block,
        "isRPITrade": False,
        "seq": str(trade.sequence),
    }
