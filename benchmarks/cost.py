"""What a request costs: loads that take turns on several servers, and what their rounds come to."""

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
    """Of each question, as many requests as are answered: the medians of all rounds."""
    measured = [[_cost(bench, question, bench.scaled(3, 1)) for question in questions] for _ in range(rounds)]
    return [Cost(*map(median, zip(*each, strict=True))) for each in zip(*measured, strict=True)]


def least_cpu(bench: Bench, questions: Sequence[Question], rounds: int) -> list[float]:
    """Seconds of CPU per request of each question, in the cheapest of many short rounds.

    Other guests of the machine only add to them, by a quarter and more: medians of equal code differ by 10 %. Each round
    begins with another question, so none always follows the same one.
    """
    measured: list[list[float]] = [[] for _ in questions]
    for begin in range(rounds):
        for place in range(begin, begin + len(questions)):
            number = place % len(questions)
            measured[number].append(_cost(bench, questions[number], seconds=1).cpu)
    return [min(each) for each in measured]


def _cost(bench: Bench, question: Question, seconds: int) -> Cost:
    before = question.cpu()
    load = start_load(bench, question.port, question.path, seconds=seconds, headers=question.headers).result()
    return Cost(load.per_second, (question.cpu() - before) / load.requests, load.p99)
