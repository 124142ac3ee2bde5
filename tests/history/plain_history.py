"""A history in memory that is simple enough to be right: what was recorded, and nothing derived from it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from ltp_service.domain.pairs import Pair
from ltp_service.history.rows import Around, Candle, Coverage, News, Observation, RecordedTrade, Run, Written
from tests.fakes import NOON
from tests.history.plain import candle_of

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
T0 = (int(NOON) - int(NOON) % 86_400) * SECOND
"""The midnight before the fake clock's beginning."""


def trade(trade_id: int, traded_at: int, price: str = "100.10", quantity: str = "2.50") -> RecordedTrade:
    return RecordedTrade(trade_id, traded_at, Decimal(price), Decimal(quantity), "buy")


@dataclass
class PlainHistory:
    """Of one pair, of one series of ids."""

    recorded: list[RecordedTrade] = field(default_factory=list)
    evidence_until: int | None = None
    kept_from: int | None = None
    observation: Observation | None = None
    failure: Exception | None = None
    """What every question raises."""

    def tape(self) -> list[RecordedTrade]:
        if self.failure:
            raise self.failure
        return sorted(self.recorded, key=lambda each: (each.traded_at, each.trade_id))

    def kept(self) -> list[RecordedTrade]:
        return [each for each in self.tape() if each.traded_at >= (self.kept_from or 0)]

    def coverage(self, pair: Pair) -> Coverage:
        tape = self.tape()
        cuts = [place for place, (a, b) in enumerate(pairwise(tape), 1) if b.trade_id != a.trade_id + 1]
        parts = [tape[a:b] for a, b in pairwise([0, *cuts, len(tape)])] if tape else []
        runs = [Run(0, p[0].trade_id, p[-1].trade_id, p[0].traded_at, p[-1].traded_at) for p in parts]
        return Coverage(tuple(runs), self.evidence_until, self.kept_from)

    def around(self, pair: Pair, moment: int) -> Around:
        before = [each for each in self.kept() if each.traded_at <= moment]
        after = [each for each in self.kept() if each.traded_at > moment]
        seen = self.observation
        return Around(
            before[-1] if before else None,
            after[0] if after else None,
            self.coverage(pair),
            seen if seen and seen.observed_at <= moment else None,
        )

    def trades(self, pair: Pair, start: int, end: int, limit: int) -> list[RecordedTrade]:
        return [each for each in self.kept() if start <= each.traded_at < end][:limit]

    def trades_after(self, pair: Pair, trade_id: int, end: int, limit: int) -> list[RecordedTrade]:
        return [each for each in self.kept() if each.trade_id > trade_id and each.traded_at < end][:limit]

    def candles(self, pair: Pair, minutes: int, start: int, end: int) -> list[Candle]:
        length = minutes * MINUTE
        parts: dict[int, list[RecordedTrade]] = {}
        for each in self.tape():
            parts.setdefault(each.traded_at // length * length, []).append(each)
        return [candle_of(part, begin) for begin, part in parts.items() if start <= begin < end]

    def write(self, news: Sequence[News]) -> Written:
        raise NotImplementedError

    def prune(self, before: int) -> int:
        raise NotImplementedError

    def origin(self) -> object:
        return self

    def size(self) -> int:
        return 0

    def close(self) -> None:
        pass
