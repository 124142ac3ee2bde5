"""A limit order book that changes at random, in whole ticks and whole units. Not thread safe."""

import random
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

BookSide = Literal["bids", "asks"]

FEWEST = 1200
_SURPLUS = 300  # levels of one side beyond the fewest at which it only loses some
_REACH = 60  # how far from the best price most changes are, in levels
_SPREAD = 6  # ticks; wider than that, a change narrows it


@dataclass(frozen=True, slots=True)
class Level:
    """A price's new size; 0 units: the level is gone."""

    side: BookSide
    ticks: int
    units: int


class Half:
    """One side, prices in order from the best."""

    def __init__(self, side: BookSide) -> None:
        self.side: BookSide = side
        self.units: dict[int, int] = {}
        self._sign = -1 if side == "bids" else 1
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._order)

    def best(self) -> int:
        return self._order[0] * self._sign

    def at(self, position: int) -> int:
        """The price of the level at that position from the best."""
        return self._order[position] * self._sign

    def top(self, depth: int) -> dict[int, int]:
        """Units by price of the best `depth` levels, best first."""
        return {key * self._sign: self.units[key * self._sign] for key in self._order[:depth]}

    def apply(self, level: Level) -> None:
        key = level.ticks * self._sign
        if level.units == 0:
            del self.units[level.ticks]
            del self._order[bisect_left(self._order, key)]
            return
        if level.ticks not in self.units:
            insort(self._order, key)
        self.units[level.ticks] = level.units


class OrderBook:
    """The same seed gives the same book and the same changes."""

    def __init__(
        self, middle: int, choice: random.Random, fewest: int = FEWEST, reach: float = _REACH
    ) -> None:
        """`middle`: the price to start around, in ticks. `fewest`: about so many levels on each side."""
        self._choice = choice
        self._fewest, self._reach = fewest, reach
        self.bids = Half("bids")
        self.asks = Half("asks")
        for number in range(min(fewest, middle - 1)):
            self.bids.apply(Level("bids", middle - 1 - number, self._units()))
            self.asks.apply(Level("asks", middle + 1 + number, self._units()))

    def change(self, levels: int) -> Iterator[Level]:
        """That many random changes, each one applied."""
        for _ in range(levels):
            half = self.bids if self._choice.random() < 0.5 else self.asks
            level = self._next(half)
            half.apply(level)
            yield level

    def _next(self, half: Half) -> Level:
        outward = -1 if half.side == "bids" else 1
        position = min(int(self._choice.expovariate(1 / self._reach)), len(half) - 1)
        ticks = half.at(position)
        if len(half) > self._fewest + _SURPLUS or (
            len(half) > self._fewest // 2 and self._choice.random() < 0.3
        ):
            return Level(half.side, ticks, 0)
        if self.asks.best() - self.bids.best() > _SPREAD:
            return Level(half.side, half.best() - outward, self._units())
        neighbour = ticks + outward
        if neighbour > 0 and neighbour not in half.units and self._choice.random() < 0.7:
            ticks = neighbour
        return Level(half.side, ticks, self._units())

    def _units(self) -> int:
        return self._choice.randint(1, 5_000_000)
