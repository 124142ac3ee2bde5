"""May this price be trusted now? The one freshness policy, asked by every way of answering; pure."""

from math import inf
from typing import Literal

import msgspec

from ltp_service.domain.market import DELISTED, HALTED, MarketStatus
from ltp_service.domain.tick import REST, Price

State = Literal["live", "quiet", "fallback", "halted", "stale", "unknown"]

LIVE = 60.0
"""Seconds since the last trade within which a proven market counts as live."""


class Bound(msgspec.Struct, frozen=True):
    """What the caller asks for."""

    max_age: float | None = None
    """Seconds since the last evidence; None leaves it to the service."""
    allow_stale: bool = False


ANY = Bound()


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The answer for one pair."""

    state: State
    age: float | None
    """Seconds since the last evidence, never below 0; None when the pair was never seen."""
    servable: bool


UNKNOWN = Verdict("unknown", None, servable=False)


def servable_until(price: Price, ttl: float, market: MarketStatus, bound: Bound = ANY) -> float:
    """The monotonic moment until which `price` may be served, when no new evidence comes."""
    if bound.allow_stale:
        longest = inf
    elif market == DELISTED:
        return -inf
    else:
        longest = ttl
    return price.confirmed_at + (longest if bound.max_age is None else min(longest, bound.max_age))


def judge(price: Price | None, now: float, ttl: float, market: MarketStatus, bound: Bound = ANY) -> Verdict:
    """The verdict on `price` at the monotonic moment `now`; `ttl` is the longest life without evidence."""
    if price is None:
        return UNKNOWN
    age = max(0.0, now - price.confirmed_at)
    stale = now > price.confirmed_at + ttl or market == DELISTED
    return Verdict(
        "stale" if stale else _state(price, market), age, now <= servable_until(price, ttl, market, bound)
    )


def _state(price: Price, market: MarketStatus) -> State:
    """The state at the moment of the evidence: what is not known yet is neither `live` nor `quiet`."""
    if market in HALTED:
        return "halted"
    if price.confirmed_by == REST:
        return "fallback"
    tick = price.tick
    if tick.happened_at is None:
        # The feed told it without a time: it is quiet once nothing followed for long, and till then REST is asked.
        return "quiet" if price.confirmed_at - tick.received_at > LIVE else "fallback"
    return "live" if price.confirmed_at - tick.happened_at <= LIVE else "quiet"
