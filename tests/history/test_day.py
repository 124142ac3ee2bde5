"""tests.drill.history_day: an hour of it is true, and each way to break the history is found."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from ltp_service.history import answers, evidence, tapes
from ltp_service.history.coverage import Runs
from ltp_service.history.rows import Run
from tests.deadline import IN_FULL
from tests.drill.history_day.play import Plan, Played, play

HOUR = Plan(
    seconds=3_600 if IN_FULL else 900, cuts=10, kills=2, restarts=1, moments=500, looks=60, beside=120
)
BROKEN = (
    replace(HOUR, seconds=900, cuts=20, looks=200)
    if IN_FULL
    else replace(HOUR, seconds=300, cuts=20, looks=200, beside=60)
)
SEEDS = range(5 if IN_FULL else 1)

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def told(played: Played) -> list[str]:
    return [f"{finding.pair} {finding.moment}: {finding.what}" for finding in played.findings[:3]]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_wrong_is_answered(seed: int) -> None:
    played = play(HOUR, seed)
    assert told(played) == []
    assert played.counts["exact"] > 400
    assert played.counts["at once: exact"] > 500
    assert played.counts["1m complete"] > (200 if IN_FULL else 80)
    assert played.counts["in a hole"] + played.counts["at once: in a hole"]


def test_without_ids_nothing_is_exact() -> None:
    played = play(replace(HOUR, seconds=500, moments=200, looks=20, beside=30, protocol="v1"))
    assert told(played) == []
    assert played.counts["observed"] > 100
    assert not [kind for kind in played.counts if "exact" in kind or "complete" in kind or "empty" in kind]


def test_the_same_seed_plays_the_same() -> None:
    short = replace(HOUR, seconds=200, cuts=3, kills=1, moments=30, looks=5, beside=10)
    first, second = play(short), play(short)
    assert (first.findings, first.counts) == (second.findings, second.counts)


def without_margin(patch: Patch) -> None:
    """A trade that is under way when a heartbeat comes is overlooked."""
    patch.setattr(evidence, "MARGIN_SECONDS", 0.0)


def merging_too_much(patch: Patch) -> None:
    """One missing trade does not part two runs."""
    record = Runs.record

    def wrong(runs: Runs, new: Run, joins: Sequence[Run] = ()) -> tuple[Run, list[Run]]:
        first = new.first_trade_id
        missed = [run for run in runs if run.last_trade_id == first - 2]
        return record(runs, new, [*missed, *joins])

    patch.setattr(Runs, "record", wrong)


def folding_late_trades(patch: Patch) -> None:
    """Trades that REST told later are put at the end of their candle."""
    patch.setattr(tapes, "_write_candles", _always_going_on(tapes._write_candles))  # noqa: SLF001 - it is broken


def _always_going_on(write: Callable[..., None]) -> Callable[..., None]:
    def wrong(transaction: object, change: tapes._Change) -> None:
        change.latest = (-1, -1)
        write(transaction, change)

    return wrong


def forgetting_runs(patch: Patch) -> None:
    """All trades are taken for those of one run."""
    patch.setattr(answers, "proof", lambda around, _: around.before)


BREAKS = [merging_too_much, *((without_margin, folding_late_trades, forgetting_runs) if IN_FULL else ())]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_history_is_found(broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    broken(monkeypatch)
    assert play(BROKEN, seed=3).findings
