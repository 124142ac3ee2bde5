"""A million trades of seven pairs, made up, and a flood of new ones on the wire."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from benchmarks.beats import frame
from benchmarks.crowd import PAIRS
from benchmarks.pace import sleep_until
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.history.rows import RecordedTrade
from tests.simulator.client import Simulator

AT_ONCE = 10_000
"""Trades of one transaction, as the writer has them at most."""

APART = 900_000
"""Microseconds between two trades of a pair, in the middle."""

ROWS = 10
"""Trades of one frame."""

BATCHES = 40
"""Of frames, each second."""

_OPENING = ("115643.1", "99420.1", "91850.4", "159937.7", "4215.33", "112.48", "2.81733")


class Past:
    """Trades that were made until an hour ago."""

    def __init__(self, count: int) -> None:
        """`count` over all pairs, about."""
        self.each = -(-count // len(PAIRS))
        """Trades of a pair; their ids are from 1 to that."""
        self.end = round(time.time() - 3_600) * 1_000_000
        """Unix microseconds."""
        self.begin = self.end - self.each * APART

    @property
    def count(self) -> int:
        """Trades of all pairs."""
        return self.each * len(PAIRS)

    def batches(self) -> Iterator[tuple[Pair, tuple[RecordedTrade, ...]]]:
        """All of them; the pairs take turns, as they do on the wire."""
        made = [self._trades(number) for number in range(len(PAIRS))]
        pairs = [read_pair(name) for name in PAIRS]
        for parts in zip(*(_batched(each, AT_ONCE // len(PAIRS)) for each in made), strict=True):
            yield from zip(pairs, parts, strict=True)

    def moment(self, chance: Random) -> int:
        """Any of the time in which all pairs were traded, whatever their pauses came to."""
        return chance.randrange(self.begin + 2 * APART, self.end - (self.end - self.begin) // 20)

    def _trades(self, number: int) -> Iterator[RecordedTrade]:
        chance, price = Random(number), Decimal(_OPENING[number])
        step = Decimal(1).scaleb(price.as_tuple().exponent)  # type: ignore[arg-type]  # a number, of a finite one
        moment = self.begin
        for trade_id in range(1, self.each + 1):
            price += step * chance.choice((0, 0, 1, -1, 4, -4))
            moment += chance.randrange(2 * APART)
            quantity = Decimal(chance.randrange(1, 10 ** chance.randrange(4, 10))).scaleb(-8)
            yield RecordedTrade(
                trade_id, min(moment, self.end), price, quantity, chance.choice(("buy", "sell"))
            )


def _batched(trades: Iterator[RecordedTrade], size: int) -> Iterator[tuple[RecordedTrade, ...]]:
    part: list[RecordedTrade] = []
    for trade in trades:
        part.append(trade)
        if len(part) == size:
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)


class Flood:
    """New trades of all pairs at their present prices, told by the trade channel with consecutive ids."""

    def __init__(self, exchange: Simulator) -> None:
        market = exchange.market(*PAIRS)
        self._exchange = exchange
        self._prices = {pair: market[pair]["price"] for pair in PAIRS}
        self._numbers = {pair: int(market[pair]["trade_id"]) for pair in PAIRS}
        self.before = dict(self._numbers)
        """The id of each pair's last trade before it."""

    @property
    def last(self) -> Mapping[str, int]:
        """The id of each pair's last trade."""
        return self._numbers

    def run(self, rate: int, seconds: int) -> int:
        """`rate` trades per second, evenly; returns how many were sent."""
        of_pair = rate // BATCHES // len(PAIRS)
        begun, sent = time.monotonic(), 0
        for number in range(seconds * BATCHES):
            sleep_until(begun + number / BATCHES)
            stamp = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")[:26] + "Z"
            parts = [self._frames(pair, of_pair, stamp) for pair in PAIRS]
            self._exchange.send_bytes(b"".join(parts))
            sent += of_pair * len(PAIRS)
        return sent

    def _frames(self, pair: str, count: int, stamp: str) -> bytes:
        first = self._numbers[pair] + 1
        self._numbers[pair] += count
        rows = [
            f'{{"symbol":"{pair}","side":"buy","price":{self._prices[pair]},"qty":0.0{trade_id % 9_000 + 1_000},'
            f'"ord_type":"limit","trade_id":{trade_id},"timestamp":"{stamp}"}}'
            for trade_id in range(first, first + count)
        ]
        starts = range(0, len(rows), ROWS)
        texts = (",".join(rows[start : start + ROWS]) for start in starts)
        return b"".join(frame(f'{{"channel":"trade","type":"update","data":[{text}]}}') for text in texts)
