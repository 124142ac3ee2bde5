"""ltp_service.stores.doubts"""

from ltp_service.stores.doubts import Doubts
from ltp_service.tick import WEBSOCKET, Price
from tests.fakes import BTC, ETH, tick


def test_only_a_second_deafness_within_a_minute_condemns_the_connection() -> None:
    doubts = Doubts()

    assert not doubts.condemn(BTC, 0.0)
    assert not doubts.condemn(BTC, 100.0)
    assert doubts.condemn(BTC, 160.0)
    assert not doubts.condemn(BTC, 170.0)


def test_of_several_doubts_the_one_unasked_for_longest_comes_first() -> None:
    doubts = Doubts()
    doubts.open(BTC, "disputed", 1.0)
    doubts.open(ETH, "disputed", 2.0)
    doubts.asked(BTC, 3.0)

    assert doubts.unsettled({}, 3.5) == [ETH]
    assert doubts.unsettled({}, 5.0) == [ETH, BTC]


def test_a_doubt_stays_as_old_as_it_is_when_it_is_raised_again() -> None:
    doubts = Doubts()
    vouched = Price(tick("1"), 0.0, WEBSOCKET, 0.0)
    doubts.open(BTC, "disputed", 1.0)
    doubts.open(BTC, "disputed", 2.0, vouched, vouched=True)
    doubts.open(BTC, "disputed", 3.0)

    doubt = doubts.about(BTC)
    assert doubt is not None
    assert (doubt.since, doubt.vouched) == (1.0, vouched)
    doubts.excuse()
    assert doubt.vouched is None
    doubts.settle(BTC)
    assert BTC not in doubts
