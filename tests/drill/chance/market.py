"""What was really traded: for each pair a tape of trades, drawn ahead."""

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate

from tests.fakes import NOON

PAUSES = {"BTC/USD": 0.7, "ETH/USD": 4.0, "LTC/USD": 25.0, "XRP/USD": 120.0}
"""Mean seconds between two trades."""

OPENING = {"BTC/USD": 115643, "ETH/USD": 4200, "LTC/USD": 112, "XRP/USD": 3}

BEFORE = 2000.0
"""Seconds of trading before the play begins."""

JUMP, LONE, TWIN = 0.01, 0.6, 0.03
"""Chances that a trade is far from all others, that such a one is alone with its price, and that a second trade
follows at the very same price."""


@dataclass(frozen=True)
class Deal:
    """One trade. `moment` is exchange time in unix seconds, with six digits."""

    pair: str
    number: int
    moment: float
    price: str
    side: str = "buy"
    quantity: str = "0.50000000"


class Tape:
    """The trades of one pair. Each price names its trade, or a few that followed each other at that price."""

    def __init__(
        self, pair: str, seconds: float, chance: random.Random, is_open: Callable[[float], bool]
    ) -> None:
        """`is_open`: whether orders are matched at that second of the play."""
        self.pair = pair
        self.deals: list[Deal] = []
        self._chance = chance
        self._level = Decimal(OPENING[pair])
        self._first = chance.randrange(1000, 9_000_000)
        moment = -BEFORE
        while moment <= seconds:
            moment += self._pause()
            if is_open(moment):
                moment = self._print(moment)
        self.moments = [deal.moment for deal in self.deals]
        self._volumes = [Decimal(0), *accumulate(Decimal(deal.quantity) for deal in self.deals)]
        self._by_price = {Decimal(deal.price): place for place, deal in enumerate(self.deals)}

    def _pause(self) -> float:
        # Some come in sweeps: many at one moment, or within a millisecond.
        if self.deals and self._chance.random() < 0.15:
            return self._chance.choice((0.0, 0.0004))
        return self._chance.expovariate(1 / PAUSES[self.pair])

    def _print(self, moment: float) -> float:
        """One trade, or two at one price; the moment of the last."""
        self._level *= Decimal(str(round(1 + self._chance.gauss(0, 0.0008), 8)))
        shown = self._level
        if self._chance.random() < JUMP:
            shown *= Decimal(str(self._chance.choice((0.7, 0.92, 1.08, 1.3))))
            if self._chance.random() > LONE:
                self._level = shown
        price = f"{shown:.2f}{len(self.deals):06d}"
        self._add(moment, price)
        if self._chance.random() < TWIN:
            moment += self._chance.choice((0.0, 0.002))
            self._add(moment, price)
        return moment

    def _add(self, moment: float, price: str) -> None:
        number, quantity = (
            len(self.deals),
            f"{self._chance.choice((0.5, self._chance.uniform(0.0001, 2))):.8f}",
        )
        self.deals.append(
            Deal(self.pair, self._first + number, round(NOON + moment, 6), price, quantity=quantity)
        )

    def place(self, moment: float) -> int:
        """Of the last trade at an exchange moment."""
        return bisect_right(self.moments, moment) - 1

    def last(self, moment: float) -> Deal:
        """The last trade at an exchange moment."""
        return self.deals[self.place(moment)]

    def day(self, moment: float, midnight: float) -> tuple[int, Decimal]:
        """Number of trades and volume since midnight, or since the tape's beginning, until an exchange moment."""
        begin = self.place(midnight) + 1 if midnight <= moment else 0
        end = self.place(moment) + 1
        return end - begin, self._volumes[end] - self._volumes[begin]

    def find(self, amount: Decimal, moment: float) -> list[int]:
        """The places of the trades at this price until that moment, in order; at least one, if there ever is any."""
        place = self._by_price.get(amount)
        if place is None:
            return []
        first = place
        while first and self.deals[first - 1].price == self.deals[place].price:
            first -= 1
        return [at for at in range(first, place + 1) if self.moments[at] <= moment] or [first]

    def replaced_at(self, place: int) -> float:
        """The exchange moment from which on that trade is not the last one any more."""
        return self.moments[place + 1] if place + 1 < len(self.deals) else float("inf")
