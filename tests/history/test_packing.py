"""Trades in blocks: when they are packed, what stays a row, and that each lies in one place alone."""

from contextlib import closing
from itertools import count, pairwise
from random import Random
from threading import Event, Thread

import pytest

from ltp_service.history.blocks import Block
from ltp_service.history.packing import EVER, Asked, Trades, add, drop
from ltp_service.history.postgres import MIGRATIONS, PostgresEngine
from ltp_service.history.rows import News, RecordedTrade
from ltp_service.history.store import SqlHistory
from tests.deadline import DEADLINE
from tests.history.conftest import in_postgres
from tests.history.databases import Database, NewDatabase
from tests.history.plain import NOON, PAIR, SECOND, each_second, trade
from tests.history.test_sqlite_size import MOST_BYTES_OF_A_MILLION, market
from tests.postgres_server import PostgresServer

TAPE = 1
SMALL = 8
"""Trades of a block in these tests; two are packed at once."""


@pytest.fixture(scope="module")
def new_database(postgres: PostgresServer) -> NewDatabase:
    return in_postgres(postgres, count(), SMALL)


@pytest.fixture
def engine(database: Database) -> PostgresEngine:
    engine = database.engine()
    assert isinstance(engine, PostgresEngine)
    return engine


def put(engine: PostgresEngine, *trades: RecordedTrade) -> None:
    engine.write(lambda transaction: add(transaction, TAPE, trades))


def put_as_before(engine: PostgresEngine, *trades: RecordedTrade) -> None:
    """As the version did that had no blocks."""
    engine.block = 0
    put(engine, *trades)
    engine.block = SMALL


def loose(engine: PostgresEngine) -> list[int]:
    """Ids of the trades with a row of their own."""
    return [row[0] for row in engine.read("SELECT trade_id FROM trades ORDER BY traded_at, trade_id")]


def blocks(engine: PostgresEngine) -> list[list[RecordedTrade]]:
    rows = engine.read("SELECT content FROM blocks ORDER BY first_traded_at, first_trade_id")
    return [Block(content).trades() for (content,) in rows]


def sizes(engine: PostgresEngine) -> list[int]:
    return [len(each) for each in blocks(engine)]


def kept(engine: PostgresEngine) -> list[RecordedTrade]:
    return Trades(engine.read, engine.block).first(Asked(TAPE))


def test_a_trade_waits_in_a_row_until_there_are_some(engine: PostgresEngine) -> None:
    put(engine, trade(1, 1))
    assert (loose(engine), sizes(engine)) == ([1], [])
    put(engine, trade(2, 2))
    assert (loose(engine), sizes(engine)) == ([], [2])


def test_many_trades_are_packed_at_once_and_the_last_block_is_filled_up(engine: PostgresEngine) -> None:
    put(engine, *each_second(1, 20))
    assert (loose(engine), sizes(engine)) == ([], [8, 8, 4])
    put(engine, trade(21, 21))
    put(engine, trade(22, 22))
    assert (loose(engine), sizes(engine)) == ([], [8, 8, 6])
    put(engine, *each_second(23, 30))
    assert sizes(engine) == [8, 8, 8, 6]
    assert kept(engine) == list(each_second(1, 30))


def test_trades_that_come_later_are_put_into_the_block_around_them(engine: PostgresEngine) -> None:
    put(engine, *each_second(1, 4), *each_second(7, 10))
    put(engine, trade(6, 6))
    assert (loose(engine), sizes(engine)) == ([], [5, 4])
    assert kept(engine) == [*each_second(1, 4), *each_second(6, 10)]


def test_what_is_packed_stays_as_it_was_told_first(engine: PostgresEngine) -> None:
    put(engine, *each_second(1, 4))
    put(engine, trade(2, 2, "99"), trade(5, 5))
    assert kept(engine) == list(each_second(1, 5))


def test_a_trade_with_a_row_does_not_come_before_those_of_short_blocks(engine: PostgresEngine) -> None:
    for start in range(0, 60, 10):
        put(engine, *each_second(start + 1, start + 4), *each_second(start + 6, start + 9))
    for start in range(0, 60, 10):
        put(engine, trade(start + 5, start + 5))
    put(engine, trade(99, 99))
    assert (loose(engine), sizes(engine)) == ([99], [5, 4] * 6)
    for limit in range(1, 56):
        found = Trades(engine.read, engine.block).first(Asked(TAPE), limit)
        assert found == [*(trade(each, each) for each in range(1, 60) if each % 10), trade(99, 99)][:limit]


def test_a_block_is_cut_where_older_trades_are_deleted(engine: PostgresEngine) -> None:
    put(engine, *each_second(1, 20))
    assert engine.write(lambda transaction: drop(transaction, TAPE, NOON + 11 * SECOND)) == 10
    assert sizes(engine) == [6, 4]
    assert kept(engine) == list(each_second(11, 20))


@pytest.mark.parametrize("seed", range(6))
def test_each_trade_lies_in_one_place_and_none_between_those_of_another_block(
    engine: PostgresEngine, seed: int
) -> None:
    chance = Random(seed)
    missing = [trade(each, each / chance.choice((2, 2, 2.01))) for each in range(1, 150)]
    if seed % 2:  # some at one moment
        missing = [each._replace(traded_at=each.traded_at // 3_000_000 * 3_000_000) for each in missing]
    missing.sort(key=lambda each: (each.traded_at, each.trade_id))
    told = sorted(chance.sample(missing, 70), key=missing.index) if seed > 2 else []
    put_as_before(engine, *told)
    missing = [each for each in missing if each not in told]
    while missing:
        start = chance.choice((0, chance.randrange(len(missing))))
        some = missing[start : start + chance.choice((1, 1, 2, 5, 20))]
        put(engine, *some)
        missing = [each for each in missing if each not in some]
        told = sorted([*told, *some], key=lambda each: (each.traded_at, each.trade_id))
        assert kept(engine) == told
        check_places(engine, told)
        check_answers(engine, told, chance)


def test_a_reader_sees_each_trade_once_while_they_are_packed(
    database: Database, engine: PostgresEngine
) -> None:
    reader, done = database.engine(), Event()

    def write() -> None:
        for each in range(1, 200):
            put(engine, trade(each, each))
        done.set()

    writer = Thread(target=write)
    writer.start()
    looks = 0
    try:
        while not done.is_set():
            found = Trades(reader.read, reader.block).first(Asked(TAPE))
            assert found == list(each_second(1, len(found)))
            looks += 1
    finally:
        writer.join(DEADLINE)
    assert looks
    assert len(kept(engine)) == 199


def check_places(engine: PostgresEngine, told: list[RecordedTrade]) -> None:
    rows, places = set(loose(engine)), [told.index(each) for block in blocks(engine) for each in block]
    assert len(rows) + len(places) == len(told), "each is in one place"
    of_blocks = [[told.index(each) for each in block] for block in blocks(engine)]
    for block in of_blocks:
        assert len(block) <= SMALL
        assert block == list(range(block[0], block[-1] + 1)), "nothing lies between"
    assert all(one[-1] < other[0] for one, other in pairwise(of_blocks))


def check_answers(engine: PostgresEngine, told: list[RecordedTrade], chance: Random) -> None:
    trades = Trades(engine.read, engine.block)
    one, other = chance.choices(told, k=2)
    since, until = sorted((one.traded_at, other.traded_at + chance.choice((-1, 0, 1))))
    low = chance.choice((0, one.trade_id))
    asked = Asked(TAPE, since, until, low, EVER)
    within = [each for each in told if since <= each.traded_at <= until and each.trade_id >= low]
    limit = chance.choice((1, 3, 30))
    assert trades.first(asked, limit) == within[:limit]
    assert trades.last(asked) == (within[-1] if within else None)


def test_a_database_of_the_older_version_opens_and_its_trades_are_answered_and_gone_on_with(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_database()
    postgres.run(f"{'; '.join(MIGRATIONS[:2])}; COMMENT ON TABLE writer IS 'version 2'", url=url)
    old, new = each_second(1, 300), each_second(301, 600)
    with closing(PostgresEngine(url, block=0)) as older:
        older._migrated = older._writer.use(lambda connection: connection)  # noqa: SLF001 - its tables stay as they are
        SqlHistory(older).write([News(PAIR, old)])
    with closing(PostgresEngine(url)) as newer:
        store = SqlHistory(newer)
        assert (store.coverage(PAIR).runs, store.trades(PAIR, 0, EVER, 1)) == ((), []), (
            "not without the other"
        )
        for told in new[:20]:
            store.write([News(PAIR, (told,))])
        store.write([News(PAIR, new)])
        assert store.trades(PAIR, 0, EVER, 1_000) == [*old, *new]
        [run] = store.coverage(PAIR).runs
        assert (run.first_trade_id, run.last_trade_id) == (1, 600)
        assert len(loose(newer)) < len(old)
        for before, after in ((7, 8), (172, 173), (300, 301), (598, 599)):
            around = store.around(PAIR, NOON + before * SECOND)
            assert (around.before, around.after) == (trade(before, before), trade(after, after))


def test_a_million_trades_take_no_more_than_35_mib(postgres: PostgresServer) -> None:
    news = market(Random(7), 20_000)
    with closing(PostgresEngine(postgres.new_database())) as engine:
        store = SqlHistory(engine)
        wrote = sum(store.write(news[start : start + 2_000]).new for start in range(0, len(news), 2_000))
        assert wrote == len(news)
        assert store.size() / wrote * 1_000_000 <= MOST_BYTES_OF_A_MILLION
