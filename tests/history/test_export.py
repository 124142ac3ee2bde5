"""ltp_service.history.export"""

import csv
import json

from ltp_service.history.answers import Window
from ltp_service.history.export import Form, every_row, lines
from ltp_service.history.questions import Page, ask_trades
from tests.fakes import BTC
from tests.history.plain_history import SECOND, T0, PlainHistory, trade

DIGITS = ("0.00000012", "123456789.123456789", "115643.00000")


def exported(form: Form, limit: int = 2) -> list[str]:
    """All of three trades, a hole and three more, in pages."""
    trades = [trade(n, T0 + n * SECOND, DIGITS[n % 3], DIGITS[n % 3]) for n in (1, 2, 3, 7, 8, 9)]
    history = PlainHistory(trades)

    def ask(asked: Window) -> Page:
        return ask_trades(history, BTC, asked, limit)

    return list(lines(BTC, every_row(ask, Window(None, None, T0 + 100 * SECOND, T0)), form))


def test_lines_of_json_have_every_trade_with_its_digits_and_the_gap_in_its_place() -> None:
    told = [json.loads(line) for line in exported("jsonl")]

    assert [each.get("trade_id") for each in told] == [1, 2, 3, None, 7, 8, 9]
    assert (told[3]["gap"]["after_trade_id"], told[3]["gap"]["before_trade_id"]) == (3, 7)
    assert {each["price"] for each in told if "price" in each} == set(DIGITS)


def test_csv_tells_the_same() -> None:
    told = list(csv.DictReader(exported("csv")))

    assert [each["trade_id"] for each in told] == ["1", "2", "3", "", "7", "8", "9"]
    assert (told[3]["kind"], told[3]["price"], told[3]["after_trade_id"]) == ("gap", "", "3")
    assert {each["quantity"] for each in told if each["quantity"]} == set(DIGITS)


def test_the_length_of_a_page_makes_no_difference() -> None:
    assert len({tuple(exported("csv", limit)) for limit in (1, 2, 3, 1000)}) == 1
