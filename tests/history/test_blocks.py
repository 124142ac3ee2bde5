"""Blocks of packed trades: every digit comes back, each trade can be read alone, and they are small."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.history.blocks import Block, packed
from ltp_service.history.rows import RecordedTrade
from tests.history.plain import NOON, SECOND, trade

DIGITS = st.sampled_from(
    (
        *("0.00000012", "123456789.123456789", "115643.00000", "1", "1.0", "1.50", "9223372036854775807"),
        *("9223372036854775808", "9" * 22 + "." + "9" * 18, "0." + "0" * 63 + "7", "1" * 90),
    )
)
MOMENTS = st.one_of(st.integers(0, 10), st.integers(NOON, NOON + 90_000 * SECOND), st.integers(0, 2**62))


@st.composite
def trades(draw: st.DrawFn) -> list[RecordedTrade]:
    """Any, in the order of time and id."""
    rows = st.builds(
        RecordedTrade,
        st.integers(0, 2**62),
        MOMENTS,
        DIGITS.map(Decimal),
        DIGITS.map(Decimal),
        st.sampled_from(("buy", "sell")),
    )
    made = draw(st.lists(rows, min_size=1, max_size=12))
    return sorted(made, key=lambda each: (each.traded_at, each.trade_id))


@given(trades())
def test_every_trade_comes_back_with_its_digits(made: list[RecordedTrade]) -> None:
    block = Block(packed(made))
    assert len(block) == len(made)
    assert block.trades() == made
    assert [(str(each.price), str(each.quantity)) for each in block.trades()] == [
        (str(each.price), str(each.quantity)) for each in made
    ]


@given(trades(), MOMENTS, MOMENTS)
def test_the_trades_of_some_moments_can_be_read_without_the_others(
    made: list[RecordedTrade], since: int, until: int
) -> None:
    block = Block(packed(made))
    for begin, end in ((since, until), (made[0].traded_at, made[-1].traded_at), (made[-1].traded_at, until)):
        within = [each for each in made if begin <= each.traded_at <= end]
        assert block.trades(block.within(begin, end)) == within


@pytest.mark.parametrize(
    ("price", "quantity"), [("0.00000012", "123456789.123456789"), ("115643.00000", "1")]
)
def test_columns_of_equal_values_take_no_room(price: str, quantity: str) -> None:
    one, many = (
        packed([trade(each, 0, price, quantity) for each in range(1, count + 1)]) for count in (1, 128)
    )
    assert len(many) == len(one)


def test_a_lively_pair_takes_ten_bytes_a_trade() -> None:
    made = [
        trade(each, each * 0.9, f"{115643 + each % 7}.{each % 10}", f"0.{each * 7919 % 10**8:08}")
        for each in range(128)
    ]
    assert len(packed(made)) < 128 * 10


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        packed([trade(1)._replace(price="no number")])  # type: ignore[arg-type]
