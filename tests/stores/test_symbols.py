"""The symbols that are collected: changed at run time, kept, bounded, told to those who collect."""

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from ltp_service.config import Config
from ltp_service.database import Database
from ltp_service.errors import InvalidParameter, StoreUnavailable
from ltp_service.stores.symbols import LIMIT, SqliteSymbols, SymbolReload, Symbols, open_symbols
from tests.steered_clock import SteeredClock

FIRST = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ltp.sqlite3"


@pytest.fixture
def database(path: Path) -> Generator[Database]:
    clock = SteeredClock()
    with closing(Database(path, clock, clock.sleep)) as database:
        yield database


@pytest.fixture
def symbols(database: Database) -> Symbols:
    return Symbols(SqliteSymbols(database), FIRST)


@pytest.fixture
def elsewhere(path: Path) -> Generator[Symbols]:
    """The symbols in another process, started with another setting."""
    clock = SteeredClock()
    with closing(Database(path, clock, clock.sleep)) as database:
        yield Symbols(SqliteSymbols(database), ("SOLUSDT",))


def fill_the_disk(database: Database) -> None:
    [(pages,)] = database.read("PRAGMA page_count")
    database.read(f"PRAGMA max_page_count = {pages}")


def test_the_setting_is_the_first_content_while_nothing_is_stored(symbols: Symbols, path: Path) -> None:
    assert symbols.all() == FIRST
    symbols.refresh()
    assert symbols.all() == FIRST
    assert not path.exists()


def test_a_symbol_added_is_collected_last_and_kept(symbols: Symbols, elsewhere: Symbols) -> None:
    assert symbols.add("SOLUSDT")
    assert symbols.all() == (*FIRST, "SOLUSDT")
    elsewhere.refresh()
    assert elsewhere.all() == symbols.all()


def test_a_symbol_removed_is_collected_no_longer_though_the_setting_names_it(
    symbols: Symbols, database: Database
) -> None:
    assert symbols.remove("BTCUSDT")
    restarted = Symbols(SqliteSymbols(database), FIRST)
    restarted.refresh()
    assert symbols.all() == restarted.all() == ("ETHUSDT",)


def test_a_list_without_any_symbol_stays_so(symbols: Symbols, database: Database) -> None:
    for symbol in FIRST:
        symbols.remove(symbol)
    restarted = Symbols(SqliteSymbols(database), FIRST)
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
        "",
        "B",
        "btcusdt",
        "BTC/USDT",
        "BTC USDT",
        "B" * 21,
        "BTCUSDT\n",
        "\N{GREEK CAPITAL LETTER BETA}TCUSDT",
        "BTC²",
        "A,B",
    ],
)
def test_what_is_no_symbol_is_refused(symbol: str, symbols: Symbols) -> None:
    with pytest.raises(InvalidParameter, match="2 to 20 of A-Z and 0-9"):
        symbols.add(symbol)
    assert symbols.all() == FIRST


def test_more_than_200_symbols_are_refused_and_the_rest_stays(symbols: Symbols, elsewhere: Symbols) -> None:
    for number in range(LIMIT - len(FIRST)):
        symbols.add(f"COIN{number}")
    with pytest.raises(InvalidParameter, match="200 symbols are collected, no more are possible; remove one"):
        symbols.add("ONEMORE")
    assert not symbols.add("COIN0")
    elsewhere.refresh()
    assert len(elsewhere.all()) == LIMIT == 200
    symbols.remove("COIN0")
    assert symbols.add("ONEMORE")


def test_processes_that_change_the_list_in_turn_lose_no_change(symbols: Symbols, elsewhere: Symbols) -> None:
    symbols.add("AAUSDT")
    elsewhere.add("BBUSDT")
    symbols.remove("BTCUSDT")
    elsewhere.refresh()
    assert symbols.all() == elsewhere.all() == ("ETHUSDT", "AAUSDT", "BBUSDT")


def test_a_change_is_told_once_here_and_once_elsewhere_after_it_is_in_force(
    symbols: Symbols, elsewhere: Symbols
) -> None:
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


def test_the_list_is_read_only_when_the_file_changed(database: Database) -> None:
    class Counting(SqliteSymbols):
        loads = 0

        def load(self) -> tuple[str, ...] | None:
            self.loads += 1
            return super().load()

    back_end = Counting(database)
    symbols = Symbols(back_end, FIRST)
    for _ in range(3):
        symbols.refresh()
    assert back_end.loads == 1


def test_a_change_that_could_not_be_kept_is_not_in_force(symbols: Symbols, database: Database) -> None:
    symbols.add("XRPUSDT")
    fill_the_disk(database)
    told = []
    symbols.on_change(lambda: told.append(symbols.all()))
    more = (f"{number:020d}" for number in range(LIMIT))
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        list(map(symbols.add, more))
    stored = Symbols(SqliteSymbols(database), FIRST)
    stored.refresh()
    assert symbols.all() == stored.all()
    assert len(told) == len(symbols.all()) - 3


def test_symbols_open_with_what_is_stored_or_else_with_the_setting(database: Database) -> None:
    config = Config(symbols=("BTCUSDT",))
    assert open_symbols(config, database).all() == ("BTCUSDT",)
    open_symbols(config, database).add("ETHUSDT")
    assert open_symbols(config, database).all() == ("BTCUSDT", "ETHUSDT")


def test_a_file_that_cannot_be_used_leaves_the_setting_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SteeredClock()
    database = Database(tmp_path, clock, clock.sleep)
    symbols = open_symbols(Config(symbols=FIRST), database)
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
