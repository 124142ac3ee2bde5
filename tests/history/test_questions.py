"""ltp_service.history.questions, with a file"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ltp_service.history.answers import Gap, PriceThen, Window
from ltp_service.history.export import every_row
from ltp_service.history.questions import ask_candles, ask_price, ask_trades
from ltp_service.history.rows import News
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.fakes import BTC
from tests.history.plain_history import MINUTE, SECOND, T0, trade

FAR = T0 + 1000 * MINUTE
OLD = [trade(number, T0 + number * SECOND) for number in range(5, 9)]
NEW = [trade(number, T0 + (100 + number) * SECOND) for number in range(1, 9)]
RENUMBERED = Gap(8, 1, OLD[-1].traded_at, NEW[0].traded_at)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlHistory]:
    """A pair whose trades the exchange numbered anew, with ids that it had used before."""
    store = SqlHistory(SqliteEngine(tmp_path / "history.sqlite3"))
    store.write([News(BTC, tuple(OLD))])
    store.write([News(BTC, tuple(NEW), NEW[-1].traded_at + SECOND, NEW[-1].trade_id)])
    yield store
    store.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_pages_go_on_through_trades_that_were_numbered_anew(store: SqlHistory, limit: int) -> None:
    asked = Window(None, None, FAR, T0)

    assert list(every_row(lambda window: ask_trades(store, BTC, window, limit), asked)) == [
        *OLD,
        RENUMBERED,
        *NEW,
    ]


def test_an_id_alone_is_one_of_the_newest_numbering(store: SqlHistory) -> None:
    assert ask_trades(store, BTC, Window(None, 6, FAR, T0), 100).rows == NEW[6:]


def test_an_id_with_its_time_is_one_of_that_numbering(store: SqlHistory) -> None:
    asked = Window(OLD[1].traded_at, 6, FAR, T0)
    assert ask_trades(store, BTC, asked, 100).rows == [*OLD[2:], RENUMBERED, *NEW]


def test_a_start_before_the_id_leaves_out_what_the_client_has(store: SqlHistory) -> None:
    for start in (NEW[0].traded_at, NEW[5].traded_at, NEW[5].traded_at + 1):
        assert ask_trades(store, BTC, Window(start, 6, FAR, T0), 100).rows == NEW[6:]


def test_no_price_is_proven_between_two_numberings(store: SqlHistory) -> None:
    assert isinstance(ask_price(store, BTC, OLD[1].traded_at, 0), PriceThen)
    assert not isinstance(ask_price(store, BTC, OLD[-1].traded_at, 0), PriceThen)
    assert isinstance(ask_price(store, BTC, NEW[-1].traded_at + SECOND, 0), PriceThen)
    told = ask_candles(store, BTC, 1, T0, T0 + 3 * MINUTE, 100, FAR).candles
    assert [each.covered for each in told] == ["partial", "partial", "unknown"]
