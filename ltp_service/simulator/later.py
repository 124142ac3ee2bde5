"""Acts at a later moment."""

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count


class Later:
    """Acts in one thread, those of the same moment in the order in which they were given. Thread safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = count()
        self._acts: list[tuple[float, int, Callable[[], None]]] = []
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._acts, (time.monotonic() + seconds, next(self._numbers), act))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="later", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            self._next()()

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while True:
                left = self._acts[0][0] - time.monotonic() if self._acts else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._acts)[2]
                self._changed.wait(left)


def start_timer(seconds: float, act: Callable[[], None]) -> None:
    """The act in a thread of its own, which does not keep the program alive."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
