"""A service for the page alone: the page's real files with their real headers, and a stream that does what a test says."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from ltp_service.http.headers import FOR_JSON, FOR_PAGES
from ltp_service.page import FILES, FOLDER, PAGE, WORKER

BEAT = 0.5
"""Seconds between heartbeats: faster than the service's 5, to save a test's time."""

PRICES = {
    "BTC/USD": "115643.10",
    "ETH/USD": "4128.07",
    "DOGE/USD": "0.0000001234",
    "BTC/KRW": "123456789.123456789",
}


class Refusal(NamedTuple):
    """An answer in place of a stream."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b"{}"
    kind: str = "application/json"


class ScriptedService:
    """Use `with scripted_service() as service:`."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.beating = True
        self.key: str | None = None
        """Needed by every route of the API when it is set."""
        self.clock_error = 0.0
        """Seconds by which the service's wall clock is wrong."""
        self.below = ""
        """The path below which a proxy would serve all."""
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        """Every request: path with query, and headers in lower case."""
        self.told: dict[str, dict[str, Any]] = {}
        self.evidence: dict[str, float | None] = {}
        """Milliseconds of a pair's evidence in the next heartbeats, where it is not fresh."""
        self.past: dict[str, list[dict[str, Any]]] = {}
        """Kraken's last trades of each pair, newest first."""
        self.candles: dict[str, list[dict[str, Any]]] = {}
        """One-minute candles of each pair, oldest first; see `candles`. Without any there is no history."""
        self.history_refusal: Refusal | None = None
        """The answer in place of candles."""
        self.collectors: dict[str, Any] = {"kraken": collector("kraken")}
        self._streams: list[Queue[bytes | None]] = []
        self._lock = Lock()
        self._numbers = iter(range(1, 1_000_000))
        self._ended = Event()
        for pair, price in PRICES.items():
            self.price(pair, price)

    # What a test does.

    def price(self, pair: str, price: str | None, state: str = "live", **more: Any) -> None:
        """Tells it to all clients, and to those that come later."""
        amount = None if state in ("stale", "unknown") else price
        self.told[pair] = {
            "pair": pair,
            "amount": None if amount is None else Raw(amount),
            "price": price,
            "state": state,
            "source": "kraken:rest" if state == "fallback" else "kraken:websocket",
            "traded_at": self.now(),
            "confirmed_at": self.now(),
            "age_ms": 0,
            "trade_id": next(self._numbers),
            **more,
        }
        self.send("price", self.told[pair])

    def send(self, event: str, *data: object, more: str = "") -> None:
        """One event for each of the data, in one piece."""
        self.send_raw(b"".join(self._event(event, each, more) for each in data))

    def send_raw(self, content: bytes) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(content)

    def cut(self) -> None:
        """Ends every stream."""
        with self._lock:
            for stream in self._streams:
                stream.put(None)

    def refuse(
        self, status: int, body: bytes = b"{}", kind: str = "application/json", **headers: str
    ) -> None:
        """Ends every stream, and answers that way from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.refusal = Refusal(status, named, body, kind)
        self.cut()

    @property
    def streams(self) -> int:
        with self._lock:
            return len(self._streams)

    def now(self) -> str:
        moment = datetime.fromtimestamp(time.time() + self.clock_error, UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    # What it does itself.

    def beat(self) -> None:
        """Heartbeats until the end."""
        while not self._ended.wait(BEAT):
            if self.beating:
                ages = {pair: self.evidence.get(pair, 12) for pair in self.told}
                self.send("heartbeat", {"server_time": self.now(), "states": {}, "evidence_age_ms": ages})

    def end(self) -> None:
        self._ended.set()
        self.cut()

    @contextmanager
    def stream(self) -> Iterator[Queue[bytes | None]]:
        queue: Queue[bytes | None] = Queue()
        hello = {"version": "1.2.3", "server_time": self.now(), "heartbeat_s": 5, "pairs": list(self.told)}
        queue.put(self._event("hello", {**hello, "resumed": False}))
        for told in self.told.values():
            fresh = {"confirmed_at": self.now(), "age_ms": 0} if told["age_ms"] is not None else {}
            queue.put(self._event("price", {**told, **fresh}))
        with self._lock:
            self._streams.append(queue)
        try:
            yield queue
        finally:
            with self._lock:
                self._streams.remove(queue)

    def _event(self, event: str, data: object, more: str = "") -> bytes:
        return f"id: {next(self._numbers)}\nevent: {event}\n{more}data: {encoded(data)}\n\n".encode()

    def history(self, query: str) -> Refusal:
        """The answer of /api/v1/candles."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if self.history_refusal is not None:
            return self.history_refusal
        if not self.candles:
            return refusal(501, "NOT_SUPPORTED", "no history is kept here, because HISTORY_URL is empty")
        assert asked["interval"] == "1m"
        told = self.candles.get(asked["pair"], [])[-int(asked["limit"]) :]
        body = {"pair": asked["pair"], "interval": "1m", "candles": told}
        return Refusal(200, dict(FOR_JSON), encoded(body).encode())

    def _recorder(self) -> dict[str, Any] | None:
        return {"recording": "writing", "elsewhere": None} if self.candles else None

    def answer(self, path: str, query: str) -> Any:
        """The JSON of a route; None where there is none."""
        if "exchange=kraken" in query:
            return {"trades": self.past.get(parse_qs(query)["symbol"][0], [])}
        return {
            "/api/v1/status": {**status(self.now()), "history": self._recorder()},
            "/collectors/status": {"collectors": self.collectors},
            "/collectors/symbols": {"symbols": ["BTCUSDT"], "limit": 200},
            "/collectors/trades": {"trades": [trade(self.now())]},
            "/collectors/books": {"books": [book(self.now())]},
            "/api/v1/ltp/explain": {
                "pair": "BTC/USD",
                "state": "live",
                "servable": True,
                "served": self.told["BTC/USD"],
            },
            "/health": {"status": "healthy"},
        }.get(path)


class Raw(str):
    """The digits of a JSON number."""

    __slots__ = ()


def encoded(data: object) -> str:
    """JSON with every digit of a Raw, as a number."""
    return json.dumps(mark(data)).replace('"\\u0000', "").replace('\\u0000"', "")


def mark(data: object) -> object:
    if isinstance(data, Raw):
        return f"\0{data}\0"
    if isinstance(data, dict):
        return {name: mark(each) for name, each in data.items()}
    return [mark(each) for each in data] if isinstance(data, list) else data


def collector(name: str, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "name": name,
        "state": "active",
        "healthy": True,
        "connected": True,
        "generation": 3,
        "attempts": 3,
        "last_frame_at": now,
        "last_error": None,
        "problem": None,
        "subscriptions": {},
        **more,
    }


def status(now: str) -> dict[str, Any]:
    connection = {"websocket_enabled": True, "websocket_connected": True, "fallback_mode": False}
    return {
        "status": "ok",
        "connection": connection,
        "timestamp_iso": now,
        "uptime_s": 4711.5,
        "version": "1.2.3",
        "breaker": {"state": "closed", "failures": 0, "retry_in_s": 0},
        "worker": {"pid": 42, "count": 1},
        "fleet": None,
        "settings": {"cache_ttl": 30.0, "stale_after": 120.0, "price_divergence_limit": 0.05},
    }


def trade(now: str) -> dict[str, Any]:
    return {"exchange": "bybit", "symbol": "BTCUSDT", "price": Raw("115650.2"), "received_at": now}


def book(now: str) -> dict[str, Any]:
    sides = {
        "best_bid": {"price": Raw("0.00000012"), "size": Raw("1")},
        "best_ask": {"price": Raw("115650.30"), "size": Raw("2")},
    }
    return {
        "exchange": "bybit",
        "symbol": "BTCUSDT",
        "in_sync": True,
        **sides,
        "received_at": now,
        "age_ms": 5,
    }


def refusal(status: int, code: str, message: str) -> Refusal:
    """An error of the service."""
    body = {"error": code, "message": message, "code": code, "request_id": "0-1"}
    return Refusal(status, dict(FOR_JSON), encoded(body).encode())


def candles(coverages: Iterable[str], *closes: str) -> list[dict[str, Any]]:
    """One-minute candles up to the running one, which is the last. Each with a trade takes the next of `closes`, and the
    first ones again after the last; it opens where the one before has closed."""
    told, prices, before = [], cycle(closes), closes[-1]
    minutes = [*coverages]
    begin = 60 * (int(time.time()) // 60 - len(minutes) + 1)
    for place, coverage in enumerate(minutes):
        is_traded = coverage in ("complete", "partial")
        prices_of = dict.fromkeys(("open", "high", "low", "close", "vwap"))
        if is_traded:
            close = next(prices)
            low, high = sorted((before, close), key=Decimal)
            prices_of = {"open": before, "high": high, "low": low, "close": close, "vwap": f"{close}00"}
            before = close
        candle = {
            "start": datetime.fromtimestamp(begin + 60 * place, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
            **prices_of,
            "volume": "0.04200000" if is_traded else "0",
            "trades": 3 if is_traded else 0,
            "first_trade_id": 3 * place if is_traded else None,
            "last_trade_id": 3 * place + 2 if is_traded else None,
            "coverage": coverage,
        }
        told.append(candle | ({"open_ended": True} if place == len(minutes) - 1 else {}))
    return told


class Handler(BaseHTTPRequestHandler):
    """One connection of the browser."""

    protocol_version = "HTTP/1.1"
    service: ScriptedService

    def do_GET(self) -> None:
        service, path = self.service, urlsplit(self.path).path
        service.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        below = path.removeprefix(service.below) if path.startswith(f"{service.below}/") else ""
        if below == "/api/v1/stream" and service.refusal is None and self._is_admitted():
            self._stream()
        else:
            self._whole(self._answer(below))

    def _is_admitted(self) -> bool:
        return self.service.key in (None, self.headers.get("X-API-Key"))

    def _answer(self, path: str) -> Refusal:
        name = PAGE if path == "/" else path.removeprefix("/page/")
        if path == "/" or (path.startswith("/page/") and name in FILES):
            policy = FOR_PAGES if name in (PAGE, WORKER) else FOR_JSON
            kind = FILES.get(name, "text/html; charset=utf-8")
            return Refusal(200, dict(policy), (FOLDER / name).read_bytes(), kind)
        if path != "/health" and not self._is_admitted():
            return Refusal(401)
        if path == "/api/v1/stream" and self.service.refusal is not None:
            return self.service.refusal
        if path == "/api/v1/candles":
            return self.service.history(urlsplit(self.path).query)
        told = self.service.answer(path, urlsplit(self.path).query)
        return Refusal(404) if told is None else Refusal(200, dict(FOR_JSON), encoded(told).encode())

    def _whole(self, answer: Refusal) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        for name, value in (("Content-Type", "text/event-stream; charset=utf-8"), ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()
        with self.service.stream() as queue, suppress(OSError):
            while (content := _next(queue)) is not None:
                self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """The browser's requests are no news."""


def _next(queue: Queue[bytes | None]) -> bytes | None:
    """What is to be sent; a comment now and then, so that a reader that is gone is noticed."""
    try:
        return queue.get(timeout=1)
    except Empty:
        return b":\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a tab breaks its connections."""


@contextmanager
def scripted_service() -> Iterator[tuple[ScriptedService, str]]:
    """A running one, and where it is."""
    service = ScriptedService()
    server = _Server(("127.0.0.1", 0), type("OneHandler", (Handler,), {"service": service}))
    threads = [Thread(target=target, daemon=True) for target in (server.serve_forever, service.beat)]
    for thread in threads:
        thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        service.end()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
