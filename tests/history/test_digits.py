"""Every digit of a trade and of a candle comes back."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.history.digits import (
    candle_columns,
    plain_text,
    read_candle,
    read_trade,
    trade_columns,
)
from ltp_service.history.rows import RecordedTrade
from tests.history.plain import NOON, candle_of, trade

numbers = st.builds(
    lambda digits, exponent: Decimal((0, tuple(digits), exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(-70, 0),
)


def stored(told: RecordedTrade) -> RecordedTrade:
    return read_trade((told.trade_id, told.traded_at, *trade_columns(told)))


@given(numbers, numbers, st.sampled_from(["buy", "sell"]))
def test_a_trade_comes_back_digit_by_digit(price: Decimal, quantity: Decimal, side: str) -> None:
    told = trade(7)._replace(price=price, quantity=quantity, side="buy" if side == "buy" else "sell")
    back = stored(told)
    assert back == told
    assert back.price.as_tuple() == Decimal(format(price, "f")).as_tuple()
    assert back.quantity.as_tuple() == Decimal(format(quantity, "f")).as_tuple()


@given(numbers, numbers)
def test_a_candle_comes_back_digit_by_digit(price: Decimal, quantity: Decimal) -> None:
    candle = candle_of([trade(7)._replace(price=price, quantity=quantity)], NOON)
    back = read_candle(candle_columns(candle))
    assert back == candle
    assert [plain_text(each) for each in back[1:7]] == [plain_text(each) for each in candle[1:7]]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("115643.00000", 11564300000),
        ("0.00000012", 12),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("0." + "0" * 61 + "7", 7),
        ("0." + "0" * 62 + "7", "0." + "0" * 62 + "7"),
        ("1E+3", 1000),
    ],
)
def test_a_number_is_an_integer_as_long_as_it_can_be_one(text: str, kept: int | str) -> None:
    assert trade_columns(trade(1, 0, text))[0] == kept


def test_the_form_of_a_usual_trade_takes_two_bytes() -> None:
    assert trade_columns(trade(1, 0, "115643.0", "0.00000012"))[2] < 2**15
    assert trade_columns(trade(1, 0, "0." + "1" * 62, "0." + "1" * 62))[2] < 2**15


def test_numbers_may_come_back_as_decimals() -> None:
    """PostgreSQL's numeric."""
    price, quantity, form = trade_columns(trade(1, 0, "115643.00000", "1" * 20 + ".50"))
    back = read_trade((1, NOON, Decimal(price), Decimal(quantity), form))
    assert (str(back.price), str(back.quantity)) == ("115643.00000", "1" * 20 + ".50")
