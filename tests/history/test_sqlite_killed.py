"""A writer that is killed at any moment leaves a file that opens and claims nothing that is not in it."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from ltp_service.history.candles import longer
from ltp_service.history.contract import CANDLE_MINUTES
from ltp_service.history.coverage import proof
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.deadline import IN_FULL
from tests.history.plain import MINUTE, PAIR, candles_of, runs_of
from tests.history.written_until_killed import next_at, traded

ROOT = Path(__file__).parent.parent.parent
EVER = 2**62
KILLS = 100 if IN_FULL else 6
KILLS_OF_A_FILE = 10


def write_and_kill(path: Path, chance: Random) -> None:
    """Runs a writer for a moment. Some are killed while they begin the file."""
    seed = chance.randrange(2**30)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.history.written_until_killed", str(path), str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"begun\n"
            time.sleep(chance.choice((0, 0.01, 0.1, 0.3)) * chance.random())
            assert writer.poll() is None, "it writes until it is killed"
        finally:
            writer.kill()


def check(path: Path, chance: Random) -> int:
    """Looks at all that the file claims; returns the number of its trades."""
    if path.exists():
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(SqlHistory(SqliteEngine(path))) as store:
        coverage, trades = store.coverage(PAIR), store.trades(PAIR, 0, EVER, 10_000_000)
        if not trades:
            assert coverage.runs == ()
            return 0
        kept_from = coverage.kept_from or 0
        assert trades == [traded(each.trade_id) for each in trades]
        kept = [run for run in coverage.runs if run.last_traded_at >= kept_from]
        told = runs_of(trades, 0)
        assert kept[1:] == told[1:]
        assert kept[0].last_trade_id == told[0].last_trade_id
        assert kept[0].first_trade_id <= told[0].first_trade_id
        # Stretches of older trades may pass the newest one, and come without evidence.
        assert coverage.evidence_until in {None, *(next_at(each.trade_id) for each in trades)}
        for each in chance.sample(trades, 20):
            around = store.around(PAIR, each.traded_at)
            if proof(around, each.traded_at) and around.after is not None:
                assert around.after.trade_id == each.trade_id + 1
        minutes = store.candles(PAIR, 1, 0, EVER)
        from_kept = [candle for candle in minutes if candle.start > trades[0].traded_at - MINUTE]
        assert from_kept == candles_of(trades, 1)
        for length in CANDLE_MINUTES:
            assert store.candles(PAIR, length, 0, EVER) == longer(minutes, length)
        return len(trades)


@pytest.mark.timeout(60 * 20 if IN_FULL else 180)
def test_a_killed_writer_leaves_what_can_be_read_and_gone_on_with(tmp_path: Path) -> None:
    chance = Random(13)
    found = 0
    for kill in range(KILLS):
        path = tmp_path / f"{kill // KILLS_OF_A_FILE}.sqlite3"
        write_and_kill(path, chance)
        found += check(path, chance)
    assert found
