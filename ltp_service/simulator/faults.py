"""Kraken's faults: one function each. Its name is its switch on the command line and in the control door.

Those of single frames are in frame_faults, those of REST in rest_faults; here are the connection's and the market's."""

import threading
from collections.abc import Callable
from typing import Protocol

from ltp_service.simulator import frame_faults, rest_faults
from ltp_service.simulator.market import Tape, Trade
from ltp_service.simulator.questions import (
    ALL,
    Caching,
    Ignored,
    Outgoing,
    Refused,
    RestCall,
    at_handshake,
    handshake_headers,
    passes,
    rest_answer,
    rest_caching,
    rewrites,
    sends_trade_snapshot,
    snapshot_trade,
    subscription_delay,
    when_opened,
    when_subscribing,
    when_switched,
)
from ltp_service.simulator.switches import Arguments, Catalogue, Switches
from ltp_service.simulator.wire import HangUp, Reply, Request, error_page


class Breakable(Protocol):
    """A WebSocket connection, as far as faults touch it."""

    def cut(self, how: str = "abrupt", code: int = 1000) -> None: ...

    def only_ping(self, interval: float) -> None: ...

    def drip(self, interval: float, length: int) -> None: ...


class Switchable(Protocol):
    """The exchange, as far as faults touch it."""

    def set_system(self, system: str) -> None: ...

    def say_status(self, system: str | None) -> None: ...

    def set_pair_status(self, pair: str, status: str | None) -> None: ...

    def set_frozen(self, frozen: bool) -> None: ...


@at_handshake
def refuse(
    request: Request,
    status: int | None = None,
    retry_after: int | None = None,
    as_date: bool = False,
    short_body: bool = False,
) -> Reply:
    """Closes each new connection, or answers its handshake with an HTTP status, and `retry_after` seconds
    (as a date with `as_date`); with `short_body` the body ends before its announced length."""
    if status is None:
        raise HangUp
    page = error_page(status, retry_after, as_date=as_date)
    if not short_body:
        return page
    assert isinstance(page.body, bytes)
    return Reply([page.body], status, {**page.headers, "Content-Length": str(len(page.body) + 100)})


@handshake_headers
def cookies(request: Request, header: str = "__cf@bm=abc; path=/") -> list[tuple[str, str]]:
    """The handshake's answer has that Set-Cookie header."""
    return [("Set-Cookie", header)]


@when_opened
def cut_after(connection: Breakable, seconds: float = 1.0, how: str = "abrupt", code: int = 1001) -> None:
    """Drops each new connection after that time."""
    _later(seconds, lambda: connection.cut(how, code))


@when_opened
def pings_only(connection: Breakable, interval: float = 0.05, after: float = 0.0) -> None:
    """Each new connection, after that time, has the protocol's pings and nothing else."""
    _later(after, lambda: connection.only_ping(interval))


@when_opened
def drip_frame(
    connection: Breakable, interval: float = 0.05, length: int = 60_000, after: float = 0.0
) -> None:
    """Each new connection, after that time, has one text frame of that length, a byte per interval."""
    _later(after, lambda: connection.drip(interval, length))


@when_switched
def freeze(exchange: Switchable, on: bool) -> None:
    """Stops reading from and writing to WebSocket connections, new ones included; TCP stays open."""
    exchange.set_frozen(on)


@when_switched
def status(exchange: Switchable, on: bool, system: str = "maintenance") -> None:
    """The engine's state, pushed at once; online again when switched off."""
    exchange.set_system(system if on else "online")


@when_switched
def odd_status(exchange: Switchable, on: bool, system: str | None = None) -> None:
    """One status frame without the engine's state, or with that word; the true state is another and stays."""
    if on:
        exchange.say_status(system)


@when_switched
def pair_status(exchange: Switchable, on: bool, pair: str, status: str = "cancel_only") -> None:
    """The pair's own state in v2's instrument channel, pushed at once, and in AssetPairs (delisted: it is not there,
    and refused everywhere); online again when switched off with the pair."""
    exchange.set_pair_status(pair, status if on else None)


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


def _later(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


PARTS = (frame_faults, rest_faults)
"""Imported for the faults that they declare."""
CATALOGUE = Catalogue(ALL)
KNOWN = CATALOGUE.known


class Faults(Switches):
    """Kraken's faults that are on."""

    def __init__(self) -> None:
        super().__init__(CATALOGUE)

    def switch(self, name: str, on: bool, arguments: Arguments, exchange: Switchable) -> None:
        """Raises ValueError naming an unknown fault or argument."""
        ended = self.turn(name, on, arguments)
        if name not in when_switched.functions:
            return
        for its in [arguments] if on else ended:
            when_switched.functions[name](exchange, on, **its)

    def clear(self, exchange: Switchable) -> None:
        for name in self.names():
            self.switch(name, False, {}, exchange)

    def ask_rest(self, call: RestCall) -> Reply | None:
        """The first faulty answer to a REST call; `only` in a fault's arguments limits it to one method."""
        return self.first(rest_answer, call, only=call.method)

    def rest_cache(self, call: RestCall) -> Caching | None:
        return self.first(rest_caching, call, only=call.method)

    def let_pass(self, frame: Outgoing) -> bool:
        return self.all(passes, frame)

    def rewritten(self, frame: Outgoing) -> Outgoing:
        return self.fold(rewrites, frame)
