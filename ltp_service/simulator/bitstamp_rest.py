"""Bitstamp's REST: the trades of the last minute, hour or day, newest first."""

from ltp_service.simulator.market import Trade
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.wire import Reply, Request, error_page, json_reply

PREFIX = "/api/v2/"
_SPANS = {"minute": 60, "hour": 3600, "day": 86_400}


class BitstampRest:
    """Answers GET `/api/v2/transactions/{symbol}/`."""

    def __init__(self, exchange: Spot) -> None:
        self._exchange = exchange

    def answer(self, request: Request) -> Reply:
        method, _, symbol = request.path.removeprefix(PREFIX).strip("/").partition("/")
        self._exchange.counters.called(method)
        refusal = self._exchange.refuse_rest(method, request)
        if refusal is not None:
            return refusal
        tape = self._exchange.find(symbol.upper())
        span = _SPANS.get(request.query.get("time", "hour"))
        if method != "transactions" or tape is None or span is None:
            return error_page(404)
        with self._exchange.lock:
            since = self._exchange.market.now() - span * 1_000_000
            recent = [trade for trade in tape.trades if trade.micros > since]
        return json_reply([_row(trade) for trade in reversed(self._exchange.told(recent))])


def _row(trade: Trade) -> dict[str, str]:
    return {
        "date": str(trade.micros // 1_000_000),
        "tid": str(trade.trade_id),
        "amount": trade.volume,
        "type": "0" if trade.side == "buy" else "1",
        "price": trade.price,
    }
