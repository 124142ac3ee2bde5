"""A market of seven pairs: consecutive ids, which two of them begin anew, bursts, silent stretches, and many trades of the
same microsecond."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from tests.drill.chance.market import Deal, Tape

SECOND = 1_000_000
"""Microseconds."""

BEFORE = 1_800
"""Seconds of trading before the play begins."""

BURST = 1 / 500
"""Chance that a trade begins a burst."""

LONGEST_BURST = 1_500
"""Trades: more than a page of REST."""

SAME_PRICE = 0.4
"""Chance that a trade is made at the price of the one before it."""

MOST_AT_ONCE = 150
"""Trades of one microsecond."""


class Habit(NamedTuple):
    """How a pair trades."""

    pause: float
    """Mean seconds between two trades."""
    opening: str
    """The first price, with as many digits as all have."""


HABITS = {
    "BTC/USD": Habit(1.0, "115643.0"),
    "ETH/USD": Habit(1.5, "4200.15"),
    "SOL/USD": Habit(3.0, "212.40"),
    "XRP/USD": Habit(5.0, "2.89455"),
    "DOGE/USD": Habit(12.0, "0.2391840"),
    "ADA/USD": Habit(40.0, "0.814350"),
    "LTC/USD": Habit(150.0, "112.07"),
}

RENUMBERED = ("XRP/USD", "DOGE/USD")
"""The exchange numbers their trades anew, once, after a pause: from 1, or from a few below the last one."""

RENUMBERING = 3 * SECOND

Stretch = tuple[int, int]
"""Unix microseconds from the beginning to the end."""


class DayTape(Tape):
    """The trades of one pair, in the order of time and of their ids."""

    def __init__(
        self, pair: str, begin: int, seconds: int, chance: random.Random, silences: Sequence[Stretch]
    ) -> None:
        """`begin` in unix seconds. There are no trades in the `silences`."""
        self.pair = pair
        self.deals = []
        self.micros: list[int] = []
        """The moment of each trade."""
        self._chance = chance
        self._habit = HABITS[pair]
        self._level = Decimal(self._habit.opening)
        self._first = chance.randrange(1_000, 9_000_000)
        self._left, self._at_once = 0, 0
        self._renumbers_at = (begin + chance.randrange(seconds)) * SECOND if pair in RENUMBERED else None
        self._draw((begin - BEFORE) * SECOND, (begin + seconds) * SECOND, silences)
        self.moments = [deal.moment for deal in self.deals]
        self._volumes = [Decimal(0), *accumulate(Decimal(deal.quantity) for deal in self.deals)]
        self._by_price = {}

    def at(self, moment: int) -> int:
        """The place of the last trade at unix microseconds; -1 before the first one."""
        return bisect_right(self.micros, moment) - 1

    def _draw(self, moment: int, end: int, silences: Sequence[Stretch]) -> None:
        while moment <= end:
            moment += self._pause_micros()
            over = max((until for since, until in silences if since <= moment < until), default=moment)
            if over > moment:
                moment, self._left = over, 0
            else:
                moment = self._perhaps_renumber(moment)
                self._trade(moment)

    def _perhaps_renumber(self, moment: int) -> int:
        if self._renumbers_at is None or moment < self._renumbers_at:
            return moment
        self._renumbers_at = None
        last = self.deals[-1].number if self.deals else 0
        first = self._chance.choice((1, max(1, last - self._chance.randrange(5, 300))))
        self._first = first - len(self.deals)
        return moment + RENUMBERING

    def _pause_micros(self) -> int:
        chance = self._chance
        if self._left == 0 and chance.random() < BURST:
            self._left = chance.choice((20, 200, LONGEST_BURST))
        if self._left or chance.random() < 0.15:
            self._left = max(0, self._left - 1)
            pause = chance.choice((0, 0, 0, 1, 400, 3_000))
            self._at_once = 0 if pause else self._at_once + 1
            return pause if self._at_once < MOST_AT_ONCE else 1
        self._at_once = 0
        return max(1, round(chance.expovariate(1 / self._habit.pause) * SECOND))

    def _trade(self, moment: int) -> None:
        chance = self._chance
        if chance.random() > SAME_PRICE:
            self._level *= Decimal(str(round(1 + chance.gauss(0, 0.0002), 8)))
        number = self._first + len(self.deals)
        quantity = f"{chance.choice((0.5, chance.uniform(0.0001, 2))):.8f}"
        price = str(self._level.quantize(Decimal(self._habit.opening)))
        side = chance.choice(("buy", "sell"))
        self.micros.append(moment)
        self.deals.append(Deal(self.pair, number, moment / SECOND, price, side, quantity))


def draw_market(begin: int, seconds: int, chance: random.Random) -> dict[str, DayTape]:
    """The tapes of all pairs, which sometimes are silent together and sometimes alone."""
    together = _silences(begin, seconds, chance, 2)
    return {
        pair: DayTape(pair, begin, seconds, chance, [*together, *_silences(begin, seconds, chance, 5)])
        for pair in HABITS
    }


def _silences(begin: int, seconds: int, chance: random.Random, count: int) -> list[Stretch]:
    found = []
    for _ in range(count):
        since = begin + chance.uniform(0, seconds)
        found.append((round(since * SECOND), round((since + chance.uniform(0, seconds / 40)) * SECOND)))
    return found
