"""ltp_service.domain.decimals"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain.decimals import MAX_DIGITS, plain, read_price
from ltp_service.domain.errors import BadFrame
from tests.tables import by_result


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        *((text, text) for text in ("0.00000012", "123456789.123456789", "0.0000001234", "100")),
        ("115643.00000", "115643"),
        ("159937.70000", "159937.7"),
        ("1.2e-7", "0.00000012"),
        ("1E+3", "1000"),
        ("10.10", "10.1"),
        ("1e-18", "0.000000000000000001"),
        ("9e15", "9000000000000000"),
        ("1." + "1" * (MAX_DIGITS - 1), "1." + "1" * (MAX_DIGITS - 1)),
        ("0" * 63 + "5", "5"),
    ],
)
def test_a_price_comes_out_with_its_own_digits_and_without_trailing_zeros(wire: str, shown: str) -> None:
    assert plain(read_price(wire)) == shown


@pytest.mark.parametrize(
    ("wire", "reason"),
    by_result(
        {
            "not_a_number": ["", "abc", "1,5", "0x10", "1_000", "١٢٣", " 5", "5\n", "null", '"5"'],
            "not_finite": ["NaN", "sNaN", "Infinity", "-Infinity"],
            "not_positive": ["0", "0.000", "-0", "-1"],
            "out_of_range": [
                *("1e400", "1e99999999", "1e-99999999", "1e16", "1e-19", "1." + "1" * MAX_DIGITS),
                *(
                    "1" * 5000,
                    "9" * 65,
                    "0" * 64 + "5",
                    "1" * 17,
                    "0." + "0" * 18 + "1",
                    "1." + "0" * MAX_DIGITS,
                ),
            ],
        }
    ),
)
def test_a_price_that_cannot_be_believed_is_refused_with_its_reason(wire: str, reason: str) -> None:
    with pytest.raises(BadFrame) as refusal:
        read_price(wire)

    assert refusal.value.reason == reason


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    try:
        price = read_price(text)
    except BadFrame:
        return
    assert price > 0
    assert Decimal(plain(price)) == price


@given(st.integers(1, 10**20), st.integers(0, 15))
def test_no_digit_changes_between_the_wire_and_the_answer(coefficient: int, decimals: int) -> None:
    price = Decimal(coefficient).scaleb(-decimals)
    wire = format(price, "f")
    try:
        read = read_price(wire)
    except BadFrame:
        assert price.adjusted() > 15
        return

    shown = plain(read)
    assert Decimal(shown) == price
    assert shown in (wire, wire.rstrip("0").rstrip("."))
    assert "E" not in shown.upper()
