"""ltp export: recorded trades with every digit, gaps in their places, and a whole file or none."""

import csv
import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path

import duckdb
import pytest

from ltp_service.history.rows import News
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.cli.conftest import Run
from tests.cli.screen import Screen
from tests.fakes import BTC
from tests.history.plain_history import SECOND, T0, trade

DIGITS = ("0.00000012", "123456789.123456789", "115643.00000")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Six trades, of which 4 to 6 are missing, a second apart."""
    path = tmp_path / "history.sqlite3"
    with closing(SqlHistory(SqliteEngine(path))) as store:
        store.write(
            [
                News(
                    BTC,
                    tuple(
                        trade(n, T0 + n * SECOND, DIGITS[n % 3], DIGITS[n % 3]) for n in (1, 2, 3, 7, 8, 9)
                    ),
                )
            ]
        )
    return path


@pytest.fixture
def export(history: Path, run: Run) -> Run:
    return partial(run, "export", HISTORY_URL=f"sqlite:{history}")


def test_csv_has_every_digit_and_a_row_for_what_is_missing(export: Run) -> None:
    done = export("--pair", "btc-usd", "--to", str(T0 // SECOND + 10))
    rows = list(csv.DictReader(StringIO(done.out)))
    assert (done.code, done.err) == (0, "")
    assert [row["trade_id"] for row in rows[:7]] == ["1", "2", "3", "", "7", "8", "9"]
    assert (rows[3]["kind"], rows[3]["after_trade_id"], rows[3]["before_trade_id"]) == ("gap", "3", "7")
    assert [row["price"] for row in rows[:3]] == [DIGITS[1], DIGITS[2], DIGITS[0]]


def test_without_an_end_it_ends_with_the_record_whatever_the_clock_says(export: Run, history: Path) -> None:
    far = T0 + 10**9 * SECOND
    with closing(SqlHistory(SqliteEngine(history))) as store:
        store.write([News(BTC, (trade(10, far), trade(11, far + SECOND)))])

    rows = [json.loads(line) for line in export("--pair", "BTC/USD", "--format", "jsonl").out.splitlines()]
    assert [row.get("trade_id") for row in rows[-3:]] == [9, 10, 11]
    after = str(far // SECOND + 2)
    [told] = [
        json.loads(each)
        for each in export("--pair", "BTC/USD", "--from", after, "--format", "jsonl").out.splitlines()
    ]
    assert (told["gap"]["after_trade_id"], told["gap"]["before_trade_id"]) == (11, None)


def test_jsonl_has_the_trades_of_the_time_that_is_asked_for(export: Run) -> None:
    start, end = (datetime.fromtimestamp(T0 // SECOND + n, UTC).isoformat() for n in (2, 9))
    done = export("--pair", "BTC/USD", "--format", "jsonl", "--from", start, "--to", end)
    told = [json.loads(line) for line in done.out.splitlines()]
    assert [each.get("trade_id") for each in told] == [2, 3, None, 7, 8]
    assert told[0]["price"] == DIGITS[2]


def test_parquet_has_exact_decimals_and_moments(export: Run, tmp_path: Path) -> None:
    file = tmp_path / "trades.parquet"
    done = export(
        "--pair", "BTC/USD", "--format", "parquet", "--output", str(file), "--to", str(T0 // SECOND + 10)
    )
    assert (done.code, done.out) == (0, "")
    asked = "SELECT trade_id, price, epoch_us(traded_at), before_trade_id FROM read_parquet(?) LIMIT 4"
    rows = duckdb.execute(asked, [str(file)]).fetchall()
    assert rows[0] == (1, Decimal(DIGITS[1]), T0 + SECOND, None)
    assert rows[2] == (3, Decimal(DIGITS[0]), T0 + 3 * SECOND, None)
    assert rows[3] == (None, None, None, 7)


def test_digits_that_parquet_would_round_are_refused(history: Path, export: Run, tmp_path: Path) -> None:
    with closing(SqlHistory(SqliteEngine(history))) as store:
        store.write([News(BTC, (trade(10, T0 + 10 * SECOND, "0.0000000000000000001"),))])
    file = tmp_path / "trades.parquet"
    refused = export("--pair", "BTC/USD", "--format", "parquet", "--output", str(file))
    assert refused.code == 1
    assert "trade 10 has 0.0000000000000000001, more digits" in refused.err
    assert list(tmp_path.glob("*trades*")) + list(tmp_path.glob(".ltp*")) == []


def test_without_duckdb_it_says_what_to_install(
    export: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    refused = export("--pair", "BTC/USD", "--format", "parquet", "--output", str(tmp_path / "out"))
    assert (refused.code, refused.out) == (1, "")
    assert "pip install duckdb" in refused.err


def test_a_file_that_exists_is_not_written_over(export: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("mine")
    refused = export("--pair", "BTC/USD", "--output", str(file))
    assert (refused.code, refused.err) == (1, f"Error: {file} exists; remove it, or name another one\n")
    assert file.read_text() == "mine"


def test_a_folder_that_does_not_exist_is_one_line(export: Run, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "out.csv"
    refused = export("--pair", "BTC/USD", "--output", str(file))
    assert (refused.code, refused.err) == (1, f"Error: {file}: No such file or directory\n")


def test_a_pair_of_which_nothing_is_recorded_is_no_empty_file(
    export: Run, history: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out.csv"
    refused = export("--pair", "ETH/USD", "--output", str(file))
    printed = export("--pair", "ETH/USD")
    assert printed.out == ""
    assert refused.err == f"Error: no trade of ETH/USD is recorded in sqlite:{history} (HISTORY_URL)\n"
    assert (refused.code, file.exists()) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing option '--pair'"),
        (["--pair", "BTC/USD", "--from", "yesterday"], "'--from': it is 'yesterday'; write RFC 3339"),
        (
            ["--pair", "BTC/USD", "--to", "2026-11-21T00:00:00"],
            "'--to': it is '2026-11-21T00:00:00', which has no zone",
        ),
        (["--pair", "BTC/USD", "--format", "xml"], "is not one of 'csv', 'jsonl', 'parquet'"),
        (["--pair", "BTC/USD", "--format", "parquet"], "needs --output FILE"),
        (["--pair", "BTC/USD", "--from", "2", "--to", "1"], "--from must be before --to"),
        (["--pair", "?"], "Invalid value for '--pair'"),
    ],
)
def test_wrong_usage_ends_in_2(arguments: list[str], says: str, export: Run) -> None:
    wrong = export(*arguments)
    assert (wrong.code, wrong.out) == (2, "")
    assert says in " ".join(wrong.err.split())


def test_without_a_history_it_says_so(run: Run) -> None:
    refused = run("export", "--pair", "BTC/USD", HISTORY_URL="")
    assert (refused.code, refused.err) == (1, "Error: HISTORY_URL is empty, so nothing is recorded\n")


def test_at_a_terminal_the_progress_is_shown_and_wiped_away(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTORY_URL", f"sqlite:{history}")
    file = tmp_path / "out.csv"
    command = [sys.executable, "-m", "ltp_service", "export", "--pair", "BTC/USD", "--output", str(file)]
    with Screen(command) as screen:
        assert screen.wait_for_exit() == 0
        assert "exporting BTC/USD" in screen.written
        assert screen.written.rfind("\x1b[2K") > screen.written.rfind("exporting BTC/USD")
    assert file.read_text().count("\n") >= 7
