"""The bytes of events."""

from decimal import Decimal

import pytest

from ltp_service.streams.events import MAX_RETRY_MS, MIN_RETRY_MS, TradeGap, bye, digits, encode, event
from tests.streams.room import read_events


def test_an_event_has_an_id_a_name_and_one_line_of_data() -> None:
    assert event("price", "p1.x.1", b'{"pair":"BTC/USD"}') == (
        b'id: p1.x.1\nevent: price\ndata: {"pair":"BTC/USD"}\n\n'
    )


@pytest.mark.parametrize(("chance", "pause"), [(0.0, MIN_RETRY_MS), (0.9999999, MAX_RETRY_MS)])
def test_a_bye_says_when_to_come_again(chance: float, pause: int) -> None:
    (told,) = read_events(bye("x", "ending", chance))

    assert (told.name, told.id, told.retry, told.data) == ("bye", "x", pause, {"reason": "ending"})


@pytest.mark.parametrize(
    ("number", "text"), [("1E-7", "0.0000001"), ("1.50", "1.50"), ("1E+3", "1000"), ("115643.1", "115643.1")]
)
def test_digits_have_no_exponent(number: str, text: str) -> None:
    assert digits(Decimal(number)) == text


def test_a_gap_says_from_when_to_when() -> None:
    gap = encode(TradeGap("BTC/USD", 1, 5, None, "2026-11-21T00:46:21.123456Z"))
    assert gap == (
        b'{"pair":"BTC/USD","after_trade_id":1,"before_trade_id":5,"from":null,"to":"2026-11-21T00:46:21.123456Z"}'
    )
