"""The HTTP door for tests: trade now, fault on and off, cut, send, flood, and what happened so far."""

import json
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from websockets.frames import Opcode

from ltp_service.simulator import bybit_books, kraken_book
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.faults import TABLE
from ltp_service.simulator.flood import BookChurn, Flood, TickerFlood, TradeFlood
from ltp_service.simulator.kraken import NAME as KRAKEN
from ltp_service.simulator.kraken import Kraken
from ltp_service.simulator.market import Identifiers, KrakenTape, Pair
from ltp_service.simulator.order_book import Half
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.walk import Walk
from ltp_service.simulator.wire import Refusal, Reply, Request, fragmented, json_reply

PREFIX = "/control/"
_LEVELS = 50
_SHOWN_HISTORY = 200
_WAIT_SECONDS = 5.0
_WALK_RATE = 5.0

Arguments = dict[str, Any]
AnyExchange = Exchange[Any]


class Control:
    """Every answer is JSON and comes when the thing is done. `exchange` is Kraken where none is named, and all of them
    for fault, cut and send."""

    def __init__(self, kraken: Kraken, others: Mapping[str, Spot], walk: Walk) -> None:
        self._kraken = kraken
        self._others = others
        self._walk = walk
        self._floods: list[Flood] = []
        self._doors: dict[tuple[str, str], Callable[[Arguments], object]] = {
            ("POST", "trade"): self._trade,
            ("POST", "restart"): self._restart,
            ("POST", "fault"): self._fault,
            ("POST", "clear"): self._clear,
            ("POST", "cut"): self._cut,
            ("POST", "send"): self._send,
            ("POST", "flood"): self._flood,
            ("POST", "book"): self._change_book,
            ("POST", "walk"): self._set_walk,
            ("GET", "market"): self._market,
            ("GET", "trades"): self._trades,
            ("GET", "book"): self._book,
            ("GET", "tops"): self._list_tops,
            ("GET", "counters"): lambda arguments: self._exchange(arguments).counters.snapshot(),
            ("GET", "faults"): lambda _: {"on": self._faults_on(), "known": sorted(TABLE)},
            ("GET", "wait"): self._wait,
        }

    def answer(self, request: Request) -> Reply:
        door = self._doors.get((request.method, request.path.removeprefix(PREFIX)))
        if door is None:
            doors = ", ".join(f"{method} {PREFIX}{name}" for method, name in self._doors)
            return json_reply({"error": f"no such door; there are {doors}"}, 404)
        try:
            return json_reply(door(_arguments(request)))
        except Refusal as refusal:
            return json_reply({"error": str(refusal)}, refusal.status)
        except (ValueError, KeyError, TypeError) as error:
            return json_reply({"error": f"{type(error).__name__}: {error}"}, 400)

    def _all(self) -> list[AnyExchange]:
        return [self._kraken, *self._others.values()]

    def _named(self, arguments: Arguments) -> list[AnyExchange]:
        """The exchange of that name, else all."""
        return [self._exchange(arguments)] if "exchange" in arguments else self._all()

    def _exchange(self, arguments: Arguments) -> AnyExchange:
        name = arguments.get("exchange", KRAKEN)
        return self._kraken if name == KRAKEN else self._other(arguments)

    def _other(self, arguments: Arguments) -> Spot:
        """For what Kraken does not have."""
        name = str(arguments.get("exchange"))
        if name not in self._others:
            raise Refusal(f"no exchange {name!r}; there are {', '.join(self._others)}", 404)
        return self._others[name]

    def _pair(self, exchange: AnyExchange, name: object) -> Pair:
        with exchange.lock:
            pair = exchange.market.pair(str(name))
        if pair is None:
            raise Refusal(
                f"{exchange.name} has no pair {name!r}: write BTC/USD for Kraken, where --pair adds one, and BTCUSDT"
                " with a known quote currency elsewhere",
                404,
            )
        return pair

    def _trade(self, arguments: Arguments) -> object:
        """`volume`, `side`, `time` in seconds and `id` are optional; `silent`: on the tape and on no wire; `block`."""
        exchange = self._exchange(arguments)
        pair, moment = self._pair(exchange, arguments.get("pair")), arguments.get("time")
        block = bool(arguments.get("block"))
        if block and not (isinstance(exchange, Spot) and exchange.dialect.prints_blocks):
            raise Refusal(f"{exchange.name} has no block trades among its trades")
        with exchange.lock:
            trade = exchange.market.trade(
                pair,
                str(arguments["price"]),
                volume=arguments.get("volume"),
                side=arguments.get("side"),
                micros=None if moment is None else round(float(moment) * 1_000_000),
                trade_id=arguments.get("id"),
                block=block,
            )
            exchange.publish([trade], silent=bool(arguments.get("silent")))
        return {"pair": pair.name, "price": trade.price, "time": trade.seconds, "trade_id": trade.trade_id}

    def _restart(self, arguments: Arguments) -> object:
        """Kraken's history of the pair is one trade at its start price, `age` seconds ago."""
        market = self._kraken.market
        with self._kraken.lock:
            pair = self._pair(self._kraken, arguments.get("pair"))
            market.restart(pair, market.now() - round(float(arguments["age"]) * 1_000_000))
            last = market.tapes[pair.name].last
        return {"pair": pair.name, "price": last.price, "time": last.seconds, "trade_id": last.trade_id}

    def _fault(self, arguments: Arguments) -> object:
        name, on = str(arguments.pop("name")), bool(arguments.pop("on", True))
        for exchange in self._named(arguments):
            exchange.switch_fault(name, on, arguments)
        return {"on": self._faults_on()}

    def _faults_on(self) -> list[dict[str, Any]]:
        return [fault for exchange in self._all() for fault in exchange.faults.active()]

    def _clear(self, arguments: Arguments) -> object:
        """Ends all faults and floods."""
        for exchange in self._all():
            exchange.clear_faults()
        for flood in self._floods:
            flood.stop()
        self._floods.clear()
        return {"on": []}

    def _cut(self, arguments: Arguments) -> object:
        how = arguments.get("how", "abrupt")
        if how not in ("abrupt", "clean", "reset"):
            raise Refusal(f"how={how!r} is none of abrupt, clean, reset")
        code = int(arguments.get("code", 1000))
        return {"dropped": sum(each.cut(how, code) for each in self._named(arguments))}

    def _send(self, arguments: Arguments) -> object:
        """`text` or `binary` (hex) in one message, `repeat` times its content, in `fragments` frames; or `hex` raw."""
        if "hex" in arguments:
            return self._send_raw(arguments, bytes.fromhex(arguments["hex"]))
        text = arguments.get("text")
        content = bytes.fromhex(arguments["binary"]) if text is None else str(text).encode()
        opcode = Opcode.BINARY if text is None else Opcode.TEXT
        message = fragmented(
            opcode, content * int(arguments.get("repeat", 1)), int(arguments.get("fragments", 1))
        )
        return self._send_raw(arguments, message)

    def _send_raw(self, arguments: Arguments, content: bytes) -> object:
        return {"receivers": sum(each.send_raw(content) for each in self._named(arguments))}

    def _flood(self, arguments: Arguments) -> object:
        """`rate` per second for `seconds`: ticker frames of one of Kraken's pairs (0: as fast as the clients read), or
        trades over the `pairs` of another exchange."""
        exchange = self._exchange(arguments)
        pairs = [self._pair(exchange, name) for name in arguments.get("pairs", ["BTCUSDT"])]
        rate, seconds = float(arguments.get("rate", 0)), float(arguments.get("seconds", 1))
        if isinstance(exchange, Spot):
            tapes = [exchange.market.tapes[pair.name] for pair in pairs]
            seed = int(arguments.get("seed", 1))
            return self._run(TradeFlood(exchange, tapes, seed, rate, seconds), arguments)
        return self._run(TickerFlood(self._kraken, pairs[0], rate, seconds), arguments)

    def _run(self, flood: Flood, arguments: Arguments) -> object:
        self._floods.append(flood)
        if arguments.get("background"):
            threading.Thread(target=flood.run, name="flood", daemon=True).start()
            return {"sent": None}
        return {"sent": flood.run()}

    def _set_walk(self, arguments: Arguments) -> object:
        rate = float(arguments.get("rate", _WALK_RATE)) if arguments.get("on", True) else 0.0
        self._walk.set_rate(rate)
        return {"rate": rate}

    def _market(self, arguments: Arguments) -> object:
        """All of Kraken's pairs, or those in `pairs` (comma list); `after`: their history after that time, at length."""
        asked, after = arguments.get("pairs"), arguments.get("after")
        with self._kraken.lock:
            tapes = self._kraken.market.tapes
            names = asked.split(",") if asked else tapes
            return {name: _shown(tapes[name], None if after is None else float(after)) for name in names}

    def _trades(self, arguments: Arguments) -> object:
        """The ids of all trades that happened, `blocks` apart. Of Kraken's also `rows`, oldest first: [id, price, volume,
        side, time] of the last 20,000, or of those of them with a greater id than `after`."""
        exchange = self._exchange(arguments)
        pair = self._pair(exchange, arguments.get("pair"))
        if isinstance(exchange, Kraken):
            with exchange.lock:
                return _told(exchange.market.tapes[pair.name], int(arguments.get("after", 0)))
        with exchange.lock:
            tape = exchange.market.tapes[pair.name]
            return _ids(tape.ids) | {"blocks": tape.block_ids.ranges()}

    def _change_book(self, arguments: Arguments) -> object:
        """`updates` random ones, of which `gaps` get lost; or `restart`, Bybit's u=1."""
        exchange = self._exchange(arguments)
        tape = exchange.market.tapes[self._pair(exchange, arguments.get("pair")).name]
        if arguments.get("restart") and isinstance(exchange, Spot):
            exchange.restart_book(tape)
            return {"sent": 0}
        updates, gaps = int(arguments.get("updates", 1)), int(arguments.get("gaps", 0))
        seed, rate = int(arguments.get("seed", 1)), float(arguments.get("rate", 0))

        def change(levels: int, lost: bool) -> None:
            exchange.change_book(tape, levels, lost=lost)

        return self._run(BookChurn(exchange, change, seed, updates, gaps, rate), arguments)

    def _book(self, arguments: Arguments) -> object:
        """The true book, best first, [price, size] as the exchange writes them."""
        exchange = self._exchange(arguments)
        pair, depth = self._pair(exchange, arguments.get("pair")), int(arguments.get("depth", _LEVELS))
        with exchange.lock:
            book = exchange.market.tapes[pair.name].book
            sized = kraken_book.size if exchange is self._kraken else bybit_books.size
            return {
                "bids": _rows(pair, book.bids, depth, sized),
                "asks": _rows(pair, book.asks, depth, sized),
            }

    def _list_tops(self, arguments: Arguments) -> object:
        """Best bid and ask of Kraken's book so far: [since, [price, size], [price, size]], those that count after `after`."""
        tape = self._kraken.market.tapes[self._pair(self._kraken, arguments.get("pair")).name]
        rows, after = self._kraken.tops(tape), float(arguments.get("after", 0))
        first = max(0, bisect_right(rows, after, key=lambda row: row.since) - 1)
        return [[row.since, *row.levels] for row in rows[first:]]

    def _wait(self, arguments: Arguments) -> object:
        """`connections`, `subscribe_requests`, `rest_calls`, `pings` reached in total, `subscriptions` open at
        least, `open` connections exactly; 408 with the counters when not within `timeout` seconds."""
        counters = self._exchange(arguments).counters
        wanted = {
            name: int(value) for name, value in arguments.items() if name not in ("timeout", "exchange")
        }
        tests: dict[str, Callable[[int], bool]] = {
            "connections": lambda number: counters.connections_total >= number,
            "open": lambda number: counters.connections_open == number,
            "subscriptions": lambda number: counters.subscriptions.total() >= number,
            "subscribe_requests": lambda number: counters.subscribe_requests >= number,
            "rest_calls": lambda number: counters.rest_calls.total() >= number,
            "pings": lambda number: counters.pings_received >= number,
            "pongs": lambda number: counters.pongs_received >= number,
        }
        unknown = sorted(set(wanted) - set(tests))
        if unknown:
            raise Refusal(f"cannot wait for {', '.join(unknown)}; only for {', '.join(tests)}")
        timeout = float(arguments.get("timeout", _WAIT_SECONDS))
        if counters.wait_for(lambda: all(tests[name](number) for name, number in wanted.items()), timeout):
            return counters.snapshot()
        raise Refusal(f"{wanted} not reached within {timeout} s: {json.dumps(counters.snapshot())}", 408)


def _arguments(request: Request) -> Arguments:
    if request.method == "GET":
        return dict(request.query)
    content = json.loads(request.body or b"{}")
    if not isinstance(content, dict):
        raise Refusal("the body must be a JSON object")
    return content


def _ids(ids: Identifiers) -> dict[str, Any]:
    ranges = ids.ranges()
    return {
        "first": ranges[0][0] if ranges else None,
        "last": ranges[-1][1] if ranges else None,
        "count": sum(last - first + 1 for first, last in ranges),
        "ranges": ranges,
    }


def _told(tape: KrakenTape, after: int) -> dict[str, Any]:
    rows = [
        [trade.trade_id, trade.padded_price, trade.volume, trade.side, trade.seconds]
        for trade in tape.trades
        if trade.trade_id > after
    ]
    return _ids(tape.ids) | {"rows": rows}


def _shown(tape: KrakenTape, after: float | None) -> dict[str, Any]:
    last = tape.last
    history: list[list[float | str]]
    if after is None:
        history = [[trade.seconds, trade.padded_price] for trade in list(tape.trades)[-_SHOWN_HISTORY:]]
    else:
        history = [[trade.seconds, trade.padded_price, trade.trade_id] for trade in tape.since(after)]
    return {"price": last.padded_price, "time": last.seconds, "trade_id": last.trade_id, "history": history}


def _rows(pair: Pair, half: Half, depth: int, size: Callable[[int], str]) -> list[list[str]]:
    return [[pair.price(ticks), size(units)] for ticks, units in half.top(depth).items()]
