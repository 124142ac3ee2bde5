"""The symbols that are collected: changed at run time, kept, bounded, told to those who collect."""

import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from ltp_service.collected.symbols import SqliteSymbols, SymbolBackEnd, SymbolReload, Symbols, open_symbols
from ltp_service.domain.errors import InvalidParameter, StoreUnavailable
from ltp_service.domain.trade import MAX_COLLECTED_SYMBOLS
from ltp_service.redis.symbols import RedisSymbols
from ltp_service.runtime.database import Database
from ltp_service.settings.config import Config
from tests.fakes import runtime
from tests.redis_server import RedisServer
from tests.steered_clock import SteeredClock

FIRST = ("BTCUSDT", "ETHUSDT")


Open = Callable[[], SymbolBackEnd]


@pytest.fixture
def database(tmp_path: Path) -> Generator[Database]:
    clock = SteeredClock()
    with closing(Database(tmp_path / "ltp.sqlite3", runtime(clock))) as database:
        yield database


@contextmanager
def in_sqlite(folder: Path) -> Generator[Open]:
    clock = SteeredClock()
    with ExitStack() as files:
        yield lambda: SqliteSymbols(files.enter_context(closing(Database(folder / "file", runtime(clock)))))


@contextmanager
def in_redis(folder: Path) -> Generator[Open]:
    with RedisServer.start(folder) as server:
        yield lambda: RedisSymbols(server.client())


@pytest.fixture(params=[in_sqlite, in_redis])
def open_back_end(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Open]:
    """Each call opens the same list, as another process would."""
    with request.param(tmp_path) as opens:
        yield opens


@pytest.fixture
def symbols(open_back_end: Open) -> Symbols:
    return Symbols(open_back_end(), FIRST)


@pytest.fixture
def elsewhere(open_back_end: Open) -> Symbols:
    """The symbols in another process, started with another setting."""
    return Symbols(open_back_end(), ("SOLUSDT",))


def fill_the_disk(database: Database) -> None:
    [(pages,)] = database.read("PRAGMA page_count")
    database.read(f"PRAGMA max_page_count = {pages}")


def test_the_setting_counts_while_nothing_is_stored(symbols: Symbols, open_back_end: Open) -> None:
    assert symbols.all() == FIRST
    symbols.refresh()
    assert symbols.all() == FIRST
    assert open_back_end().load() is None


def test_asking_for_the_list_makes_no_file(database: Database, tmp_path: Path) -> None:
    Symbols(SqliteSymbols(database), FIRST).refresh()
    assert list(tmp_path.iterdir()) == []


def test_a_symbol_added_is_collected_last_and_kept(symbols: Symbols, elsewhere: Symbols) -> None:
    assert symbols.add("SOLUSDT")
    assert symbols.all() == (*FIRST, "SOLUSDT")
    elsewhere.refresh()
    assert elsewhere.all() == symbols.all()


def test_a_removed_symbol_is_collected_no_longer(symbols: Symbols, open_back_end: Open) -> None:
    assert symbols.remove("BTCUSDT")
    restarted = Symbols(open_back_end(), FIRST)
    restarted.refresh()
    assert symbols.all() == restarted.all() == ("ETHUSDT",)


def test_a_list_without_any_symbol_stays_so(symbols: Symbols, open_back_end: Open) -> None:
    for symbol in FIRST:
        symbols.remove(symbol)
    restarted = Symbols(open_back_end(), FIRST)
    restarted.refresh()
    assert symbols.all() == restarted.all() == ()
    symbols.add("XRPUSDT")
    assert symbols.all() == ("XRPUSDT",)


@pytest.mark.parametrize(
    "change",
    [lambda symbols: symbols.add("BTCUSDT"), lambda symbols: symbols.remove("XRPUSDT")],
    ids=["adding one that is there", "removing one that is not"],
)
def test_what_changes_nothing_says_so_tells_nobody_and_leaves_the_setting_in_force(
    change: Callable[[Symbols], bool], symbols: Symbols, elsewhere: Symbols
) -> None:
    told = []
    symbols.on_change(lambda: told.append(symbols.all()))
    assert not change(symbols)
    assert told == []
    elsewhere.refresh()
    assert elsewhere.all() == ("SOLUSDT",)


@pytest.mark.parametrize(
    "symbol",
    [
        *("", "B", "btcusdt", "BTC/USDT", "BTC USDT", "B" * 21, "BTCUSDT\n", "BTC²", "A,B"),
        "\N{GREEK CAPITAL LETTER BETA}TCUSDT",
    ],
)
def test_what_is_no_symbol_is_refused(symbol: str, symbols: Symbols) -> None:
    with pytest.raises(InvalidParameter, match="2 to 20 of A-Z and 0-9"):
        symbols.add(symbol)
    assert symbols.all() == FIRST


def test_more_than_200_symbols_are_refused_and_the_rest_stays(symbols: Symbols, elsewhere: Symbols) -> None:
    for number in range(MAX_COLLECTED_SYMBOLS - len(FIRST)):
        symbols.add(f"COIN{number}")
    with pytest.raises(InvalidParameter, match="200 symbols are collected, no more are possible; remove one"):
        symbols.add("ONEMORE")
    assert not symbols.add("COIN0")
    elsewhere.refresh()
    assert len(elsewhere.all()) == MAX_COLLECTED_SYMBOLS == 200
    symbols.remove("COIN0")
    assert symbols.add("ONEMORE")


def test_processes_that_change_the_list_in_turn_lose_no_change(symbols: Symbols, elsewhere: Symbols) -> None:
    symbols.add("AAUSDT")
    elsewhere.add("BBUSDT")
    symbols.remove("BTCUSDT")
    elsewhere.refresh()
    assert symbols.all() == elsewhere.all() == ("ETHUSDT", "AAUSDT", "BBUSDT")


def test_a_change_is_told_once_here_and_once_elsewhere(symbols: Symbols, elsewhere: Symbols) -> None:
    told: list[tuple[str, tuple[str, ...]]] = []
    symbols.refresh()
    elsewhere.add("BTCUSDT")
    symbols.refresh()
    symbols.on_change(lambda: told.append(("here", symbols.all())))
    elsewhere.on_change(lambda: told.append(("elsewhere", elsewhere.all())))
    symbols.add("XRPUSDT")
    symbols.refresh()
    elsewhere.refresh()
    elsewhere.refresh()
    now = ("SOLUSDT", "BTCUSDT", "XRPUSDT")
    assert told == [("here", now), ("elsewhere", now)]


def test_the_same_list_is_the_same_object_until_it_changes(symbols: Symbols) -> None:
    symbols.add("XRPUSDT")
    before = symbols.all()
    symbols.add("BTCUSDT")
    symbols.refresh()
    assert symbols.all() is before


def test_the_list_is_read_only_when_it_changed(open_back_end: Open, elsewhere: Symbols) -> None:
    back_end = open_back_end()
    with patch.object(back_end, "load", wraps=back_end.load) as load:
        symbols = Symbols(back_end, FIRST)
        elsewhere.add("XRPUSDT")
        for _ in range(3):
            symbols.refresh()
    assert load.call_count == 1


def test_processes_that_change_the_list_at_once_lose_no_change(open_back_end: Open) -> None:
    def add(worker: int) -> None:
        symbols = Symbols(open_back_end(), FIRST)
        for number in range(10):
            symbols.add(f"W{worker}N{number}")

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(add, range(3)))
    kept = open_back_end().load()
    assert kept is not None
    assert len(kept) == len(FIRST) + 30


def test_a_change_that_could_not_be_kept_is_not_in_force(database: Database) -> None:
    symbols = Symbols(SqliteSymbols(database), FIRST)
    symbols.add("XRPUSDT")
    fill_the_disk(database)
    told = []
    symbols.on_change(lambda: told.append(symbols.all()))
    more = (f"{number:020d}" for number in range(MAX_COLLECTED_SYMBOLS))
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        list(map(symbols.add, more))
    stored = Symbols(SqliteSymbols(database), FIRST)
    stored.refresh()
    assert symbols.all() == stored.all()
    assert len(told) == len(symbols.all()) - 3


def test_symbols_open_with_what_is_stored_or_else_with_the_setting(database: Database) -> None:
    config = Config(symbols=("BTCUSDT",))
    assert open_symbols(config, SqliteSymbols(database)).all() == ("BTCUSDT",)
    open_symbols(config, SqliteSymbols(database)).add("ETHUSDT")
    assert open_symbols(config, SqliteSymbols(database)).all() == ("BTCUSDT", "ETHUSDT")


def test_an_unusable_file_leaves_what_was_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = SteeredClock()
    database = Database(tmp_path, runtime(clock))
    symbols = open_symbols(Config(symbols=FIRST), SqliteSymbols(database))
    assert symbols.all() == FIRST
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    with pytest.raises(StoreUnavailable):
        symbols.add("XRPUSDT")
    assert symbols.all() == FIRST


def test_the_reload_is_a_runner_that_follows_other_processes(symbols: Symbols, elsewhere: Symbols) -> None:
    symbols.add("XRPUSDT")
    reload = SymbolReload(elsewhere)
    reload.attempt(elsewhere.refresh)
    assert elsewhere.all() == symbols.all()
    assert reload.name == "symbols"
