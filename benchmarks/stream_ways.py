"""What streams, and what makes it send: ours, and the least that the same sockets can be sent."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import urlopen

from benchmarks.beats import PER_SECOND, Beats
from benchmarks.bench import Bench
from benchmarks.crowd import PAIRS, expected_pairs, question_of
from benchmarks.machine import cpu_seconds, on_cores
from benchmarks.pace import sleep_until
from benchmarks.servers import Server, stop
from tests.simulator.client import PROJECT

BARE = "a bare loop of sends"


@dataclass(frozen=True)
class Way:
    """Something that streams."""

    name: str
    port: int
    workers: Sequence[int]
    """The processes that work on it."""
    beat: Callable[[float], int]
    """Makes it send for so many seconds, and returns how many times."""

    def cpu(self) -> float:
        """Seconds that they have used so far."""
        return sum(map(cpu_seconds, self.workers))


def frames_of(server: Server, beats: Beats) -> dict[str, str]:
    """What the service sends for one tick of all pairs, by question."""
    questions = {question_of(place): expected_pairs(place) for place in range(5 * len(PAIRS))}
    return {question: _frame(server, question, pairs, beats) for question, pairs in questions.items()}


def _frame(server: Server, question: str, pairs: int, beats: Beats) -> str:
    """The events that come after those of the beginning: as many as those of the beginning."""
    with urlopen(f"http://127.0.0.1:{server.port}{question}", timeout=20) as answer:
        _prices(answer, pairs)
        beats.run(1 / PER_SECOND)
        return "".join(_prices(answer, pairs))


def _prices(lines: Iterator[bytes], number: int) -> list[str]:
    """So many events of prices, each as it was sent."""
    events: list[str] = []
    event = ""
    for line in lines:
        event += line.decode()
        if line == b"\n":
            if "\nevent: price\n" in f"\n{event}":
                events.append(event)
            event = ""
        if len(events) == number:
            break
    return events


@contextmanager
def bare_loop(bench: Bench, frames: dict[str, str]) -> Iterator[Way]:
    """A program that sends each client the frame of its question."""
    with on_cores(bench.cores.measured):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_sends"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    orders = process.stdin

    def order(line: str) -> None:
        orders.write(f"{line}\n".encode())
        orders.flush()

    def beat(seconds: float) -> int:
        begun, times = time.monotonic(), round(seconds * PER_SECOND)
        for number in range(times):
            sleep_until(begun + number / PER_SECOND)
            order("beat")
        return times

    try:
        order(json.dumps(frames))
        yield Way(BARE, int(process.stdout.readline()), [process.pid], beat)
    finally:
        stop(process)
        process.stdin.close()
        process.stdout.close()
