"""What is shown of each pair: never as present what the service or a dead line does not vouch for."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from ltp_service.cli.board import Board
from ltp_service.client import Disconnected, Price, Unavailable

NOW = datetime(2026, 11, 29, 10, 31, 5, 123456, UTC)


def price(text: str, pair: str = "BTC/USD", state: str = "live", source: str = "kraken:websocket") -> Price:
    return Price(pair, Decimal(text), text, state, source, 0.1, NOW, 7)


@pytest.fixture
def board() -> Board:
    return Board(lambda: NOW)


def shown(board: Board, width: int = 110) -> str:
    text = StringIO()
    Console(file=text, width=width).print(board.drawn(width))
    return text.getvalue()


def test_a_line_has_the_time_the_pair_every_digit_and_the_state(board: Board) -> None:
    assert board.take(price("115643.10")) == ["BTC/USD"]
    assert board.line("BTC/USD") == "2026-11-29T10:31:05.123Z BTC/USD 115643.10 live"


def test_the_arrow_tells_whether_the_last_change_was_up_or_down(board: Board) -> None:
    board.take(price("2"))
    assert not set("▲▼") & set(shown(board))
    board.take(price("3"))
    assert "▲" in shown(board)
    board.take(price("3", state="quiet"))
    assert "▲" in shown(board)
    board.take(price("2.5"))
    assert "▼" in shown(board)


def test_no_arrow_leads_from_one_exchange_to_another(board: Board) -> None:
    board.take(price("2"))
    board.take(price("3", state="substitute", source="coinbase:websocket"))
    assert not set("▲▼") & set(shown(board))
    assert "coinbase:websocket" in shown(board)
    board.take(price("4", state="substitute", source="coinbase:websocket"))
    assert "▲" in shown(board)


def test_a_terminal_that_knows_only_ascii_is_told_in_words(board: Board) -> None:
    board.take(price("2"))
    board.take(price("3"))
    text = StringIO()
    Console(file=text, width=110).print(board.drawn(110, in_ascii=True))
    assert " up " in text.getvalue()
    assert not set("▲▼") & set(text.getvalue())


def test_how_many_may_be_trusted_is_the_first_line_as_a_low_terminal_shows_no_other(board: Board) -> None:
    board.take(price("3"))
    board.take(Unavailable("ETH/USD", "stale", "the evidence is too old"))
    assert shown(board).splitlines()[0].strip() == "1 of 2 prices may be trusted"
    board.take(Disconnected("closed", NOW))
    assert shown(board).startswith("NOT LIVE since 10:31:05: closed")


def test_a_price_that_is_not_trusted_any_more_is_in_parentheses_with_the_reason(board: Board) -> None:
    board.take(price("3"))
    board.take(price("4", "ETH/USD"))
    board.take(Unavailable("BTC/USD", "stale", "the evidence is too old"))
    assert board.line("BTC/USD").endswith(" BTC/USD - stale")
    drawn = shown(board)
    assert "(3)" in drawn
    assert "the evidence is too old" in drawn
    assert "1 of 2 prices may be trusted" in drawn


def test_on_a_dead_line_no_price_is_shown_as_live(board: Board) -> None:
    board.take(price("3"))
    board.take(price("4", "ETH/USD"))
    assert board.take(Disconnected("no event for 10 s", NOW)) == ["BTC/USD", "ETH/USD"]
    assert board.line("ETH/USD").endswith(" ETH/USD - not-live")
    drawn = shown(board)
    assert "NOT LIVE since 10:31:05: no event for 10 s" in drawn
    assert "(3)" in drawn
    assert "(4)" in drawn


def test_after_a_dead_line_only_the_prices_that_are_told_again_are_trusted(board: Board) -> None:
    board.take(price("3"))
    board.take(price("4", "ETH/USD"))
    board.take(Disconnected("closed", NOW))
    board.take(price("3"))
    drawn = shown(board)
    assert "(3)" not in drawn
    assert "(4)" in drawn
    assert "1 of 2 prices may be trusted" in drawn


@pytest.mark.parametrize("width", [60, 30])
def test_no_digit_is_cut_off_in_a_narrow_terminal(width: int, board: Board) -> None:
    board.take(price("115643.10"))
    board.take(price("0.00001234500", "SHIB/USD"))
    board.take(
        Unavailable(
            "BTC/USD", "stale", "the evidence is too old by more than a minute, so that it is not served"
        )
    )
    drawn = shown(board, width)
    for whole in ("BTC/USD", "(115643.10)", "SHIB/USD", "0.00001234500"):
        assert whole in drawn


def test_a_terminal_that_is_too_narrow_for_a_price_shows_none(board: Board) -> None:
    board.take(price("115643.10"))
    assert "115643.10" in shown(board, 20)
    assert "115" not in shown(board, 19)
    assert "a terminal of 20 columns" in " ".join(shown(board, 19).split())
