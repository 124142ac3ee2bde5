"""tests.drill.chance: it plays the same seed the same, finds each kind of lie, and none in the service as it is."""

import logging
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ltp_service.prices import freshness, memory
from ltp_service.prices.doubts import Doubts
from tests.deadline import IN_FULL
from tests.drill.chance.behaviour import Behaviour, Fault
from tests.drill.chance.exchange import Exchange
from tests.drill.chance.market import Tape
from tests.drill.chance.play import Played, play
from tests.drill.chance.schedule import Schedule
from tests.drill.chance.truth import TTL, Reader

PAIR = "BTC/USD"
CALM = Behaviour("v2", 0.05, 0.0, 1e9, 2.0, 1, tells_age=False, trade_snapshots=True)
SECONDS = 120.0
SEEDS = range(20 if IN_FULL else 2)


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# The reader, shown single answers.


class Answers:
    """A reader of a market without faults, and items about its trades."""

    def __init__(self) -> None:
        schedule = Schedule(lambda _: 0.0)
        self.tape = Tape(PAIR, SECONDS, random.Random(1), lambda _: True)
        self.reader = Reader(
            {PAIR: self.tape}, CALM, Exchange(schedule, {PAIR: self.tape}, CALM, random.Random(1))
        )

    def said(self, ago: int, **more: Any) -> Mapping[str, Any]:
        """The trade so many before the last one, as if it were the last."""
        deal = self.tape.deals[self._last() - ago]
        item = {"pair": PAIR, "amount": deal.price, "price": deal.price, "state": "live", "age_ms": 10}
        return item | {"source": "kraken:websocket", "trade_id": deal.number, "traded_at": None} | more

    def judged(self, item: Mapping[str, Any]) -> list[str]:
        found = self.reader.judge(100.0, self._now(), item, TTL)
        return [finding.what for finding in found]

    def _now(self) -> float:
        return self.tape.moments[self._last()] + 0.1

    def _last(self) -> int:
        """Of a trade that follows others at a distance and is followed by none for a while."""
        moments = self.tape.moments
        return next(
            place
            for place in range(len(moments) // 2, len(moments))
            if all(moments[at + 1] - moments[at] > 0.3 for at in range(place - 3, place + 1))
        )


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_the_last_trade_is_no_finding(answers: Answers) -> None:
    assert answers.judged(answers.said(0)) == []
    assert answers.judged({"pair": PAIR, "amount": answers.said(0)["amount"]}) == []


@pytest.mark.parametrize(
    ("ago", "more", "finding"),
    [
        pytest.param(3, {}, "replaced", id="replaced"),
        pytest.param(0, {"amount": "1.5"}, "nothing was traded", id="untraded"),
        pytest.param(-3, {}, "it is not traded yet", id="of the future"),
        pytest.param(0, {"trade_id": 7}, "the trade's number is", id="number"),
        pytest.param(0, {"traded_at": "2026-09-21T12:00:00Z"}, "it was traded", id="time"),
        pytest.param(0, {"state": "quiet"}, "quiet, 0.1 s after", id="quiet"),
        pytest.param(0, {"state": "halted"}, "halted, though", id="halted"),
        pytest.param(3, {"age_ms": 31_000}, "served without evidence", id="stale"),
        pytest.param(0, {"price": "1"}, "price and amount differ", id="price"),
    ],
)
def test_what_is_not_true_is_found(answers: Answers, ago: int, more: Mapping[str, Any], finding: str) -> None:
    (what, *_) = answers.judged(answers.said(ago, **more))
    assert what.startswith(finding)


def test_a_pair_that_goes_back_for_one_reader_is_found(answers: Answers) -> None:
    answers.judged(answers.said(0))
    older = answers.said(1, age_ms=20_000)
    assert [what.split(":")[0] for what in answers.judged(older)] == ["back to an older trade"]


# The whole play.


def played(kind: str, protocol: str = "v2", **more: Any) -> Played:
    """One fault from the twentieth second on."""
    fault = Fault(kind, 20.0, 80.0, PAIR if kind.startswith(("unusable", "deaf")) else None, size=3.0)
    return play(1, SECONDS, replace(CALM, protocol=protocol, faults=(fault,), **more))


def kinds(result: Played) -> set[str]:
    return {finding.what.split(" ")[0].rstrip(",") for finding in result.findings}


def test_a_seed_plays_the_same_again() -> None:
    first, second = play(5, SECONDS), play(5, SECONDS)
    assert first.events == second.events
    assert first.events


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_wrong_is_said(seed: int) -> None:
    result = play(seed)
    assert [(finding.moment, finding.pair, finding.what) for finding in result.findings[:5]] == []
    assert result.answers > 1000


def test_doubts_that_do_not_end_evidence_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Doubts, "__iter__", lambda _: iter(()))
    assert "replaced" in kinds(played("unusable"))


def test_a_store_that_takes_whatever_comes_last_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "compare", lambda *_: "newer")
    assert "back" in kinds(played("reordered"))


def test_a_market_that_is_called_live_whatever_happened_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "LIVE_SECONDS", 1e9)
    assert "live" in kinds(play(1, SECONDS, CALM))


def test_a_lateness_that_does_not_count_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.exchanges.kraken.NEGLIGIBLE_DELAY_SECONDS", 1e9)
    assert "replaced" in kinds(played("late_data"))
