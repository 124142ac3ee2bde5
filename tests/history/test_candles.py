"""Candles of trades, and longer ones of shorter ones."""

from decimal import Context, Decimal

import pytest

from ltp_service.history.candles import fold, join, longer, of_minutes, start_of
from ltp_service.history.rows import Candle
from tests.history.plain import MINUTE, NOON, candles_of, trade

_WIDE = Context(prec=100)


def test_a_candle_is_folded_of_its_trades() -> None:
    trades = [
        trade(7, 1, "10", "1"),
        trade(8, 2, "12", "0.5"),
        trade(9, 3, "9.50", "2"),
        trade(10, 4, "11", "1"),
    ]
    assert fold(trades, NOON) == Candle(
        NOON,
        Decimal(10),
        Decimal(12),
        Decimal("9.5"),
        Decimal(11),
        Decimal("4.5"),
        Decimal(46),
        4,
        7,
        10,
    )


def test_a_candle_of_one_trade_has_its_digits() -> None:
    candle = fold([trade(7, 1, "115643.00000", "0.00000012")], NOON)
    assert {str(each) for each in candle[1:5]} == {"115643.00000"}
    assert (str(candle.volume), str(candle.turnover)) == ("1.2E-7", "0.0138771600000")


def test_of_equal_prices_the_digits_of_the_first_stay() -> None:
    candle = fold([trade(1, 0, "1.50"), trade(2, 0, "1.5"), trade(3, 0, "1.500")], NOON)
    assert (str(candle.high), str(candle.low), str(candle.close)) == ("1.50", "1.50", "1.500")


def test_nothing_is_rounded() -> None:
    price = "1" * 22 + "." + "1" * 18
    candle = fold([trade(1, 0, price, price), trade(2, 0, "0.00000012", "1e-18")], NOON)
    square = int("1" * 40) ** 2
    # 0.00000012 times a quintillionth is 12 in the 26th place, which lies among the 36 of the square.
    assert candle.turnover == Decimal(square + 12 * 10**10).scaleb(-36, context=_WIDE)
    assert format(candle.volume, "f") == "1" * 22 + "." + "1" * 17 + "2"


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 240, 1440])
def test_an_interval_starts_at_a_whole_multiple_of_its_length_in_utc(minutes: int) -> None:
    start = start_of(NOON + 7 * MINUTE + 1, minutes)
    assert start % (minutes * MINUTE) == 0
    assert start <= NOON + 7 * MINUTE < start + minutes * MINUTE


def test_trades_are_cut_into_minutes() -> None:
    trades = [trade(1, 0), trade(2, 59.999999), trade(3, 60), trade(4, 200)]
    cut = list(of_minutes(trades))
    assert [candle for candle, _ in cut] == candles_of(trades, 1)
    assert [members for _, members in cut] == [trades[:2], trades[2:3], trades[3:]]


def test_two_candles_are_joined() -> None:
    trades = [trade(each, each, f"{each * 7 % 11}.0", f"0.{each}") for each in range(1, 30)]
    assert join(fold(trades[:9], NOON), fold(trades[9:], NOON + 5)) == fold(trades, NOON)


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 240, 1440])
def test_longer_candles_are_those_of_the_same_trades(minutes: int) -> None:
    trades = [trade(each, each * 777, f"{each * 7 % 11}.0", f"0.{each}") for each in range(1, 300)]
    assert longer(candles_of(trades, 1), minutes) == candles_of(trades, minutes)
    assert longer([], minutes) == []
