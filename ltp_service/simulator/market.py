"""Pairs and their trades from a seed: what really happened, whatever the dialects and faults make of it."""

import random
import re
import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import islice, product, takewhile
from typing import Generic, Literal, TypedDict, TypeVar, Unpack

from ltp_service.simulator.order_book import OrderBook

Side = Literal["buy", "sell"]

KRAKEN_HISTORY = 20_000
SPOT_HISTORY = 1000
STATISTICS_DECIMALS = 8

_OLD_CODES = {"BTC": "XBT", "DOGE": "XDG"}
_X_ASSETS = {"XBT", "XDG", "ETH", "ETC", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC"}
_Z_ASSETS = {"USD", "EUR", "GBP", "JPY", "CAD", "AUD"}

# Only these pairs carry the X and Z letters in their REST key (AssetPairs answer of 2021-04-17); all later ones do not.
_LETTERED_PAIRS = frozenset(
    """
    USDT/USD ETC/ETH ETC/XBT ETC/EUR ETC/USD ETH/XBT ETH/CAD ETH/EUR ETH/GBP ETH/JPY ETH/USD LTC/XBT LTC/EUR LTC/JPY
    LTC/USD MLN/ETH MLN/XBT MLN/EUR MLN/USD REP/ETH REP/XBT REP/EUR REP/USD XBT/CAD XBT/EUR XBT/GBP XBT/JPY XBT/USD
    XDG/XBT XLM/XBT XLM/AUD XLM/EUR XLM/GBP XLM/USD XMR/XBT XMR/EUR XMR/USD XRP/XBT XRP/CAD XRP/EUR XRP/JPY XRP/USD
    ZEC/XBT ZEC/EUR ZEC/USD EUR/USD GBP/USD USD/CAD USD/JPY
    """.split()
)

UNIT_DECIMALS = 6
KRAKEN_LEVELS = 100  # of each side of an order book
_LISTED = re.compile(r"([A-Z0-9]{2,12}?)(USDT|USDC|FDUSD|USD|EUR|TRY|BRL|BTC|ETH|BNB|DAI)")
_NEVER_LISTED = "NOPE"
_PULL = 0.02  # back to the start price, so that exchanges do not drift apart

_PLAUSIBLE_PRICE = re.compile(r"\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?")


def old_name(name: str) -> str:
    """XBT/USD of BTC/USD: the name in v1."""
    return "/".join(_OLD_CODES.get(code, code) for code in name.split("/"))


def _asset_key(code: str) -> str:
    if code in _X_ASSETS:
        return f"X{code}"
    return f"Z{code}" if code in _Z_ASSETS else code


@dataclass(frozen=True)
class Pair:
    """A market and its spellings. `decimals` is what v2 prints, `padded_decimals` what Kraken's v1 and REST print."""

    base: str
    quote: str
    decimals: int
    padded_decimals: int
    start: str
    separator: str = "/"

    @cached_property
    def name(self) -> str:
        return f"{self.base}{self.separator}{self.quote}"

    @cached_property
    def wsname(self) -> str:
        return old_name(self.name)

    @cached_property
    def altname(self) -> str:
        return self.wsname.replace("/", "")

    @cached_property
    def asset_keys(self) -> tuple[str, str]:
        base, quote = self.wsname.split("/")
        return _asset_key(base), _asset_key(quote)

    @cached_property
    def rest_key(self) -> str:
        return "".join(self.asset_keys) if self.wsname in _LETTERED_PAIRS else self.altname

    @cached_property
    def increment(self) -> Decimal:
        return Decimal(1).scaleb(-self.decimals)

    def ticks(self, price: str) -> int:
        """How many of the smallest steps a price has; what is less than one is left out."""
        return int(Decimal(price).scaleb(self.decimals))

    def price(self, ticks: int) -> str:
        """So many of the smallest steps, with every decimal."""
        whole, rest = divmod(ticks, 10**self.decimals)
        return f"{whole}.{rest:0{self.decimals}d}"


def _pair(line: str) -> Pair:
    name, decimals, padded, start = line.split()
    base, quote = name.split("/")
    return Pair(base, quote, int(decimals), int(padded), start)


STANDARD_PAIRS = tuple(
    _pair(line)
    for line in """
    BTC/USD 1 5 115643.0
    BTC/EUR 1 5 99420.1
    BTC/CHF 1 5 91850.4
    BTC/CAD 1 5 159937.7
    ETH/USD 2 5 4215.33
    LTC/USD 2 5 112.48
    XRP/USD 5 5 2.81733
    BTC/USDT 1 5 115630.2
    DOGE/USD 7 7 0.2391840
    ADA/BTC 8 9 0.00000712
    ETH/BTC 5 6 0.03645
    WAVES/EUR 4 6 13.2539
    XMR/USD 2 8 355.23
    KSM/BTC 6 8 0.007588
    GRT/ETH 7 9 0.0008398
    SC/EUR 5 6 0.04303
    ETH/CHF 2 5 2171.56
    OCEAN/BTC 8 9 0.00003010
    OMG/USD 6 6 9.501234
    """.strip().splitlines()
)


def arbitrary_pair(name: str, seed: int) -> Pair:
    """A pair that is not in the list: price between 1 and 1000 from the seed, 4 decimals.

    Raises ValueError for a name that is not BASE/QUOTE."""
    if not re.fullmatch(r"[A-Za-z0-9]+/[A-Z0-9]+", name):
        raise ValueError(f"{name!r} is not a pair: write BASE/QUOTE, such as SOL/USD")
    base, quote = name.split("/")
    price = random.Random(f"{seed} {name}").uniform(1, 1000)
    return Pair(base, quote, 4, 5, f"{price:.4f}")


def invented_pairs(count: int, seed: int) -> Iterator[Pair]:
    """So many pairs of currencies that do not exist: PAAA/USD, PAAA/EUR, PAAB/USD, …"""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    bases = (f"P{''.join(code)}" for code in product(letters, repeat=3))
    names = (f"{base}/{quote}" for base in bases for quote in ("USD", "EUR"))
    return (arbitrary_pair(name, seed) for name in islice(names, max(0, count)))


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade; `micros` is its time in microseconds since 1970. `verbatim`: print the price text as it stands.

    Not on Kraken: those of one match event share the `sequence`, and a `block` was arranged off the book."""

    pair: Pair
    price: str
    volume: str
    side: Side
    micros: int
    trade_id: int
    verbatim: bool = False
    sequence: int = 0
    block: bool = False

    @property
    def millis(self) -> int:
        return self.micros // 1000

    @property
    def padded_price(self) -> str:
        """The price as v1 and REST print it."""
        if self.verbatim:
            return self.price
        return f"{Decimal(self.price):.{self.pair.padded_decimals}f}"

    @property
    def seconds(self) -> float:
        return self.micros / 1_000_000

    @property
    def order_type(self) -> Literal["market", "limit"]:
        return "market" if self.trade_id % 2 else "limit"


@dataclass(frozen=True, slots=True)
class Ticker:
    """What a ticker frame tells about a pair: the last trade, the quote around it, 24 hours."""

    last: Trade
    bid: Decimal
    ask: Decimal
    bid_volume: Decimal
    ask_volume: Decimal
    volume: Decimal
    turnover: Decimal
    low: Decimal
    high: Decimal
    opening: Decimal
    count: int

    @property
    def pair(self) -> Pair:
        return self.last.pair

    @property
    def average(self) -> Decimal:
        return self.turnover / self.volume


class TradeDetails(TypedDict, total=False):
    """What may be said about a new trade beside pair and price; None is as good as nothing."""

    volume: str | None
    side: Side | None
    micros: int | None
    trade_id: int | None
    verbatim: bool
    block: bool


def plain(value: Decimal, at_least: int) -> str:
    """Plain notation with that many decimals, or as many as the value has (30 at most)."""
    exponent = value.as_tuple().exponent
    own = -exponent if isinstance(exponent, int) else 0
    return f"{value:.{max(at_least, min(own, 30))}f}"


def is_plausible(price: str) -> bool:
    """True for text that can be a price: finite, positive, not absurdly long."""
    return bool(_PLAUSIBLE_PRICE.fullmatch(price)) and Decimal(price) > 0


class Tape(ABC):
    """The trades of one pair, newest last. Not thread safe."""

    def __init__(self, pair: Pair, next_id: int, history: int, sequence: int = 0) -> None:
        self.pair = pair
        self.next_id = next_id
        self.sequence = sequence
        self.trades: deque[Trade] = deque(maxlen=history)

    @abstractmethod
    def add(self, trades: Sequence[Trade]) -> None:
        """Takes the trades of one match event."""

    @abstractmethod
    def earliest(self) -> int:
        """The first moment that a new trade may have."""


class KrakenTape(Tape):
    """In order of time, with the 24 hour figures; there is always a trade."""

    def __init__(self, first: Trade, choice: random.Random) -> None:
        super().__init__(first.pair, first.trade_id + 1, KRAKEN_HISTORY)
        self.trades.append(first)
        self.ids = Identifiers()
        self.ids.add(first.trade_id, first.trade_id)
        price = Decimal(first.price)
        self._low = self._high = self._opening = price
        self._count = choice.randint(200, 40_000)
        self._volume = Decimal(choice.randint(10**9, 10**12)).scaleb(-STATISTICS_DECIMALS)
        self._turnover = self._volume * price
        self._bid_volume = Decimal(choice.randint(10**5, 10**10)).scaleb(-STATISTICS_DECIMALS)
        self._ask_volume = Decimal(choice.randint(10**5, 10**10)).scaleb(-STATISTICS_DECIMALS)

    @property
    def last(self) -> Trade:
        return self.trades[-1]

    @cached_property
    def book(self) -> OrderBook:
        """Around the last price."""
        return self._book_at(self.pair.ticks(self.last.price))

    def requote(self) -> bool:
        """Moves the book to where the last trade was, if it left the spread. Whether it had to."""
        ticks = self.pair.ticks(self.last.price)
        left = not self.book.bids.best() <= ticks <= self.book.asks.best()
        if left:
            self.book = self._book_at(ticks)
        return left

    def _book_at(self, ticks: int) -> OrderBook:
        # Its own choice: who asks for books must not change what is traded.
        choice = random.Random(f"book of {self.pair.name} at {ticks}")
        return OrderBook(max(ticks, 3), choice, KRAKEN_LEVELS, reach=8)

    def earliest(self) -> int:
        return self.last.micros + 1

    def since(self, seconds: float) -> list[Trade]:
        """The trades after that time."""
        return list(reversed(list(takewhile(lambda trade: trade.seconds > seconds, reversed(self.trades)))))

    def add(self, trades: Sequence[Trade]) -> None:
        """Takes those that can be one and are not older than the last."""
        for trade in trades:
            if is_plausible(trade.price) and trade.micros >= self.last.micros:
                self._add(trade)

    def _add(self, trade: Trade) -> None:
        price = Decimal(trade.price)
        volume = Decimal(trade.volume)
        self.trades.append(trade)
        self.ids.add(trade.trade_id, trade.trade_id)
        self.next_id = max(self.next_id, trade.trade_id + 1)
        self._low, self._high = min(self._low, price), max(self._high, price)
        self._count += 1
        self._volume += volume
        self._turnover += volume * price

    def ticker(self, last: Trade | None = None) -> Ticker:
        """The state after `last` (else after the last trade): a buy prints at the ask, a sell at the bid."""
        trade = last or self.last
        quoted = trade if is_plausible(trade.price) else self.last
        price = Decimal(quoted.price)
        step = min(self.pair.increment, price / 2)
        bid, ask = (price - step, price) if quoted.side == "buy" else (price, price + step)
        return Ticker(
            trade,
            bid,
            ask,
            self._bid_volume,
            self._ask_volume,
            self._volume,
            self._turnover,
            self._low,
            self._high,
            self._opening,
            self._count,
        )

    def older(self) -> Trade:
        """A trade from before the last one: the oldest of the history, or one made up a minute before the first."""
        if len(self.trades) > 1:
            return self.trades[0]
        last = self.last
        price = f"{Decimal(last.price) * Decimal('0.99'):.{self.pair.decimals}f}"
        return Trade(self.pair, price, last.volume, last.side, last.micros - 60_000_000, last.trade_id - 1)


class Identifiers:
    """A set of whole numbers that mostly follow each other."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []

    def add(self, first: int, last: int) -> None:
        """All from first to last; numbers that are there already are no news."""
        if self._ranges and first == self._ranges[-1][1] + 1:
            self._ranges[-1][1] = last
            return
        for number in range(first, last + 1):
            position = bisect_right(self._ranges, number, key=lambda each: each[0])
            if not position or self._ranges[position - 1][1] < number:
                self._ranges.insert(position, [number, number])

    def ranges(self) -> list[list[int]]:
        """[first, last] of each run, in order."""
        return [list(each) for each in self._ranges]


class SpotTape(Tape):
    """With the ids of all trades that happened, and the order book."""

    def __init__(self, pair: Pair, first_id: int, choice: random.Random) -> None:
        next_id = first_id + choice.randint(10**9, 2 * 10**9)
        super().__init__(pair, next_id, SPOT_HISTORY, sequence=choice.randint(10**11, 2 * 10**11))
        self._last_micros = 0
        self.update_id: int | None = None
        self.ids = Identifiers()
        self.block_ids = Identifiers()
        self._start = self._ticks = int(Decimal(pair.start).scaleb(pair.decimals))
        self._choice = choice
        self._book_seed = choice.getrandbits(32)

    @cached_property
    def book(self) -> OrderBook:
        return OrderBook(self._start, random.Random(self._book_seed))

    def add(self, trades: Sequence[Trade]) -> None:
        last = trades[-1]
        self.next_id = max(self.next_id, last.trade_id + 1)
        self.sequence = max(self.sequence, last.sequence)
        self.trades.extend(trades)
        (self.block_ids if last.block else self.ids).add(trades[0].trade_id, last.trade_id)
        if last.block:
            return
        self._last_micros = max(self._last_micros, last.micros)
        if is_plausible(last.price):
            self._ticks = max(1, int(Decimal(last.price).scaleb(self.pair.decimals)))

    def earliest(self) -> int:
        return self._last_micros

    def last(self, now: int) -> Trade:
        """The last trade; before the first one at the start price is made up, a minute old."""
        if not self.trades:
            price, moment = self.pair.price(self._start), now - 60_000_000
            self.add([Trade(self.pair, price, "0.01", "buy", moment, self.next_id, sequence=self.sequence)])
        return self.trades[-1]

    def event(self, now: int, count: int) -> list[Trade]:
        """The next match event, of `count` trades at one price of the walk; not yet on the tape."""
        side: Side = "buy" if self._choice.random() < 0.5 else "sell"
        price = self._walk(side)
        sequence = self.sequence + self._choice.randint(1, 30)
        micros = max(now, self.earliest())
        volumes = [f"{self._choice.random() + 0.0001:.5f}" for _ in range(count)]
        return [
            Trade(self.pair, price, volume, side, micros, number, sequence=sequence)
            for number, volume in enumerate(volumes, self.next_id)
        ]

    def block(self, now: int) -> Trade:
        """A block trade at ten times the price; not yet on the tape."""
        price = self.pair.price(self._ticks * 10)
        return Trade(self.pair, price, "25", "buy", now, self.next_id, sequence=self.sequence, block=True)

    def _walk(self, side: Side) -> str:
        move = self._choice.uniform(0, 0.0004) * (1 if side == "buy" else -1)
        pull = (self._start - self._ticks) * _PULL
        return self.pair.price(max(1, round(self._ticks * (1 + move) + pull)))


AnyTape = TypeVar("AnyTape", bound=Tape)


class Market(Generic[AnyTape]):
    """All tapes of an exchange, by the names of their pairs. The same seed gives the same market. Not thread safe."""

    resolution = 1
    """Microseconds that a clock of the exchange shows as one."""

    def __init__(self, seed: int, clock: Callable[[], float]) -> None:
        self.tapes: dict[str, AnyTape] = {}
        self._seed = seed
        self._clock = clock
        self._choice = random.Random(seed)

    def now(self) -> int:
        """Microseconds since 1970."""
        return int(self._clock() * 1_000_000) // self.resolution * self.resolution

    def millis(self) -> int:
        return self.now() // 1000

    def find(self, name: str) -> AnyTape | None:
        return self.tapes.get(name)

    def pair(self, name: str) -> Pair | None:
        tape = self.find(name)
        return tape.pair if tape else None

    def trade(self, pair: Pair, price: str, **given: Unpack[TradeDetails]) -> Trade:
        """A new trade of the pair, not yet on its tape; what is not given is made up, the time is now."""
        tape = self.tapes[pair.name]
        micros, trade_id = given.get("micros"), given.get("trade_id")
        return Trade(
            pair,
            price,
            given.get("volume") or self._volume(),
            given.get("side") or self._side(),
            max(self.now(), tape.earliest())
            if micros is None
            else micros // self.resolution * self.resolution,
            tape.next_id if trade_id is None else trade_id,
            given.get("verbatim", True),
            tape.sequence + 1,
            given.get("block", False),
        )

    def _volume(self) -> str:
        return f"{self._choice.uniform(0.0001, 2):.8f}"

    def _side(self) -> Side:
        return self._choice.choice(("buy", "sell"))


class KrakenMarket(Market[KrakenTape]):
    """The pairs that it is made with, by names such as BTC/USD."""

    def __init__(self, pairs: Iterable[Pair], seed: int, clock: Callable[[], float] = time.time) -> None:
        super().__init__(seed, clock)
        self._spellings: dict[str, Pair] = {}
        self._by_wsname: dict[str, Pair] = {}
        for pair in pairs:
            if pair.name not in self.tapes:
                self._list(pair)
        self._names = list(self.tapes)

    def _list(self, pair: Pair) -> None:
        age = self._choice.uniform(3, 180)
        trade_id = self._choice.randint(100_000, 150_000_000)
        first = Trade(pair, pair.start, self._volume(), "buy", self.now() - int(age * 1_000_000), trade_id)
        self.tapes[pair.name] = KrakenTape(first, self._choice)
        self._by_wsname[pair.wsname] = pair
        for spelling in (pair.altname, pair.rest_key, pair.name):
            self._spellings[spelling] = pair

    def pair_by_wsname(self, wsname: str) -> Pair | None:
        """By the name of v1, XBT/USD."""
        return self._by_wsname.get(wsname)

    def pair_by_rest_name(self, name: str) -> Pair | None:
        """By what REST takes: XBTUSD, XXBTZUSD, BTC/USD, but not XBT/USD."""
        return self._spellings.get(name)

    def restart(self, pair: Pair, micros: int) -> None:
        """Forgets the pair's trades but one at its start price, at that time."""
        first = Trade(pair, pair.start, self._volume(), "buy", micros, self.tapes[pair.name].next_id)
        self.tapes[pair.name] = KrakenTape(first, self._choice)

    def walk(self) -> list[Trade]:
        """The next event of the price walk: one to three trades of one pair by one taker, not yet on the tape."""
        tape = self.tapes[self._choice.choice(self._names)]
        side = self._side()
        count = self._choice.choice((1, 1, 1, 1, 2, 3))
        price = Decimal(tape.last.price)
        trades: list[Trade] = []
        for number in range(count):
            price = self._next_price(tape.pair, price, side)
            trade = self.trade(
                tape.pair, f"{price:f}", side=side, trade_id=tape.next_id + number, verbatim=False
            )
            trades.append(trade)
        return trades

    def _next_price(self, pair: Pair, price: Decimal, side: Side) -> Decimal:
        move = Decimal(self._choice.uniform(0, 0.0004)) * (1 if side == "buy" else -1)
        target = (price * (1 + move)).quantize(pair.increment)
        return max(target, pair.increment)


_SPOT_STARTS = {
    pair.name.replace("/", ""): (pair.decimals, int(Decimal(pair.start).scaleb(pair.decimals)))
    for pair in STANDARD_PAIRS
} | {"BTCUSDT": (1, 1156302), "ETHUSDT": (2, 421533), "SOLUSDT": (2, 18742)}
"""By name: decimals, and the price at the beginning in the smallest steps."""


class SpotMarket(Market[SpotTape]):
    """By names such as BTCUSDT. A well-formed one is listed when it is first asked for; one that begins with NOPE never
    is."""

    resolution = 1000

    def __init__(
        self,
        exchange: str,
        seed: int,
        first_id: int = 0,
        clock: Callable[[], float] = time.time,
        listed: Iterable[str] = ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    ) -> None:
        """Trade ids begin above `first_id`. `listed`: the pairs that its walk begins with."""
        super().__init__(seed, clock)
        self.exchange = exchange
        self._first_id = first_id
        for name in listed:
            self.find(name)

    def find(self, name: str) -> SpotTape | None:
        if name in self.tapes:
            return self.tapes[name]
        parts = _LISTED.fullmatch(name)
        if parts is None or name.startswith(_NEVER_LISTED):
            return None
        choice = random.Random(f"{self._seed} {self.exchange} {name}")
        decimals, start = _SPOT_STARTS.get(name, (4, choice.randint(10_000, 10_000_000)))
        price = f"{Decimal(start).scaleb(-decimals):f}"
        pair = Pair(parts[1], parts[2], decimals, decimals, price, separator="")
        self.tapes[name] = SpotTape(pair, self._first_id, choice)
        return self.tapes[name]

    def _volume(self) -> str:
        return "0.01"

    def _side(self) -> Side:
        return "buy"
