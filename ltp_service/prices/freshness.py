"""May this price be served now? The one freshness policy, used by every route; pure."""

from collections.abc import Iterable
from math import inf
from typing import Literal

import msgspec

from ltp_service.domain.market import DELISTED, HALTED, MarketStatus
from ltp_service.domain.tick import KRAKENS_SOURCES, REST, Price

PriceState = Literal["live", "quiet", "fallback", "substitute", "halted", "stale", "unknown"]

LIVE_SECONDS = 60.0
"""Seconds since the last trade up to which a market counts as live."""

FRESH_SECONDS = 10.0
"""Seconds after its newest evidence for which another exchange's last trade counts as a present price."""


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
    if price.tick.source not in KRAKENS_SOURCES:  # a substitute
        longest = min(ttl, FRESH_SECONDS)
    elif bound.allow_stale:
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
    is_fresh = now <= servable_until(price, ttl, market)
    servable = is_fresh if bound is DEFAULT_BOUND else now <= servable_until(price, ttl, market, bound)
    return Verdict(state_of(price, market) if is_fresh else "stale", age, servable)


def is_substitute(price: Price) -> bool:
    """Whether `price` is another exchange's last trade, of another market than Kraken's."""
    return price.tick.source not in KRAKENS_SOURCES


def choose(
    price: Price | None,
    others: Iterable[Price | None],
    now: float,
    ttl: float,
    market: MarketStatus,
    began_at: float,
    bound: Bound = DEFAULT_BOUND,
) -> Price | None:
    """The price to serve: Kraken's `price`, or the first fresh one of `others` where Kraken's is stale.

    `others` are the last trades of the same pair on other exchanges, in the order of preference. Fresh ones that meet `bound`
    come before the other fresh ones. A pair that was never seen counts as stale `ttl` after `began_at`, when the process
    began to listen for it. A pair that Kraken does not list any more has no substitute: Kraken has told so itself.
    """
    evidence_at = began_at if price is None else price.confirmed_at
    if now <= evidence_at + ttl or market == DELISTED:
        return price
    fresh = (other for other in others if other is not None and now <= servable_until(other, ttl, market))
    if bound.max_age is None:
        return next(fresh, price)
    return min(fresh, key=lambda other: now > servable_until(other, ttl, market, bound), default=price)


def state_of(price: Price, market: MarketStatus) -> PriceState:
    """The state at the time of the evidence."""
    if is_substitute(price):
        return "substitute"
    if market in HALTED:
        return "halted"
    if price.confirmed_by == REST:
        return "fallback"
    tick = price.tick
    if tick.happened_at is None:
        # The feed gave no trade time. `quiet` once it was confirmed for a minute; until then REST is asked for the time.
        return "quiet" if price.confirmed_at - tick.received_at > LIVE_SECONDS else "fallback"
    return "live" if price.confirmed_at - tick.happened_at <= LIVE_SECONDS else "quiet"
