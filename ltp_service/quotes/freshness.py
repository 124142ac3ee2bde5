"""May this price be trusted now? The one freshness policy, asked by every way of answering; pure."""

from typing import Literal

import msgspec

from ltp_service.market import HALTED, MarketStatus
from ltp_service.tick import REST, Price

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


def judge(price: Price | None, now: float, ttl: float, market: MarketStatus, bound: Bound = ANY) -> Verdict:
    """The verdict on `price` at the monotonic moment `now`; `ttl` is the longest life without evidence."""
    if price is None:
        return UNKNOWN
    age = now - price.confirmed_at
    age = max(age, 0.0)
    if age > ttl:
        return Verdict("stale", age, bound.allow_stale and _within(age, bound))
    return Verdict(_state(price, now, market), age, _within(age, bound))


def _within(age: float, bound: Bound) -> bool:
    return bound.max_age is None or age <= bound.max_age


def _state(price: Price, now: float, market: MarketStatus) -> State:
    if market in HALTED:
        return "halted"
    if price.confirmed_by == REST:
        return "fallback"
    happened_at = price.tick.happened_at
    return "live" if happened_at is not None and now - happened_at <= LIVE else "quiet"
