"""What the routes use of the history: questions to a store, asked in a native thread."""

from collections.abc import Callable
from typing import TypeVar

from ltp_service.history.backfill import Backfill
from ltp_service.history.contract import HistoryStore
from ltp_service.history.recorder import Recorder
from ltp_service.runtime.runners import Runner
from ltp_service.runtime.spawn import NativeThread

T = TypeVar("T")


class History:
    """One per process; None where HISTORY_URL is empty. From any thread or greenlet."""

    def __init__(
        self,
        store: HistoryStore,
        thread: NativeThread,
        recorder: Recorder,
        owner_elsewhere: Callable[[], str | None],
        *,
        is_shared: bool,
    ) -> None:
        """`store` is for reading alone. `owner_elsewhere` names the machine that feeds the fleet, where that is another one
        than this. `is_shared`: processes on other machines read the same history."""
        self._store = store
        self._thread = thread
        self._owner_elsewhere = owner_elsewhere
        self._is_shared = is_shared
        self.recorder = recorder
        self.backfill: Backfill | None = None
        """None where no trade has an id: with protocol v1, and without the WebSocket."""

    @property
    def runners(self) -> list[Runner]:
        """What records."""
        return [self.recorder, *([self.backfill] if self.backfill else [])]

    def read(self, question: Callable[[HistoryStore], T]) -> T:
        """Asks the store while only the caller waits. Raises StoreUnavailable, and what the question raises."""
        return self._thread.run(lambda: question(self._store))

    def elsewhere(self) -> str | None:
        """Why this process cannot answer, with what to set, where the history is written on another machine; else None."""
        machine = None if self._is_shared else self._owner_elsewhere()
        if machine is None:
            return None
        return (
            f"the history is in a file on the machine {machine}, which feeds this fleet; ask there, or set"
            " HISTORY_URL=postgresql://user:password@host/database in every process"
        )
