"""ltp_service.exchanges.kraken_lag: by how much what Kraken sends is late, from the ages of its trades."""

from ltp_service.exchanges.kraken_lag import Lag
from tests.fakes import BTC, ETH


def test_the_line_is_as_late_as_the_newest_trade_shows_and_no_later_than_at_the_last_one_and_since() -> None:
    lag = Lag()
    assert lag.learn(BTC, 3.0, None) == (3.0, 3.0)
    assert lag.learn(ETH, 8.0, 1.0) == (4.0, 8.0)
    assert (lag.of(BTC), lag.of(ETH), lag.longest()) == (4.0, 8.0, 8.0)


def test_a_trade_in_time_shows_that_the_line_and_its_pair_are_late_no_more() -> None:
    lag = Lag()
    lag.learn(BTC, 3.0, None)
    assert lag.learn(BTC, 0.1, 1.0) == (None, None)
    assert (lag.of(BTC), lag.of(ETH), lag.is_late) == (0.0, 0.0, False)
