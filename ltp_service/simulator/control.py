"""The HTTP door for tests: trade now, fault on and off, cut, send, flood, and what happened so far."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from websockets.frames import Opcode

from ltp_service.simulator.counters import Counters
from ltp_service.simulator.faults import TABLE
from ltp_service.simulator.flood import Flood
from ltp_service.simulator.kraken import Kraken
from ltp_service.simulator.market import KrakenTape, Pair
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.venue_control import VenueControl
from ltp_service.simulator.walk import Walk
from ltp_service.simulator.wire import Refusal, Reply, Request, fragmented, json_reply

PREFIX = "/control/"
KRAKEN = "kraken"
_SHOWN_HISTORY = 200
_WAIT_SECONDS = 5.0
_WALK_RATE = 5.0

Arguments = dict[str, Any]


class Control:
    """Every answer is JSON and comes when the thing is done."""

    def __init__(self, exchange: Kraken, walk: Walk, venues: VenueControl) -> None:
        self._exchange = exchange
        self._walk = walk
        self._venues = venues
        self._floods: list[Flood] = []
        self._doors: dict[tuple[str, str], Callable[[Arguments], object]] = {
            ("POST", "trade"): self._trade,
            ("POST", "restart"): self._restart,
            ("POST", "fault"): self._fault,
            ("POST", "clear"): self._clear,
            ("POST", "cut"): self._cut,
            ("POST", "send"): self._send,
            ("POST", "flood"): self._flood,
            ("POST", "walk"): self._set_walk,
            ("GET", "market"): self._market,
            ("GET", "counters"): lambda arguments: self._counters(arguments).snapshot(),
            ("GET", "faults"): lambda _: {"on": self._faults_on(), "known": sorted(TABLE)},
            ("GET", "wait"): self._wait,
            ("GET", "health"): lambda _: {"status": "ok"},
            **venues.doors,
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

    def _pair(self, arguments: Arguments) -> Pair:
        pair = self._exchange.market.pair(str(arguments.get("pair")))
        if pair is None:
            raise Refusal(f"no pair {arguments.get('pair')!r}; start with --pair to add it", 404)
        return pair

    def _trade(self, arguments: Arguments) -> object:
        exchange = self._exchange
        moment = arguments.get("time")
        with exchange.lock:
            trade = exchange.market.trade(
                self._pair(arguments),
                str(arguments["price"]),
                volume=arguments.get("volume"),
                side=arguments.get("side"),
                micros=None if moment is None else round(float(moment) * 1_000_000),
                trade_id=arguments.get("id"),
            )
            exchange.publish([trade], silent=bool(arguments.get("silent")))
        return {
            "pair": trade.pair.name,
            "price": trade.price,
            "time": trade.seconds,
            "trade_id": trade.trade_id,
        }

    def _restart(self, arguments: Arguments) -> object:
        """The pair's history is one trade at its start price, `age` seconds ago."""
        exchange = self._exchange
        with exchange.lock:
            pair = self._pair(arguments)
            exchange.market.restart(pair, exchange.market.now() - round(float(arguments["age"]) * 1_000_000))
            last = exchange.market.tapes[pair.name].last
        return {"pair": pair.name, "price": last.price, "time": last.seconds, "trade_id": last.trade_id}

    def _fault(self, arguments: Arguments) -> object:
        name, on = str(arguments.pop("name")), bool(arguments.pop("on", True))
        for exchange in self._named(arguments):
            exchange.switch_fault(name, on, arguments)
        return {"on": self._faults_on()}

    def _faults_on(self) -> list[dict[str, Any]]:
        return self._exchange.faults.active() + self._venues.active()

    def _clear(self, arguments: Arguments) -> object:
        self._exchange.clear_faults()
        self._venues.clear()
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

    def _named(self, arguments: Arguments) -> Sequence[Kraken | Spot]:
        """The exchange of that name, else all."""
        if "exchange" not in arguments:
            return [self._exchange, *self._venues.all()]
        return [self._exchange if arguments["exchange"] == KRAKEN else self._venues.venue(arguments)]

    def _counters(self, arguments: Arguments) -> Counters:
        """Kraken's, when no exchange is named."""
        return self._named({"exchange": KRAKEN} | arguments)[0].counters

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
        flood = Flood(self._exchange, self._pair(arguments))
        self._floods.append(flood)
        rate, seconds = float(arguments.get("rate", 0)), float(arguments.get("seconds", 1))
        if arguments.get("background"):
            threading.Thread(target=flood.run, args=(rate, seconds), name="flood", daemon=True).start()
            return {"frames": None}
        return {"frames": flood.run(rate, seconds)}

    def _set_walk(self, arguments: Arguments) -> object:
        rate = float(arguments.get("rate", _WALK_RATE)) if arguments.get("on", True) else 0.0
        self._walk.set_rate(rate)
        return {"rate": rate}

    def _market(self, arguments: Arguments) -> object:
        """All pairs, or those in `pairs` (comma list); `after`: their history after that trade's time, at length."""
        asked, after = arguments.get("pairs"), arguments.get("after")
        with self._exchange.lock:
            tapes = self._exchange.market.tapes
            names = asked.split(",") if asked else tapes
            return {name: _shown(tapes[name], None if after is None else float(after)) for name in names}

    def _wait(self, arguments: Arguments) -> object:
        """`connections`, `subscribe_requests`, `rest_calls`, `pings` reached in total, `subscriptions` open at
        least, `open` connections exactly, of one `exchange` (kraken); 408 with the counters when not within `timeout` seconds."""
        counters = self._counters(arguments)
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


def _shown(tape: KrakenTape, after: float | None) -> dict[str, Any]:
    last = tape.last
    history: list[list[float | str]]
    if after is None:
        history = [[trade.seconds, trade.padded_price] for trade in list(tape.trades)[-_SHOWN_HISTORY:]]
    else:
        history = [[trade.seconds, trade.padded_price, trade.trade_id] for trade in tape.since(after)]
    return {"price": last.padded_price, "time": last.seconds, "trade_id": last.trade_id, "history": history}
