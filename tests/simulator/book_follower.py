"""A client that follows an order book of Kraken's as its guide says: over texts, with the checksum of each update."""

import json
from decimal import Decimal
from typing import Any

from tests.exchanges.kraken_book_market import DEPTH, Half, checksum
from tests.simulator.clients import Client, is_data

PAIR = "ETH/USD"


class Follower:
    """What a client makes of the frames."""

    def __init__(self, client: Client, *, is_v2: bool) -> None:
        self.client, self.is_v2 = client, is_v2
        self.bids: Half = {}
        self.asks: Half = {}
        self.updates = 0

    def subscribe(self) -> None:
        if self.is_v2:
            self.client.subscribe_v2(PAIR, channel="book", depth=10)
        else:
            book = {"name": "book", "depth": 10}
            self.client.send({"event": "subscribe", "pair": [PAIR], "subscription": book})

    def read(self) -> bool:
        """Takes the next frame of the book; whether its checksum is right."""
        if self.is_v2:
            while not (text := self.client.text()).startswith('{"channel":"book"'):
                pass
            return self._take_v2(text)
        frame = self.client.find(is_data("book-10"))
        halves = frame[1:-2]
        if "as" in halves[0]:
            self.asks = {row[0]: row[1] for row in halves[0]["as"]}
            self.bids = {row[0]: row[1] for row in halves[0]["bs"]}
            return True
        for half in halves:
            self._apply(half.get("b", []), half.get("a", []))
        return self._is(int(halves[-1]["c"]))

    def _take_v2(self, text: str) -> bool:
        # The digits as sent, which a float would lose.
        (told,) = json.loads(text, parse_float=str, parse_int=str)["data"]
        rows = [[(level["price"], level["qty"]) for level in told[side]] for side in ("bids", "asks")]
        if '"type":"snapshot"' in text:
            self.bids, self.asks = dict(rows[0]), dict(rows[1])
        else:
            self._apply(*rows)
        return self._is(int(told["checksum"]))

    def _apply(self, bids: Any, asks: Any) -> None:
        self.updates += 1
        for half, rows in ((self.bids, bids), (self.asks, asks)):
            for price, size, *_ in rows:
                half[price] = size
        self.bids, self.asks = best(self.bids, highest_first=True), best(self.asks, highest_first=False)

    def _is(self, told: int) -> bool:
        return checksum(self.bids, self.asks) == told


def best(half: Half, *, highest_first: bool) -> Half:
    held = [(price, size) for price, size in half.items() if Decimal(size)]
    return dict(sorted(held, key=lambda level: Decimal(level[0]), reverse=highest_first)[:DEPTH])
