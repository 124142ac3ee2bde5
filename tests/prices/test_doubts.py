"""ltp_service.prices.doubts"""

import pytest

from ltp_service.domain.tick import REST, WEBSOCKET, Price, Tick
from ltp_service.prices.doubts import SNAPSHOT_BELIEVED_AFTER_SECONDS, Doubts
from ltp_service.prices.store import Outcome
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


def told(price: str, at: float) -> Tick:
    """REST's newest trade, as of that moment."""
    return tick(price, source=REST, traded_at=1.0, received_at=at)


def test_a_later_frame_that_cannot_be_used_needs_a_later_answer() -> None:
    doubts = Doubts()
    doubts.open(BTC, "unusable", 1.0)
    doubts.open(BTC, "unusable", 5.0)
    doubts.answered(told("1", 4.0), "same", 4.0)
    assert BTC in doubts
    doubts.answered(told("1", 5.0), "older", 5.0)
    assert BTC in doubts
    doubts.answered(told("1", 5.0), "same", 5.0)
    assert BTC not in doubts


@pytest.mark.parametrize(
    ("outcome", "price", "at", "settled"),
    [
        ("older", "7", 1.0, True),
        ("older", "8", 9.0, False),
        ("same", "9", 9.0, True),
        ("same", "9", 4.0, False),
        ("newer", "10", 9.0, True),
        ("newer", "7", 4.0, True),
    ],
)
def test_a_dispute_ends_with_an_explanation(outcome: Outcome, price: str, at: float, settled: bool) -> None:
    doubts = Doubts()
    doubts.open(BTC, "disputed", 6.0, against=told("7", 5.0))
    doubts.answered(told(price, at), outcome, at)

    assert (BTC not in doubts) is settled


def test_an_explained_dispute_explains_no_frame_that_could_not_be_used() -> None:
    doubts = Doubts()
    doubts.open(BTC, "disputed", 1.0, against=told("7", 1.0))
    doubts.open(BTC, "unusable", 2.0)
    doubts.answered(told("7", 1.0), "newer", 1.0)

    assert BTC in doubts


def test_rest_does_not_settle_that_a_subscription_is_deaf() -> None:
    doubts = Doubts()
    doubts.open(BTC, "disputed", 1.0, against=told("7", 1.0))
    doubts.open(BTC, "deaf", 2.0)
    doubts.open(BTC, "unusable", 3.0)
    doubts.answered(told("7", 9.0), "newer", 9.0)

    assert doubts.deaf() == [BTC]
    assert doubts.unsettled({}, 9.0) == []
    doubts.heard(tick("8", received_at=2.5))
    assert BTC in doubts
    doubts.heard(tick("8", received_at=3.0))
    assert BTC not in doubts


def test_a_pair_that_is_deaf_again_is_believed_with_a_live_trade_and_not_with_a_snapshot() -> None:
    doubts = Doubts()
    for at in (100.0, 200.0):
        doubts.open(BTC, "deaf", at)
        doubts.condemn(BTC, at)
        snapshot = tick("8", trade_id=7, traded_at=1.0, received_at=at + 1)
        doubts.heard(snapshot, snapshot=True)
        assert (BTC in doubts) is (at == 200.0)
    doubts.unsettled({BTC: Price(snapshot, 201.0, WEBSOCKET, 1.0, 7)}, 201.0)
    doubts.heard(
        tick("9", received_at=202.0)
    )  # a ticker, which may be the snapshot that waited for the trade
    assert BTC in doubts
    doubts.heard(tick("9", trade_id=8, traded_at=2.0, received_at=203.0))
    assert BTC not in doubts


def test_long_after_a_deafness_a_snapshot_is_believed_again() -> None:
    doubts = Doubts()
    for at in (100.0, 101.0 + SNAPSHOT_BELIEVED_AFTER_SECONDS):
        doubts.open(BTC, "deaf", at)
        doubts.condemn(BTC, at)
        doubts.heard(tick("8", traded_at=1.0, received_at=at + 1), snapshot=True)
        assert BTC not in doubts


def test_only_another_trade_that_another_process_brought_since_settles_a_doubt_here() -> None:
    doubts = Doubts()
    before = Price(tick("1", trade_id=5), 0.0, WEBSOCKET, 0.0)
    doubts.open(BTC, "disputed", 1.0, before)
    for late in (
        tick("1", trade_id=5, received_at=2.0),
        tick("2", trade_id=6, received_at=1.0),
        tick("2", trade_id=6, received_at=2.0, source=REST),
    ):
        assert doubts.unsettled({BTC: Price(late, 2.0, WEBSOCKET, 0.0)}, 2.0) == [BTC]

    assert (
        doubts.unsettled({BTC: Price(tick("1", trade_id=6, received_at=2.0), 2.0, WEBSOCKET, 0.0)}, 2.0) == []
    )
