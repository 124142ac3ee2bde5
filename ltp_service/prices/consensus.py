"""What several exchanges say together about one pair, and which price is far from the others; pure."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from ltp_service.domain.decimals import MAX_DIGITS
from ltp_service.prices.freshness import FRESH_SECONDS

ENOUGH_FOR_CONSENSUS = 3
"""Exchanges that a consensus needs. Of three prices the median is never the one that is far from both others."""

ENOUGH_TO_DOUBT = 2
"""Other exchanges that are needed to say that a price deviates."""

_EXACT = Context(prec=4 * MAX_DIGITS, rounding=ROUND_HALF_EVEN)
"""Enough digits for the mean of any two accepted prices."""


class ExchangePrice(msgspec.Struct, frozen=True):
    """The last trade of one pair on one exchange."""

    exchange: str
    price: Decimal
    """The price in the pair's quote currency."""
    age: float
    """Seconds since the newest evidence that it is the last trade, never below 0."""

    @property
    def is_fresh(self) -> bool:
        """Whether it counts as a present price."""
        return self.age <= FRESH_SECONDS


class Consensus(msgspec.Struct, frozen=True):
    """What the exchanges with a fresh price say together."""

    exchanges: tuple[str, ...]
    """The exchanges with a fresh price."""
    median: Decimal | None = None
    """The median in the pair's quote currency; None when there are too few exchanges."""
    spread_bps: Decimal | None = None
    """The distance from the lowest to the highest price, in basis points of the median."""
    deviation_bps: Decimal | None = None
    """How far the served price is above the median, in basis points of it."""
    reason: str = ""
    """Why there is no median."""


def consensus_of(prices: Sequence[ExchangePrice], served: Decimal | None) -> Consensus:
    """The consensus on one pair. `served` is the price that this service answers with; None where there is none."""
    fresh = [each for each in prices if each.is_fresh]
    exchanges = tuple(each.exchange for each in fresh)
    if len(fresh) < ENOUGH_FOR_CONSENSUS:
        return Consensus(exchanges, reason=_too_few(exchanges))
    amounts = [each.price for each in fresh]
    middle = median(amounts)
    return Consensus(
        exchanges,
        middle,
        basis_points(max(amounts) - min(amounts), middle),
        None if served is None else basis_points(served - middle, middle),
    )


def deviates(served: Decimal, others: Sequence[ExchangePrice], limit: Decimal) -> bool | None:
    """Whether `served` is farther than the fraction `limit` from the median of the fresh prices of other exchanges.

    None where there are fewer than two of them, because one may be wrong itself. Two that are farther than `limit` apart
    have no median but the mean, which one wrong price moves. So they say that a price deviates only where it is farther
    than `limit` from both, on the same side; else None.
    """
    amounts = [each.price for each in others if each.is_fresh]
    if len(amounts) < ENOUGH_TO_DOUBT:
        return None
    middle = median(amounts)
    if len(amounts) == ENOUGH_TO_DOUBT and max(amounts) - min(amounts) > limit * middle:
        lowest, highest = min(amounts), max(amounts)
        is_outside = lowest - served > limit * lowest or served - highest > limit * highest
        return True if is_outside else None
    return abs(served - middle) > limit * middle


def median(amounts: Sequence[Decimal]) -> Decimal:
    """The one in the middle, or the exact mean of the two in the middle. `amounts` is not empty."""
    ordered = sorted(amounts)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return _EXACT.divide(_EXACT.add(ordered[half - 1], ordered[half]), Decimal(2))


def basis_points(difference: Decimal, base: Decimal) -> Decimal:
    """The difference in basis points of `base`, to one decimal place."""
    points = difference / base * 10_000
    return Decimal(f"{points:.1f}") or Decimal(0)  # never -0.0


def _too_few(exchanges: Sequence[str]) -> str:
    told = f"only {' and '.join(exchanges)}" if exchanges else "no exchange"
    have = "has" if len(exchanges) < ENOUGH_TO_DOUBT else "have"
    return f"{told} {have} a price confirmed within {FRESH_SECONDS:g} s; a consensus needs {ENOUGH_FOR_CONSENSUS} exchanges"
