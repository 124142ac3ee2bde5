"""What the routes use of the history: questions to a store, asked in a native thread."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.history.backfill import Backfill
from ltp_service.history.contract import READ_SECONDS, HistoryStore
from ltp_service.history.exchange_now import ExchangeNow, newest_of
from ltp_service.history.recorder import Recorder
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runners import Runner
from ltp_service.runtime.spawn import NativeThread

T = TypeVar("T")

MOST_WAITING = 50
"""Most questions that wait at the same time. Each holds a place among the requests of its process, which prices need, too."""

_ENDLESS = 1 << 62
"""A moment after everything."""


class History:
    """One per process; None where HISTORY_URL is empty. From any thread or greenlet."""

    def __init__(
        self,
        store: HistoryStore,
        thread: NativeThread,
        recorder: Recorder,
        owner_elsewhere: Callable[[], str | None],
        clock: Clock,
        *,
        is_shared: bool,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """`store` is for reading alone. `owner_elsewhere` names the machine that feeds the fleet, where that is another one
        than this. `is_shared`: processes on other machines read the same history."""
        self._store = store
        self._thread = thread
        self._owner_elsewhere = owner_elsewhere
        self._is_shared = is_shared
        self._exchange_now = ExchangeNow(clock)
        self._monotonic = clock.monotonic
        self._most_waiting = most_waiting
        self._waiting = 0
        """Questions that have no answer yet, with the present one."""
        self._begun_at: float | None = None
        """When the present question began; None while there is none."""
        self._lock = Lock()
        self.recorder = recorder
        self.backfill: Backfill | None = None
        """None where no trade has an id: with protocol v1, and without the WebSocket."""

    @property
    def runners(self) -> list[Runner]:
        """What records."""
        return [self.recorder, *([self.backfill] if self.backfill else [])]

    def read(self, question: Callable[[HistoryStore], T]) -> T:
        """Asks the store while only the caller waits. Raises StoreUnavailable, at once where it is known that it would take long,
        and what the question raises."""
        self._queue_up()
        try:
            return self._thread.run(lambda: self._ask(question))
        finally:
            with self._lock:
                self._waiting -= 1

    def _queue_up(self) -> None:
        begun_at = self._begun_at
        if begun_at is not None and self._monotonic() - begun_at > READ_SECONDS:
            raise StoreUnavailable(
                f"another question has no answer after {READ_SECONDS:g} s; look at the disk or the server of the history"
            )
        with self._lock:
            if self._waiting >= self._most_waiting:
                raise StoreUnavailable(
                    f"{self._waiting} questions wait for it; ask less often, or look at the disk or the server of the history"
                )
            self._waiting += 1

    def _ask(self, question: Callable[[HistoryStore], T]) -> T:
        """In the native thread."""
        self._begun_at = self._monotonic()
        try:
            return question(self._store)
        finally:
            self._begun_at = None

    def now(self, store: HistoryStore, pairs: Sequence[Pair]) -> int:
        """The exchange's time in unix microseconds; this machine's clock decides only where nothing else is known. For
        questions, in their thread. Raises StoreUnavailable."""
        told = self.recorder.exchange_now()
        if told is not None:
            return told
        newest = {pair: newest_of(store.around(pair, _ENDLESS)) for pair in pairs}
        return self._exchange_now.after({pair: at for pair, at in newest.items() if at is not None})

    def elsewhere(self) -> str | None:
        """Why this process cannot answer, with what to set, where the history is written on another machine; else None."""
        machine = None if self._is_shared else self._owner_elsewhere()
        if machine is None:
            return None
        return (
            f"the history is in a file on the machine {machine}, which feeds this fleet; ask there, or set"
            " HISTORY_URL=postgresql://user:password@host/database in every process"
        )
