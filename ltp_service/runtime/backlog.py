"""Events that are dealt with together."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Backlog(Generic[Row]):
    """What waits to be counted or written.

    To do so at once costs microseconds, locks and system calls in the middle of a request; to append it here
    costs a twentieth of that. Any thread may add and settle at any time: each event is dealt with exactly once.
    """

    def __init__(self, deal: Callable[[list[Row]], None], most: int) -> None:
        self._deal = deal
        self._most = most
        self._waiting: deque[Row] = deque()

    def add(self, row: Row) -> None:
        """Dealt with at the next `settle`, or as soon as `most` wait."""
        self._waiting.append(row)
        if len(self._waiting) >= self._most:
            self.settle()

    def settle(self) -> None:
        """Deals with what waits."""
        rows: list[Row] = []
        with suppress(IndexError):  # empty; another thread may be taking them too
            while True:
                rows.append(self._waiting.popleft())
        if rows:
            self._deal(rows)
