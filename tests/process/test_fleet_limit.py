"""The rate limit of two services of two workers each on one Redis: that of one bucket."""

import logging
from collections.abc import Iterator

import pytest

from tests.deadline import IN_FULL
from tests.process.answer import Answer
from tests.process.fleet import WORKERS, hold, membership
from tests.process.load import Load
from tests.process.service import Service
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

log = logging.getLogger(__name__)
"""What was measured, for those who ask: `--log-cli-level=info`."""

LIMIT_SECONDS = 60.0 if IN_FULL else 6.0
SERVICES = 2
RATE = 50.0
"""Requests per second, to all services."""
CAPACITY, REFILL_RATE = 100, 10.0
OFF = 0.02
"""Share of what one bucket admits by which the fleet may be off; in a short run no less than it pays back in a second."""


@pytest.fixture
def services(simulator: Simulator, server: RedisServer) -> Iterator[list[Service]]:
    settings = membership(
        {
            "REDIS_ADDR": server.address,
            "RATE_LIMIT_ENABLED": "true",
            "RATE_LIMIT_CAPACITY": str(CAPACITY),
            "RATE_LIMIT_REFILL_RATE": f"{REFILL_RATE}/s",
        }
    )
    with (
        Service.start(simulator, fed=False, **settings) as one,
        Service.start(simulator, fed=False, **settings) as other,
    ):
        yield [one, other]


def unless_admitted_or_refused(answer: Answer) -> str | None:
    return None if answer.status in (200, 429) else f"HTTP {answer.status}"


def worker(answer: Answer) -> str:
    """Whose: each numbers its requests after a word of its own."""
    return answer.headers["x-request-id"].rpartition("-")[0]


def test_all_workers_together_admit_what_one_bucket_does(services: list[Service]) -> None:
    loads = [
        Load(each.port, rate=RATE / SERVICES, keep_alive=False, judge=unless_admitted_or_refused)
        for each in services
    ]
    with loads[0], loads[1]:
        hold(LIMIT_SECONDS)
    outcomes = [outcome for load in loads for outcome in load.outcomes()]
    answers = [outcome.answer for outcome in outcomes if outcome.answer]
    assert len(answers) == len(outcomes)
    assert not any(load.failures() for load in loads)
    assert len(set(map(worker, answers))) == SERVICES * WORKERS

    asked = [outcome.asked_at for outcome in outcomes]
    bucket = CAPACITY + REFILL_RATE * (max(asked) - min(asked))
    admitted = sum(answer.status == 200 for answer in answers)
    log.info("%d of %d requests admitted, %.1f by one bucket", admitted, len(answers), bucket)
    assert admitted == pytest.approx(bucket, abs=max(OFF * bucket, REFILL_RATE))
