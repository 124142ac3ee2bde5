"""Faults of REST."""

import threading
from collections.abc import Iterator

from ltp_service.simulator.market import KrakenTape, Trade
from ltp_service.simulator.questions import (
    Caching,
    RestCall,
    rest_answer,
    rest_caching,
    rest_name,
    rest_trade,
)
from ltp_service.simulator.switches import KRAKEN, SPOT
from ltp_service.simulator.wire import HangUp, Reply, error_page, json_reply

_never = threading.Event()


@rest_answer(KRAKEN)
def rest_status(
    call: RestCall,
    status: int = 500,
    retry_after: int | None = None,
    location: str | None = None,
    as_date: bool = False,
) -> Reply | None:
    """An HTTP status with an HTML page, or a redirect; `retry_after` seconds, told as a date with `as_date`."""
    page = error_page(status, retry_after, as_date=as_date)
    return page if location is None else Reply(page.body, status, {**page.headers, "Location": location})


@rest_answer(KRAKEN)
def rest_html(call: RestCall, status: int = 200) -> Reply | None:
    """Cloudflare's page in place of JSON."""
    return error_page(status)


@rest_answer(KRAKEN)
def rest_garbage(
    call: RestCall, body: str = "7b226572726f72223a5b5d2c22726573756c74223a7b22ff"
) -> Reply | None:
    """Bytes (`body` in hex) that are called JSON and are not."""
    return Reply(bytes.fromhex(body), 200, {"Content-Type": "application/json"})


@rest_answer()
def rest_slow(call: RestCall, seconds: float = 10.0) -> Reply | None:
    """The right answer, late."""
    _never.wait(seconds)
    return None


@rest_answer(KRAKEN)
def rest_drip(call: RestCall, interval: float = 0.2, length: int = 100_000) -> Reply | None:
    """One byte per interval."""
    return Reply(
        _drip(interval, length), 200, {"Content-Type": "application/json", "Content-Length": str(length)}
    )


@rest_answer(KRAKEN)
def rest_huge(
    call: RestCall,
    bytes: int = 209_715_200,  # noqa: A002 - the name is the switch's argument
    announced: bool = False,
) -> Reply | None:
    """A very long JSON body, chunked, or with its length announced."""
    headers = {"Content-Type": "application/json"} | ({"Content-Length": str(bytes)} if announced else {})
    return Reply(_padding(bytes), 200, headers)


@rest_answer(KRAKEN)
def rest_error(call: RestCall, error: str = "EGeneral:Too many requests") -> Reply | None:
    """An error inside HTTP 200, such as EGeneral:Temporary lockout or EAPI:Rate limit exceeded."""
    return json_reply({"error": [error]})


@rest_answer(KRAKEN)
def rest_refuse(call: RestCall) -> Reply | None:
    """The connection is closed without an answer."""
    raise HangUp


@rest_answer(SPOT)
def snapshot_status(call: RestCall, status: int = 429, retry_after: int | None = None) -> Reply | None:
    """REST answers with that HTTP status."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return json_reply({"code": -1003, "msg": "Too many requests."}, status, headers)


@rest_caching(KRAKEN)
def rest_cached(call: RestCall, seconds: float = 2.0, edges: int = 1) -> Caching:
    """The same question gets the same answer for so long, from so many caches in turn, each as old as it likes."""
    return Caching(seconds, edges)


@rest_trade(KRAKEN)
def rest_stale(tape: KrakenTape, pair: str, price: str | None = None) -> Trade | None:
    """REST shows an older trade of the pair, with that price text if given."""
    if tape.pair.name != pair:
        return None
    old = tape.older()
    return (
        old if price is None else Trade(old.pair, price, old.volume, old.side, old.micros, old.trade_id, True)
    )


@rest_name(KRAKEN)
def renamed(asked: str, pair: str, altname: str) -> str | None:
    """AssetPairs has another altname for the pair, and REST does not know the old one any more."""
    return altname if asked == pair else None


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
