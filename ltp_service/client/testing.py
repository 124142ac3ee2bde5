"""A service for tests of programs that use the client: a real HTTP server whose prices and faults a test steers.

with FakeService() as service:
    service.set_price("BTC/USD", "115643.10")
    with Prices(service.url) as prices:
        assert prices.get("BTC/USD").price == "115643.10"
"""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Literal, Self

from ltp_service.client.testing_server import FakeServer, Request

State = Literal["live", "quiet", "fallback", "substitute", "halted", "stale", "unknown"]

SERVED = ("live", "quiet", "fallback", "substitute", "halted")
"""States of a price that the service gives without being asked for stale ones."""


@dataclass
class _Quote:
    text: str | None
    state: str
    source: str
    trade_id: int | None
    traded_at: float | None
    age: float
    """Seconds since the last evidence, when it was told."""
    told_at: float
    """On the monotonic clock."""


@dataclass
class _Refusal:
    status: int
    code: str
    retry_after: float | None


@dataclass
class _Happening:
    """What streams are told."""

    event: str
    pair: str
    data: str


@dataclass
class _Faults:
    refusal: _Refusal | None = None
    is_frozen: bool = False
    forgotten: int = 0
    """Ids below this one are not known any more."""
    farewell: tuple[str, int] | None = None
    lines: list[socket.socket] = field(default_factory=list)
    closed: bool = False


class FakeService:
    """Serves /api/v1/ltp, /api/v1/stream and what `answer` is given, on a free port of this machine."""

    def __init__(
        self, *, api_key: str | None = None, heartbeat: float = 5.0, tls: ssl.SSLContext | None = None
    ) -> None:
        """`heartbeat`: seconds between two heartbeats. With `tls` it is at https://localhost."""
        self._api_key, self._heartbeat = api_key, heartbeat
        self._news = Condition()
        self._quotes: dict[str, _Quote] = {}
        self._log: list[_Happening] = []
        self._trade_ids: dict[str, int] = {}
        self._answers: dict[str, tuple[int, str, dict[str, str]]] = {}
        self._faults = _Faults()
        self._number = 0
        """Counts the goodbyes and cuts: a line opened before the last one ends."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path with query, and headers by lower-case name, of each request so far."""
        self._server = FakeServer(self._serve)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends everything; the port is free afterwards."""
        with self._news:
            self._faults.closed, self._faults.is_frozen = True, False
            self._news.notify_all()
        self.cut()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # What the exchange does.

    def set_price(
        self,
        pair: str,
        price: str,
        *,
        state: State = "live",
        source: str = "kraken:websocket",
        age: float = 0.0,
        trade_id: int | None = None,
    ) -> None:
        """`age`: seconds since the last evidence. It stays so while the state is live or quiet, else it grows."""
        with self._news:
            quote = _Quote(price, state, source, trade_id, time.time(), age, time.monotonic())
            self._quotes[pair] = quote
            self._tell("price", pair, "")

    def set_state(self, pair: str, state: State, *, age: float | None = None) -> None:
        """Of a pair that has a price, or (`unknown`) that has none. `age`: seconds since the last evidence."""
        with self._news:
            quote = self._quotes.setdefault(pair, _Quote(None, state, "", None, None, 0.0, 0.0))
            quote.age = self._age(quote) if age is None else age
            quote.state, quote.told_at = state, time.monotonic()
            self._tell("price", pair, "")

    def trade(
        self,
        pair: str,
        price: str,
        quantity: str = "1",
        side: Literal["buy", "sell"] = "buy",
        trade_id: int | None = None,
    ) -> int:
        """A trade, which makes the price too. Returns its id: the next one unless given."""
        with self._news:
            number = self._trade_ids.get(pair, 0) + 1 if trade_id is None else trade_id
            self._trade_ids[pair] = number
            names = {"pair": pair, "price": price, "quantity": quantity, "side": side}
            self._tell("trade", pair, json.dumps(names | {"traded_at": _moment(), "trade_id": number}))
            self.set_price(pair, price, trade_id=number)
        return number

    def gap(self, pair: str, after: int | None, before: int | None) -> None:
        """Trades between two ids that cannot be told."""
        names = {"pair": pair, "after_trade_id": after, "before_trade_id": before}
        with self._news:
            self._tell("gap", pair, json.dumps(names | {"from": None, "to": _moment()}))

    # What goes wrong.

    def cut(self) -> None:
        """Ends all connections without a word."""
        with self._news:
            self._number += 1
            self._faults.farewell = None
            lines, self._faults.lines = self._faults.lines, []
            self._news.notify_all()
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Connections stay and are accepted, and nothing is said on them."""
        with self._news:
            self._faults.is_frozen = True
            self._news.notify_all()

    def thaw(self) -> None:
        with self._news:
            self._faults.is_frozen = False
            self._news.notify_all()

    def refuse(self, status: int, *, code: str = "INTERNAL_ERROR", retry_after: float | None = None) -> None:
        """Answers each request so from now on. Streams that are open go on; see `cut`."""
        with self._news:
            self._faults.refusal = _Refusal(status, code, retry_after)

    def accept(self) -> None:
        """Ends `refuse`."""
        with self._news:
            self._faults.refusal = None

    def answer(self, path: str, body: object, *, status: int = 200, link: str | None = None) -> None:
        """Answers each request with that path and query by this JSON. Without a query in `path` that of a request does not
        matter. `link` is the header of that name."""
        with self._news:
            self._answers[path] = status, json.dumps(body), {"Link": link} if link else {}

    def bye(self, reason: str = "restart", retry_ms: int = 500) -> None:
        """Says goodbye on all streams, and ends them."""
        with self._news:
            self._faults.farewell = reason, retry_ms
            self._number += 1
            self._news.notify_all()

    def forget(self) -> None:
        """No stream can resume from what was told so far."""
        with self._news:
            self._faults.forgotten = len(self._log) + 1

    def say(self, content: bytes) -> None:
        """Sends bytes as they are on all streams."""
        with self._news:
            lines = list(self._faults.lines)
        for line in lines:
            with suppress(OSError):
                line.sendall(content)

    def wait_for_streams(self, count: int = 1, seconds: float = 10.0) -> None:
        """Returns when at least so many streams are open. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._faults.lines) >= count, seconds):
                raise TimeoutError(f"fewer than {count} streams are open after {seconds:g} s")

    # What the requests' threads ask.

    def _tell(self, event: str, pair: str, data: str) -> None:
        self._log.append(_Happening(event, pair, data))
        self._news.notify_all()

    def _serve(self, request: Request) -> None:
        path, query = request.question()
        with self._news:
            self.requests.append(
                (request.path, {name.lower(): value for name, value in request.headers.items()})
            )
            self._news.wait_for(lambda: not self._faults.is_frozen)
            refusal, closed = self._faults.refusal, self._faults.closed
        if closed:
            return
        if refusal is not None:
            request.problem(refusal.status, refusal.code, "so the test wants it", refusal.retry_after)
        elif self._api_key not in (None, request.headers.get("X-API-Key")):
            request.problem(401, "API_KEY_INVALID", "the API key is not valid")
        elif found := self._answers.get(request.path) or self._answers.get(path):
            request.answer(*found)
        elif path == "/api/v1/ltp":
            self._answer(request, query)
        elif path == "/api/v1/stream":
            self._stream(request, query)
        else:
            request.problem(404, "NOT_FOUND", "no route has this path")

    def _answer(self, request: Request, query: dict[str, str]) -> None:
        with self._news:
            pairs = _pairs(query) or list(self._quotes)
            known = [pair for pair in pairs if pair in self._quotes]
            failed, items = [], []
            for pair in pairs:
                problem = self._problem(pair, query)
                if problem:
                    failed.append(
                        {
                            "pair": pair,
                            "error": "Failed to fetch price",
                            "code": problem,
                            "message": _WORDS[problem],
                        }
                    )
                else:
                    items.append(self._item(pair, shown=True))
        if not known:
            request.problem(
                400, "UNSUPPORTED_PAIR", f"{', '.join(pairs)}: not served here; see /api/v1/pairs"
            )
        elif not items:
            code = failed[0]["code"] if len(failed) == 1 else "ALL_PRICES_FAILED"
            request.problem(503, code, "no price can be served", 1.0, failed)
        else:
            errors = f',"errors":{json.dumps(failed)}' if failed else ""
            request.answer(206 if failed else 200, f'{{"ltp":[{",".join(items)}]{errors}}}')

    def _problem(self, pair: str, query: dict[str, str]) -> str | None:
        quote = self._quotes.get(pair)
        if quote is None:
            return "UNSUPPORTED_PAIR"
        if quote.text is None:
            return "PRICE_FETCH_ERROR"
        if query.get("allow_stale") == "true":
            return None
        too_old = self._age(quote) > float(query.get("max_age", "inf"))
        return "PRICE_STALE" if too_old or quote.state not in SERVED else None

    def _stream(self, request: Request, query: dict[str, str]) -> None:
        last_id = request.headers.get("Last-Event-ID", query.get("last_event_id", ""))
        kind = query.get("events", "prices")
        with self._news:
            pairs = _pairs(query) or list(self._quotes)
            unknown = [pair for pair in pairs if pair not in self._quotes]
        if unknown:
            request.problem(
                400, "UNSUPPORTED_PAIR", f"{', '.join(unknown)}: not served here; see /api/v1/pairs"
            )
            return
        request.begin_stream()
        with self._news:
            self._faults.lines.append(request.connection)
            number, place = self._number, len(self._log)
            self._news.notify_all()
            resumes = last_id.isdecimal() and self._faults.forgotten <= int(last_id) <= place
            hello: dict[str, Any] = {"version": "fake", "server_time": _moment(), "heartbeat_s": 5}
            greeting = [("hello", json.dumps(hello | {"pairs": pairs, "resumed": resumes}))]
            start = int(last_id) if resumes else place
            if last_id and not resumes:
                greeting += [("gap", self._lost(pair)) for pair in pairs]
            if kind != "trades":
                greeting += [("price", self._item(pair)) for pair in pairs]
            content = "".join(_event(start, *each) for each in greeting).encode()
        try:
            request.connection.sendall(content)
            for content in self._events(pairs, kind, start, place, number):
                request.connection.sendall(content)
        except OSError:
            pass  # the client is gone
        finally:
            with self._news:
                if request.connection in self._faults.lines:
                    self._faults.lines.remove(request.connection)

    def _events(self, pairs: list[str], kind: str, start: int, begun: int, number: int) -> Iterator[bytes]:
        """What is said on one line; prices only of what happened since it began."""
        place, beat = start, time.monotonic() + self._heartbeat
        while True:
            with self._news:
                self._wait(place, number, beat)
                parts = []
                for place, each in enumerate(self._log[place:], place + 1):  # noqa: B020 - from there on
                    asked = each.event in _TOLD[kind] and each.pair in pairs
                    if asked and (each.event != "price" or place > begun):
                        parts.append(_event(place, each.event, each.data or self._item(each.pair)))
                if time.monotonic() >= beat:
                    beat += self._heartbeat
                    parts.append(_event(place, "heartbeat", self._beat(pairs)))
                ended, farewell = self._number != number, self._faults.farewell
            if ended:
                if farewell is not None:
                    reason, retry = farewell
                    goodbye = _event(place, "bye", json.dumps({"reason": reason}))
                    yield "".join([*parts, f"retry: {retry}\n", goodbye]).encode()
                return
            if parts:
                yield "".join(parts).encode()

    def _wait(self, place: int, number: int, beat: float) -> None:
        """Until there is something to say on a line; without an end while all is frozen."""
        faults, left = self._faults, max(0.0, beat - time.monotonic())
        self._news.wait_for(
            lambda: self._number != number or faults.is_frozen or len(self._log) > place, left
        )
        self._news.wait_for(lambda: self._number != number or not faults.is_frozen)

    def _lost(self, pair: str) -> str:
        newest = self._trade_ids.get(pair)
        before = None if newest is None else newest + 1
        names = {"pair": pair, "after_trade_id": None, "before_trade_id": before}
        return json.dumps(names | {"from": None, "to": _moment()})

    def _beat(self, pairs: list[str]) -> str:
        quotes = {pair: self._quotes[pair] for pair in pairs}
        states: dict[str, int] = {}
        for quote in quotes.values():
            states[quote.state] = states.get(quote.state, 0) + 1
        ages = {pair: round(self._age(quote) * 1000) for pair, quote in quotes.items()}
        return json.dumps({"server_time": _moment(), "states": states, "evidence_age_ms": ages})

    def _item(self, pair: str, *, shown: bool = False) -> str:
        """As detail=true has it; `shown`: with the amount of a stale price, too."""
        quote = self._quotes[pair]
        has_amount = quote.text is not None and (shown or quote.state in SERVED)
        amount = _plain(Decimal(quote.text)) if has_amount and quote.text is not None else "null"
        age = round(self._age(quote) * 1000)
        fields: dict[str, Any] = {
            "price": quote.text if has_amount else None,
            "state": quote.state,
            "source": quote.source or None,
            "traded_at": None if quote.traded_at is None else _moment(quote.traded_at),
            "confirmed_at": None if quote.text is None else _moment(time.time() - age / 1000),
            "age_ms": None if quote.text is None else age,
            "trade_id": quote.trade_id,
        }
        return f'{{"pair":{json.dumps(pair)},"amount":{amount},{json.dumps(fields)[1:]}'

    def _age(self, quote: _Quote) -> float:
        """Seconds since the last evidence."""
        grown = 0.0 if quote.state in ("live", "quiet") else time.monotonic() - quote.told_at
        return quote.age + grown


_TOLD = {"prices": {"price", "gap"}, "trades": {"trade", "gap"}, "all": {"price", "trade", "gap"}}
_WORDS = {
    "UNSUPPORTED_PAIR": "Unsupported trading pair",
    "PRICE_STALE": "The last evidence for this price is older than allowed",
    "PRICE_FETCH_ERROR": "No source has given a price for this pair yet",
}


def _event(place: int, name: str, data: str) -> str:
    return f"id: {place}\nevent: {name}\ndata: {data}\n\n"


def _pairs(query: dict[str, str]) -> list[str]:
    return [pair for pair in query.get("pair", "").split(",") if pair]


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(at: float | None = None) -> str:
    return (
        datetime.fromtimestamp(time.time() if at is None else at, UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )
