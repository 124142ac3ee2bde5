"""Frames of Kraken that arrive together: a ticker that a later one replaces is not read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltp_service.exchanges import kraken_v1 as v1
from ltp_service.exchanges import kraken_v2 as v2
from ltp_service.feed.messages import LastTrade
from tests.exchanges.test_kraken import (
    V1,
    V2,
    play,
    price_of,
    v1_ack,
    v1_ticker,
    v1_trade,
    v2_ack,
    v2_ticker,
    v2_trade,
)
from tests.fakes import ETH, NOON
from tests.test_recorded_sessions import KINDS, frames

SNAPSHOT = '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","last":1}]}'
TWO = '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1},{"symbol":"ETH/USD","last":2}]}'


@pytest.mark.parametrize("name", KINDS)
def test_of_the_recorded_frames_just_the_tickers_are_taken_for_tickers(
    recorded: Callable[[str], Path], name: str
) -> None:
    dialect, _ = KINDS[name]
    for frame in frames(recorded(name)):
        symbol = dialect.ticker_of(frame)
        if symbol is None:
            assert '"type":"update"' not in frame or dialect.parse(frame).kind != "ticker"
        else:
            (event,) = dialect.parse(frame).events
            assert isinstance(event, LastTrade)
            assert event.symbol == symbol


@pytest.mark.parametrize("frame", [SNAPSHOT, TWO, v2_trade("1"), v1_ticker("1"), "", "{}", "["])
def test_what_is_more_than_an_update_of_one_ticker_is_read_in_any_case_on_v2(frame: str) -> None:
    assert v2.ticker_of(frame) is None


@pytest.mark.parametrize("frame", [v1_trade("1"), v2_ticker("1"), v1_ack(), "", "[]", '["ticker"]', '"]'])
def test_what_is_no_ticker_is_read_in_any_case_on_v1(frame: str) -> None:
    assert v1.ticker_of(frame) is None


def numbered(price: str, time: float) -> str:
    """A trade whose number goes up with its time."""
    return v2_trade(price, time, 1 + int(time - NOON))


@pytest.mark.parametrize(
    ("url", "ack", "ticker", "trade", "eth"),
    [(V1, v1_ack(), v1_ticker, v1_trade, "ETH/USD"), (V2, v2_ack(), v2_ticker, numbered, "ETH/USD")],
    ids=["v1", "v2"],
)
def test_of_a_burst_the_newest_ticker_of_each_pair_is_read_and_every_trade(
    url: str,
    ack: str,
    ticker: Callable[..., str],
    trade: Callable[..., str],
    eth: str,
) -> None:
    tickers = [ticker(f"{100 + number}.5") for number in range(50)]
    burst = [
        tickers[0],
        ticker("7.5", eth),
        *tickers[1:30],
        trade("129.5", NOON),
        *tickers[30:],
        trade("149.5", NOON + 1),
    ]
    store, script = play(url, [ack, burst])

    assert price_of(store) == "149.5"
    assert store.all()[ETH].tick.price == "7.5"
    assert script.meters.frames["superseded"] == 49
    assert (script.meters.frames["ticker"], script.meters.frames["trade"]) == (2, 2)


def test_a_lone_ticker_is_read_as_it_comes() -> None:
    _, script = play(V2, [v2_ack(), v2_ticker("100.5"), v2_ticker("101.5")])

    assert script.meters.frames["superseded"] == 0
    assert script.meters.frames["ticker"] == 2


def test_a_ticker_that_cannot_be_used_is_no_matter_when_a_later_one_replaces_it() -> None:
    store, script = play(V2, [v2_ack(), [v2_ticker('"100.5"'), v2_ticker("101.5")], v2_trade("101.5", NOON)])

    assert price_of(store) == "101.5"
    assert not script.meters.refused
