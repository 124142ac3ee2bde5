"""May this price be served now? The one freshness policy, used by every route; pure."""

from math import inf
from typing import Literal

import msgspec

from ltp_service.domain.market import DELISTED, HALTED, MarketStatus
from ltp_service.domain.tick import REST, Price

PriceState = Literal["live", "quiet", "fallback", "halted", "stale", "unknown"]

LIVE_SECONDS = 60.0
"""Seconds since the last trade up to which a market counts as live."""


class Bound(msgspec.Struct, frozen=True):
    """How old a price the caller accepts."""

    max_age: float | None = None
    """Seconds since the last evidence; None means the service's own limit."""
    allow_stale: bool = False


DEFAULT_BOUND = Bound()


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The answer for one pair."""

    state: PriceState
    age: float | None
    """Seconds since the last evidence, never below 0; None when the pair was never seen."""
    servable: bool


NEVER_SEEN = Verdict("unknown", None, servable=False)


def servable_until(price: Price, ttl: float, market: MarketStatus, bound: Bound = DEFAULT_BOUND) -> float:
    """The monotonic second until which `price` may be served without new evidence."""
    if bound.allow_stale:
        longest = inf
    elif market == DELISTED:
        return -inf
    else:
        longest = ttl
    return price.confirmed_at + (longest if bound.max_age is None else min(longest, bound.max_age))


def judge(
    price: Price | None, now: float, ttl: float, market: MarketStatus, bound: Bound = DEFAULT_BOUND
) -> Verdict:
    """The verdict on `price` at the monotonic second `now`; `ttl` is the longest age of its evidence, in seconds."""
    if price is None:
        return NEVER_SEEN
    age = max(0.0, now - price.confirmed_at)
    stale = now > price.confirmed_at + ttl or market == DELISTED
    return Verdict(
        "stale" if stale else _state(price, market), age, now <= servable_until(price, ttl, market, bound)
    )


def _state(price: Price, market: MarketStatus) -> PriceState:
    """The state at the time of the evidence."""
    if market in HALTED:
        return "halted"
    if price.confirmed_by == REST:
        return "fallback"
    tick = price.tick
    if tick.happened_at is None:
        # The feed gave no trade time. `quiet` once it was confirmed for a minute; until then REST is asked for the time.
        return "quiet" if price.confirmed_at - tick.received_at > LIVE_SECONDS else "fallback"
    return "live" if price.confirmed_at - tick.happened_at <= LIVE_SECONDS else "quiet"
