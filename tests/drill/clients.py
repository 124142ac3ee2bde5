"""200 requests per second from a process of their own: `python -m tests.drill.clients PORT RATE FILE PATIENCE`.

Ends when standard input does, and then writes one line of JSON per request.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.process.answer import Answer
from tests.process.load import Load, Outcome
from tests.simulator.client import PROJECT

PATH = "/api/v1/ltp"
PARTS = (
    (0.4, PATH, True),
    (0.2, PATH, False),
    (0.25, f"{PATH}?detail=true", True),
    (0.15, f"{PATH}?detail=true", False),
)
"""Share of the rate, what is asked, whether the connection is kept; two clients each."""


class Served(NamedTuple):
    """One price of an answer; what follows the amount only with detail."""

    pair: str
    amount: str
    state: str | None
    source: str | None
    age_ms: str | None
    trade_id: str | None
    price: str | None = None
    """The exchange's text."""
    elsewhere: str | None = None
    """The other exchange that X-Price-Source names for the pair."""

    @property
    def is_substitute(self) -> bool:
        """Whether the answer says that it is another exchange's price."""
        return self.state == "substitute" or self.elsewhere is not None


class Reading(NamedTuple):
    """One request as its client saw it; moments are monotonic seconds."""

    reader: int
    due: float
    asked_at: float
    answered_at: float
    failure: str | None
    status: int | None
    """None when no answer came."""
    retry_after: str | None
    served: list[Served]


class Clients:
    """Starts them; `stop` ends them and returns what they saw."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self._process = process
        self._file = file

    @classmethod
    def start(cls, port: int, rate: float, file: Path, patience: float = 10.0) -> Self:
        command = [sys.executable, "-m", "tests.drill.clients", *map(str, (port, rate, file, patience))]
        process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return cls(process, file)

    def stop(self) -> list[Reading]:
        self._process.communicate()
        with self._file.open() as lines:
            return [_read(json.loads(line)) for line in lines]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def _read(fields: list[Any]) -> Reading:
    return Reading(*fields)._replace(served=[Served(*each) for each in fields[-1]])


def _rows(loads: list[Load]) -> Iterator[str]:
    for part, load in enumerate(loads):
        for outcome in load.outcomes():
            yield json.dumps(_row(part * 100 + outcome.client, outcome))


def _row(reader: int, outcome: Outcome) -> list[Any]:
    answer = outcome.answer
    seen = (answer.status, answer.headers.get("retry-after"), _served(answer)) if answer else (None, None, [])
    return [
        reader,
        outcome.moment,
        outcome.asked_at,
        outcome.moment + outcome.seconds,
        outcome.failure,
        *seen,
    ]


def _served(answer: Answer) -> list[list[str | None]]:
    if answer.status not in (200, 206):
        return []
    keys = ("pair", "amount", "state", "source", "age_ms", "trade_id", "price")
    named = dict(
        each.split("=") for each in answer.headers.get("x-price-source", "").split(", ") if "=" in each
    )
    return [[*(item.get(key) for key in keys), named.get(item["pair"])] for item in answer.json()["ltp"]]


def main(port: int, rate: float, file: Path, patience: float) -> None:
    loads = [
        Load(port, path, rate=rate * share, clients=2, keep_alive=kept, patience=patience)
        for share, path, kept in PARTS
    ]
    with ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        print("started", flush=True)
        sys.stdin.read()
    with file.open("w") as out:
        out.writelines(f"{row}\n" for row in _rows(loads))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
