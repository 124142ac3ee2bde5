"""Kraken's order books a second time, as simply as can be: whole books as texts, what is told of them, and a connection
that tells it."""

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from ltp_service.domain.errors import Unreachable
from tests.fakes import NOON, FakeClock

DEPTH = 10

Half = dict[str, str]
"""Size by price, both as Kraken writes them."""

V1_NAMES = {"BTC/USD": "XBT/USD", "ADA/BTC": "ADA/XBT"}


STATUS_V2 = '{"channel":"status","type":"update","data":[{"system":"online"}]}'
STATUS_V1 = '{"connectionID":1,"event":"systemStatus","status":"online","version":"1.9.1"}'


@dataclass
class Side:
    """All levels of one side, by price in ticks."""

    sign: int
    decimals: int
    levels: dict[int, str] = field(default_factory=dict)

    def top(self) -> Half:
        """The best ten, best first."""
        best = sorted(self.levels, key=lambda ticks: ticks * self.sign)[:DEPTH]
        return {self.price(ticks): self.levels[ticks] for ticks in best}

    def price(self, ticks: int) -> str:
        digits = f"{ticks:0{self.decimals + 1}d}"
        return f"{digits[: -self.decimals]}.{digits[-self.decimals :]}"


@dataclass
class Update:
    """What one change of a book tells: new sizes by price, and those that only come back into the depth."""

    symbol: str
    bids: Half
    asks: Half
    checksum: int
    again: set[str] = field(default_factory=set)


class ReferenceBook:
    """One pair's whole book, which wanders."""

    def __init__(self, symbol: str, middle: int, decimals: int, dice: random.Random) -> None:
        self.symbol, self._middle, self._dice = symbol, middle, dice
        self.bids, self.asks = Side(-1, decimals), Side(1, decimals)
        for step in range(1, 16):
            self.bids.levels[middle - step], self.asks.levels[middle + step] = self._size(), self._size()

    def top(self) -> tuple[Half, Half]:
        return self.bids.top(), self.asks.top()

    def checksum(self) -> int:
        bids, asks = self.top()
        return checksum(bids, asks)

    def change(self) -> Update:
        """The next change, as an exchange tells it: a level that is pushed out of the depth is not mentioned."""
        before = self.top()
        self._wander()
        sides: list[Half] = []
        again: set[str] = set()
        for side, old in zip((self.bids, self.asks), before, strict=True):
            new = side.top()
            held = {side.price(ticks) for ticks in side.levels}
            told = {price: size for price, size in new.items() if old.get(price) != size}
            told |= {price: "0.00000000" for price in old if price not in held}
            again |= {price for price in told if price in held and price not in old}
            sides.append(told)
        return Update(self.symbol, sides[0], sides[1], self.checksum(), again)

    def _wander(self) -> None:
        dice = self._dice
        self._middle = max(40, self._middle + dice.choice((-1, 0, 1)))
        for side in (self.bids, self.asks):
            for _ in range(dice.randint(0, 2)):
                ticks = self._middle + side.sign * dice.randint(1, 25)
                if dice.random() < 0.4:
                    side.levels.pop(ticks, None)
                else:
                    side.levels[ticks] = self._size()
            for ticks in [each for each in side.levels if (each - self._middle) * side.sign <= 0]:
                del side.levels[ticks]  # the market has matched it

    def _size(self) -> str:
        units = f"{self._dice.randint(1, 10**9):09d}"
        return f"{units[:-8]}.{units[-8:]}"


def checksum(bids: Half, asks: Half) -> int:
    """As Kraken's guide describes it, over texts."""
    texts = [part for half in (asks, bids) for level in half.items() for part in level]
    return zlib.crc32("".join(text.replace(".", "").lstrip("0") for text in texts).encode())


# The words of both protocols.


def v2_snapshot(symbol: str, bids: Half, asks: Half, told: int | None) -> str:
    return _v2("snapshot", symbol, bids, asks, told, None)


def v2_update(update: Update, at: float | None = None) -> str:
    """`at`: unix seconds, told where they are given."""
    return _v2("update", update.symbol, update.bids, update.asks, update.checksum, at)


def _v2(kind: str, symbol: str, bids: Half, asks: Half, told: int | None, at: float | None) -> str:
    def rows(half: Half) -> str:
        return ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in half.items())

    stamp = "" if at is None else f',"timestamp":"{datetime.fromtimestamp(at, UTC).isoformat()}"'
    checked = "" if told is None else f',"checksum":{told}'
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{rows(bids)}],"asks":[{rows(asks)}]'
        f"{checked}{stamp}}}]}}"
    )


def v1_snapshot(symbol: str, bids: Half, asks: Half, _: int | None) -> str:
    payload = {"as": _v1_rows(asks, set(), NOON), "bs": _v1_rows(bids, set(), NOON)}
    return json.dumps([336, payload, "book-10", V1_NAMES[symbol]])


def v1_update(update: Update, at: float = NOON) -> str:
    """With two payloads where both sides change; `at` in unix seconds."""
    halves = {"a": update.asks, "b": update.bids}
    payloads: list[dict[str, object]] = [
        {name: _v1_rows(half, update.again, at)} for name, half in halves.items() if half
    ] or [{"b": []}]
    payloads[-1]["c"] = str(update.checksum)
    return json.dumps([336, *payloads, "book-10", V1_NAMES[update.symbol]])


def _v1_rows(half: Half, again: set[str], at: float) -> list[list[str]]:
    """A level that comes back has an old time."""
    return [
        [price, size, f"{NOON - 999:.6f}", "r"] if price in again else [price, size, f"{at:.6f}"]
        for price, size in half.items()
    ]


class Line:
    """A connection of Kraken's that answers subscriptions and tells changes, some of which it loses or spoils.

    `seen` is called before each read with what has just been done: a symbol of which something was told that does not
    fit, or None."""

    def __init__(self, clock: FakeClock, is_v2: bool, updates: int, seed: int) -> None:
        self._clock, self._is_v2 = clock, is_v2
        self._dice = random.Random(seed)
        self._left = updates
        self.books = {
            "BTC/USD": ReferenceBook("BTC/USD", 271_200, 1, self._dice),
            "ADA/BTC": ReferenceBook("ADA/BTC", 712, 8, self._dice),
        }
        self._subscribed: set[str] = set()
        self._waiting: list[tuple[str, str]] = [("", STATUS_V2 if is_v2 else STATUS_V1)]
        self.told: dict[str, tuple[Half, Half]] = {}
        """The exchange's best levels as of the last message that arrived, by symbol."""
        self.spoilt: set[str] = set()
        """Of which the last message did not fit, or could not be read."""
        self.lost = self.bad = self.subscriptions = 0
        self.look: Callable[[], None] = lambda: None

    def send(self, text: str) -> None:
        request = json.loads(text)
        if self._is_v2:
            verb, names = request["method"], request["params"]["symbol"]
        else:
            verb, names = request["event"], request["pair"]
        for name in names:
            symbol = next(each for each in self.books if name in {each, V1_NAMES[each]})
            if verb == "unsubscribe":
                self._subscribed.discard(symbol)
                self._waiting.append(("", self._answer(verb, symbol)))
            else:
                self.subscriptions += 1
                self._waiting += [("", self._answer(verb, symbol)), (symbol, "")]

    def _answer(self, verb: str, symbol: str) -> str:
        if self._is_v2:
            result = {"channel": "book", "depth": DEPTH, "symbol": symbol}
            return json.dumps({"method": verb, "result": result, "success": True})
        told = {"depth": DEPTH, "name": "book"}
        event = {"event": "subscriptionStatus", "pair": V1_NAMES[symbol], "subscription": told}
        return json.dumps(event | {"channelName": "book-10", "status": f"{verb}d"})

    def receive(self, _: int) -> list[str]:
        self.look()
        self._clock.advance(1.0)
        if self._waiting:
            symbol, text = self._waiting.pop(0)
            return [text or self._snapshot(symbol)]
        if not self._left:
            raise Unreachable("all is told", reason="closed")
        self._left -= 1
        book = self._dice.choice(list(self.books.values()))
        update = book.change()
        if book.symbol not in self._subscribed:
            return []
        return self._tell(book, update)

    def _snapshot(self, symbol: str) -> str:
        book = self.books[symbol]
        self._subscribed.add(symbol)
        self.told[symbol] = book.top()
        self.spoilt.discard(symbol)
        write = v2_snapshot if self._is_v2 else v1_snapshot
        return write(symbol, *book.top(), book.checksum())

    def _tell(self, book: ReferenceBook, update: Update) -> list[str]:
        chance = self._dice.random()
        if chance < 0.004:
            self.lost += 1
            return []
        self.told[book.symbol] = book.top()
        write = v2_update if self._is_v2 else v1_update
        if chance < 0.006:
            self.bad += 1
            self.spoilt.add(book.symbol)
            update.checksum ^= 1
        text = write(update, self._clock.wall())
        if chance > 0.998:
            self.bad += 1
            self.spoilt.add(book.symbol)
            return [text[:-5]]
        return [text]

    def close(self) -> None: ...
    def abandon(self) -> None: ...


def numbers(half: Half) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in half.items()]
