"""Plays one seed: the service's own parts between a market and readers of chance."""

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from ltp_service import app as application
from ltp_service.assembly import equipment
from ltp_service.domain.pairs import read_pair
from ltp_service.http.services import services_of
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from ltp_service.settings.types import HistoryUrl
from tests.drill.chance.behaviour import Behaviour, draw
from tests.drill.chance.exchange import Exchange
from tests.drill.chance.market import PAUSES, Tape
from tests.drill.chance.schedule import Schedule, Stop
from tests.drill.chance.truth import HELD, LOOK, ROUNDING, TTL, Finding, Reader

SECONDS = 600.0
"""Of each seed."""

QUIET = 200.0
"""Seconds at the end in which nothing goes wrong, and after which every price is right."""

CALLS, DISTANCE = 10, 1.0
"""So many calls of REST take at least so many seconds each."""

WITH_DETAIL = "detail=true"
QUESTIONS = {WITH_DETAIL: TTL, "": TTL, "max_age=3": 3.0}
"""Question → seconds within which evidence must be that is not told."""


@dataclass(frozen=True)
class Played:
    """What came of a seed."""

    seed: int
    behaviour: Behaviour
    answers: int
    findings: list[Finding]
    events: list[tuple[float, str]]
    """What reached the service, and when."""


def play(seed: int, seconds: float = SECONDS, behaviour: Behaviour | None = None) -> Played:
    """One seed; the same seed plays the same."""
    chance = random.Random(seed)
    behaviour = behaviour or draw(seconds, QUIET, chance)
    tapes = {pair: Tape(pair, seconds, chance, partial(_is_open, behaviour, pair)) for pair in PAUSES}
    schedule = Schedule(lambda now: behaviour.skew if now < behaviour.skew_jumps_at else 0.0)
    exchange = Exchange(schedule, tapes, behaviour, chance)
    questions = [
        (question, promised, Reader(tapes, behaviour, exchange)) for question, promised in QUESTIONS.items()
    ]
    findings: list[Finding] = []
    answers = 0
    with _service(schedule, exchange, behaviour, chance) as app:
        parts = services_of(app)
        stop = Stop(schedule)
        for runner in (parts.prices.kraken, parts.prices.poll):
            assert runner is not None
            schedule.start(partial(runner.run, stop))
        parts.prices.quotes.expect_feed()
        client = app.test_client()

        def ask() -> None:
            nonlocal answers
            for question, promised, reader in questions:
                items = _asked(client, question)
                answers += len(items)
                for item in items.values():
                    findings.extend(reader.judge(schedule.now, schedule.exchange_time(), item, promised))
                if question == WITH_DETAIL:
                    for pair in tapes:
                        findings.extend(reader.expect(schedule.now, pair, items.get(pair)))
            schedule.at(schedule.now + chance.uniform(0.1, 1.4), ask)

        schedule.at(0.5, ask)
        schedule.run(seconds)
        findings.extend(_unrecovered(client, tapes, schedule))
        findings.extend(_overasked(exchange.calls))
        schedule.close()
    return Played(seed, behaviour, answers, findings, exchange.events)


def _asked(client: Any, question: str) -> dict[str, dict[str, Any]]:
    """The items of the answer, by pair; numbers are not rounded."""
    body = json.loads(client.get(f"/api/v1/ltp/cached?{question}").get_data(), parse_float=str)
    return {str(item["pair"]): item for item in body.get("ltp", [])}


def _is_open(behaviour: Behaviour, pair: str, moment: float) -> bool:
    return behaviour.halted(moment, pair) is None


def _unrecovered(client: Any, tapes: dict[str, Tape], schedule: Schedule) -> Iterator[Finding]:
    """What is not right though nothing was wrong for a while."""
    said = _asked(client, WITH_DETAIL)
    now = schedule.exchange_time()
    for pair, tape in tapes.items():
        right = tape.place(now - HELD - LOOK)
        if pair not in said:
            yield Finding(schedule.now, pair, "no price, though nothing is wrong", {})
        elif (tape.find(Decimal(str(said[pair]["amount"])), now) or [0])[-1] < right:
            yield Finding(schedule.now, pair, "not the last trade, though nothing is wrong", said[pair])


def _overasked(calls: list[tuple[float, str]]) -> Iterator[Finding]:
    """Where REST was asked more often than is polite."""
    for (since, _), (until, what) in zip(calls, calls[CALLS:], strict=False):
        if until - since < CALLS * DISTANCE - ROUNDING:
            yield Finding(
                until, "", f"over-asked: {CALLS + 1} calls in {until - since:.2f} s, last {what}", {}
            )


@contextmanager
def _service(
    schedule: Schedule, exchange: Exchange, behaviour: Behaviour, chance: random.Random
) -> Iterator[Any]:
    """The whole application, with the play's socket, HTTP client, clock, sleep and randomness."""
    runtime = Runtime(schedule, sleep=schedule.sleep, random=chance.random)
    path = "/v2" if behaviour.protocol == "v2" else "/"
    stand_ins = {
        "WebSocketConnection": lambda *_, **__: exchange.connect(),
        "Dialer": lambda *_, **__: None,
        "HttpClient": lambda *_, **__: exchange,
    }
    kept = {name: getattr(equipment, name) for name in stand_ins}
    for name in kept:
        setattr(equipment, name, stand_ins[name])
    try:
        with tempfile.TemporaryDirectory(prefix="ltp-chance-") as folder:
            config = Config(
                kraken_websocket_url=f"ws://exchange.invalid{path}",
                kraken_rest_url="http://exchange.invalid/0/public",
                supported_pairs=tuple(map(read_pair, PAUSES)),
                collectors=(),
                rate_limit_enabled=False,
                log_level="error",
                database_path=Path(folder) / "ltp.sqlite3",
                history_url=HistoryUrl(
                    ""
                ),  # time is played here, and a thread of its own would not take part
            )
            yield application.create_app(config, runtime)
    finally:
        for name, own in kept.items():
            setattr(equipment, name, own)
