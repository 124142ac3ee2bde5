"""A market whose pairs all trade at the same moment: the stream has one frame to send to each client then."""

import random
import struct
import time
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from benchmarks.crowd import PAIRS
from benchmarks.pace import sleep_until
from tests.simulator.client import Simulator

PER_SECOND = 4
LEAD = 0.15
"""Seconds before their moment in which the trades are put on the exchange's tape, on no wire yet."""

_FIRST = ("115643.1", "99420.1", "91850.4", "159937.7", "4215.33", "112.48", "2.81733")
_CYCLE = 1000


class Beats:
    """The trades go out in one piece, so that the service reads them together."""

    def __init__(self, exchange: Simulator) -> None:
        self._exchange = exchange
        self._numbers = count()

    def run(self, seconds: float) -> int:
        """Four times a second for so long; returns how many times."""
        begun = time.monotonic() + LEAD
        times = round(seconds * PER_SECOND)
        for number in range(times):
            self.beat(begun + number / PER_SECOND)
        return times

    def scatter(self, times: int, mean: float) -> None:
        """So many times, out of step with everything that happens at intervals."""
        due = time.monotonic() + LEAD
        for _ in range(times):
            self.beat(due)
            due += random.uniform(0.5, 1.5) * mean

    def beat(self, due: float) -> None:
        """One trade of each pair at that monotonic moment."""
        due = max(due, time.monotonic() + LEAD)
        sleep_until(due - LEAD)
        at, number = time.time() + due - time.monotonic(), next(self._numbers)
        trades = [
            self._exchange.trade(pair, _price(first, number), time=at, silent=True)
            for pair, first in zip(PAIRS, _FIRST, strict=True)
        ]
        frames = b"".join(frame(text) for trade in trades for text in _texts(trade))
        sleep_until(due)
        self._exchange.send_bytes(frames)


def _price(first: str, number: int) -> str:
    """One that differs from the one before by some of the last digit, and does not end in zero."""
    step = Decimal(1).scaleb(Decimal(first).as_tuple().exponent)  # type: ignore[arg-type]  # a number, of a finite one
    price = Decimal(first) + step * 2 * (number % _CYCLE)
    return str(price + step if str(price).endswith("0") else price)


def _texts(trade: dict[str, Any]) -> tuple[str, str]:
    """Kraken v2's messages about it."""
    symbol, price, trade_id = trade["pair"], trade["price"], trade["trade_id"]
    stamp = datetime.fromtimestamp(trade["time"], UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    traded = (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"buy","price":{price},'
        f'"qty":0.51230000,"ord_type":"limit","trade_id":{trade_id},"timestamp":"{stamp}"}}]}}'
    )
    told = (
        f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{price},"bid_qty":1.5,'
        f'"ask":{price},"ask_qty":1.5,"last":{price},"volume":1234.5,"vwap":{price},"low":{price},"high":{price},'
        f'"change":0.1,"change_pct":0.01,"timestamp":"{stamp}"}}]}}'
    )
    return traded, told


def frame(text: str) -> bytes:
    """A WebSocket message of a server."""
    content = text.encode()
    size = bytes([len(content)]) if len(content) < 126 else struct.pack("!BH", 126, len(content))
    return b"\x81" + size + content
