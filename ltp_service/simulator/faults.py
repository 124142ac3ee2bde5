"""The faults: one function each. Its name is its switch on the command line and in the control door.

Those of single frames are in frame_faults, those of REST in rest_faults; here are the connection's and the market's."""

from typing import Any

from ltp_service.simulator import frame_faults, rest_faults
from ltp_service.simulator.connection import Connection
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.kraken import Kraken
from ltp_service.simulator.later import start_timer
from ltp_service.simulator.market import KrakenTape, Trade
from ltp_service.simulator.questions import (
    Ignored,
    Refused,
    adds_block,
    at_handshake,
    data_first,
    handshake_headers,
    hides,
    hides_pong,
    most_symbols,
    sends_trade_snapshot,
    snapshot_trade,
    subscription_delay,
    when_batched,
    when_opened,
    when_subscribing,
)
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.switches import KNOWN, KRAKEN, SPOT, when_switched
from ltp_service.simulator.wire import HangUp, Reply, Request, error_page, json_reply

_RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message in error."
)


@at_handshake(KRAKEN)
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


@at_handshake(SPOT)
def restricted(request: Request, status: int = 451, retry_after: int | None = None) -> Reply:
    """WebSocket handshakes and REST calls are answered with HTTP 451 (or `status`)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return json_reply({"code": 0, "msg": _RESTRICTED}, status, headers)


@handshake_headers(KRAKEN)
def cookies(request: Request, header: str = "__cf@bm=abc; path=/") -> list[tuple[str, str]]:
    """The handshake's answer has that Set-Cookie header."""
    return [("Set-Cookie", header)]


@when_opened()
def cut_after(
    connection: Connection[Any], seconds: float = 1.0, how: str = "abrupt", code: int = 1001
) -> None:
    """Drops each new connection after that time."""
    start_timer(seconds, lambda: connection.cut(how, code))


@when_opened(KRAKEN)
def pings_only(connection: Connection[Any], interval: float = 0.05, after: float = 0.0) -> None:
    """Each new connection, after that time, has the protocol's pings and nothing else."""
    start_timer(after, lambda: connection.only_ping(interval))


@when_opened(KRAKEN)
def drip_frame(
    connection: Connection[Any], interval: float = 0.05, length: int = 60_000, after: float = 0.0
) -> None:
    """Each new connection, after that time, has one text frame of that length, a byte per interval."""
    start_timer(after, lambda: connection.drip(interval, length))


@when_switched()
def freeze(exchange: Exchange[Any], on: bool) -> None:
    """Stops reading from and writing to WebSocket connections, new ones included; TCP stays open."""
    exchange.set_frozen(on)


@when_switched(KRAKEN)
def status(exchange: Kraken, on: bool, system: str = "maintenance") -> None:
    """The engine's state, pushed at once; online again when switched off."""
    exchange.set_system(system if on else "online")


@when_switched(KRAKEN)
def odd_status(exchange: Kraken, on: bool, system: str | None = None) -> None:
    """One status frame without the engine's state, or with that word; the true state is another and stays."""
    if on:
        exchange.say_status(system)


@when_switched(KRAKEN)
def pair_status(exchange: Kraken, on: bool, pair: str, status: str = "cancel_only") -> None:
    """The pair's own state in v2's instrument channel, pushed at once, and in AssetPairs (delisted: it is not there,
    and refused everywhere); online again when switched off with the pair."""
    exchange.set_pair_status(pair, status if on else None)


@when_switched()
def sequence_gap(exchange: Spot | Kraken, on: bool, pair: str = "BTCUSDT") -> None:
    """The next book update of the pair gets lost; once per switching on."""
    if on:
        exchange.skip_update(pair)


@when_switched(SPOT)
def server_shutdown(exchange: Spot, on: bool) -> None:
    """Binance announces its shutdown on every connection, and Bitstamp asks to reconnect; the others know no such message."""
    if on:
        exchange.announce_shutdown()


@when_subscribing(KRAKEN)
def no_ack(asked: str, pair: str | None = None, with_data: bool = False) -> Ignored | None:
    """The subscription (of one pair, or any) gets lost."""
    return Ignored(with_data) if pair in (None, asked) else None


@when_subscribing(KRAKEN)
def refuse_pair(asked: str, pair: str, error: str | None = None) -> Refused | None:
    """The subscription of that pair is refused, its neighbours are not."""
    return Refused(error) if asked == pair else None


@when_batched(KRAKEN)
def refuse_batch(symbols: int, most: int = 1, error: str = "Malformed request") -> str | None:
    """A subscription of more than so many symbols is refused as a whole, in an error that names none of them."""
    return error if symbols > most else None


@most_symbols(KRAKEN)
def symbol_limit(channel: str, most: int = 100) -> int:
    """A connection may have so many symbols of each channel, and each further one is refused. Kraken documents no such
    limit."""
    return most


@subscription_delay()
def late_ack(exchange: str, seconds: float = 5.0) -> float:
    """Acknowledgements and what follows them come that much later."""
    return seconds


@data_first(SPOT)
def data_before_ack(exchange: str, seconds: float = 1.0) -> float:
    """The acknowledgement follows the first data, or comes after `seconds` without any."""
    return seconds


@hides()
def unlisted(asked: str, pair: str) -> bool:
    """REST refuses the pair (Kraken with all others of the request), Bybit, Coinbase and Bitstamp too, and Binance takes it
    in silence."""
    return asked == pair


@hides_pong(SPOT)
def ignore_pings(exchange: str) -> bool:
    """Bybit's op ping and Bitstamp's heartbeat are never answered."""
    return True


@adds_block(SPOT)
def block_trades(asked: str, pair: str | None = None) -> bool:
    """After each trade event of Bybit's comes a block trade (BT) at ten times the price."""
    return pair in (None, asked)


@sends_trade_snapshot(KRAKEN)
def trade_snapshot(channel: str) -> bool:
    """v1 sends the last 50 trades on subscription, as its documentation says and no recording shows."""
    return True


@snapshot_trade(KRAKEN)
def old_snapshot(tape: KrakenTape) -> Trade | None:
    """The first ticker after a subscription shows an older trade."""
    return tape.older()


PARTS = (frame_faults, rest_faults)
"""Imported for the faults that they declare."""

TABLE = KNOWN
"""All faults, by name."""


def described() -> str:
    """Each fault with the exchanges that have it, its own arguments and what it does."""
    lines = []
    for name, fault in sorted(TABLE.items()):
        where = {None: "all", KRAKEN: "Kraken", SPOT: "all but Kraken"}[fault.family]
        what = " ".join((fault.function.__doc__ or "").split())
        lines.append(f"  {name} ({', '.join(fault.own())}), {where}\n    {what}")
    return "\n".join(lines)
