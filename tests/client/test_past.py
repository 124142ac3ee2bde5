"""Questions about the past against the fake service, on real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ltp_service.client import (
    AsyncPrices,
    Candle,
    Edge,
    HistoryGap,
    HistoryUnknown,
    NotServed,
    PastPrice,
    Prices,
    UnknownPair,
    Unreachable,
)
from ltp_service.client.testing import FakeService

pytest_plugins = ["ltp_service.client.pytest_plugin"]

THEN = datetime(2026, 11, 21, 0, 46, 21, tzinfo=UTC)
AT, CANDLES = "/api/v1/ltp/at", "/api/v1/candles"

PRICE = {
    "pair": "BTC/USD",
    "amount": 115643.1,
    "price": "115643.10",
    "traded_at": "2026-11-21T00:46:18.402113Z",
    "trade_id": 4711,
    "proof": "exact",
    "next_trade_id": 4712,
    "evidence_until": "2026-11-21T00:46:23.018442Z",
}
LEFT = {"trade_id": 815, "traded_at": "2026-11-21T00:40:02.113902Z", "price": "4128.07"}
COMPLETE = {
    "start": "2026-11-21T00:46:00.000000Z",
    "open": "115640.00",
    "high": "115643.10",
    "low": "115640.00",
    "close": "115643.10",
    "volume": "0.04200000",
    "vwap": "115641.2208",
    "trades": 3,
    "first_trade_id": 4709,
    "last_trade_id": 4711,
    "coverage": "complete",
}
UNKNOWN = dict.fromkeys(COMPLETE) | {
    "start": "2026-11-21T00:47:00.000000Z",
    "volume": "0",
    "trades": 0,
    "coverage": "unknown",
    "open_ended": True,
}

Ask = Callable[..., Any]


def blocking(url: str | list[str], name: str, *arguments: Any, **more: Any) -> Any:
    with Prices(url) as prices:
        return getattr(prices, name)(*arguments, **more)


def on_asyncio(url: str | list[str], name: str, *arguments: Any, **more: Any) -> Any:
    async def ask() -> Any:
        async with AsyncPrices(url) as prices:
            answer: Awaitable[Any] = getattr(prices, name)(*arguments, **more)
            return await answer

    return asyncio.run(ask())


both = pytest.mark.parametrize("ask", [blocking, on_asyncio])


def prices_at(*items: dict[str, Any]) -> dict[str, Any]:
    return {"time": "2026-11-21T00:46:21.000000Z", "ltp": list(items)}


def refused(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "errors": [{"pair": "ETH/USD", "code": code, "message": "why", **more}]}


@both
def test_a_past_price_has_its_digits_and_its_proof(fake_service: FakeService, ask: Ask) -> None:
    fake_service.answer(f"{AT}?pair=BTC/USD&time=2026-11-21T00%3A46%3A21Z", prices_at(PRICE))
    price: PastPrice = ask(fake_service.url, "at", "BTC/USD", THEN)

    assert (price.amount, price.price, price.trade_id) == (Decimal("115643.1"), "115643.10", 4711)
    assert (price.is_exact, price.next_trade_id) == (True, 4712)
    assert price.evidence_until == datetime(2026, 11, 21, 0, 46, 23, 18442, UTC)


def test_unix_seconds_are_asked_with_every_digit(fake_service: FakeService) -> None:
    fake_service.answer(f"{AT}?pair=BTC/USD&time=1795221981.25", prices_at(PRICE))
    assert blocking(fake_service.url, "at", "BTC/USD", 1795221981.25).trade_id == 4711


def test_a_time_without_a_zone_is_not_asked(fake_service: FakeService) -> None:
    with pytest.raises(ValueError, match="no zone"):
        blocking(fake_service.url, "at", "BTC/USD", THEN.replace(tzinfo=None))
    assert fake_service.requests == []


@both
def test_a_gap_has_both_edges(fake_service: FakeService, ask: Ask) -> None:
    fake_service.answer(AT, refused("HISTORY_GAP", before=LEFT, after=None), status=409)
    with pytest.raises(HistoryGap, match="ETH/USD: why") as caught:
        ask(fake_service.url, "at", "ETH/USD", THEN)

    before = Edge(815, datetime(2026, 11, 21, 0, 40, 2, 113902, UTC), "4128.07")
    assert (caught.value.before, caught.value.after) == (before, None)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, refused("HISTORY_UNKNOWN"), HistoryUnknown),
        (404, {"code": "NOT_FOUND", "message": "no route has this path"}, NotServed),
        (400, {"code": "UNSUPPORTED_PAIR", "message": "not served here"}, UnknownPair),
        (503, {"code": "HISTORY_ELSEWHERE", "message": "ask there"}, Unreachable),
        (200, prices_at(PRICE | {"proof": "likely"}), Unreachable),
        (200, prices_at(PRICE | {"amount": 2}), Unreachable),
        (200, prices_at(), Unreachable),
        (200, {"ltp": 7}, Unreachable),
    ],
)
def test_what_is_no_proven_price_is_an_error(
    fake_service: FakeService, status: int, body: Any, error: type[Exception]
) -> None:
    fake_service.answer(AT, body, status=status)
    with pytest.raises(error):
        blocking(fake_service.url, "at", "BTC/USD", THEN)


def test_another_service_may_know_what_one_has_missed(fake_service: FakeService) -> None:
    fake_service.answer(AT, refused("HISTORY_GAP", before=LEFT, after=LEFT), status=409)
    with FakeService() as other:
        other.answer(AT, prices_at(PRICE))
        assert blocking([fake_service.url, other.url], "at", "BTC/USD", THEN).trade_id == 4711
        fake_service.refuse(501, code="NOT_SUPPORTED")
        assert blocking([fake_service.url, other.url], "at", "BTC/USD", THEN).trade_id == 4711


@both
def test_candles_come_page_by_page_and_say_what_is_known(fake_service: FakeService, ask: Ask) -> None:
    first = f"{CANDLES}?pair=BTC/USD&interval=1m&start=2026-11-21T00%3A46%3A21Z"
    second = f"{CANDLES}?pair=BTC/USD&interval=1m&start=2026-11-21T00%3A47%3A00Z"
    page = {"pair": "BTC/USD", "interval": "1m"}
    fake_service.answer(first, page | {"candles": [COMPLETE]}, link=f'<{second}>; rel="next"')
    fake_service.answer(second, page | {"candles": [UNKNOWN]})
    candles: list[Candle] = ask(fake_service.url, "candles", "BTC/USD", "1m", start=THEN)

    whole, running = candles
    assert (whole.open, whole.vwap, whole.volume) == (
        Decimal("115640.00"),
        Decimal("115641.2208"),
        Decimal("0.04200000"),
    )
    assert (whole.coverage, whole.trades, whole.is_open) == ("complete", 3, False)
    assert running.close is None
    assert (running.volume, running.coverage, running.is_open) == (Decimal(0), "unknown", True)


def test_no_more_candles_are_asked_for_than_are_wanted(fake_service: FakeService) -> None:
    page = {"pair": "BTC/USD", "interval": "1m", "candles": [COMPLETE, UNKNOWN]}
    fake_service.answer(CANDLES, page, link=f'<{CANDLES}>; rel="next"')
    assert len(blocking(fake_service.url, "candles", "BTC/USD", start=THEN, limit=3)) == 3
    assert len(fake_service.requests) == 2


def test_an_interval_that_is_none_is_not_asked(fake_service: FakeService) -> None:
    with pytest.raises(ValueError, match="1m, 5m"):
        blocking(fake_service.url, "candles", "BTC/USD", "2m")
    assert fake_service.requests == []
