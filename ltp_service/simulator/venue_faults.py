"""The faults of Bybit and Binance: one function each, as Kraken's. `exchange` limits any of them to one venue."""

import re
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from ltp_service.simulator.switches import Arguments, Catalogue, Question, Switches
from ltp_service.simulator.wire import Reply, Request, json_reply

SHARED = ("exchange",)

_never = threading.Event()
_MILLISECONDS = re.compile(r'(?<="[TE]":)\d{13}(?!\d)|(?<="ts":)\d{13}(?!\d)|(?<="cts":)\d{13}(?!\d)')
_RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message in error."
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream of a symbol by its name on the wire; one that does not exist never has data."""

    name: str
    channel: str
    symbol: str
    exists: bool = True

    @property
    def is_book(self) -> bool:
        return self.channel.startswith(("depth", "orderbook"))


@dataclass(frozen=True, slots=True)
class Numbered:
    """The trade event of that number, counted from 1 over all symbols of the venue."""

    number: int
    topic: Topic


class Cuttable(Protocol):
    """A WebSocket connection, as far as these faults touch it."""

    def cut(self, how: str = "abrupt", code: int = 1000) -> None: ...


class Switchable(Protocol):
    """A venue, as far as these faults touch it."""

    @property
    def name(self) -> str: ...

    def set_frozen(self, frozen: bool) -> None: ...

    def skip_update(self, symbol: str) -> None: ...

    def announce_shutdown(self) -> None: ...


at_handshake: Question[Reply] = Question(shared=SHARED)
when_opened: Question[None] = Question(shared=SHARED)
ack_delay: Question[float] = Question(shared=SHARED)
data_first: Question[float] = Question(shared=SHARED)
stream_passes: Question[bool] = Question(shared=SHARED)
hides_symbol: Question[bool] = Question(shared=SHARED)
hides_pong: Question[bool] = Question(shared=SHARED)
adds_block: Question[bool] = Question(shared=SHARED)
texts: Question[list[str]] = Question(shared=SHARED)
loses: Question[bool] = Question(shared=SHARED)
trade_copies: Question[int] = Question(shared=SHARED)
trade_delay: Question[float] = Question(shared=SHARED)
rest_answer: Question[Reply | None] = Question(shared=SHARED)
when_switched: Question[None] = Question(subjects=2, shared=SHARED)

QUESTIONS: tuple[Question[Any], ...] = (
    at_handshake,
    when_opened,
    ack_delay,
    data_first,
    stream_passes,
    hides_symbol,
    hides_pong,
    adds_block,
    texts,
    loses,
    trade_copies,
    trade_delay,
    rest_answer,
    when_switched,
)


@at_handshake
def restricted(request: Request, status: int = 451, retry_after: int | None = None) -> Reply:
    """WebSocket handshakes and REST calls are answered with HTTP 451 (or `status`)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return json_reply({"code": 0, "msg": _RESTRICTED}, status, headers)


@when_opened
def close_after(connection: Cuttable, seconds: float = 1.0, how: str = "clean", code: int = 1001) -> None:
    """Each new connection ends after that time, as after 24 hours."""
    timer = threading.Timer(seconds, connection.cut, (how, code))
    timer.daemon = True
    timer.start()


@ack_delay
def late_ack(asked: str, seconds: float = 5.0) -> float:
    """Acknowledgements and what follows them come that much later."""
    return seconds


@data_first
def data_before_ack(asked: str, seconds: float = 1.0) -> float:
    """The acknowledgement follows the first data, or comes after `seconds` without any."""
    return seconds


@stream_passes
def silent_stream(topic: Topic, symbol: str | None = None, channel: str | None = None) -> bool:
    """The streams of that symbol (of that channel) are acknowledged and stay silent; without either, all are."""
    return symbol not in (None, topic.symbol) or channel not in (None, topic.channel)


@stream_passes
def deaf_book(topic: Topic, symbol: str | None = None) -> bool:
    """The book (of the symbol) is acknowledged and has no updates; its trades and the other books go on."""
    return not topic.is_book or symbol not in (None, topic.symbol)


@texts
def null_trade(messages: list[str], symbol: str | None = None) -> list[str]:
    """After each good trade (of the symbol) comes a row (Bybit) or a message (Binance) whose id is null."""
    named = r"\w+" if symbol is None else symbol
    row = re.compile(r'\{"i":"\d+"([^{}]*"s":"' + named + r'"[^{}]*\})')
    with_rows = [row.sub(r'\g<0>,{"i":null\1', text) for text in messages]
    event = re.compile(r'("e":"trade"[^{}]*"s":"' + named + r'"[^{}]*"t":)\d+')
    return [
        each
        for text in with_rows
        for each in ([text, event.sub(r"\1null", text)] if event.search(text) else [text])
    ]


@texts
def microseconds(messages: list[str]) -> list[str]:
    """Times are in microseconds, as Binance sends them to those who ask for it."""
    return [_MILLISECONDS.sub(r"\g<0>000", text) for text in messages]


@loses
def lost_trades(event: Numbered, every: int = 3, symbol: str | None = None) -> bool:
    """Every so many trade events get lost on their way: their ids are missing."""
    return event.number % every == 0 and symbol in (None, event.topic.symbol)


@hides_symbol
def unlisted(asked: str, symbol: str) -> bool:
    """The venue does not know the symbol: Bybit refuses it, Binance takes it in silence and REST refuses it."""
    return asked == symbol


@hides_pong
def ignore_pings(asked: str) -> bool:
    """Bybit's op ping is never answered."""
    return True


@adds_block
def block_trades(topic: Topic, symbol: str | None = None) -> bool:
    """After each trade event of Bybit's comes a block trade (BT) at ten times the price."""
    return symbol in (None, topic.symbol)


@trade_copies
def duplicate_trades(topic: Topic, copies: int = 1) -> int:
    """Each trade message comes again that many times."""
    return copies


@trade_delay
def disorder_trades(topic: Topic, seconds: float = 0.05) -> float:
    """Every second trade event comes that much later, after younger ones."""
    return seconds


@rest_answer
def snapshot_status(path: str, status: int = 429, retry_after: int | None = None) -> Reply | None:
    """REST answers with that HTTP status."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return json_reply({"code": -1003, "msg": "Too many requests."}, status, headers)


@rest_answer
def late_snapshot(path: str, seconds: float = 1.0) -> Reply | None:
    """REST answers rightly, that much later."""
    _never.wait(seconds)
    return None


@when_switched
def stall(venue: Switchable, on: bool) -> None:
    """Stops reading from and writing to the connections; TCP stays open."""
    venue.set_frozen(on)


@when_switched
def sequence_gap(venue: Switchable, on: bool, symbol: str = "BTCUSDT") -> None:
    """The next book update of the symbol gets lost; once per switching on."""
    if on:
        venue.skip_update(symbol)


@when_switched
def server_shutdown(venue: Switchable, on: bool) -> None:
    """Binance announces its shutdown on every connection; Bybit knows no such message."""
    if on:
        venue.announce_shutdown()


CATALOGUE = Catalogue(QUESTIONS)
KNOWN = CATALOGUE.known


class VenueFaults(Switches):
    """The faults of one venue that are on."""

    def __init__(self, venue: str) -> None:
        super().__init__(CATALOGUE)
        self._venue = venue

    def switch(self, name: str, on: bool, arguments: Arguments, venue: Switchable) -> None:
        """Does nothing when the arguments name another exchange. Raises ValueError naming what is unknown."""
        CATALOGUE.check(name, arguments, on)
        if arguments.get("exchange") not in (None, self._venue):
            return
        own = {key: value for key, value in arguments.items() if key not in SHARED}
        self.turn(name, on, own)
        if name in when_switched.functions:
            when_switched.functions[name](venue, on, **(own if on else {}))

    def clear(self, venue: Switchable) -> None:
        for name in self.names():
            self.switch(name, False, {}, venue)

    def at_the_door(self, request: Request) -> Reply | None:
        return self.first(at_handshake, request)

    def ask_rest(self, request: Request) -> Reply | None:
        return self.at_the_door(request) or self.first(rest_answer, request.path)
