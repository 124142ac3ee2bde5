"""Frames of Kraken that arrive together: a ticker that a later one replaces is not read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltp_service.exchanges import kraken_v1 as v1
from ltp_service.exchanges import kraken_v2 as v2
from ltp_service.exchanges.kraken_tickers import OTHER_CHANNEL_WITHIN_SECONDS
from ltp_service.feed.messages import LastTrade
from tests.exchanges.kraken_frames import V1, V2, Fed, ack, ticker, trade, v1_ack, v1_ticker, v1_trade
from tests.fakes import ETH
from tests.test_recorded_sessions import KINDS, frames

SNAPSHOT = '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","last":1}]}'
TWO = '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1},{"symbol":"ETH/USD","last":2}]}'


@pytest.mark.parametrize("name", KINDS)
def test_just_the_recorded_tickers_are_taken_for_tickers(recorded: Callable[[str], Path], name: str) -> None:
    dialect, _ = KINDS[name]
    for frame in frames(recorded(name)):
        symbol = dialect.ticker_of(frame)
        if symbol is None:
            assert '"type":"update"' not in frame or dialect.parse(frame).kind != "ticker"
        else:
            (event,) = dialect.parse(frame).events
            assert isinstance(event, LastTrade)
            assert event.symbol == symbol


@pytest.mark.parametrize("frame", [SNAPSHOT, TWO, trade("1"), v1_ticker("1"), "", "{}", "["])
def test_what_is_more_than_an_update_of_one_ticker_is_read_in_any_case_on_v2(frame: str) -> None:
    assert v2.ticker_of(frame) is None


@pytest.mark.parametrize("frame", [v1_trade("1"), ticker("1"), v1_ack(), "", "[]", '["ticker"]', '"]'])
def test_what_is_no_ticker_is_read_in_any_case_on_v1(frame: str) -> None:
    assert v1.ticker_of(frame) is None


@pytest.mark.parametrize(
    ("url", "told", "first", "last"),
    [
        (V1, v1_ticker, [v1_ack(), v1_trade("129.5")], v1_trade("149.5", 1.0)),
        (V2, ticker, [ack(), trade("129.5")], trade("149.5", 2, 1.0)),
    ],
    ids=["v1", "v2"],
)
def test_of_a_burst_the_newest_ticker_of_each_pair_is_read_and_every_trade(
    url: str, told: Callable[..., str], first: list[str], last: str
) -> None:
    accepted, traded = first
    tickers = [told(f"{100 + number}.5") for number in range(50)]
    eth = told("7.5", symbol="ETH/USD")
    burst = [tickers[0], eth, *tickers[1:30], traded, *tickers[30:], last]
    fed = Fed(url, [accepted, burst, OTHER_CHANNEL_WITHIN_SECONDS, None])

    assert fed.price == "149.5"
    assert fed.store.all()[ETH].tick.price == "7.5"
    frames = fed.script.meters.frames
    assert (frames["superseded"], frames["ticker"], frames["trade"]) == (49, 2, 2)


def test_a_lone_ticker_is_read_as_it_comes() -> None:
    frames = Fed(V2, [ack(), ticker("100.5"), ticker("101.5")]).script.meters.frames

    assert (frames["superseded"], frames["ticker"]) == (0, 2)


def test_a_ticker_that_cannot_be_used_is_no_matter_when_a_later_one_replaces_it() -> None:
    fed = Fed(V2, [ack(), [ticker('"100.5"'), ticker("101.5")], trade("101.5")])

    assert fed.price == "101.5"
    assert not fed.refused
