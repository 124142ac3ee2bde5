"""A service that says what a test wrote, at its moment, to the client's core; the clock goes on where the core waits."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from ltp_service.client.events import Event, Kind
from ltp_service.client.settings import Settings
from ltp_service.client.steps import Close, Open, Receive, Result, Send, Sleep, Step
from ltp_service.client.stream import Stream
from tests.fakes import FakeClock

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SERVER_TIME = "2026-11-28T12:00:00Z"
NOW = "the moment at which it is said"
"""The script writes the service's time there."""
URL = "http://service:8080"

Said = bytes | OSError


def event(name: str, event_id: str = "", **data: Any) -> bytes:
    id_line = f"id: {event_id}\n" if event_id else ""
    return f"{id_line}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def hello(event_id: str = "h", *, resumed: bool = False, at: str = NOW) -> bytes:
    return event("hello", event_id, version="1", server_time=at, heartbeat_s=5, pairs=[], resumed=resumed)


def heartbeat(at: str = NOW, **ages: int | None) -> bytes:
    named = {f"{base}/USD": age for base, age in ages.items()}
    return event("heartbeat", "", server_time=at, states={}, evidence_age_ms=named)


def server_time(seconds: float) -> str:
    """So many seconds after the script began."""
    return (datetime.fromisoformat(SERVER_TIME) + timedelta(seconds=seconds)).isoformat()


def price(
    text: str | None = "100.10",
    *,
    pair: str = "BTC/USD",
    state: str = "live",
    age: int = 0,
    at: str | None = None,
) -> bytes:
    """`at`: when the last evidence came, by the service's clock."""
    amount = float(text) if text else None
    more: dict[str, Any] = {"traded_at": None, "confirmed_at": at, "trade_id": None, "witnesses": []}
    named = {"pair": pair, "amount": amount, "price": text, "state": state, "source": "kraken:websocket"}
    return event("price", "", **named, age_ms=age, **more)


def trade(number: int, event_id: str = "") -> bytes:
    named = {"pair": "BTC/USD", "price": "1", "quantity": "2", "side": "buy"}
    return event("trade", event_id or f"t{number}", **named, traded_at=SERVER_TIME, trade_id=number)


def gap(after: int | None, before: int | None, event_id: str = "") -> bytes:
    ids = {"after_trade_id": after, "before_trade_id": before}
    return event("gap", event_id, pair="BTC/USD", **ids, **{"from": None, "to": SERVER_TIME})


def refusal(status: int, code: str = "", **headers: str) -> bytes:
    body = json.dumps({"code": code, "message": "no", "error": code})
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} No\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Script:
    """Lines of (seconds since the connection, what is said then), one for each connection; b"" is its end.

    After the last line no answer comes.
    """

    def __init__(
        self,
        *lines: Sequence[tuple[float, Said]],
        max_age: float | None = None,
        url: list[str] | str = URL,
        kind: Kind = "all",
        reading: float = 0.0,
    ) -> None:
        """`reading`: seconds that each piece takes to be read."""
        self.clock = FakeClock()
        self.opened: list[tuple[str, float]] = []
        """Base URL and moment, from 0, of each connection."""
        self.requests: list[str] = []
        self._reading = reading
        self._lines = list(lines)
        self._coming: list[tuple[float, Said]] = []
        bases = Settings.read(url, None, max_age).bases
        self._settings = Settings(
            bases, None, max_age, self.clock.monotonic, self.clock.wall, chance=lambda: 1.0
        )
        self._start = self.clock.monotonic()
        self.events = self._run(Stream(self._settings, (), kind))

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.monotonic() - self._start

    def take(self, count: int) -> list[Event]:
        return [next(self.events) for _ in range(count)]

    def _run(self, stream: Stream) -> Iterator[Event]:
        core = stream.run()
        result: Result = None
        failure: OSError | None = None
        while True:
            try:
                item = core.send(result) if failure is None else core.throw(failure)
            except StopIteration:
                return
            result = failure = None
            if isinstance(item, Step):
                try:
                    result = self._do(item)
                except OSError as error:
                    failure = error
            else:
                yield item

    def _do(self, step: Step) -> Result:
        match step:
            case Open(base):
                self.opened.append((base.url, self.now))
                line = self._lines.pop(0) if self._lines else []
                self._coming = [(self.now + at, said) for at, said in line]
            case Send(content):
                self.requests.append(content.decode())
            case Sleep(seconds):
                self.clock.advance(seconds)
            case Receive(seconds):
                return self._receive(seconds)
            case Close():
                pass
        return None

    def _receive(self, seconds: float) -> Result:
        if not self._coming or self._coming[0][0] > self.now + seconds:
            self.clock.advance(seconds)
            return None
        at, said = self._coming.pop(0)
        self.clock.advance(max(0.0, at - self.now) + self._reading)
        if isinstance(said, OSError):
            raise said
        return said.replace(NOW.encode(), server_time(at).encode())
