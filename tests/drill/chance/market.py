"""What was really traded: for each pair a tape of trades, drawn ahead."""

import random
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal

from tests.fakes import NOON

PAUSES = {"BTC/USD": 0.7, "ETH/USD": 4.0, "LTC/USD": 25.0, "XRP/USD": 120.0}
"""Mean seconds between two trades."""

OPENING = {"BTC/USD": 115643, "ETH/USD": 4200, "LTC/USD": 112, "XRP/USD": 3}

BEFORE = 2000.0
"""Seconds of trading before the play begins."""


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
    """The trades of one pair. No price comes twice, so that each names its trade."""

    def __init__(self, pair: str, seconds: float, chance: random.Random) -> None:
        self.pair = pair
        self.deals: list[Deal] = []
        moment, level = -BEFORE, Decimal(OPENING[pair])
        first = chance.randrange(1000, 9_000_000)
        while True:
            # Some come in sweeps: many at one moment, or within a millisecond.
            sweep = chance.random() < 0.15
            moment += (
                chance.choice((0.0, 0.0004)) if sweep and self.deals else chance.expovariate(1 / PAUSES[pair])
            )
            if moment > seconds and self.deals and self.deals[-1].moment > NOON:
                break
            number = len(self.deals)
            level *= Decimal(str(round(1 + chance.gauss(0, 0.0008), 8)))
            price = f"{level:.2f}{number:06d}"
            self.deals.append(Deal(pair, first + number, round(NOON + moment, 6), price))
            if moment > seconds:
                break
        self.moments = [deal.moment for deal in self.deals]
        self._by_price = {Decimal(deal.price): place for place, deal in enumerate(self.deals)}

    def place(self, moment: float) -> int:
        """Of the last trade at an exchange moment."""
        return bisect_right(self.moments, moment) - 1

    def last(self, moment: float) -> Deal:
        """The last trade at an exchange moment."""
        return self.deals[self.place(moment)]

    def find(self, amount: Decimal) -> int | None:
        """The place of the trade at this price."""
        return self._by_price.get(amount)

    def replaced_at(self, place: int) -> float:
        """The exchange moment from which on that trade is not the last one any more."""
        return self.moments[place + 1] if place + 1 < len(self.deals) else float("inf")
