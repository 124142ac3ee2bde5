"""Last trades of a pair on other exchanges. They are shown and help to judge a lone trade; they are never served."""

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from ltp_service.domain.pairs import Pair, joined_symbol
from ltp_service.domain.trade import Trade
from ltp_service.prices.consensus import basis_points
from ltp_service.prices.freshness import FRESH_SECONDS


class Witness(msgspec.Struct, frozen=True):
    """One exchange's last trade of the same pair."""

    exchange: str
    price: Decimal
    age: float
    """Seconds since it arrived, or since it was made where that is clearly longer; never below 0."""

    def divergence(self, amount: Decimal) -> Decimal:
        """How far this price is above `amount`, in basis points of it."""
        return basis_points(self.price - amount, amount)


class Witnesses:
    """The last trades on the exchanges that are collected."""

    def __init__(
        self,
        exchanges: Iterable[str],
        last_trade: Callable[[str, str], Trade | None],
        age_of: Callable[[Trade], float],
        has_trades: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`last_trade` gives the newest trade of a symbol on an exchange; None when there is none within the hour,
        and `age_of` its age in seconds, which must not depend on the wall clock.
        `has_trades` is asked before, for less: whether there may be one of a symbol."""
        self._exchanges = tuple(exchanges)
        self._last_trade = last_trade
        self._has_trades = has_trades
        self._age_of = age_of

    def of(self, pair: Pair) -> list[Witness]:
        """The last trade on every exchange that traded the pair within the hour."""
        symbol = joined_symbol(pair)
        if not self._has_trades(symbol):
            return []
        last = ((exchange, self._last_trade(symbol, exchange)) for exchange in self._exchanges)
        return [
            Witness(exchange, trade.price, max(0.0, self._age_of(trade)))
            for exchange, trade in last
            if trade is not None
        ]

    def fresh_prices(self, pair: Pair) -> list[Decimal]:
        """The prices that arrived within FRESH_SECONDS."""
        return [witness.price for witness in self.of(pair) if witness.age <= FRESH_SECONDS]
