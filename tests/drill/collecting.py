"""python -m tests.drill.collecting: trades of two exchanges, a cut now and then; each is stored once or in a told gap.

The storage keeps the last thousand trades of a symbol, so a count has to read along.
"""

import argparse
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from tests.process.service import Service
from tests.simulator.client import Simulator

SYMBOL = "BTCUSDT"
EXCHANGES = ("bybit", "binance")
CUT_EVERY = 20.0
READ_EVERY = 0.2
"""Seconds; an answer has the last hundred trades."""

SLACK = 0.5
"""Seconds between the end of a gap and the first trade after it: they come in bursts."""


class Verdict(NamedTuple):
    """Of one exchange."""

    sent: int
    stored: int
    gaps: int
    in_gaps: int
    unexplained: list[int]
    """Ids of trades that are neither stored nor in a gap."""


class Reader:
    """Reads one exchange's trades before the storage lets them go."""

    def __init__(self, service: Service, exchange: str) -> None:
        self._service = service
        self._exchange = exchange
        self.seen: dict[int, float] = {}
        """Id to exchange time."""
        self.twice = 0

    def read(self) -> None:
        answer = self._service.get(f"/collectors/trades?symbol={SYMBOL}&exchange={self._exchange}&limit=100")
        rows = answer.json()["trades"]
        self.twice += len(rows) - len({row["trade_id"] for row in rows})
        self.seen |= {int(row["trade_id"]): _moment(row["timestamp"]) for row in rows}

    def gaps(self) -> list[tuple[float, float]]:
        """Beginning and end of each gap that the collector tells of."""
        told = self._service.get(f"/collectors/status/{self._exchange}_trades").json()["gaps"]
        return [(_moment(gap["since"]), _moment(gap["until"])) for gap in told]

    def judge(self, sent: dict[str, Any]) -> Verdict:
        gaps = self.gaps()
        ids = [number for first, last in sent["ranges"] for number in range(first, last + 1)]
        missing = set(ids) - self.seen.keys()
        explained = {
            number
            for before, after in pairwise(sorted(self.seen))
            for number in range(before + 1, after)
            if number in missing
            and any(since <= self.seen[before] and self.seen[after] <= until + SLACK for since, until in gaps)
        }
        unexplained = sorted(missing - explained)
        return Verdict(len(ids), len(self.seen), len(gaps), len(explained), unexplained)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def collect(minutes: float, rate: float, cut_every: float) -> int:
    """Prints the figures; 0 when every trade is accounted for and nothing crashed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator.start() as simulator,
        Service.start(
            simulator,
            COLLECTORS=",".join(f"{exchange}_trades" for exchange in EXCHANGES),
            BYBIT_WEBSOCKET_URL=simulator.bybit_url,
            BINANCE_WEBSOCKET_URL=simulator.binance_url,
            SYMBOLS=SYMBOL,
            DATABASE_PATH=str(Path(folder) / "ltp.sqlite3"),
        ) as service,
    ):
        readers = {exchange: Reader(service, exchange) for exchange in EXCHANGES}
        for exchange in EXCHANGES:
            simulator.wait(exchange=exchange, subscriptions=1, timeout=10)
        service.until(lambda: _states(service) <= {"active", "subscribing"})
        workers = service.worker_pids()
        for exchange in EXCHANGES:
            simulator.exchange_flood(exchange, SYMBOL, rate=rate, seconds=minutes * 60, background=True)
        cuts = _follow(simulator, readers, minutes * 60, cut_every)
        verdicts = {name: readers[name].judge(simulator.exchange_trades(name, SYMBOL)) for name in EXCHANGES}
        statistics = service.get("/collectors/storage/stats").json()
        tasks = service.get("/api/v1/status").json()["tasks"]
        crashes = sum(int(task["restarts"]) for task in tasks) + (service.worker_pids() != workers)
    twice = sum(reader.twice for reader in readers.values())
    return _report(verdicts, statistics, cuts, crashes, twice)


def _states(service: Service) -> set[str]:
    told = service.get("/collectors/status").json()["collectors"]
    return {told[f"{exchange}_trades"]["state"] for exchange in EXCHANGES}


def _follow(simulator: Simulator, readers: dict[str, Reader], seconds: float, cut_every: float) -> int:
    pace, cuts = Event(), 0
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds + 2:
        for reader in readers.values():
            reader.read()
        if (cuts + 1) * cut_every <= min(passed, seconds - cut_every / 2):
            for exchange in EXCHANGES:
                simulator.cut("abrupt", exchange=exchange)
            cuts += 1
        pace.wait(READ_EVERY)
    return cuts


def _report(
    verdicts: dict[str, Verdict], statistics: dict[str, Any], cuts: int, crashes: int, twice: int
) -> int:
    for exchange, each in verdicts.items():
        print(
            f"{exchange}: {each.sent:,} trades sent, {each.stored:,} stored, {each.in_gaps:,} in {each.gaps} gaps,"
            f" {len(each.unexplained)} unexplained {each.unexplained[:5] or ''}"
        )
    stored = int(statistics["total_trades_stored"])
    seen = sum(each.stored for each in verdicts.values())
    print(f"{cuts} cuts of both; {stored:,} stored by the service's count, {seen:,} of them read", end="; ")
    print(f"{statistics['trades_discarded']} discarded, {twice} told twice, {crashes} crashes")
    whole = stored == seen and not twice and not crashes
    return 0 if whole and not any(each.unexplained for each in verdicts.values()) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drill.collecting", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=100.0, help="trades per second on each exchange")
    parser.add_argument("--cut-every", type=float, default=CUT_EVERY, metavar="SECONDS")
    options = parser.parse_args()
    return collect(options.minutes, options.rate, options.cut_every)


if __name__ == "__main__":
    sys.exit(main())
