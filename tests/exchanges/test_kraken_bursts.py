"""Frames of Kraken that arrive together: a ticker that a later one replaces is not taken."""

from collections.abc import Callable

import pytest

from ltp_service.exchanges.kraken_tickers import OTHER_CHANNEL_WITHIN_SECONDS
from tests.exchanges.kraken_frames import V1, V2, Fed, ack, ticker, trade, v1_ack, v1_ticker, v1_trade
from tests.fakes import ETH

BOTH = pytest.mark.parametrize(
    ("url", "told", "accepted", "traded", "last"),
    [
        (V1, v1_ticker, v1_ack(), v1_trade("129.5"), v1_trade("149.5", 1.0)),
        (V2, ticker, ack(), trade("129.5"), trade("149.5", 2, 1.0)),
    ],
    ids=["v1", "v2"],
)


@BOTH
def test_of_a_burst_the_newest_ticker_of_each_pair_is_taken_and_every_trade(
    url: str, told: Callable[..., str], accepted: str, traded: str, last: str
) -> None:
    tickers = [told(f"{100 + number}.5") for number in range(50)]
    eth = told("7.5", symbol="ETH/USD")
    burst = [tickers[0], eth, *tickers[1:30], traded, *tickers[30:], last]
    fed = Fed(url, [accepted, burst, OTHER_CHANNEL_WITHIN_SECONDS, None])

    assert fed.price == "149.5"
    assert fed.store.all()[ETH].tick.price == "7.5"
    frames = fed.script.meters.frames
    assert (frames["superseded"], frames["ticker"], frames["trade"]) == (49, 2, 2)


def test_a_lone_ticker_is_taken_as_it_comes() -> None:
    frames = Fed(V2, [ack(), ticker("100.5"), ticker("101.5")]).script.meters.frames

    assert (frames["superseded"], frames["ticker"]) == (0, 2)


def test_a_ticker_of_several_pairs_and_the_state_at_subscription_are_taken_in_any_case() -> None:
    two = '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1},{"symbol":"ETH/USD","last":2}]}'
    frames = Fed(V2, [ack(), [ticker("1", kind="snapshot"), two, ticker("1")]]).script.meters.frames

    assert (frames["superseded"], frames["ticker"]) == (0, 3)


@BOTH
@pytest.mark.parametrize("place", [0, 1], ids=["before", "after"])
def test_a_ticker_that_cannot_be_used_opens_its_doubt_and_costs_no_other(
    url: str, told: Callable[..., str], accepted: str, traded: str, last: str, place: int
) -> None:
    burst = [told("129.5")]
    burst.insert(place, told("-1"))
    fed = Fed(url, [accepted, traded, 1.0, burst])

    frames = fed.script.meters.frames
    assert (fed.price, fed.reason, frames["superseded"]) == ("129.5", "unusable", 0)
