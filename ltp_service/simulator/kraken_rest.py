"""Kraken's public REST API: errors in HTTP 200, keys that are not the names asked, whole requests that fail."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from ltp_service.simulator import questions
from ltp_service.simulator.kraken import DELISTED, Kraken
from ltp_service.simulator.later import Later
from ltp_service.simulator.market import KrakenTape, Pair, Trade, plain
from ltp_service.simulator.questions import Caching, RestCall
from ltp_service.simulator.wire import Reply, Request, json_reply

PREFIX = "/0/public/"
_TRADES_PAGE = 1000

_UNCACHED = {"Cache-Control": "public, max-age=2", "CF-Cache-Status": "MISS"}
"""What Kraken's edge says of an answer that it asked the exchange for."""

Query = Mapping[str, str]


class Complaint(Exception):
    """An entry of the answer's error array."""


class KrakenRest:
    """Answers GET (and POST, as the exchange does) under `/0/public/`."""

    def __init__(self, exchange: Kraken) -> None:
        self._exchange = exchange
        self._asked: Counter[str] = Counter()
        self._held: dict[tuple[str, int], Reply] = {}
        self._later = Later()
        self._methods: dict[str, Callable[[Query], object]] = {
            "Ticker": self._ticker,
            "Trades": self._trades,
            "AssetPairs": self._asset_pairs,
            "SystemStatus": self._system_status,
            "Time": self._time,
        }

    def answer(self, request: Request) -> Reply:
        """Raises HangUp when the connection is to be closed instead."""
        method = request.path.removeprefix(PREFIX)
        self._exchange.counters.called(method)
        call = RestCall(method, request)
        reply = self._exchange.faults.first(questions.rest_answer, call, only=method)
        if reply is not None:
            return reply
        caching = self._rest_cache(call)
        if caching is None:
            answer = self._right_answer(method, request.query)
            return replace(answer, headers={**answer.headers, **_UNCACHED})
        return self._cached(call, caching)

    def _rest_cache(self, call: RestCall) -> Caching | None:
        return self._exchange.faults.first(questions.rest_caching, call, only=call.method)

    def _cached(self, call: RestCall, caching: Caching) -> Reply:
        """From the next cache in turn. Others ask the same, so that an answer may be of any age that a cache allows."""
        question = f"{call.method} {sorted(call.request.query.items())}"
        with self._exchange.lock:
            turn = self._asked[question]
            self._asked[question] += 1
            if turn == 0:
                for edge in range(caching.edges):
                    self._fill((question, edge), call, caching, (edge + 1) / caching.edges)
            return self._held[question, turn % caching.edges]

    def _fill(self, place: tuple[str, int], call: RestCall, caching: Caching, part: float = 1.0) -> None:
        """Asks anew, and again after that part of a cache's life, as long as there is one."""
        with self._exchange.lock:
            if self._rest_cache(call) != caching:
                self._asked.pop(place[0], None)
                return
            self._held[place] = self._right_answer(call.method, call.request.query)
        self._later.after(part * caching.seconds, lambda: self._fill(place, call, caching))

    def _right_answer(self, method: str, query: Query) -> Reply:
        if method not in self._methods:
            return json_reply({"error": ["EGeneral:Unknown method"]})
        try:
            with self._exchange.lock:
                result = self._methods[method](query)
        except Complaint as complaint:
            return json_reply({"error": [str(complaint)]})
        except ValueError:
            return json_reply({"error": ["EGeneral:Invalid arguments"]})
        return json_reply({"error": [], "result": result})

    def _pairs(self, query: Query) -> list[tuple[str, Pair]]:
        """(key of the answer, pair) for each name asked, all pairs when none is asked."""
        asked = query.get("pair")
        if asked is None:
            return [(tape.pair.rest_key, tape.pair) for tape in self._tapes()]
        return [self._named(name) for name in asked.split(",")]

    def _named(self, name: str) -> tuple[str, Pair]:
        pair = self._exchange.market.pair_by_rest_name(name) or self._renamed(name)
        if pair is None or self._is_hidden(pair) or (name == pair.altname != self._altname(pair)):
            raise Complaint("EQuery:Unknown asset pair")
        return (name if "/" in name else pair.rest_key), pair

    def _renamed(self, name: str) -> Pair | None:
        return next((tape.pair for tape in self._tapes() if self._altname(tape.pair) == name), None)

    def _altname(self, pair: Pair) -> str:
        return self._exchange.faults.first(questions.rest_name, pair.name) or pair.altname

    def _is_hidden(self, pair: Pair) -> bool:
        delisted = self._exchange.pair_status(pair.name) == DELISTED
        return delisted or self._exchange.faults.any(questions.hides, pair.name)

    def _tapes(self) -> list[KrakenTape]:
        return [tape for tape in self._exchange.market.tapes.values() if not self._is_hidden(tape.pair)]

    def _last(self, pair: Pair) -> Trade | None:
        tape = self._exchange.market.tapes[pair.name]
        return self._exchange.faults.first(questions.rest_trade, tape)

    def _ticker(self, query: Query) -> object:
        return {key: self._ticker_entry(pair) for key, pair in self._pairs(query)}

    def _ticker_entry(self, pair: Pair) -> dict[str, Any]:
        ticker = self._exchange.market.tapes[pair.name].ticker(self._last(pair))
        places = pair.padded_decimals
        return {
            "a": [plain(ticker.ask, places), str(int(ticker.ask_volume)), f"{int(ticker.ask_volume)}.000"],
            "b": [plain(ticker.bid, places), str(int(ticker.bid_volume)), f"{int(ticker.bid_volume)}.000"],
            "c": [ticker.last.padded_price, ticker.last.volume],
            "v": [f"{ticker.volume:.8f}"]
            * 2,  # the day is as good as over: each trade adds all of itself to both
            "p": [f"{ticker.average:.{places}f}"] * 2,
            "t": [ticker.count] * 2,
            "l": [plain(ticker.low, places)] * 2,
            "h": [plain(ticker.high, places)] * 2,
            "o": plain(ticker.opening, places),
        }

    def _trades(self, query: Query) -> object:
        if "pair" not in query:
            raise Complaint("EGeneral:Invalid arguments")
        key, pair = self._named(query["pair"])
        count = max(1, min(int(query.get("count", str(_TRADES_PAGE))), _TRADES_PAGE))
        rows = self._rows(pair, int(query.get("since", "0")), count)
        last = rows[-1].micros * 1000 if rows else int(query.get("since", "0"))
        return {key: [_trade_row(trade) for trade in rows], "last": str(last)}

    def _rows(self, pair: Pair, since: int, count: int) -> list[Trade]:
        """Trades from `since` on (nanoseconds; below 1e12 seconds), so that two pages overlap, as measured: the oldest
        of them, without it the newest."""
        stale = self._last(pair)
        trades = list(self._exchange.market.tapes[pair.name].trades)
        if stale:
            trades = [trade for trade in trades if trade.micros < stale.micros] + [stale]
        nanoseconds = since if since > 10**12 else since * 10**9
        later = [trade for trade in trades if trade.micros * 1000 >= nanoseconds]
        return later[:count] if since else later[-count:]

    def _asset_pairs(self, query: Query) -> object:
        return {pair.rest_key: self._listing(pair) for _, pair in self._pairs(query)}

    def _listing(self, pair: Pair) -> dict[str, Any]:
        system = self._exchange.system
        status = self._exchange.pair_status(pair.name) or ("online" if system == "maintenance" else system)
        return _listing(pair, self._altname(pair), status)

    def _system_status(self, query: Query) -> object:
        now = datetime.fromtimestamp(self._seconds(), UTC)
        return {
            "status": self._exchange.system,
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "upcoming_maintenance": [],
            "emergency": [],
        }

    def _seconds(self) -> int:
        return self._exchange.market.now() // 1_000_000

    def _time(self, query: Query) -> object:
        now = self._seconds()
        words = formatdate(now).split(" ")
        words[3] = words[3][-2:]
        return {"unixtime": now, "rfc1123": " ".join(words).replace("-0000", "+0000")}


def _trade_row(trade: Trade) -> list[object]:
    price, side, order_type = trade.padded_price, trade.side[0], trade.order_type[0]
    return [price, trade.volume, trade.seconds, side, order_type, "", trade.trade_id]


def _listing(pair: Pair, altname: str, status: str) -> dict[str, Any]:
    base, quote = pair.asset_keys
    return {
        "altname": altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": base,
        "aclass_quote": "currency",
        "quote": quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": pair.decimals,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [],
        "fees_maker": [],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": f"{pair.increment:f}",
        "status": status,
    }
