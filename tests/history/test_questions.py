"""ltp_service.history.questions, with a file"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.history.answers import Gap, Hole, PriceThen, Unknown, Window
from ltp_service.history.export import every_row
from ltp_service.history.questions import Pending, ask_candles, ask_price, ask_trades
from ltp_service.history.rows import Coverage, News
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


def price_at(store: SqlHistory, moment: int, now: int = FAR) -> PriceThen | Hole | Pending | Unknown:
    """With 30 s for evidence to arrive."""
    return ask_price(store, BTC, moment, 30 * SECOND, lambda: now)


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


@pytest.mark.parametrize("start", [NEW[0].traded_at, NEW[-1].traded_at, NEW[-1].traded_at + 5])
def test_nothing_follows_an_id_that_is_not_recorded_yet(store: SqlHistory, start: int) -> None:
    assert ask_trades(store, BTC, Window(start, 9, FAR, T0), 100).rows == []


def test_what_was_numbered_anew_follows_an_id_that_never_was_recorded(store: SqlHistory) -> None:
    for start in (OLD[0].traded_at, OLD[-1].traded_at + SECOND):
        asked = Window(start, 12, FAR, T0)
        assert ask_trades(store, BTC, asked, 100).rows == [RENUMBERED._replace(after_trade_id=12), *NEW]


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_an_id_long_after_the_start_is_found(tmp_path: Path, limit: int) -> None:
    store = SqlHistory(SqliteEngine(tmp_path / "long.sqlite3"))
    old = [trade(number, T0 + number * 20 * SECOND) for number in range(1000, 2000)]
    new = [trade(number, T0 + (50_000 + number) * SECOND) for number in range(1, 1000)]
    store.write([News(BTC, tuple(old))])
    store.write([News(BTC, tuple(new))])

    for start, after, rest in (
        (old[0].traded_at, 1900, [*old[901:], *new]),
        (old[0].traded_at, 1999, new),
        (old[0].traded_at, 5000, new),
        (new[0].traded_at, 900, new[900:]),
        (new[0].traded_at + 1, 999, []),
    ):
        rows = ask_trades(store, BTC, Window(start, after, FAR, T0), limit).rows
        assert [row for row in rows if not isinstance(row, Gap)] == rest[:limit]
    store.close()


def test_a_page_that_begins_amid_a_second_out_of_order_loses_no_trade(tmp_path: Path) -> None:
    store = SqlHistory(SqliteEngine(tmp_path / "order.sqlite3"))
    swapped = [trade(1, T0), trade(2, T0 + 900_000), trade(3, T0 + 500_000), trade(4, T0 + 2 * SECOND)]
    store.write([News(BTC, tuple(swapped))])
    rows = every_row(lambda window: ask_trades(store, BTC, window, 1), Window(None, None, FAR, T0))
    assert [row.trade_id for row in rows if not isinstance(row, Gap)] == [1, 3, 2, 4]
    store.close()


def test_no_price_is_proven_between_two_numberings(store: SqlHistory) -> None:
    assert isinstance(price_at(store, OLD[1].traded_at), PriceThen)
    assert not isinstance(price_at(store, OLD[-1].traded_at), PriceThen)
    assert isinstance(price_at(store, NEW[-1].traded_at + SECOND), PriceThen)
    told = ask_candles(store, BTC, 1, T0, T0 + 3 * MINUTE, 100, FAR).candles
    assert [each.covered for each in told] == ["partial", "partial", "unknown"]


def test_the_last_seconds_are_not_known_yet_and_no_hole(store: SqlHistory) -> None:
    known_until, moment = NEW[-1].traded_at + SECOND, NEW[-1].traded_at + 2 * SECOND

    assert price_at(store, moment, now=known_until + 30 * SECOND) == Pending(NEW[-1])
    assert price_at(store, moment, now=known_until + 30 * SECOND + 1) == Hole(NEW[-1], None)
    assert price_at(store, OLD[-1].traded_at, now=known_until) == Hole(OLD[-1], NEW[0])


# Another history in the place of the first one.


def after_the_coverage(store: SqlHistory, happens: Callable[[], object]) -> None:
    """Has something happen between the coverage and what it is to prove."""
    coverage = store.coverage

    def then(pair: Pair) -> Coverage:
        found = coverage(pair)
        happens()
        return found

    store.coverage = then  # type: ignore[method-assign]


def test_the_coverage_of_a_file_that_was_deleted_proves_no_silence(store: SqlHistory, tmp_path: Path) -> None:
    begun, later = NEW[-1].traded_at // MINUTE + 1, range(9, 30)
    trades = tuple(trade(number, NEW[-1].traded_at + (number - 8) * 30 * SECOND) for number in later)
    store.write([News(BTC, trades)])

    def covered() -> set[str]:
        told = ask_candles(store, BTC, 1, begun * MINUTE, (begun + 8) * MINUTE, 100, FAR)
        return {each.covered for each in told.candles}

    assert covered() == {"complete"}
    after_the_coverage(store, lambda: (tmp_path / "history.sqlite3").unlink(missing_ok=True))
    assert covered() == {"unknown"}


def test_a_page_is_of_the_file_that_came_in_the_place_of_another(store: SqlHistory, tmp_path: Path) -> None:
    other = SqlHistory(SqliteEngine(tmp_path / "other.sqlite3"))
    other.write([News(BTC, tuple(OLD[:2]))])
    other.close()

    def replace() -> None:
        if (tmp_path / "other.sqlite3").exists():
            (tmp_path / "other.sqlite3").replace(tmp_path / "history.sqlite3")

    after_the_coverage(store, replace)
    assert ask_trades(store, BTC, Window(OLD[1].traded_at, None, NEW[-1].traded_at, FAR), 100).rows == [
        OLD[1],
        Gap(OLD[1].trade_id, None, OLD[1].traded_at, None),
    ]


def test_a_history_that_is_replaced_again_and_again_is_refused(store: SqlHistory, tmp_path: Path) -> None:
    path, copies = tmp_path / "history.sqlite3", iter(range(9))
    store.close()

    def replace() -> None:
        copy = tmp_path / f"{next(copies)}.sqlite3"
        shutil.copy(path, copy)
        copy.replace(path)

    after_the_coverage(store, replace)
    with pytest.raises(StoreUnavailable, match="in its place"):
        ask_trades(store, BTC, Window(None, None, FAR, T0), 100)
    with pytest.raises(StoreUnavailable, match="in its place"):
        ask_candles(store, BTC, 1, T0, FAR, 100, FAR)
