"""Trades in blocks: when they are packed, what stays a row, and that each lies in one place alone."""

from collections.abc import Iterator
from itertools import count, pairwise
from random import Random

import pytest

from ltp_service.history.blocks import Block
from ltp_service.history.packing import EVER, Asked, Trades, add, drop
from ltp_service.history.postgres import BLOCK, MIGRATIONS, PostgresEngine
from ltp_service.history.rows import News, RecordedTrade
from ltp_service.history.store import SqlHistory
from tests.history.conftest import in_postgres
from tests.history.databases import Database, NewDatabase
from tests.history.plain import NOON, PAIR, each_second, trade
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


def test_a_block_is_cut_where_older_trades_are_deleted(engine: PostgresEngine) -> None:
    put(engine, *each_second(1, 20))
    assert engine.write(lambda transaction: drop(transaction, TAPE, NOON + 11_000_000)) == 10
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
    told: list[RecordedTrade] = []
    while missing:
        start = chance.choice((0, chance.randrange(len(missing))))
        some = missing[start : start + chance.choice((1, 1, 2, 5, 20))]
        put(engine, *some)
        missing = [each for each in missing if each not in some]
        told = sorted([*told, *some], key=lambda each: (each.traded_at, each.trade_id))
        assert kept(engine) == told
        check_places(engine, told)
        check_answers(engine, told, chance)


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
    older, newer = PostgresEngine(url, block=0), PostgresEngine(url)
    older._migrated = older._writer.use(lambda connection: connection)  # noqa: SLF001 - its tables stay as they are
    old, new = each_second(1, 300), each_second(301, 600)
    SqlHistory(older).write([News(PAIR, old, old[-1].traded_at, 300)])
    store = SqlHistory(newer)
    for told in new:
        store.write([News(PAIR, (told,))]) if told.trade_id < 320 else None
    store.write([News(PAIR, new)])
    assert store.trades(PAIR, 0, EVER, 1_000) == [*old, *new]
    [run] = store.coverage(PAIR).runs
    assert (run.first_trade_id, run.last_trade_id) == (1, 600)
    assert len(loose(newer)) < 300
    assert len(blocks(newer)[-1]) <= BLOCK
    for moment in (old[7].traded_at, old[-1].traded_at, new[0].traded_at, new[-2].traded_at):
        around = store.around(PAIR, moment)
        assert (around.before, around.after) == (
            trade((moment - NOON) // 10**6, (moment - NOON) / 10**6),
            trade((moment - NOON) // 10**6 + 1, (moment - NOON) / 10**6 + 1),
        )
    older.close()
    newer.close()


@pytest.fixture
def own_engine(postgres: PostgresServer) -> Iterator[PostgresEngine]:
    made = PostgresEngine(postgres.new_database())
    yield made
    made.close()


def test_a_million_trades_take_no_more_than_35_mib(own_engine: PostgresEngine) -> None:
    store, news = SqlHistory(own_engine), market(Random(7))[:20_000]
    wrote = sum(store.write(news[start : start + 2_000]).new for start in range(0, len(news), 2_000))
    assert wrote == len(news)
    assert store.size() / wrote * 1_000_000 <= MOST_BYTES_OF_A_MILLION
