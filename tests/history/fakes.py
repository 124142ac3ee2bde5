"""Stand-ins for the history's store and lock, and trades to be recorded."""

from collections.abc import Sequence
from decimal import Decimal

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET, Price, Source, Tick
from ltp_service.domain.trade import Trade
from ltp_service.history.evidence import View
from ltp_service.history.rows import Around, Candle, Coverage, News, Observation, RecordedTrade, Run, Written
from tests.fakes import BTC, NOON

AHEAD = NOON - 1000.0
"""Seconds that the exchange's clock is ahead of the fake monotonic one."""

BEGINNING = round(NOON * 1e6)
"""NOON in microseconds."""


def trade(trade_id: int, at: float = 0.0, pair: Pair = BTC, price: str = "100.10") -> Trade:
    """One made so many seconds after NOON."""
    return Trade(
        "kraken", str(pair), "buy", Decimal(price), Decimal("0.5"), NOON + at, str(trade_id), NOON, ""
    )


def price(  # noqa: PLR0913 - whatever a test has to say of it
    trade_id: int | None = 1,
    at: float | None = 0.0,
    *,
    pair: Pair = BTC,
    source: Source = WEBSOCKET,
    received_at: float = 1000.0,
    happened_at: float | None = None,
    confirmed_at: float = 1000.0,
    confirmed_by: Source | None = None,
    amount: str = "100.10",
) -> Price:
    """What the price store holds of a trade made so many seconds after NOON."""
    traded_at = None if at is None else NOON + at
    happened = happened_at if at is None or happened_at else 1000.0 + at
    tick = Tick(pair, amount, Decimal(amount), source, traded_at, trade_id, received_at, happened)
    return Price(tick, confirmed_at, confirmed_by or source, traded_at or 0.0, trade_id)


def view(
    now: float = 1000.0,
    *prices: Price,
    since: float | None = 1000.0,
    doubted: Sequence[Pair] = (),
    ahead: float | None = AHEAD,
) -> View:
    """`since` when the subscription of BTC tells trades."""
    told_since = {} if since is None else {BTC: since}
    return View(now, ahead, {each.tick.pair: each for each in prices}, told_since, frozenset(doubted))


class FakeStore:
    """Keeps what was written in lists. `problem` makes it fail."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.writes: list[int] = []
        """Trades of each transaction."""
        self.ids: dict[Pair, set[int]] = {}
        self.moments: dict[tuple[Pair, int], int] = {}
        self.contradicting: set[int] = set()
        """Ids of trades that contradict what is recorded."""
        self.pruned: list[int] = []
        self.to_prune = 0
        self.problem: Exception | None = None
        self.closed = 0

    def write(self, news: Sequence[News]) -> Written:
        self._fail()
        self.news += news
        self.writes.append(sum(len(each.trades) for each in news))
        new = 0
        refused = []
        for each in news:
            known = self.ids.setdefault(each.pair, set())
            refused += [(each.pair, told) for told in each.trades if told.trade_id in self.contradicting]
            self.moments.update({(each.pair, told.trade_id): told.traded_at for told in each.trades})
            fresh = {told.trade_id for told in each.trades} - known - self.contradicting
            known |= fresh
            new += len(fresh)
        return Written(new, tuple(refused))

    def prune(self, before: int) -> int:
        self._fail()
        self.pruned.append(before)
        step = min(self.to_prune, 5000)
        self.to_prune -= step
        return step

    def origin(self) -> object:
        return self

    def size(self) -> int:
        self._fail()
        return 4096

    def close(self) -> None:
        self.closed += 1

    def around(self, pair: Pair, moment: int) -> Around:
        raise NotImplementedError

    def coverage(self, pair: Pair) -> Coverage:
        """Of runs of consecutive ids."""
        ids = sorted(self.ids.get(pair, ()))
        firsts = [each for each in ids if each - 1 not in self.ids[pair]]
        lasts = [each for each in ids if each + 1 not in self.ids[pair]]
        runs = [
            Run(0, *ends, *(self.moments[pair, each] for each in ends))
            for ends in zip(firsts, lasts, strict=True)
        ]
        return Coverage(tuple(runs), None, None)

    def trades(self, pair: Pair, start: int, end: int, limit: int) -> list[RecordedTrade]:
        raise NotImplementedError

    def trades_after(self, pair: Pair, trade_id: int, end: int, limit: int) -> list[RecordedTrade]:
        raise NotImplementedError

    def candles(self, pair: Pair, minutes: int, start: int, end: int) -> list[Candle]:
        raise NotImplementedError

    def evidence(self) -> list[tuple[int | None, int | None]]:
        """Until when and of which trade, as it was written."""
        return [(each.evidence_until, each.evidence_for) for each in self.news if each.evidence_until]

    def observations(self) -> list[Observation]:
        return [each.observation for each in self.news if each.observation]

    def _fail(self) -> None:
        if self.problem is not None:
            raise self.problem


class FakeLock:
    """Free unless another process has it."""

    def __init__(self) -> None:
        self.is_free = True
        self.is_held = False
        self.file: object = 1
        """What lies at the history's place."""

    def take(self) -> bool:
        self.is_held = self.is_free
        return self.is_held

    def release(self) -> None:
        self.is_held = False

    def place(self) -> object:
        return self.file


FULL_DISK = StoreUnavailable("the history's file has no room")
