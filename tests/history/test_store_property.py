"""Whatever is told, in whatever order: a history says the same as a plain list of trades, and proves nothing that is false."""

from collections.abc import Callable, Iterator
from decimal import Context
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltp_service.domain.trade import Side
from ltp_service.history.answers import Gap, Window
from ltp_service.history.candles import longer
from ltp_service.history.contract import CANDLE_MINUTES
from ltp_service.history.coverage import SLACK, is_covered, proof
from ltp_service.history.export import every_row
from ltp_service.history.questions import ask_trades
from ltp_service.history.rows import Coverage, News, RecordedTrade
from ltp_service.history.store import SqlHistory
from ltp_service.history.tapes import SAME_MOMENT
from tests.deadline import IN_FULL
from tests.history.databases import NewDatabase
from tests.history.plain import (
    MINUTE,
    NOON,
    PAIR,
    SECOND,
    candles_of,
    first_after,
    last_until,
    runs_of,
    trade,
)

EVER = 2**62
HIGH_IDS = 2_000
"""The first series has ids from here, the second one below."""

PAUSES = (0, 0, 1, 900, SECOND, 20 * SECOND, 3 * MINUTE, 70 * MINUTE, 26 * 60 * MINUTE)
"""Microseconds between two trades."""

DIGITS = ("115643.00000", "0.00000012", "123456789.123456789", "1", "1.50", "9" * 30 + "." + "1" * 10)


_WIDE = Context(prec=100)


class World:
    """What was traded, what was told of it, and what a history should hold of that."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.traded = self._series(HIGH_IDS + chance.randrange(1_000), NOON)
        self.second_from = len(self.traded)
        if chance.random() < 0.5:
            self.traded += self._series(chance.randrange(1, 5), self.traded[-1].traded_at + 3 * SECOND)
        self.passed = 0
        """How many trades the feed has told or lost."""
        self.told: set[int] = set()
        """Places in `traded`, without those that came after they would have been pruned."""
        self.kept_from: int | None = None

    def _series(self, first: int, start: int) -> list[RecordedTrade]:
        made, moment = [], start
        for trade_id in range(first, first + self.chance.randrange(1, 50)):
            moment += self.chance.choice(PAUSES)
            price, quantity = self.chance.choices(DIGITS, k=2)
            side: Side = "buy" if self.chance.random() < 0.5 else "sell"
            made.append(trade(trade_id, 0, price, quantity, side)._replace(traded_at=moment))
        return made

    @property
    def ever(self) -> list[RecordedTrade]:
        """All that was recorded."""
        return [self.traded[place] for place in sorted(self.told)]

    @property
    def kept(self) -> list[RecordedTrade]:
        """Without what was pruned."""
        return [each for each in self.ever if each.traded_at >= (self.kept_from or 0)]

    def news(self) -> Iterator[News]:
        """Live trades, some of which are lost; old ones, known or not; evidence."""
        while self.passed < len(self.traded) or self.chance.random() < 0.8:
            is_live = self.passed < len(self.traded) and self.chance.random() < 0.6
            told = list(self._live() if is_live else self._old())
            self.chance.shuffle(told)
            known = list(self._told_again())
            for place in told:
                if self.traded[place].traded_at >= (self.kept_from or 0):
                    self.told.add(place)
            yield News(PAIR, (*(self.traded[place] for place in told), *known), *self._evidence())

    def _live(self) -> Iterator[int]:
        """The first trade of a series is not lost: a later one might have an id that continues the former series."""
        start, self.passed = self.passed, min(len(self.traded), self.passed + self.chance.randrange(1, 12))
        loss = self.chance.choice((0.0, 0.4))
        for place in range(start, self.passed):
            if place in {0, self.second_from} or self.chance.random() >= loss:
                yield place

    def _old(self) -> list[int]:
        return self.chance.sample(range(self.passed), self.chance.randrange(self.passed + 1))

    def _told_again(self) -> Iterator[RecordedTrade]:
        """Known trades with other digits, and a time that is rounded otherwise."""
        for place in self.chance.sample(sorted(self.told), min(len(self.told), self.chance.randrange(4))):
            known = self.traded[place]
            shift = self.chance.choice((0, 1, -1, SAME_MOMENT, -SAME_MOMENT))
            price = known.price.normalize(_WIDE)
            yield known._replace(traded_at=known.traded_at + shift, price=price, side="buy")

    def _evidence(self) -> tuple[int | None, int | None]:
        """Of the newest trade, and true; or of an older one."""
        if not self.told or self.chance.random() < 0.4:
            return None, None
        newest = max(self.told)
        until = self.traded[newest].traded_at + self.chance.choice(PAUSES)
        if self.chance.random() < 0.2:
            return until + self.chance.choice(PAUSES), self.traded[newest].trade_id - 1
        if newest + 1 < len(self.traded):
            until = min(until, self.traded[newest + 1].traded_at - 1)
        return until, self.traded[newest].trade_id

    def prune(self) -> int:
        """Chooses before which moment to prune."""
        before = self.chance.choice(self.traded).traded_at + self.chance.choice((-1, 0, 1, MINUTE))
        last = last_until(self.kept, before)
        end = last.traded_at // MINUTE * MINUTE if last else 0
        if any(each.traded_at < end for each in self.kept):
            self.kept_from = next(each.traded_at for each in self.kept if each.traded_at >= end)
        return before

    def moments(self) -> Iterator[int]:
        for each in self.chance.sample(self.traded, min(12, len(self.traded))):
            yield from (each.traded_at - 1, each.traded_at, each.traded_at + 1)
            yield each.traded_at + self.chance.choice(PAUSES)
        yield from (0, NOON - 1, EVER)

    def check(self, store: SqlHistory) -> None:
        coverage = store.coverage(PAIR)
        self._check_coverage(coverage)
        self._check_trades(store)
        for moment in self.moments():
            self._check_around(store, coverage, moment)
        self._check_candles(store, coverage)

    def _check_coverage(self, coverage: Coverage) -> None:
        places = sorted(self.told)
        first = runs_of([self.traded[place] for place in places if place < self.second_from], 0)
        second = runs_of([self.traded[place] for place in places if place >= self.second_from], 1)
        assert coverage.runs == (*first, *second)
        assert coverage.kept_from == self.kept_from
        if coverage.evidence_until is not None:
            following = self.traded[max(self.told) + 1 :]
            assert not following or following[0].traded_at > coverage.evidence_until

    def _check_trades(self, store: SqlHistory) -> None:
        kept = self.kept
        assert store.trades(PAIR, 0, EVER, 1_000) == kept
        assert [str(each.price) for each in store.trades(PAIR, 0, EVER, 1_000)] == [
            str(each.price) for each in kept
        ]
        start, end = sorted(self.chance.choices(self.traded, k=2))
        limit = self.chance.randrange(1, 9)
        within = [each for each in kept if start.traded_at <= each.traded_at < end.traded_at]
        assert store.trades(PAIR, start.traded_at, end.traded_at, limit) == within[:limit]
        newest = self.traded[self.second_from :] if max(self.told) >= self.second_from else self.traded
        after = self.chance.choice(newest).trade_id + self.chance.choice((-1, 0, 1))
        following = [each for each in kept if each in newest and each.trade_id > after]
        assert store.trades_after(PAIR, after, EVER, limit) == following[:limit]

    def _check_around(self, store: SqlHistory, coverage: Coverage, moment: int) -> None:
        around = store.around(PAIR, moment)
        assert around.before == last_until(self.kept, moment)
        assert around.after == first_after(self.kept, moment)
        assert set(around.coverage.runs) <= set(coverage.runs)
        assert around.coverage[1:] == coverage[1:]
        before, after = last_until(self.traded, moment), first_after(self.traded, moment)
        if proof(around, moment):
            assert around.before == before
            assert around.after in {after, None}
        elif before in self.kept and after in self.kept and self.traded.index(after) != self.second_from:
            [run] = [
                run
                for run in coverage.runs
                if run.first_traded_at <= before.traded_at and after.traded_at <= run.last_traded_at
                if run.first_trade_id <= before.trade_id <= run.last_trade_id
            ]
            assert before.traded_at < run.first_traded_at + SLACK or moment >= run.last_traded_at - SLACK

    def _check_candles(self, store: SqlHistory, coverage: Coverage) -> None:
        ever = self.ever
        for minutes in CANDLE_MINUTES:
            made = store.candles(PAIR, minutes, 0, EVER)
            assert made == candles_of(ever, minutes)
            for candle in made:
                end = candle.start + minutes * MINUTE
                if is_covered(coverage, candle.start, end):
                    assert candle.trades == sum(candle.start <= each.traded_at < end for each in self.traded)
        for minutes in (5, 15, 60, 240, 1440):
            assert longer(store.candles(PAIR, 1, 0, EVER), minutes) == candles_of(ever, minutes)
        for moment in self.moments():
            if is_covered(coverage, moment, moment + MINUTE):
                within = [each for each in self.traded if moment <= each.traded_at < moment + MINUTE]
                assert all(each in ever for each in within)


Examples = Callable[[Callable[[int], None]], None]
"""Calls a check with many seeds."""


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> Examples:
    """Fewer in PostgreSQL, where each takes half of a second."""
    few = 4 if "postgresql" in request.node.name else 20
    most = settings(max_examples=100 if IN_FULL else few)

    def check_all(check: Callable[[int], None]) -> None:
        most(given(seed=st.integers(0, 2**32))(check))()

    return check_all


def test_a_history_says_what_a_plain_list_of_trades_says(
    new_database: NewDatabase, examples: Examples
) -> None:
    def check(seed: int) -> None:
        chance = Random(seed)
        world = World(chance)
        with new_database() as database:
            stores = [database.open() for _ in range(2)]
            known, waiting = 0, []
            for news in world.news():
                waiting.append(news)
                if chance.random() < 0.3:
                    continue
                store = chance.choice(stores)
                written = store.write(waiting)
                assert (written.new, written.contradicting) == (len(world.ever) - known, ())
                known, waiting = len(world.ever), []
                if known and chance.random() < 0.3:
                    world.check(chance.choice(stores))
                if known and chance.random() < 0.1:
                    before = world.prune()
                    while store.prune(before):
                        pass
                if chance.random() < 0.1:
                    store.close()
            stores[0].write(waiting)
            for store in stores:
                world.check(store)

    examples(check)


class Exchange:
    """One whose times are out of order by a second, that may begin to number anew, and that may stamp trades ahead."""

    def __init__(self, chance: Random, *, restarts: bool, errs: bool) -> None:
        self.chance = chance
        self.errs = errs
        first = chance.randrange(100, 150)
        self.traded = self._trades(first, chance.randrange(1, 40), NOON)
        """In the order in which they were made. The ids of the second part are lower than those of the first one at its
        beginning, and pass its end more often than not."""
        self.restarted_from = len(self.traded)
        if restarts:
            again = chance.randrange(first - 20, self.traded[-1].trade_id + 1)
            start = max(each.traded_at for each in self.traded) + chance.choice(
                (200_000, 3 * SECOND, 20 * MINUTE)
            )
            self.traded += self._trades(again, chance.randrange(1, 90), start)
        self.passed = 0
        self.told: set[RecordedTrade] = set()
        """As they were made."""
        self.made = set(self.traded)
        self.newest: RecordedTrade | None = None
        """As the feed told it last."""

    def _trades(self, first: int, count: int, start: int) -> list[RecordedTrade]:
        made, moment = [], start
        for trade_id in range(first, first + count):
            moment += self.chance.choice((0, 0, 0, 1, 900, 400_000, SECOND, 20 * SECOND, 3 * MINUTE))
            price = f"{self.chance.randrange(1, 10_000)}.{trade_id}"
            made.append(trade(trade_id, 0, price)._replace(traded_at=moment))
        return made

    def until(self, moment: int) -> RecordedTrade | None:
        """The last trade at a moment."""
        return max(
            (each for each in self.traded if each.traded_at <= moment),
            key=lambda each: (each.traded_at, self.traded.index(each)),
            default=None,
        )

    def news(self) -> Iterator[News]:
        while self.passed < len(self.traded) or self.chance.random() < 0.7:
            is_live = self.passed < len(self.traded) and self.chance.random() < 0.6
            rows = list(self._live() if is_live else self._page())
            self.told |= self.made & set(rows)
            yield News(PAIR, tuple(rows), *self._evidence())

    def _live(self) -> Iterator[RecordedTrade]:
        loss = self.chance.choice((0.0, 0.0, 0.3, 1.0))
        for _ in range(self.chance.randrange(1, 12)):
            made = self.traded[self.passed : self.passed + 1]
            self.passed += 1
            for each in made:
                if self.chance.random() >= loss:
                    ahead = (
                        self.chance.randrange(50) * SECOND if self.errs and self.chance.random() < 0.1 else 0
                    )
                    self.newest = each._replace(traded_at=each.traded_at + ahead)
                    yield self.newest
        self.passed = min(self.passed, len(self.traded))

    def _page(self) -> list[RecordedTrade]:
        """Some that follow one another, as REST tells them."""
        begin = self.chance.randrange(self.passed + 1)
        return self.traded[begin : min(self.passed, begin + self.chance.randrange(1, 60))]

    def _evidence(self) -> tuple[int | None, int | None]:
        """It is true, and of the newest trade that was told."""
        if not self.passed or self.newest != self.traded[self.passed - 1] or self.chance.random() < 0.4:
            return None, None
        following = [each.traded_at - 1 for each in self.traded[self.passed :]]
        until = min([self.newest.traded_at + self.chance.choice(PAUSES), *following])
        return (until, self.newest.trade_id) if until >= self.newest.traded_at else (None, None)

    def is_honest(self) -> bool:
        return not self.errs and self.restarted_from == len(self.traded)

    def check(self, store: SqlHistory) -> None:
        for each in self.traded:
            for moment in (each.traded_at - 1, each.traded_at, each.traded_at + self.chance.choice(PAUSES)):
                self._check_around(store, moment)
        coverage = store.coverage(PAIR)
        recorded = store.trades(PAIR, 0, EVER, 1_000)
        start = NOON - 2 * MINUTE
        for begin in [*range(start, start + 30 * MINUTE, MINUTE), *(each.traded_at for each in self.traded)]:
            for length in (SECOND, MINUTE, 5 * MINUTE):
                if is_covered(coverage, begin, begin + length):
                    within = {each for each in self.traded if begin <= each.traded_at < begin + length}
                    assert (within if self.is_honest() else within & self.told) <= set(recorded)
        if self.restarted_from == len(self.traded):
            self._check_pages(store, recorded)

    def _check_around(self, store: SqlHistory, moment: int) -> None:
        around = store.around(PAIR, moment)
        if around.before not in self.made or not proof(around, moment):
            return  # what is stamped ahead, and is nowhere contradicted, cannot be seen through
        last = self.until(moment)
        # Ids that pass known ones are taken for those that follow, as long as nothing was told of the trades between.
        assert around.before == last or (last not in self.told and not self.is_honest())

    def _check_pages(self, store: SqlHistory, recorded: list[RecordedTrade]) -> None:
        limit = self.chance.choice((1, 2, 3, 7, 500))
        asked = Window(None, None, EVER, 0)
        rows = list(every_row(lambda window: ask_trades(store, PAIR, window, limit), asked))
        assert [row for row in rows if isinstance(row, RecordedTrade)] == recorded
        gaps = [row for row in rows if isinstance(row, Gap)]
        ids = {each.trade_id for each in recorded}
        for missing in set(range(min(ids), max(ids))) - ids:
            assert any((gap.after_trade_id or 0) < missing < (gap.before_trade_id or 0) for gap in gaps)


def test_whatever_an_exchange_does_nothing_is_proven_that_was_told_otherwise(
    new_database: NewDatabase, examples: Examples
) -> None:
    def check(seed: int) -> None:
        chance = Random(seed)
        restarts, errs = chance.choice((True, False)), chance.choice((True, False))
        exchange = Exchange(chance, restarts=restarts, errs=errs)
        with new_database() as database:
            stores = [database.open() for _ in range(2)]
            for news in exchange.news():
                store = chance.choice(stores)
                written = store.write([news])
                if exchange.is_honest():
                    assert written.contradicting == ()
                if exchange.told and chance.random() < 0.3:
                    exchange.check(store)
                if chance.random() < 0.1:
                    store.close()
            if exchange.told:
                exchange.check(stores[0])

    examples(check)
