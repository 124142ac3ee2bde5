"""The trades of one pair as the exchange's REST tells them; pure."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from decimal import Decimal
from math import inf
from typing import NamedTuple

from ltp_service.domain.trade import Trade

PAGE_TRADES = 1000
"""Trades of a page after which there may be more (docs.kraken.com, get-recent-trades)."""

OVERLAP_SECONDS = 1.0
"""The overlap of two pages. REST loses trades at the edges of a page."""

KEPT_TRADES, KEPT_SECONDS = 2000, 300.0
"""Trades that are kept at least, and how long the others are."""


class Known(NamedTuple):
    """One trade of the exchange."""

    price: Decimal
    quantity: Decimal
    time: float
    """Unix seconds of the exchange."""


class Tape:
    """Trades by id, which grows in the order of time."""

    def __init__(self) -> None:
        self.covered = -inf
        """The monotonic moment up to which every trade is known."""
        self._known: dict[int, Known] = {}
        self._ids: list[int] = []

    def add(self, page: Iterable[Trade], as_of: float, *, is_newest: bool) -> None:
        """A page that is evidence of the monotonic moment `as_of`. `is_newest`: it was asked for the newest trades, and not
        for those after a moment."""
        trades = list(page)
        for trade in trades:
            number = int(trade.trade_id)
            if number not in self._known:
                insort(self._ids, number)
            self._known[number] = Known(trade.price, trade.quantity, trade.timestamp)
        if is_newest or len(trades) < PAGE_TRADES:
            self.covered = max(self.covered, as_of)

    @property
    def next_page(self) -> float | None:
        """The unix second from which on to ask, None for the newest trades."""
        return self._known[self._ids[-1]].time - OVERLAP_SECONDS if self._ids else None

    @property
    def newest(self) -> int | None:
        """The newest id."""
        return self._ids[-1] if self._ids else None

    def get(self, number: int) -> Known | None:
        return self._known.get(number)

    def after(self, number: int) -> tuple[int, Known] | None:
        """The first known trade after the id `number`."""
        place = bisect_right(self._ids, number)
        return None if place == len(self._ids) else (self._ids[place], self._known[self._ids[place]])

    def ids_after(self, number: int) -> list[int]:
        """All known ids after `number`."""
        return self._ids[bisect_right(self._ids, number) :]

    def last_at(self, price: Decimal, earliest: float) -> list[int]:
        """The ids of the trades at `price` that were the last trade at the unix second `earliest` or later."""
        first = bisect_right(self._ids, earliest, key=self._time) - 1
        return [each for each in self._ids[max(0, first) :] if self._known[each].price == price]

    def reaches(self, earliest: float) -> bool:
        """Whether the last trade at the unix second `earliest` is known."""
        return bool(self._ids) and self._time(self._ids[0]) <= earliest

    def nearest(self, price: Decimal, number: int) -> int | None:
        """The trade at that price whose id is nearest."""
        same = [each for each in self._ids if self._known[each].price == price]
        place = bisect_left(same, number)
        return min(same[max(0, place - 1) : place + 1], key=lambda each: abs(each - number), default=None)

    def forget_before(self, earliest: float) -> None:
        """Forgets the trades that are older than KEPT_SECONDS before `earliest`, except the newest KEPT_TRADES."""
        most = len(self._ids) - KEPT_TRADES
        old = min(max(0, most), bisect_left(self._ids, earliest - KEPT_SECONDS, key=self._time))
        for number in self._ids[:old]:
            del self._known[number]
        del self._ids[:old]

    def _time(self, number: int) -> float:
        return self._known[number].time
