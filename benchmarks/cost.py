"""What a request costs: loads that take turns on several servers, and the medians of their rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks.bench import Bench
from benchmarks.load import start_load
from benchmarks.machine import cpu_seconds


@dataclass(frozen=True)
class Question:
    """What is asked, and where."""

    port: int
    workers: Sequence[int]
    """The processes that work on the answer."""
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)

    def cpu(self) -> float:
        """Seconds that they have used so far."""
        return sum(map(cpu_seconds, self.workers))


class Cost(NamedTuple):
    """What a question came to."""

    per_second: float
    cpu: float
    """Seconds per request."""
    p99: float


def costs(bench: Bench, questions: Sequence[Question], rounds: int) -> list[Cost]:
    """Of each question, as many requests as are answered."""
    measured = [[_cost(bench, question) for question in questions] for _ in range(rounds)]
    return [Cost(*map(median, zip(*each, strict=True))) for each in zip(*measured, strict=True)]


def _cost(bench: Bench, question: Question) -> Cost:
    before = question.cpu()
    load = start_load(
        bench, question.port, question.path, seconds=bench.scaled(3, 1), headers=question.headers
    ).result()
    return Cost(load.per_second, (question.cpu() - before) / load.requests, load.p99)
