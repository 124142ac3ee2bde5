"""PostgreSQL below the history: tables, the writer's lock, and servers that end in the middle of it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from threading import Event, Thread
from typing import TypeVar

import pytest
from psycopg import DataError

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.history.engine import Transaction
from ltp_service.history.postgres import PostgresEngine
from ltp_service.history.rows import News, RecordedTrade
from ltp_service.history.store import SqlHistory
from ltp_service.history.writer import Batch, Page, Report, Writer
from tests.deadline import DEADLINE, IN_FULL
from tests.ended import ended
from tests.history.fakes import trade as made
from tests.history.fakes import view
from tests.postgres_server import PostgresServer

PAIR = Pair("BTC", "USD")
TABLES = "trades, runs, tapes, candles, observations, breaks, blocks, writer"
T = TypeVar("T")
BEGUN = 1_700_000_000_000_000


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[PostgresEngine]:
    made = PostgresEngine(url)
    yield made
    made.close()


@pytest.fixture
def other(url: str) -> Iterator[PostgresEngine]:
    """Of another process, as far as the server knows."""
    made = PostgresEngine(url)
    yield made
    made.close()


def trade(number: int) -> RecordedTrade:
    return RecordedTrade(
        number, BEGUN + number * 10_000, Decimal("115643.00000"), Decimal("0.00000012"), "buy"
    )


def count(transaction: Transaction) -> int:
    [(number,)] = transaction.rows("SELECT count(*) FROM trades")
    return int(number)


# Tables.


def test_nothing_is_found_before_the_first_write_and_reading_makes_no_table(
    engine: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    assert engine.read("SELECT * FROM trades WHERE tape = ?", (1,)) == []
    assert engine.size() == 0
    assert postgres.run("SELECT to_regclass('trades')", url=url) == [(None,)]
    assert engine.write(count) == 0
    assert engine.size() > 0


def test_the_package_is_loaded_only_where_it_is_asked_for() -> None:
    program = """
import sys
from ltp_service.assembly.history import open_history
from ltp_service.settings.types import HistoryUrl
for url in ("sqlite:none", "postgresql://nowhere/none"):
    open_history(HistoryUrl(url))
    print("psycopg" in sys.modules)
"""
    done = ended([sys.executable, "-W", "error", "-c", program])
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_tables_are_made_once_and_those_of_a_newer_version_are_left_alone(
    engine: PostgresEngine, other: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    SqlHistory(engine).write([News(PAIR, (trade(1),))])
    engine.release()
    assert other.write(count) == 1
    other.release()
    postgres.run("COMMENT ON TABLE writer IS 'version 99'", url=url)
    for use in (lambda: engine.write(count), lambda: engine.read("SELECT trade_id FROM trades")):
        with pytest.raises(StoreUnavailable, match="newer version of the service; run that version"):
            use()
    assert postgres.run("SELECT trade_id FROM trades", url=url) == [(1,)]


def test_a_transaction_is_undone_where_something_is_raised(engine: PostgresEngine) -> None:
    def broken(transaction: Transaction) -> None:
        transaction.many("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?)", [(1, 2, 3, 4, 5, 6)])
        assert count(transaction) == 1
        raise KeyError

    with pytest.raises(KeyError):
        engine.write(broken)
    assert engine.read("SELECT * FROM trades") == []
    assert engine.write(count) == 0


def test_many_rows_are_written_at_once_with_every_digit_and_known_ones_are_left(
    engine: PostgresEngine,
) -> None:
    long = "1234567890123456789012.12345678901234567890"
    rows = [(1, 2, number, long if number % 2 else 2**62, number, number % 8000) for number in range(20_000)]

    def insert(transaction: Transaction) -> None:
        transaction.many("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
        transaction.many("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows[:5])
        transaction.many("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", [])
        transaction.many("UPDATE trades SET form = ? WHERE trade_id = ?", [(7, 0), (8, 1)])

    engine.write(insert)
    found = engine.read("SELECT trade_id, price, form FROM trades ORDER BY trade_id")
    assert len(found) == len(rows)
    assert found[:2] == [(0, Decimal(2**62), 7), (1, Decimal(long), 8)]
    assert str(found[1][1]) == long


def test_tables_that_were_deleted_are_made_again(
    engine: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    history = SqlHistory(engine)
    history.write([News(PAIR, (trade(1),))])
    postgres.run(f"DROP TABLE {TABLES}", url=url)
    assert history.coverage(PAIR).runs == ()
    with pytest.raises(StoreUnavailable, match="HISTORY_URL"):
        history.write([News(PAIR, (trade(2),))])
    assert history.write([News(PAIR, (trade(2),))]).new == 1
    assert [run.first_trade_id for run in history.coverage(PAIR).runs] == [2]


def test_another_server_or_deleted_tables_are_another_origin(
    engine: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    def origin() -> object:
        engine.read("SELECT trade_id FROM trades")
        return engine.origin()

    nothing = origin()
    assert origin() is nothing
    engine.write(count)
    first = origin()
    assert origin() is first
    end_all_connections(postgres, url)
    second = origin()
    assert second is not first, "another server may be behind the new connection"
    assert origin() is second
    postgres.run(f"DROP TABLE {TABLES}", url=url)
    gone = origin()
    assert gone is not second
    assert origin() is gone


def test_tables_that_were_made_again_are_another_place_to_write_to_on_the_same_connection(
    engine: PostgresEngine, other: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    def place() -> object:
        assert engine.take()
        return engine.place()

    assert place() is None, "there are no tables"
    engine.write(count)
    first = place()
    assert first is not None
    assert place() == first
    postgres.run(f"DROP TABLE {TABLES}", url=url)
    other.write(count)
    second = place()
    assert second not in (None, first)
    postgres.run(f"DROP TABLE {TABLES}", url=url)
    assert place() is None


def test_what_was_written_into_tables_that_were_dropped_is_looked_for_again(
    engine: PostgresEngine, other: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    now = 1000.0

    def turn(*pages: Page) -> Report:
        nonlocal now
        now += 1.0
        return writer.turn(Batch([], pages, view(now), leads=True))

    writer = Writer(
        [PAIR],
        SqlHistory(engine),
        engine,
        lambda *_: [],
        lambda _: True,
        keep_seconds=0.0,
        patience_seconds=30.0,
        monotonic=lambda: now,
    )
    assert turn(Page(PAIR, [made(1)])).rows == 1
    turn()
    assert turn(Page(PAIR, [made(2)])).jumped == set()
    postgres.run(f"DROP TABLE {TABLES}", url=url)
    other.write(count)
    report = turn(Page(PAIR, [made(3)]))
    assert (report.rows, report.jumped) == (1, frozenset({PAIR}))


def test_a_value_that_has_no_room_is_no_fault_of_the_server(engine: PostgresEngine) -> None:
    with pytest.raises(DataError):
        engine.write(lambda transaction: transaction.rows("SELECT CAST(? AS smallint)", (2**40,)))
    assert engine.write(count) == 0


def test_a_reader_cannot_write(engine: PostgresEngine) -> None:
    engine.write(count)
    with pytest.raises(StoreUnavailable):
        engine.read("DELETE FROM trades")


def test_a_user_without_rights_is_told_the_remedy(url: str, postgres: PostgresServer) -> None:
    name = f"guest_{url.rpartition('_')[2]}"
    postgres.run(f"CREATE ROLE {name} LOGIN PASSWORD 'known to all'")
    guest = PostgresEngine(f"postgresql://{name}:known%20to%20all@{url.partition('@')[2]}")
    with pytest.raises(StoreUnavailable, match="make the user the owner of the database"):
        guest.write(count)
    guest.close()


def test_threads_read_at_the_same_time(engine: PostgresEngine) -> None:
    engine.write(count)
    found = []
    both = [Thread(target=lambda: found.append(engine.read("SELECT pg_sleep(0.2)"))) for _ in range(4)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(DEADLINE)
    assert len(found) == 4


# The lock.


def test_one_of_two_writes_and_the_other_says_so(engine: PostgresEngine, other: PostgresEngine) -> None:
    assert engine.take()
    assert engine.take()
    assert not other.take()
    with pytest.raises(StoreUnavailable, match="nothing was written: another process writes"):
        other.write(count)
    engine.write(count)
    engine.release()
    until_taken(other)
    assert not engine.take()
    with pytest.raises(StoreUnavailable, match="another process writes"):
        engine.write(count)
    assert engine.read("SELECT count(*) FROM trades") == [(0,)]


def test_histories_in_two_schemas_have_a_writer_each(
    engine: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    postgres.run("CREATE SCHEMA second", url=url)
    second = PostgresEngine(f"{url}?options=-csearch_path%3Dsecond")
    assert engine.take()
    assert second.take()
    engine.write(count)
    SqlHistory(second).write([News(PAIR, (trade(1),))])
    assert engine.write(count) == 0
    assert second.size() > 0
    second.close()


def test_a_lost_connection_loses_the_lock_before_anything_is_written(
    engine: PostgresEngine, other: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    history = SqlHistory(engine)
    assert engine.take()
    history.write([News(PAIR, (trade(1),))])
    end_all_connections(postgres, url)
    assert engine.take(), "no other process has taken it"
    before = engine.place()
    end_all_connections(postgres, url)
    assert engine.take()
    assert engine.place() not in (None, before), "another server may be behind the new connection"
    end_all_connections(postgres, url)
    assert other.take()
    assert not engine.take()
    end_all_connections(postgres, url)
    assert history.write([News(PAIR, (trade(2),))]).new == 1, "it takes the lock on its new connection"
    assert not other.take()


def test_nothing_is_written_after_another_process_has_taken_over(
    engine: PostgresEngine, other: PostgresEngine, url: str, postgres: PostgresServer
) -> None:
    assert engine.take()
    history = SqlHistory(engine)
    history.write([News(PAIR, (trade(1),))])
    end_all_connections(postgres, url)
    assert other.take()
    with pytest.raises(StoreUnavailable, match="another process writes"):
        history.write([News(PAIR, (trade(2),))])
    assert other.write(count) == 1


def test_two_may_make_the_tables_at_the_same_time(engine: PostgresEngine, other: PostgresEngine) -> None:
    found: list[int] = []
    threads = [
        Thread(target=lambda: found.append(engine.write(count))),
        Thread(target=lambda: found.append(other.write(count))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert found == [0, 0]


def end_all_connections(postgres: PostgresServer, url: str) -> None:
    postgres.run(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        url=url,
    )


def test_a_killed_writer_leaves_the_lock_at_once(url: str, engine: PostgresEngine) -> None:
    program = (
        "import sys, time\nfrom ltp_service.history.postgres import PostgresEngine\n"
        "engine = PostgresEngine(sys.argv[1])\nprint(engine.take(), flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout
            assert writer.stdout.readline() == "True\n"
            assert not engine.take()
        finally:
            writer.send_signal(signal.SIGKILL)
    until_taken(engine)


def until_taken(engine: PostgresEngine) -> None:
    end = time.monotonic() + DEADLINE
    while not engine.take():
        assert time.monotonic() < end
        time.sleep(0.01)  # the server does not tell when it has noticed that the other one is gone


def test_a_writer_that_is_silent_loses_the_lock(engine: PostgresEngine) -> None:
    [(seconds,)] = engine.write(lambda transaction: transaction.rows("SHOW idle_session_timeout"))
    assert seconds == "30s"


# Servers that end.


@pytest.mark.parametrize("end", [PostgresServer.kill, PostgresServer.stop])
def test_what_was_written_is_there_after_the_server_has_ended_and_recording_goes_on(
    own_postgres: PostgresServer, end: Callable[[PostgresServer], None]
) -> None:
    engine = PostgresEngine(own_postgres.new_database())
    history = SqlHistory(engine)
    history.write([News(PAIR, tuple(map(trade, range(100))))])
    end(own_postgres)
    with pytest.raises(StoreUnavailable, match="HISTORY_URL"):
        history.write([News(PAIR, (trade(100),))])
    with pytest.raises(StoreUnavailable, match="HISTORY_URL"):
        history.coverage(PAIR)
    own_postgres.restart()
    written = patiently(lambda: history.write([News(PAIR, (trade(100),))]).new)
    assert written == 1
    assert [run.last_trade_id for run in patiently(lambda: history.coverage(PAIR)).runs] == [100]
    engine.close()


def test_a_server_killed_in_the_middle_of_writes_keeps_each_transaction_whole(
    own_postgres: PostgresServer,
) -> None:
    engine = PostgresEngine(own_postgres.new_database())
    history = SqlHistory(engine)
    done, ended, known = Event(), [], 0
    steps = Event()

    def write() -> None:
        nonlocal known
        at = 0
        while not done.is_set():
            news = [
                News(PAIR, tuple(map(trade, range(at, at + 500))), BEGUN + (at + 499) * 10_000 + 1, at + 499)
            ]
            try:
                history.write(news)
            except StoreUnavailable:
                time.sleep(0.01)  # the recorder tries again, later than this
            else:
                at += 500
                known = at
                steps.set()
        ended.append(True)

    thread = Thread(target=write)
    thread.start()
    for number in range(20 if IN_FULL else 4):
        steps.clear()
        assert steps.wait(DEADLINE)
        time.sleep(0.003 * number)  # somewhere in a transaction
        own_postgres.kill()
        own_postgres.restart()
    steps.clear()
    assert steps.wait(DEADLINE)
    done.set()
    thread.join(DEADLINE)
    assert ended
    coverage = patiently(lambda: history.coverage(PAIR))
    [run] = coverage.runs
    assert (run.first_trade_id, run.last_trade_id) == (0, known - 1)
    stored = history.trades(PAIR, 0, 2**60, known + 1)
    assert stored == list(map(trade, range(known)))
    candles = history.candles(PAIR, 1, 0, 2**60)
    assert sum(candle.trades for candle in candles) == known
    assert sum(candle.volume for candle in candles) == known * trade(0).quantity
    engine.close()


def patiently(attempt: Callable[[], T]) -> T:
    """Its result, once the server is tried again after a failure."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return attempt()
        except StoreUnavailable:
            assert time.monotonic() < end
            time.sleep(0.05)  # the end of the pause is not announced
