"""Clients that keep asking at a steady pace, and what became of each request."""

import http.client
import math
import select
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Event, Thread
from typing import Self

from tests.deadline import DEADLINE
from tests.process.answer import Answer, ask

UNHEARD = "ConnectionResetError before anything came"
"""A failure on a new connection, which may have waited in the queue of a listener that closed before it accepted."""

Judge = Callable[[Answer], str | None]
"""What is wrong with an answer, in a few words; None when nothing is."""


def unless_ok(answer: Answer) -> str | None:
    """Anything but 200 is a failure."""
    return None if answer.status == 200 else f"HTTP {answer.status}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request."""

    moment: float
    """Monotonic seconds at which it was due."""
    seconds: float
    """From that moment to the whole answer: a stall counts for every request that it held up."""
    failure: str | None
    asked_at: float
    """Monotonic seconds at which it was sent."""
    client: int
    answer: Answer | None
    """None when none came."""


class Load:
    """`clients` threads that together make `rate` requests per second (0: as many as are answered).

    `with Load(service.port, rate=50) as load: …`; on the way out the requests under way are waited for.
    """

    def __init__(
        self,
        port: int,
        path: str = "/api/v1/ltp",
        *,
        rate: float,
        clients: int = 4,
        keep_alive: bool = True,
        judge: Judge = unless_ok,
        patience: float = DEADLINE,
    ) -> None:
        self._port = port
        self._path = path
        self._interval = clients / rate if rate else 0.0
        self._keep_alive = keep_alive
        self._judge = judge
        self._clients = clients
        self._patience = patience
        self._stop = Event()
        self._grown = Condition()
        self._outcomes: list[Outcome] = []
        self._threads = [
            Thread(target=self._run, args=(number,), name=f"client {number}", daemon=True)
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def outcomes(self, since: float = -math.inf, until: float = math.inf) -> list[Outcome]:
        """The finished requests that were due in that time."""
        with self._grown:
            return [outcome for outcome in self._outcomes if since <= outcome.moment < until]

    def failures(self) -> Counter[str]:
        """Reason to number of requests."""
        return Counter(outcome.failure for outcome in self.outcomes() if outcome.failure is not None)

    def wait_for_more(self, requests: int, within: float = DEADLINE) -> None:
        """Returns when that many more requests have finished. Raises TimeoutError after `within` seconds."""
        with self._grown:
            wanted = len(self._outcomes) + requests
            if not self._grown.wait_for(lambda: len(self._outcomes) >= wanted, within):
                raise TimeoutError(f"{len(self._outcomes)} of {wanted} requests finished in {within} s")

    def _run(self, number: int) -> None:
        client = _Client(self._port, self._patience, keep_alive=self._keep_alive)
        due = time.monotonic() + number / self._clients * self._interval
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            asked_at = time.monotonic()
            answer = client.ask(self._path)
            seconds = time.monotonic() - due
            failure = answer if isinstance(answer, str) else self._judge(answer)
            kept = None if isinstance(answer, str) else answer
            self._keep(Outcome(due, seconds, failure, asked_at, number, kept))
            due = due + self._interval if self._interval else time.monotonic()
        client.close()

    def _keep(self, outcome: Outcome) -> None:
        with self._grown:
            self._outcomes.append(outcome)
            self._grown.notify_all()


class _Client:
    """One client's connection, a new one for every request or kept as long as the service keeps it."""

    def __init__(self, port: int, patience: float, *, keep_alive: bool) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        self._keep_alive = keep_alive

    def ask(self, path: str) -> Answer | str:
        """The answer, or in a few words why there is none."""
        if not self._keep_alive or self._was_ended():
            self.close()
        fresh = self._connection.sock is None
        try:
            return ask(self._connection, path)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            unheard = fresh and type(error) is ConnectionResetError  # one that was accepted ends otherwise
            return f"{UNHEARD if unheard else type(error).__name__}: {error}"

    def close(self) -> None:
        self._connection.close()

    def _was_ended(self) -> bool:
        """True when the service closed the idle connection, as it may; every HTTP client looks before it asks."""
        if self._connection.sock is None:
            return False
        poll = select.poll()
        poll.register(self._connection.sock, select.POLLIN)
        return bool(poll.poll(0))


def percentile(outcomes: list[Outcome], fraction: float) -> float:
    """Seconds that `fraction` of the requests did not exceed."""
    ordered = sorted(outcome.seconds for outcome in outcomes)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
