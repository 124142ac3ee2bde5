"""What happens to the history: it costs no price, what is missing is told, and recording goes on by itself."""

import os
import resource
import signal
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

from ltp_service.domain.pairs import read_pair
from ltp_service.history.rows import Coverage
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.drill.row import PAIRS, Stage, row
from tests.drill.service_rows import replaced

AGAIN = 35.0
"""Seconds within which recording goes on: the store is tried again after half a minute at the latest."""

SETTLED = 15.0
"""Seconds in which REST fills the holes, of each pair one."""

QUESTIONS = 400
"""About moments of the whole row."""

EVER = 2**62
"""Unix microseconds, later than any trade."""

KILLED = {
    "several_workers": True,
    "behind_nginx": True,
    "elsewhere": "history/test_sqlite_killed.py",
}


@row("history_full", "the history's disk is full", history="file", elsewhere="history/test_sqlite.py")
def history_full(stage: Stage) -> None:
    """No file of the workers may grow, which is what a full disk is to them."""
    with _judged(stage), stage.faulty():
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in stage.service.worker_pids()}
        for pid, (_, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
        _until_failing(stage)
        stage.hold(stage.tempo.of(20.0, 1.0))
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
        _until_recording(stage)


@row(
    "history_deleted", "the history's files are deleted", history="file", elsewhere="process/test_history.py"
)
def history_deleted(stage: Stage) -> None:
    assert stage.history is not None
    with _judged(stage), stage.faulty():
        path = stage.history
        stage.until(path.exists, AGAIN, "the history is begun")
        stage.hold(2.0)
        deleted_at = time.time()
        for file in path.parent.iterdir():
            file.unlink()
        stage.until(path.exists, AGAIN, "the history is begun anew")
        _until_recording(stage)
        stage.hold(stage.tempo.of(10.0, 1.0))
        # Of the time before it only that is known which REST has told again.
        for pair in PAIRS:
            stage.problems.extend(_judge(stage, pair, deleted_at - 1.0, _dealt(stage, pair))[1])


@row(
    "history_stopped",
    "the history's PostgreSQL stopped",
    history="postgres",
    elsewhere="history/test_postgres.py",
)
def history_stopped(stage: Stage) -> None:
    assert stage.postgres is not None
    with _judged(stage), stage.faulty():
        stage.postgres.stop()
        _until_failing(stage)
        _expect_unavailable(stage)
        stage.hold(stage.tempo.of(60.0, 2.0) - stage.since(stage.faulty_from))
        stage.postgres.restart()
        _until_recording(stage)


@row(
    "history_killed",
    "the history's PostgreSQL killed",
    history="postgres",
    elsewhere="process/test_history_postgres.py",
)
def history_killed(stage: Stage) -> None:
    assert stage.postgres is not None
    with _judged(stage), stage.faulty():
        stage.postgres.kill()
        _until_failing(stage)
        _expect_unavailable(stage)
        stage.hold(stage.tempo.of(10.0, 1.0))
        stage.postgres.restart()
        _until_recording(stage)


@row("history_kills", "worker killed (SIGKILL) while it records", history="file", **KILLED)
def history_kills(stage: Stage) -> None:
    kills, chance = int(stage.tempo.of(100, 3)), Random(13)
    with _judged(stage), stage.faulty():
        for _ in range(kills):
            (worker,) = stage.service.worker_pids()
            os.kill(worker, signal.SIGKILL)
            _check_file(stage)
            stage.until(lambda worker=worker: replaced(stage, worker), 10.0, "another worker")  # type: ignore[misc]
            stage.until(stage.fed, 10.0, "fed again")
            stage.hold(chance.uniform(0.0, 2.5))
    stage.remarks.append(f"{kills} kills")


# What the history says.


class _Dealt(NamedTuple):
    """A pair's trades as the exchange made them."""

    ids: list[int]
    moments: list[int]
    """Unix microseconds."""

    def last(self, moment: int) -> int | None:
        """The id of the last one at a moment."""
        place = bisect_right(self.moments, moment)
        return self.ids[place - 1] if place else None


def _dealt(stage: Stage, pair: str) -> _Dealt:
    rows = stage.simulator.kraken_trades(pair)["rows"]
    return _Dealt([each[0] for each in rows], [round(each[4] * 1e6) for each in rows])


@contextmanager
def _judged(stage: Stage) -> Iterator[None]:
    """Everything that the history says afterwards about the time inside and before must be true."""
    begun = time.time() - stage.tempo.calm
    yield
    _until_recording(stage)
    stage.hold(stage.tempo.of(SETTLED, 2.0))
    ended = time.time()  # before the trades are looked up: what is made after that is not among them
    dealt, chance, found = {pair: _dealt(stage, pair) for pair in PAIRS}, Random(1), Counter[str]()
    for _ in range(int(stage.tempo.of(QUESTIONS, 70))):
        pair, moment = chance.choice(PAIRS), chance.uniform(begun, ended)
        kind, problem = _judge(stage, pair, moment, dealt[pair])
        found[kind] += 1
        stage.problems.extend(problem)
    stage.remarks.append(f"asked of {ended - begun:.0f} s: {_written(found)}")
    if stage.history is not None:
        stage.remarks.append(f"{_check_file(stage):,} trades in the file")
    lost = stage.status()["history"]["lost_trades"]
    stage.check(int(lost) == 0, f"{lost} trades dropped")


def _judge(stage: Stage, pair: str, moment: float, dealt: _Dealt) -> tuple[str, list[str]]:
    """What kind of answer it is, and what is wrong with it."""
    status, said = _at(stage, pair, moment)
    if status != 200:
        code = str((said.get("errors") or [said])[0].get("code"))
        right = code in ("HISTORY_GAP", "HISTORY_UNKNOWN")
        return code, [] if right else [f"{pair} at {moment:.6f}: {status} {said}"]
    item = said["ltp"][0]
    if item["proof"] != "exact":
        return str(item["proof"]), []
    truth = dealt.last(round(moment * 1e6))
    if int(item["trade_id"]) != truth:
        return "wrong", [f"{pair} at {moment:.6f} was {truth}, and is said to be exactly {item}"]
    until = round(datetime.fromisoformat(item["evidence_until"]).timestamp() * 1e6)
    after = dealt.last(until) if item["next_trade_id"] is None else truth
    wrong = [] if after == truth else [f"{pair}: {after} was made before the end of the evidence: {item}"]
    return "exact", wrong


def _at(stage: Stage, pair: str, moment: float) -> tuple[int, dict[str, Any]]:
    answer = stage.service.get(f"/api/v1/ltp/at?pair={pair}&time={moment:.6f}")
    return answer.status, answer.json()


def _check_file(stage: Stage) -> int:
    """Nothing that the file claims is missing in it, or was otherwise. Returns its trades."""
    assert stage.history is not None
    store, trades = SqlHistory(SqliteEngine(stage.history)), 0
    for pair in PAIRS:
        coverage, ids = _recorded(store, pair)
        dealt = _dealt(stage, pair)  # after the file was read, so that none of its trades is missing here
        claimed = [
            number for run in coverage.runs for number in range(run.first_trade_id, run.last_trade_id + 1)
        ]
        if sorted(ids) != claimed or not set(ids) <= set(dealt.ids):
            stage.problems.append(f"{pair}: {len(claimed)} trades are claimed and {len(ids)} are there")
        until = coverage.evidence_until or 0
        newest = max((run.last_traded_at for run in coverage.runs), default=0)
        # Evidence that is older than the newest trade claims nothing: the run reaches further.
        if until > newest and dealt.last(until) not in claimed[-1:]:
            stage.problems.append(f"{pair}: evidence until {until} for {claimed[-1:]}")
        trades += len(ids)
    store.close()
    return trades


def _recorded(store: SqlHistory, pair: str) -> tuple[Coverage, list[int]]:
    """What the file claims and the ids of its trades, both of one moment: recording goes on meanwhile."""
    while True:
        coverage = store.coverage(read_pair(pair))
        ids = [each.trade_id for each in store.trades(read_pair(pair), 0, EVER, EVER)]
        if store.coverage(read_pair(pair)) == coverage:
            return coverage, ids


# Whether it is recorded.


def _until_recording(stage: Stage) -> None:
    took = stage.until(lambda: _recording(stage) == "writing", AGAIN, "recording goes on")
    stage.remarks.append(f"recorded after {took:.1f} s")


def _until_failing(stage: Stage) -> None:
    stage.until(lambda: _recording(stage) == "failing", AGAIN, "the status tells that nothing is recorded")
    stage.remarks.append(f"said: {stage.status()['history']['error']}")


def _recording(stage: Stage) -> str:
    return str(stage.status()["history"]["recording"])


def _expect_unavailable(stage: Stage) -> None:
    answers = Counter(_at(stage, pair, time.time() - 1.0)[0] for pair in PAIRS)
    stage.check(set(answers) == {503}, f"asked meanwhile: {_written(answers)}")


def _written(counted: Counter[Any]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counted.most_common())
