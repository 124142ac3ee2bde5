"""Kraken's faults: one function each. Its name is its switch on the command line and in the control door."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from tests.simulator.market import Tape, Trade
from tests.simulator.switches import Arguments, Catalogue, Question, Switches
from tests.simulator.wire import HangUp, Reply, Request, json_reply

_never = threading.Event()


class Kind(Enum):
    """What a frame is about."""

    STATUS = "status"
    ACK = "ack"
    PONG = "pong"
    HEARTBEAT = "heartbeat"
    TICKER = "ticker"
    TRADE = "trade"


DATA = frozenset({Kind.TICKER, Kind.TRADE})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame about to be sent; `pair` is canonical and only known for acknowledgements and data."""

    kind: Kind
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The subscription is answered with an error; no text means the exchange's usual one."""

    error: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """The subscription is never answered; its data may come nevertheless."""

    with_data: bool = False


@dataclass(frozen=True, slots=True)
class RestCall:
    """A REST request, `method` being Ticker, Trades, …"""

    method: str
    request: Request


class Cuttable(Protocol):
    """A WebSocket connection, as far as faults touch it."""

    def cut(self, how: str = "abrupt", code: int = 1000) -> None: ...


class Switchable(Protocol):
    """The exchange, as far as faults touch it."""

    def set_system(self, system: str) -> None: ...

    def set_frozen(self, frozen: bool) -> None: ...


at_handshake: Question[Reply] = Question()
when_opened: Question[None] = Question()
passes: Question[bool] = Question()
when_subscribing: Question[Refused | Ignored | None] = Question()
subscription_delay: Question[float] = Question()
sends_trade_snapshot: Question[bool] = Question()
snapshot_trade: Question[Trade | None] = Question()
rest_answer: Question[Reply | None] = Question(shared=["only"])
rest_trade: Question[Trade | None] = Question()
hidden_from_rest: Question[bool] = Question()
when_switched: Question[None] = Question(subjects=2)

QUESTIONS: tuple[Question[Any], ...] = (
    at_handshake,
    when_opened,
    passes,
    when_subscribing,
    subscription_delay,
    sends_trade_snapshot,
    snapshot_trade,
    rest_answer,
    rest_trade,
    hidden_from_rest,
    when_switched,
)


@at_handshake
def refuse(request: Request, status: int | None = None, retry_after: int | None = None) -> Reply:
    """Closes each new connection, or answers its handshake with an HTTP status."""
    if status is None:
        raise HangUp
    return _page(status, {} if retry_after is None else {"Retry-After": str(retry_after)})


@when_opened
def cut_after(connection: Cuttable, seconds: float = 1.0, how: str = "abrupt", code: int = 1001) -> None:
    """Drops each new connection after that time."""
    timer = threading.Timer(seconds, connection.cut, (how, code))
    timer.daemon = True
    timer.start()


@passes
def silence(frame: Outgoing) -> bool:
    """Status and acknowledgements, then no text frame at all; the protocol's own pongs are still sent."""
    return frame.kind in (Kind.STATUS, Kind.ACK)


@passes
def heartbeats_only(frame: Outgoing) -> bool:
    """Everything but data."""
    return frame.kind not in DATA


@passes
def no_heartbeats(frame: Outgoing) -> bool:
    """Everything but heartbeats."""
    return frame.kind is not Kind.HEARTBEAT


@passes
def deaf_pair(frame: Outgoing, pair: str) -> bool:
    """The pair is acknowledged and its data never comes, while the market moves on (REST shows it)."""
    return frame.pair != pair or frame.kind not in DATA


@when_switched
def freeze(exchange: Switchable, on: bool) -> None:
    """Stops reading from and writing to WebSocket connections, new ones included; TCP stays open."""
    exchange.set_frozen(on)


@when_switched
def status(exchange: Switchable, on: bool, system: str = "maintenance") -> None:
    """The engine's state, pushed at once; online again when switched off."""
    exchange.set_system(system if on else "online")


@when_subscribing
def no_ack(asked: str, pair: str | None = None, with_data: bool = False) -> Ignored | None:
    """The subscription (of one pair, or any) gets lost."""
    return Ignored(with_data) if pair in (None, asked) else None


@when_subscribing
def refuse_pair(asked: str, pair: str, error: str | None = None) -> Refused | None:
    """The subscription of that pair is refused, its neighbours are not."""
    return Refused(error) if asked == pair else None


@subscription_delay
def slow_ack(channel: str, seconds: float = 5.0) -> float:
    """Acknowledgements and what follows them come that much later."""
    return seconds


@sends_trade_snapshot
def trade_snapshot(channel: str) -> bool:
    """v1 sends the last 50 trades on subscription, as its documentation says and no recording shows."""
    return True


@snapshot_trade
def old_snapshot(tape: Tape) -> Trade | None:
    """The first ticker after a subscription shows an older trade."""
    return tape.older()


@rest_answer
def rest_status(
    call: RestCall, status: int = 500, retry_after: int | None = None, location: str | None = None
) -> Reply | None:
    """An HTTP status with an HTML page, or a redirect."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return _page(status, headers | ({"Location": location} if location else {}))


@rest_answer
def rest_html(call: RestCall, status: int = 200) -> Reply | None:
    """Cloudflare's page in place of JSON."""
    return _page(status, {})


@rest_answer
def rest_garbage(
    call: RestCall, body: str = "7b226572726f72223a5b5d2c22726573756c74223a7b22ff"
) -> Reply | None:
    """Bytes (`body` in hex) that are called JSON and are not."""
    return Reply(bytes.fromhex(body), 200, {"Content-Type": "application/json"})


@rest_answer
def rest_slow(call: RestCall, seconds: float = 10.0) -> Reply | None:
    """The right answer, late."""
    _never.wait(seconds)
    return None


@rest_answer
def rest_drip(call: RestCall, interval: float = 0.2, length: int = 100_000) -> Reply | None:
    """One byte per interval."""
    return Reply(
        _drip(interval, length), 200, {"Content-Type": "application/json", "Content-Length": str(length)}
    )


@rest_answer
def rest_huge(
    call: RestCall,
    bytes: int = 209_715_200,  # noqa: A002 - the name is the switch's argument
    announced: bool = False,
) -> Reply | None:
    """A very long JSON body, chunked, or with its length announced."""
    headers = {"Content-Type": "application/json"} | ({"Content-Length": str(bytes)} if announced else {})
    return Reply(_padding(bytes), 200, headers)


@rest_answer
def rest_error(call: RestCall, error: str = "EGeneral:Too many requests") -> Reply | None:
    """An error inside HTTP 200."""
    return json_reply({"error": [error]})


@rest_answer
def rest_refuse(call: RestCall) -> Reply | None:
    """The connection is closed without an answer."""
    raise HangUp


@rest_trade
def rest_stale(tape: Tape, pair: str, price: str | None = None) -> Trade | None:
    """REST shows an older trade of the pair, with that price text if given."""
    if tape.pair.name != pair:
        return None
    old = tape.older()
    return (
        old if price is None else Trade(old.pair, price, old.volume, old.side, old.micros, old.trade_id, True)
    )


@hidden_from_rest
def unknown_pair(asked: str, pair: str) -> bool:
    """REST does not know the pair: a whole Ticker request with it fails."""
    return asked == pair


def _page(status: int, headers: Mapping[str, str]) -> Reply:
    body = b"<!DOCTYPE html><html><head><title>api.kraken.com</title></head><body>cloudflare</body></html>"
    return Reply(body, status, {"Content-Type": "text/html; charset=UTF-8", **headers})


def _drip(interval: float, length: int) -> Iterator[bytes]:
    text = b'{"error":[],"result":{' + b" " * length
    for position in range(length):
        yield text[position : position + 1]
        _never.wait(interval)


def _padding(length: int) -> Iterator[bytes]:
    opening = b'{"error":[],"result":{"padding":"'
    yield opening[:length]
    left = length - len(opening)
    while left > 0:
        yield b"x" * min(left, 65536)
        left -= 65536


CATALOGUE = Catalogue(QUESTIONS)
KNOWN = CATALOGUE.known


class Faults(Switches):
    """Kraken's faults that are on."""

    def __init__(self) -> None:
        super().__init__(CATALOGUE)

    def switch(self, name: str, on: bool, arguments: Arguments, exchange: Switchable) -> None:
        """Raises ValueError naming an unknown fault or argument."""
        self.turn(name, on, arguments)
        if name in when_switched.functions:
            when_switched.functions[name](exchange, on, **(arguments if on else {}))

    def clear(self, exchange: Switchable) -> None:
        for name in self.names():
            self.switch(name, False, {}, exchange)

    def ask_rest(self, call: RestCall) -> Reply | None:
        """The first faulty answer to a REST call; `only` in a fault's arguments limits it to one method."""
        return self.first(rest_answer, call, only=call.method)

    def let_pass(self, frame: Outgoing) -> bool:
        return self.all(passes, frame)
