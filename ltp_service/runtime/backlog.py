"""Events that are handled together."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Row = TypeVar("Row")


class Backlog(deque[Row]):
    """Events that wait to be counted or written, oldest first.

    Handling an event at once costs microseconds, locks and system calls within a request; appending it here costs
    a twentieth of that. Any thread may append and settle at any time: each event is handled exactly once.
    """

    def __init__(self, deal: Callable[[list[Row]], None], most: int) -> None:
        super().__init__()
        self._deal = deal
        self._most = most

    def add(self, row: Row) -> None:
        """Keeps `row` until the next `settle`, or until `most` rows wait."""
        self.append(row)
        if len(self) >= self._most:
            self.settle()

    def settle(self) -> None:
        """Handles the rows that wait."""
        rows: list[Row] = []
        with suppress(IndexError):  # empty; another thread may be taking them too
            while True:
                rows.append(self.popleft())
        if rows:
            self._deal(rows)
