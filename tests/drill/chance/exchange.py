"""The exchange's side: WebSocket sessions of both protocols, and REST behind caches. It imports nothing of the service
but its errors and its HTTP answer, which a stand-in has to speak."""

import heapq
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from threading import Event
from typing import Any

from ltp_service.errors import Unreachable
from ltp_service.http_client import Answer
from tests.drill.chance.behaviour import Behaviour
from tests.drill.chance.market import Deal, Tape
from tests.drill.chance.schedule import Actor, Schedule

POLL = 0.2
"""Seconds for which a read waits at most, as in the service."""

SNAPSHOT = 50
"""Trades of a snapshot."""

V1 = {"BTC/USD": "XBT/USD"}
KEYS = {"BTC/USD": "XXBTZUSD", "ETH/USD": "XETHZUSD", "LTC/USD": "XLTCZUSD", "XRP/USD": "XXRPZUSD"}
ALTNAMES = {pair: V1.get(pair, pair).replace("/", "") for pair in KEYS}


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Session:
    """One connection, as the service sees it."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._schedule = exchange.schedule
        self._queue: list[tuple[float, int, str]] = []
        self._number = count()
        self._last_due = 0.0
        self._reader: Actor | None = None
        self._spoke_at = exchange.schedule.now
        self.subscribed: set[tuple[str, str]] = set()
        self.open = True

    # What the service does with it.

    def send(self, text: str) -> None:
        if not self.open:
            raise Unreachable("closed", reason="closed")
        self._exchange.hear(self, json.loads(text))

    def receive(self) -> str | None:
        until = self._schedule.now + POLL
        while True:
            if self._queue and self._queue[0][0] <= self._schedule.now:
                return heapq.heappop(self._queue)[2]
            if not self.open:
                raise Unreachable("closed", reason="closed")
            if self._schedule.now >= until:
                return None
            self._reader = self._schedule.actor()
            self._reader.sleep(min(until, self._queue[0][0] if self._queue else until))
            self._reader = None

    def take_received(self) -> list[str]:
        taken = []
        while self._queue and self._queue[0][0] <= self._schedule.now:
            taken.append(heapq.heappop(self._queue)[2])
        return taken

    def close(self) -> None:
        self.open = False
        self._exchange.sessions.discard(self)

    # What the exchange does with it.

    def cut(self) -> None:
        """The line breaks."""
        self.close()
        if self._reader is not None:
            self._schedule.at(self._schedule.now, self._reader.waker())

    def push(self, text: str, late: float = 0.0, *, beside: bool = False) -> None:
        """Arrives after the line's latency and `late` seconds; `beside` all that comes in order."""
        behaviour, now = self._exchange.behaviour, self._schedule.now
        if behaviour.now("silent", now):
            return
        if queue := behaviour.now("late", now):
            late += queue.size
        due = now + behaviour.latency + late
        if not beside:
            due = self._last_due = max(due, self._last_due)
        heapq.heappush(self._queue, (due, next(self._number), text))
        if self._reader is not None:
            self._schedule.at(due, self._reader.waker())
        self._spoke_at = now

    def beat(self) -> None:
        """A heartbeat, where nothing else was said for a second."""
        if not self.open:
            return
        if self._schedule.now - self._spoke_at >= 0.9:
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
        self.sessions: set[Session] = set()
        self.calls: list[tuple[float, str]] = []
        self._chance = chance
        self._caches: list[dict[str, tuple[float, dict[str, Any]]]] = [{} for _ in range(behaviour.edges)]
        for tape in tapes.values():
            for place, deal in enumerate(tape.deals):
                moment = deal.moment - schedule.exchange_time()
                if moment > 0:
                    schedule.at(moment, partial(self._trade, tape, place))
        for fault in behaviour.faults:
            if fault.kind == "cut":
                schedule.at(fault.begin, self._cut)

    # WebSocket.

    def connect(self, _dialer: object, _stop: Event, **_: object) -> Session:
        self.schedule.sleep(3 * self.behaviour.latency)
        now = self.schedule.now
        if self.behaviour.now("cut", now):
            raise Unreachable("refused", reason="refused")
        session = Session(self)
        self.sessions.add(session)
        v2 = self.behaviour.protocol == "v2"
        session.push(
            '{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2","connection_id":1,"version":"2.0.9"}]}'
            if v2
            else '{"connectionID":1,"event":"systemStatus","status":"online","version":"1.9.1"}'
        )
        self.schedule.at(now + 1.0, session.beat)
        return session

    def hear(self, session: Session, request: dict[str, Any]) -> None:
        """A request, which is answered after a while."""
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
            session.push(
                f'{{"method":"{method}","success":true,"result":{{"channel":"{channel}","symbol":"{symbol}"}},{stamps}}}'
            )
            if method == "subscribe":
                session.subscribed.add((channel, symbol))
                self._snapshot(session, channel, symbol)
        if channel == "instrument":
            pairs = [{"symbol": pair, "status": "online"} for pair in self.tapes]
            session.push(
                f'{{"method":"{method}","success":true,"result":{{"channel":"instrument"}},{stamps}}}'
            )
            session.push(
                json.dumps(
                    {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}},
                    separators=(",", ":"),
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
            rows = tape.deals[max(0, place - SNAPSHOT + 1) : place + 1]
            session.push(self._trades(rows, snapshot=True))

    def _trade(self, tape: Tape, place: int) -> None:
        deal, behaviour, now = tape.deals[place], self.behaviour, self.schedule.now
        late = fault.size if (fault := behaviour.now("late_data", now)) else 0.0
        channels = ["ticker", "trade"]
        self._chance.shuffle(channels)
        for session in list(self.sessions):
            for channel in channels:
                if (channel, tape.pair) not in session.subscribed or self._is_deaf(channel, tape.pair):
                    continue
                frame = (
                    self._ticker(deal, snapshot=False)
                    if channel == "ticker"
                    else self._trades([deal], snapshot=False)
                )
                for _ in range(2 if behaviour.now("told_twice", now) else 1):
                    if behaviour.now("reordered", now):
                        session.push(frame, late + self._chance.uniform(0.0, 0.4), beside=True)
                    else:
                        session.push(frame, late, beside=late > 0)

    def _is_deaf(self, channel: str, pair: str) -> bool:
        now = self.schedule.now
        kinds = ("deaf", "deaf_trades" if channel == "trade" else "deaf_tickers")
        return any(self.behaviour.now(kind, now, pair) for kind in kinds)

    def _cut(self) -> None:
        for session in list(self.sessions):
            session.cut()

    def _number(self, deal: Deal) -> str:
        """The price as a number; quoted where the pair's frames cannot be used."""
        return (
            f'"{deal.price}"' if self.behaviour.now("unusable", self.schedule.now, deal.pair) else deal.price
        )

    def _ticker(self, deal: Deal, *, snapshot: bool) -> str:
        if self.behaviour.protocol == "v2":
            kind = "snapshot" if snapshot else "update"
            moment = self.schedule.exchange_time() if snapshot else deal.moment
            return (
                f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{deal.pair}","bid":1.5,"bid_qty":1.0,"ask":2.5,'
                f'"ask_qty":1.0,"last":{self._number(deal)},"volume":1.0,"vwap":1.0,"low":1.0,"high":1.0,"change":0.0,'
                f'"change_pct":0.0,"timestamp":"{rfc3339(moment)}"}}]}}'
            )
        price = deal.price
        symbol = self._v1_symbol(deal.pair)
        return f'[340,{{"a":["1.5",1,"1.5"],"b":["1.4",1,"1.4"],"c":["{price}","0.1"],"v":["1","2"],"p":["1","2"],"t":[1,2],"l":["1","1"],"h":["1","1"],"o":["1","1"]}},"ticker","{symbol}"]'

    def _trades(self, deals: Sequence[Deal], *, snapshot: bool) -> str:
        if self.behaviour.protocol == "v2":
            rows = ",".join(
                f'{{"symbol":"{deal.pair}","side":"{deal.side}","price":{self._number(deal)},"qty":{deal.quantity},'
                f'"ord_type":"limit","trade_id":{deal.number},"timestamp":"{rfc3339(deal.moment)}"}}'
                for deal in deals
            )
            return f'{{"channel":"trade","type":"{"snapshot" if snapshot else "update"}","data":[{rows}]}}'
        rows = ",".join(
            f'["{deal.price}","{deal.quantity}","{deal.moment:.6f}","b","l",""]' for deal in deals
        )
        return f'[337,[{rows}],"trade","{self._v1_symbol(deals[0].pair)}"]'

    def _v1_symbol(self, pair: str) -> str:
        """Where frames cannot be used they name the pair by a spelling that was not subscribed."""
        if self.behaviour.now("unusable", self.schedule.now, pair):
            return "BTC/USD" if pair == "BTC/USD" else pair.replace("/", "")
        return V1.get(pair, pair)

    # REST.

    def get(
        self, url: str, params: Mapping[str, str], deadline_seconds: float, *, body_cap: int = 0
    ) -> Answer:
        """As the service's HTTP client has it."""
        now, method = self.schedule.now, url.rpartition("/")[2]
        self.calls.append((now, method))
        takes = self._chance.uniform(0.02, 0.2) + (2.5 if self.behaviour.now("rest_slow", now) else 0.0)
        if takes > deadline_seconds:
            self.schedule.sleep(deadline_seconds)
            raise Unreachable(f"{url}: not within {deadline_seconds:g} s", reason="timeout")
        self.schedule.sleep(takes / 2)
        answer = self._answer(method, params)
        self.schedule.sleep(takes / 2)
        return answer

    def _answer(self, method: str, params: Mapping[str, str]) -> Answer:
        now = self.schedule.now
        if self.behaviour.now("rest_down", now):
            return Answer(503, "text/html", None, b"")
        cache = self._chance.choice(self._caches)
        key = f"{method}?{sorted(params.items())}"
        made_at, result = cache.get(key, (-1e9, {}))
        if now - made_at >= self.behaviour.cache:
            made_at, result = cache[key] = now, self._result(method, params)
        body = json.dumps({"error": [], "result": result}).encode()
        age = now - made_at
        date = self.schedule.exchange_time() - (age if self.behaviour.tells_age else 0.0)
        return Answer(200, "application/json", None, body, date, age if self.behaviour.tells_age else None)

    def _result(self, method: str, params: Mapping[str, str]) -> Any:
        moment = self.schedule.exchange_time()
        if method == "SystemStatus":
            return {"status": "online", "timestamp": "2026-01-01T00:00:00Z"}
        if method == "AssetPairs":
            return {
                KEYS[pair]: {"altname": ALTNAMES[pair], "wsname": V1.get(pair, pair), "status": "online"}
                for pair in self.tapes
            }
        pairs = [
            pair
            for name in params["pair"].split(",")
            for pair in KEYS
            if name in (ALTNAMES[pair], KEYS[pair])
        ]
        if method == "Ticker":
            return {KEYS[pair]: {"c": [self.tapes[pair].last(moment).price, "0.1"]} for pair in pairs}
        (pair,) = pairs
        tape = self.tapes[pair]
        place, asked = tape.place(moment), int(params.get("count", "1000"))
        rows = [
            [deal.price, deal.quantity, float(f"{deal.moment:.6f}"), "b", "l", "", deal.number]
            for deal in tape.deals[max(0, place - asked + 1) : place + 1]
        ]
        return {KEYS[pair]: rows, "last": "0"}

    def close(self) -> None:
        """Nothing to close."""
