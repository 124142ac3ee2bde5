"""ltp_service.prices.freshness"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain.market import HALTED, MarketStatus
from ltp_service.domain.tick import REST, WEBSOCKET, Price, Source
from ltp_service.prices.freshness import LIVE_SECONDS, NEVER_SEEN, Bound, PriceState, judge, servable_until
from tests.fakes import tick

TTL = 30.0
NOW = 1000.0


def price(confirmed: float = 0.0, happened: float | None = 0.0, by: Source = WEBSOCKET) -> Price:
    """A price whose evidence and whose trade are that many seconds old."""
    happened_at = None if happened is None else NOW - happened
    told = tick(source=by, happened_at=happened_at, received_at=NOW - confirmed)
    return Price(told, NOW - confirmed, by, 0.0)


@pytest.mark.parametrize(
    ("held", "market", "state"),
    [
        (price(), "online", "live"),
        (price(), "unknown", "live"),
        (price(), "limit_only", "live"),
        (price(happened=LIVE_SECONDS), "online", "live"),
        (price(happened=LIVE_SECONDS + 0.001), "online", "quiet"),
        (price(happened=86_400), "online", "quiet"),
        (price(happened=None), "online", "fallback"),
        (price(confirmed=TTL, happened=TTL), "online", "live"),
        (price(confirmed=TTL, happened=TTL + LIVE_SECONDS), "online", "live"),
        (price(confirmed=TTL, happened=TTL + LIVE_SECONDS + 0.001), "online", "quiet"),
        (price(confirmed=TTL + 0.001), "online", "stale"),
        (price(confirmed=86_400, happened=86_400), "online", "stale"),
        (price(by=REST), "online", "fallback"),
        (price(confirmed=TTL + 1, by=REST), "online", "stale"),
        (price(), "maintenance", "halted"),
        (price(), "cancel_only", "halted"),
        (price(), "post_only", "halted"),
        (price(by=REST), "maintenance", "halted"),
        (price(), "work_in_progress", "halted"),
        (price(), "reduce_only", "live"),
        (price(), "delisted", "stale"),
        (price(by=REST), "delisted", "stale"),
        (price(confirmed=TTL + 1), "maintenance", "stale"),
        (price(by="coinbase:websocket"), "maintenance", "substitute"),
        (price(confirmed=10.0, by="coinbase:websocket"), "online", "substitute"),
        (price(confirmed=10.001, by="coinbase:websocket"), "online", "stale"),
        (None, "delisted", "unknown"),
        (None, "online", "unknown"),
        (None, "maintenance", "unknown"),
    ],
)
def test_age_and_market_give_the_state(held: Price | None, market: MarketStatus, state: PriceState) -> None:
    assert judge(held, NOW, TTL, market).state == state


@pytest.mark.parametrize(
    ("confirmed", "bound", "servable"),
    [
        (0.0, Bound(), True),
        (10.0, Bound(max_age=10.0), True),
        (10.001, Bound(max_age=10.0), False),
        (0.0, Bound(max_age=0.0), True),
        (TTL + 1, Bound(), False),
        (TTL + 1, Bound(allow_stale=True), True),
        (TTL + 1, Bound(max_age=TTL, allow_stale=True), False),
        (TTL + 1, Bound(max_age=TTL + 1, allow_stale=True), True),
        (TTL + 1, Bound(max_age=86_400.0), False),
    ],
)
def test_the_caller_may_move_the_bound(confirmed: float, bound: Bound, servable: bool) -> None:
    assert judge(price(confirmed), NOW, TTL, "online", bound).servable is servable


# Quarters of a second add up exactly, so that a boundary can be hit and is no matter of rounding.
seconds = st.integers(0, 400_000).map(lambda quarters: quarters / 4)
lives = st.integers(1, 40_000).map(lambda quarters: quarters / 4)
bounds = st.builds(Bound, st.none() | seconds, st.booleans())
markets = st.sampled_from(["online", "maintenance", "cancel_only", "post_only", "limit_only", "unknown"])
prices = st.builds(
    price,
    seconds.map(lambda age: age - 100),
    st.none() | seconds.map(lambda age: age - 100),
    st.sampled_from([WEBSOCKET, REST]),
)


@given(prices, seconds, lives, markets, bounds)
def test_no_price_is_served_beyond_its_evidence(
    held: Price, later: float, ttl: float, market: MarketStatus, bound: Bound
) -> None:
    now = NOW + later
    verdict = judge(held, now, ttl, market, bound)

    assert verdict.age is not None
    assert verdict.age >= 0.0
    assert verdict.age == pytest.approx(max(0.0, now - held.confirmed_at))
    assert (verdict.state == "stale") == (verdict.age > ttl)
    if verdict.state == "stale" and not bound.allow_stale:
        assert not verdict.servable
    if bound.max_age is not None and verdict.age > bound.max_age:
        assert not verdict.servable
    assert verdict.servable == (now <= servable_until(held, ttl, market, bound))


@given(prices, seconds, lives, markets)
def test_both_clocks_give_the_state(held: Price, later: float, ttl: float, market: MarketStatus) -> None:
    now = NOW + later
    state = judge(held, now, ttl, market).state
    happened_at = held.tick.happened_at

    if state == "live":
        assert happened_at is not None
        assert held.confirmed_at - happened_at <= LIVE_SECONDS
    if state == "quiet":
        assert held.confirmed_at - (happened_at or held.tick.received_at) > LIVE_SECONDS
    if state in ("live", "quiet"):
        assert market not in HALTED
        assert held.confirmed_by == WEBSOCKET
    if state == "halted":
        assert market in HALTED


@given(prices, seconds, seconds, lives, markets)
def test_a_price_without_new_evidence_never_gets_fresher(
    held: Price, earlier: float, later: float, ttl: float, market: MarketStatus
) -> None:
    first = judge(held, NOW + earlier, ttl, market)
    then = judge(held, NOW + earlier + later, ttl, market)

    assert (then.age or 0.0) >= (first.age or 0.0)
    assert first.servable or not then.servable
    order = ["live", "quiet", "stale"]
    if first.state in order and then.state in order:
        assert order.index(first.state) <= order.index(then.state)


@given(seconds, markets, bounds)
def test_what_was_never_seen_is_never_served(now: float, market: MarketStatus, bound: Bound) -> None:
    assert judge(None, now, TTL, market, bound) == NEVER_SEEN
    assert not NEVER_SEEN.servable
