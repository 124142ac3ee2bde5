"""What a service as it is run for real records is the tape of the exchange, whatever ends its worker."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ltp_service.client import HistoryUnknown, Prices
from ltp_service.history.coverage import SLACK
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.deadline import DEADLINE
from tests.fakes import BTC
from tests.process.service import Service
from tests.scrape import Scrape
from tests.simulator.client import Simulator

ENOUGH = 80
"""Trades of a cut that the exchange does not tell again with its next snapshot of 50, so REST has to."""

ALWAYS = 2**62
"""Microseconds, later than any trade."""


Row = tuple[int, Decimal, Decimal, str]
"""Id, price, quantity and side. REST pads its digits with zeros, so they are compared as numbers."""


class Record:
    """What lies on the disk, as any other process reads it."""

    def __init__(self, path: Path) -> None:
        self.store = SqlHistory(SqliteEngine(path))

    def trades(self) -> list[Row]:
        found = self.store.trades(BTC, 0, ALWAYS, 10_000)
        return [(each.trade_id, each.price, each.quantity, each.side) for each in found]

    def runs(self) -> int:
        return len(self.store.coverage(BTC).runs)


def tape(simulator: Simulator, first: int) -> list[Row]:
    """The exchange's own, from an id on."""
    rows = simulator.kraken_trades("BTC/USD", first - 1)["rows"]
    return [(trade_id, Decimal(price), Decimal(volume), side) for trade_id, price, volume, side, _ in rows]


def happen(simulator: Simulator, count: int) -> int:
    """So many trades; the id of the last one."""
    for number in range(count):
        last = simulator.trade("BTC/USD", f"{115000 + number % 7}.1{number % 10}")
    return int(last["trade_id"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def recording(simulator: Simulator, path: Path) -> Iterator[Service]:
    with Service.start(simulator, HISTORY_URL=f"sqlite:{path}") as running:
        yield running


def assert_recorded(service: Service, simulator: Simulator, record: Record, until: int) -> None:
    """All trades of the exchange from the first recorded one on, without a hole."""
    service.until(
        lambda: bool(record.trades()) and record.trades()[-1][0] >= until and record.runs() == 1,
        DEADLINE,
        f"trades up to {until} in one run",
    )
    recorded = record.trades()
    assert recorded == tape(simulator, recorded[0][0])


def test_trades_are_recorded_as_they_were_told(recording: Service, simulator: Simulator, path: Path) -> None:
    last = happen(simulator, 20)
    record = Record(path)
    assert_recorded(recording, simulator, record, last)

    status = recording.get("/api/v1/status").json()["history"]
    assert (status["recording"], status["error"], status["lost_trades"]) == ("writing", None, "0")
    seen = Scrape(recording.get("/metrics").body.decode())
    assert (seen.value("history_rows_total") or 0) >= 20
    assert (seen.value("history_lag_seconds") or 0) < 5
    recording.until(
        lambda: (record.store.coverage(BTC).evidence_until or 0) > 0, DEADLINE, "evidence for a quiet pair"
    )


def test_after_a_killed_worker_nothing_is_missing(
    recording: Service, simulator: Simulator, path: Path
) -> None:
    record = Record(path)
    assert_recorded(recording, simulator, record, happen(simulator, 5))
    (worker,) = recording.worker_pids()
    os.kill(worker, signal.SIGKILL)
    happen(simulator, ENOUGH)
    recording.wait_for_line("WebSocket connection established", count=2)
    last = happen(simulator, 5)

    assert_recorded(recording, simulator, record, last)
    assert len(record.trades()) >= ENOUGH + 10


def test_of_several_workers_one_records_and_another_one_takes_over(simulator: Simulator, path: Path) -> None:
    with Service.start(simulator, HISTORY_URL=f"sqlite:{path}", WEB_CONCURRENCY="2") as service:
        record = Record(path)
        assert_recorded(service, simulator, record, happen(simulator, 5))
        for worker in service.worker_pids():  # the one that records is among them
            os.kill(worker, signal.SIGKILL)
            service.until(lambda: len(service.worker_pids()) == 2)
            assert_recorded(service, simulator, record, happen(simulator, 5))


def test_a_file_that_is_deleted_is_begun_anew_and_costs_no_price(
    recording: Service, simulator: Simulator, path: Path
) -> None:
    assert_recorded(recording, simulator, Record(path), happen(simulator, 5))
    for file in path.parent.iterdir():
        file.unlink()
    last = simulator.trade("BTC/USD", "115999.9")

    recording.wait_until_served("BTC/USD", "115999.9")
    recording.until(path.exists)
    assert_recorded(recording, simulator, Record(path), int(last["trade_id"]))


def test_the_client_is_told_what_was_recorded(recording: Service, simulator: Simulator, path: Path) -> None:
    record = Record(path)
    assert_recorded(recording, simulator, record, happen(simulator, 20))
    trades = record.store.trades(BTC, 0, ALWAYS, 10_000)
    with Prices(f"http://127.0.0.1:{recording.port}") as prices:
        first, last = trades[0].traded_at + SLACK, trades[-1].traded_at - SLACK
        proven = [each for each in trades if first <= each.traded_at < last]
        assert proven
        for trade in proven[::5]:
            moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=trade.traded_at)
            told = prices.at("btc-usd", moment)
            assert (told.amount, told.price) == (trade.price, format(trade.price, "f"))
            assert told.is_exact
        candles = prices.candles("BTC/USD", "1m", start=trades[0].traded_at / 1e6)
        with pytest.raises(HistoryUnknown):
            prices.at("BTC/USD", trades[0].traded_at / 1e6 - 3600)
    assert sum(candle.trades for candle in candles) >= len(trades)
    assert candles[-1].is_open
