"""How a process asks its history."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from ltp_service.history.contract import HistoryStore

T = TypeVar("T")


class HistoryReader(Protocol):
    """Safe from any thread or greenlet. Only the caller waits."""

    def ask(self, question: Callable[[HistoryStore], T]) -> T:
        """Asks the store in a thread for readers. Raises StoreUnavailable, and HistoryElsewhere where this process cannot
        read what another one writes."""
