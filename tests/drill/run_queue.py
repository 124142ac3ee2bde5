"""How long the programs of a row were ready to run and got no processor, from /proc."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

PACE = 0.1


class RunQueue:
    """Watches these processes and their children while it is entered. One that never waits adds nothing."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._seen: dict[Path, float] = {}
        self._moments: list[float] = []
        self._totals: list[float] = []
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="run queue", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def waited(self, since: float, until: float) -> float:
        """Seconds, of all of them together, between two monotonic moments."""
        first = max(0, bisect_right(self._moments, since) - 1)
        last = min(len(self._moments) - 1, bisect_left(self._moments, until))
        return self._totals[last] - self._totals[first]

    def _watch(self) -> None:
        while not self._stop.wait(PACE):
            self._look()

    def _look(self) -> None:
        for thread in self._threads():
            self._seen[thread] = _waited(thread) or self._seen.get(thread, 0.0)
        self._totals.append(sum(self._seen.values()))
        self._moments.append(time.monotonic())

    def _threads(self) -> Iterator[Path]:
        for pid in self._pids:
            for each in (pid, *_children(pid)):
                yield from Path(f"/proc/{each}/task").glob("*")


def _children(pid: int) -> list[int]:
    """Of its first thread, which is the one that forks."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _waited(thread: Path) -> float:
    """Seconds; 0 when it has ended."""
    try:
        return int((thread / "schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
