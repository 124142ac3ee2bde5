"""The exchange's side: WebSocket sessions of both protocols, and REST behind caches. It imports nothing of the service
but its errors and its HTTP answer, which a stand-in has to speak."""

import heapq
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count, groupby
from typing import Any

from ltp_service.domain.errors import Unreachable
from ltp_service.rest.http_client import HttpAnswer
from tests.drill.chance.behaviour import Behaviour, Fault
from tests.drill.chance.market import Deal, Tape
from tests.drill.chance.schedule import Actor, Schedule

POLL = 0.2
"""Seconds for which a read waits at most, as in the service."""

SNAPSHOT = 50
"""Trades of a snapshot."""

V1 = {"BTC/USD": "XBT/USD", "DOGE/USD": "XDG/USD"}
KEYS = {
    "BTC/USD": "XXBTZUSD",
    "ETH/USD": "XETHZUSD",
    "LTC/USD": "XLTCZUSD",
    "XRP/USD": "XXRPZUSD",
    "SOL/USD": "SOLUSD",
    "DOGE/USD": "XDGUSD",
    "ADA/USD": "ADAUSD",
}
ALTNAMES = {pair: V1.get(pair, pair).replace("/", "") for pair in KEYS}


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Session:
    """One connection, as the service sees it."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._schedule = exchange.schedule
        self._queue: list[tuple[float, int, str, float | None]] = []
        self._number = count()
        self._last_due = self._last_data_due = 0.0
        self._reader: Actor | None = None
        self.subscribed: set[tuple[str, str]] = set()
        self.follows_instruments = False
        self.open = True

    # What the service does with it.

    def send(self, text: str) -> None:
        if not self.open:
            raise Unreachable("closed", reason="closed")
        self._exchange.hear(self, json.loads(text))

    def receive(self, at_most: int) -> list[str]:
        until = self._schedule.now + POLL
        while not (taken := self._arrived(at_most)):
            if not self.open:
                raise Unreachable("closed", reason="closed")
            if self._schedule.now >= until:
                break
            self._reader = self._schedule.actor()
            self._reader.sleep(min(until, self._queue[0][0] if self._queue else until))
            self._reader = None
        return taken

    def _arrived(self, at_most: int) -> list[str]:
        taken: list[str] = []
        while len(taken) < at_most and self._queue and self._queue[0][0] <= self._schedule.now:
            taken.append(self._take())
        return taken

    def _take(self) -> str:
        text, lag_of = heapq.heappop(self._queue)[2:]
        self._exchange.delivered(text, lag_of)
        return text

    def close(self) -> None:
        self.open = False
        self._exchange.sessions.pop(self, None)

    # What the exchange does with it.

    def cut(self) -> None:
        """The line breaks."""
        self.close()
        if self._reader is not None:
            self._schedule.at(self._schedule.now, self._reader.waker())

    def push_data(self, text: str, traded_at: float | None) -> None:
        """News of the market: in order, unless the line makes disorder."""
        behaviour, now = self._exchange.behaviour, self._schedule.now
        late = fault.size if (fault := behaviour.now("late_data", now)) else 0.0
        if behaviour.now("reordered", now):
            self.push(text, late + self._exchange.chance.uniform(0.0, 0.4), beside=True, traded_at=traded_at)
            return
        # What waits does not delay the heartbeats, but all news after it.
        due = self._last_data_due = max(now + late, self._last_data_due)
        self.push(text, due - now, beside=due > now, traded_at=traded_at)

    def push(
        self, text: str, late: float = 0.0, *, beside: bool = False, traded_at: float | None = None
    ) -> None:
        """Arrives after the line's latency and `late` seconds; `beside` all that comes in order.

        `traded_at`: the exchange moment of a live trade, by which the service can tell how late it is."""
        behaviour, now = self._exchange.behaviour, self._schedule.now
        if behaviour.now("silent", now):
            return
        if queue := behaviour.now("late", now):
            late += queue.size
        due = now + behaviour.latency + late
        if not beside:
            due = self._last_due = max(due, self._last_due)
        heapq.heappush(self._queue, (due, next(self._number), text, traded_at))
        if self._reader is not None:
            self._schedule.at(due, self._reader.waker())

    def beat(self) -> None:
        """A heartbeat, each second."""
        if not self.open:
            return
        v2 = self._exchange.behaviour.protocol == "v2"
        self.push(
            '{"channel":"heartbeat"}' if v2 else '{"event":"heartbeat"}',
            beside=bool(self._exchange.behaviour.now("late_data", self._schedule.now)),
        )
        self._schedule.at(self._schedule.now + 1.0, self.beat)


class Exchange:
    """Plays the tapes to its sessions, and answers REST."""

    def __init__(
        self, schedule: Schedule, tapes: Mapping[str, Tape], behaviour: Behaviour, chance: random.Random
    ) -> None:
        self.schedule = schedule
        self.tapes = tapes
        self.behaviour = behaviour
        self.sessions: dict[Session, None] = {}
        self.calls: list[tuple[float, str]] = []
        self.lag = (-1e9, 0.0)
        """When the service last took a live trade, and how old that was."""
        self.events: list[tuple[float, str]] = []
        """What reached the service, and when."""
        self.chance = chance
        self._phases = [self.chance.uniform(0.0, behaviour.cache) for _ in range(behaviour.edges)]
        for tape in tapes.values():
            for moment, deals in groupby(tape.deals, key=lambda deal: deal.moment - schedule.exchange_time()):
                if moment > 0:
                    schedule.at(moment, partial(self._trade, list(deals)))
        for fault in behaviour.faults:
            schedule.at(fault.begin, partial(self._begin, fault))
            schedule.at(fault.end, partial(self._end, fault))
        if behaviour.odd_status:
            schedule.at(behaviour.odd_status, self._say_odd_status)

    def delivered(self, text: str, traded_at: float | None) -> None:
        """The service has read that frame."""
        now = self.schedule.now
        self.events.append((now, text))
        if traded_at is not None:
            self.lag = (now, self.schedule.exchange_time() - traded_at)

    # What begins and ends.

    def _begin(self, fault: Fault) -> None:
        self.events.append((self.schedule.now, f"--- {fault} begins"))
        if fault.kind == "cut":
            for session in list(self.sessions):
                session.cut()
        self._tell_state(fault)

    def _end(self, fault: Fault) -> None:
        self.events.append((self.schedule.now, f"--- {fault} ends"))
        self._tell_state(fault)

    def _tell_state(self, fault: Fault) -> None:
        """What holds now, because another halt may last on."""
        for session in list(self.sessions):
            if fault.kind == "halt":
                session.push(self._status(self._system()))
            if fault.kind in ("pair_halt", "delisted") and session.follows_instruments:
                pair = str(fault.pair)
                told = self._state_of(pair) if self._lists(pair) else "delisted"
                session.push(_instruments("update", {pair: told}))

    def _say_odd_status(self) -> None:
        odd = "" if self.chance.random() < 0.5 else "napping"
        for session in list(self.sessions):
            session.push(self._status(odd))
        self.schedule.at(self.schedule.now + self.behaviour.odd_status, self._say_odd_status)

    def _status(self, state: str) -> str:
        """A frame about the engine; without its state when that is empty."""
        if self.behaviour.protocol == "v2":
            told = f'"system":"{state}",' if state else ""
            return f'{{"channel":"status","type":"update","data":[{{{told}"api_version":"v2","connection_id":1,"version":"2.0.9"}}]}}'
        told = f'"status":"{state}",' if state else ""
        return f'{{"connectionID":1,"event":"systemStatus",{told}"version":"1.9.1"}}'

    def _system(self) -> str:
        halt = self.behaviour.now("halt", self.schedule.now)
        return halt.word if halt else "online"

    def _state_of(self, pair: str) -> str:
        fault = self.behaviour.now("pair_halt", self.schedule.now, pair)
        return fault.word if fault else "online"

    def _lists(self, pair: str) -> bool:
        return not self.behaviour.now("delisted", self.schedule.now, pair)

    # WebSocket.

    def connect(self) -> Session:
        """As the service's connection is made. Raises Unreachable."""
        self.schedule.sleep(3 * self.behaviour.latency)
        now = self.schedule.now
        if self.behaviour.now("cut", now):
            raise Unreachable("refused", reason="refused")
        session = Session(self)
        self.sessions[session] = None
        self.events.append((now, "connected"))
        session.push(self._status(self._system()))
        self.schedule.at(now + 1.0, session.beat)
        return session

    def hear(self, session: Session, request: dict[str, Any]) -> None:
        """A request, which is answered after a while."""
        self.events.append((self.schedule.now, f"> {json.dumps(request)}"))
        if self.behaviour.now("no_ack", self.schedule.now):
            return
        if self.behaviour.protocol == "v2":
            self._hear_v2(session, request)
        else:
            self._hear_v1(session, request)

    def _hear_v2(self, session: Session, request: dict[str, Any]) -> None:
        method, parameters = request["method"], request.get("params", {})
        behind = self.behaviour.now("acks_behind", self.schedule.now)
        told = rfc3339(self.schedule.exchange_time() - (10.0 if behind else 0.0))
        stamps = f'"req_id":{request.get("req_id", 0)},"time_in":"{told}","time_out":"{told}"'
        if method == "ping":
            session.push(f'{{"method":"pong",{stamps}}}')
            return
        channel = parameters["channel"]
        for symbol in parameters.get("symbol", []):
            if method == "unsubscribe":
                session.subscribed.discard((channel, symbol))
            elif self._refuses(symbol):
                session.push(
                    f'{{"method":"{method}","success":false,"error":"Currency pair not supported {symbol}","symbol":"{symbol}",{stamps}}}'
                )
                continue
            session.push(
                f'{{"method":"{method}","success":true,"result":{{"channel":"{channel}","symbol":"{symbol}"}},{stamps}}}'
            )
            if method == "subscribe":
                session.subscribed.add((channel, symbol))
                self._snapshot(session, channel, symbol)
        if channel == "instrument":
            session.follows_instruments = method == "subscribe"
            session.push(
                f'{{"method":"{method}","success":true,"result":{{"channel":"instrument"}},{stamps}}}'
            )
            session.push(
                _instruments(
                    "snapshot", {pair: self._state_of(pair) for pair in self.tapes if self._lists(pair)}
                )
            )

    def _hear_v1(self, session: Session, request: dict[str, Any]) -> None:
        event = request["event"]
        if event == "ping":
            session.push('{"event":"pong"}')
            return
        channel = request["subscription"]["name"]
        status = "subscribed" if event == "subscribe" else "unsubscribed"
        for wsname in request["pair"]:
            pair = next(pair for pair in self.tapes if V1.get(pair, pair) == wsname)
            if event == "subscribe" and self._refuses(pair):
                session.push(
                    f'{{"errorMessage":"Currency pair not supported {wsname}","event":"subscriptionStatus","pair":"{wsname}",'
                    f'"status":"error","subscription":{{"name":"{channel}"}}}}'
                )
                continue
            session.push(
                json.dumps(
                    {
                        "channelID": 1,
                        "channelName": channel,
                        "event": "subscriptionStatus",
                        "pair": wsname,
                        "status": status,
                        "subscription": {"name": channel},
                    },
                    separators=(",", ":"),
                )
            )
            if event == "unsubscribe":
                session.subscribed.discard((channel, pair))
                continue
            session.subscribed.add((channel, pair))
            if channel == "ticker" or self.behaviour.trade_snapshots:
                self._snapshot(session, channel, pair)

    def _snapshot(self, session: Session, channel: str, pair: str) -> None:
        tape = self.tapes[pair]
        place = tape.place(self.schedule.exchange_time())
        if self._is_deaf(channel, pair):
            return
        if channel == "ticker":
            session.push(self._ticker(tape.deals[place], snapshot=True))
        elif channel == "trade":
            rows: Sequence[Deal] = tape.deals[max(0, place - SNAPSHOT + 1) : place + 1]
            if self.behaviour.now("newest_first", self.schedule.now):
                rows = rows[::-1]
            session.push(self._trades(rows, snapshot=True))

    def _trade(self, deals: Sequence[Deal]) -> None:
        """Trades of one pair and one moment."""
        pair = deals[0].pair
        channels = ["ticker", "trade"]
        self.chance.shuffle(channels)
        told = self._as_told(deals)
        for session in list(self.sessions):
            for channel in channels:
                if (channel, pair) not in session.subscribed or self._is_deaf(channel, pair):
                    continue
                is_trade = channel == "trade"
                frame = (
                    self._trades(told, snapshot=False)
                    if is_trade
                    else self._ticker(deals[-1], snapshot=False)
                )
                traded_at = deals[-1].moment if is_trade else None
                for _ in range(2 if self.behaviour.now("told_twice", self.schedule.now) else 1):
                    session.push_data(frame, traded_at)

    def _as_told(self, deals: Sequence[Deal]) -> Sequence[Deal]:
        """The rows of a frame as the trade channel has them."""
        now, pair = self.schedule.now, deals[0].pair
        if self.behaviour.now("newest_first", now):
            deals = deals[::-1]
        ahead = self.behaviour.now("ahead", now, pair)
        if ahead and deals[-1].number % 3 == 0:
            return [replace(deal, moment=deal.moment + ahead.size) for deal in deals]
        return deals

    def _refuses(self, pair: str) -> bool:
        return not self._lists(pair) or self.behaviour.now("refused", self.schedule.now, pair) is not None

    def _is_deaf(self, channel: str, pair: str) -> bool:
        now = self.schedule.now
        kinds = ("deaf", "deaf_trades" if channel == "trade" else "deaf_tickers")
        return any(self.behaviour.now(kind, now, pair) for kind in kinds)

    def _is_unusable(self, channel: str, pair: str) -> Fault | None:
        now = self.schedule.now
        kinds = ("unusable", "unusable_trades" if channel == "trade" else "unusable_tickers")
        return next((fault for kind in kinds if (fault := self.behaviour.now(kind, now, pair))), None)

    def _number(self, channel: str, deal: Deal) -> str:
        """The price as a number; quoted where the pair's frames cannot be used."""
        return f'"{deal.price}"' if self._is_unusable(channel, deal.pair) else deal.price

    def _ticker(self, deal: Deal, *, snapshot: bool) -> str:
        if self.behaviour.protocol == "v2":
            kind = "snapshot" if snapshot else "update"
            stamped_now = snapshot and self.behaviour.stamps_snapshots
            moment = self.schedule.exchange_time() if stamped_now else deal.moment
            return (
                f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{deal.pair}","bid":1.5,"bid_qty":1.0,"ask":2.5,'
                f'"ask_qty":1.0,"last":{self._number("ticker", deal)},"volume":1.0,"vwap":1.0,"low":1.0,"high":1.0,'
                f'"change":0.0,"change_pct":0.0,"timestamp":"{rfc3339(moment)}"}}]}}'
            )
        symbol, text = self._v1("ticker", deal)
        return (
            f'[340,{{"a":["1.5",1,"1.5"],"b":["1.4",1,"1.4"],"c":[{text},"0.1"],"v":["1","2"],"p":["1","2"],"t":[1,2],'
            f'"l":["1","1"],"h":["1","1"],"o":["1","1"]}},"ticker","{symbol}"]'
        )

    def _trades(self, deals: Sequence[Deal], *, snapshot: bool) -> str:
        bad = self.behaviour.now("null_row", self.schedule.now, deals[0].pair) is not None
        if self.behaviour.protocol == "v2":
            rows = [self._v2_row(deal, str(deal.number)) for deal in deals]
            rows += [self._v2_row(deal, "null") for deal in deals[-1:] if bad]
            return f'{{"channel":"trade","type":"{"snapshot" if snapshot else "update"}","data":[{",".join(rows)}]}}'
        named = [(deal, *self._v1("trade", deal)) for deal in deals]
        rows = [f'[{text},"{deal.quantity}","{deal.moment:.6f}","b","l",""]' for deal, _, text in named]
        rows += [f'[null,"1.0","{deals[-1].moment:.6f}","b","l",""]'] if bad else []
        return f'[337,[{",".join(rows)}],"trade","{named[0][1]}"]'

    def _v2_row(self, deal: Deal, number: str) -> str:
        return (
            f'{{"symbol":"{deal.pair}","side":"{deal.side}","price":{self._number("trade", deal)},"qty":{deal.quantity},'
            f'"ord_type":"limit","trade_id":{number},"timestamp":"{rfc3339(deal.moment)}"}}'
        )

    def _v1(self, channel: str, deal: Deal) -> tuple[str, str]:
        """The symbol and the price's text; one of them is wrong where the pair's frames cannot be used."""
        symbol, fault = V1.get(deal.pair, deal.pair), self._is_unusable(channel, deal.pair)
        if fault is None:
            return symbol, f'"{deal.price}"'
        if fault.word:
            return symbol, deal.price
        return (deal.pair if symbol != deal.pair else deal.pair.replace("/", "")), f'"{deal.price}"'

    # REST.

    def get(
        self, url: str, params: Mapping[str, str], deadline_seconds: float, *, body_cap: int = 0
    ) -> HttpAnswer:
        """As the service's HTTP client has it."""
        now, method = self.schedule.now, url.rpartition("/")[2]
        self.calls.append((now, method))
        self.events.append((now, f"REST > {method} {dict(params)}"))
        takes = self.chance.uniform(0.02, 0.2) + (2.5 if self.behaviour.now("rest_slow", now) else 0.0)
        if takes > deadline_seconds:
            self.schedule.sleep(deadline_seconds)
            raise Unreachable(f"{url}: not within {deadline_seconds:g} s", reason="timeout")
        self.schedule.sleep(takes / 2)
        answer = self._answer(method, params)
        self.schedule.sleep(takes / 2)
        self.events.append((self.schedule.now, f"REST < {answer.status} {answer.body.decode()}"))
        return answer

    def _answer(self, method: str, params: Mapping[str, str]) -> HttpAnswer:
        now = self.schedule.now
        if self.behaviour.now("rest_down", now):
            return HttpAnswer(503, "text/html", None, b"")
        if error := self.behaviour.now("rest_error", now):
            text = "EGeneral:Temporary lockout" if error.word else "EGeneral:Too many requests"
            return _json({"error": [text]}, self.schedule.exchange_time())
        # Others ask the same, so that an answer may be of any age that the cache allows.
        period = self.behaviour.cache
        age = (now - self.chance.choice(self._phases)) % period if period else 0.0
        result = self._result(method, params, self.schedule.exchange_time() - age)
        if result is None:
            return _json({"error": ["EQuery:Unknown asset pair"]}, self.schedule.exchange_time())
        date = self.schedule.exchange_time() - (age if self.behaviour.tells_age else 0.0)
        return _json({"error": [], "result": result}, date, age if self.behaviour.tells_age else None)

    def _result(self, method: str, params: Mapping[str, str], moment: float) -> Any:
        """As of an exchange moment."""
        if method == "SystemStatus":
            return {"status": self._system(), "timestamp": "2026-01-01T00:00:00Z"}
        if method == "AssetPairs":
            return {
                KEYS[pair]: {
                    "altname": self._altname(pair),
                    "wsname": V1.get(pair, pair),
                    "status": self._state_of(pair),
                }
                for pair in self.tapes
                if self._lists(pair)
            }
        names = params["pair"].split(",")
        pairs = [
            pair
            for name in names
            for pair in KEYS
            if name in (self._altname(pair), KEYS[pair]) and self._lists(pair)
        ]
        if len(pairs) < len(names):
            return None
        if method == "Ticker":
            return {KEYS[pair]: self._rest_ticker(self.tapes[pair], moment) for pair in pairs}
        (pair,) = pairs
        tape = self.tapes[pair]
        place, asked = tape.place(moment), int(params.get("count", "1000"))
        rows = [
            [deal.price, deal.quantity, float(f"{deal.moment:.6f}"), "b", "l", "", deal.number]
            for deal in tape.deals[max(0, place - asked + 1) : place + 1]
        ]
        return {KEYS[pair]: rows, "last": "0"}

    def _rest_ticker(self, tape: Tape, moment: float) -> dict[str, Any]:
        last, begin = tape.last(moment), self.schedule.exchange_time() - self.schedule.now
        trades, volume = tape.day(moment, begin + self.behaviour.midnight)
        trades_24h, volume_24h = tape.day(moment, 1e12)
        return {
            "c": [last.price, last.quantity],
            "t": [trades, trades_24h],
            "v": [f"{volume:.8f}", f"{volume_24h:.8f}"],
        }

    def _altname(self, pair: str) -> str:
        renamed = self.behaviour.now("renamed", self.schedule.now, pair)
        return f"{ALTNAMES[pair]}2" if renamed else ALTNAMES[pair]

    def close(self) -> None:
        """Nothing to close."""


def _json(content: object, date: float, cached_for: float | None = None) -> HttpAnswer:
    return HttpAnswer(200, "application/json", None, json.dumps(content).encode(), date, cached_for)


def _instruments(kind: str, states: Mapping[str, str]) -> str:
    pairs = [{"symbol": pair, "status": state} for pair, state in states.items()]
    content = {"channel": "instrument", "type": kind, "data": {"assets": [], "pairs": pairs}}
    return json.dumps(content, separators=(",", ":"))
