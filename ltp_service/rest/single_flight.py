"""Callers that ask at the same time share one call, and calls are kept apart."""

from collections.abc import Callable, Set
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

from ltp_service.domain.errors import Unreachable
from ltp_service.runtime.runtime import Runtime

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Flight(Generic[Item, Result]):
    """One call, for all callers that want some of `items`."""

    def __init__(self, items: Set[Item]) -> None:
        self.items = frozenset(items)
        self.landing: Future[Result] = Future()


class SingleFlight(Generic[Item, Result]):
    """Joins requests for sets of items into calls of `ask`, at least `interval` seconds apart.

    The interval runs from the end of a call to the start of the next. Within it a caller that wants only items of the
    last call gets its result or its error. `ask` is told its seconds, at most `budget`; a caller waits at most for
    `budget` and `interval` together. No lock is held while `ask` runs.
    """

    def __init__(
        self,
        ask: Callable[[frozenset[Item], float], Result],
        runtime: Runtime,
        *,
        budget: float,
        interval: float = 1.0,
    ) -> None:
        self._ask = ask
        self._monotonic = runtime.clock.monotonic
        self._sleep = runtime.sleep
        self._budget = budget
        self._interval = interval
        self._lock = Lock()
        self._next: _Flight[Item, Result] | None = None
        self._current: _Flight[Item, Result] | None = None
        """The call under way, or the last one."""
        self._ended_at = float("-inf")

    def get(self, items: Set[Item]) -> Result:
        """The result of a call that asked for `items` at least. Raises the call's error, or Unreachable."""
        deadline = self._monotonic() + self._budget + self._interval
        flight, first = self._board(items)
        if first:
            self._fly(flight, deadline)
        if error := self._outcome(flight, deadline):
            # Each raise adds to the traceback, which would keep the frames of all callers of this call.
            raise error.with_traceback(None)
        return flight.landing.result()

    def _board(self, items: Set[Item]) -> tuple[_Flight[Item, Result], bool]:
        """The call for `items`, and whether this caller has to make it."""
        with self._lock:
            current = self._current
            if current and items <= current.items and self._is_recent(current):
                return current, False
            if self._next:
                self._next.items |= items
                return self._next, False
            self._next = _Flight(items)
            return self._next, True

    def _is_recent(self, flight: _Flight[Item, Result]) -> bool:
        return not flight.landing.done() or self._monotonic() < self._ended_at + self._interval

    def _fly(self, flight: _Flight[Item, Result], deadline: float) -> None:
        try:
            self._await_slot(deadline)
            left = min(self._budget, deadline - self._monotonic())
            result = self._ask(self._take_off(flight), left)
        except BaseException as error:
            self._land(flight)
            # The caller was ended (a greenlet killed), which must not end the callers that wait with it.
            ended = Unreachable("the caller that made the shared call was ended", reason="closed")
            flight.landing.set_exception(error if isinstance(error, Exception) else ended)
            if not isinstance(error, Exception):
                raise
        else:
            self._land(flight)
            flight.landing.set_result(result)

    def _await_slot(self, deadline: float) -> None:
        with self._lock:
            before = self._current
        if before:
            self._outcome(before, deadline)
            # A call with too little time would count as a failure of the exchange.
            if self._ended_at + self._interval > deadline - self._budget / 2:
                raise _late("no time is left to ask: the call before took too long")
            while (wait := self._ended_at + self._interval - self._monotonic()) > 0:
                self._sleep(wait)

    def _outcome(self, flight: _Flight[Item, Result], deadline: float) -> BaseException | None:
        """Waits for the end of a call; its error, None for success. Raises Unreachable at the deadline."""
        try:
            return flight.landing.exception(max(0.0, deadline - self._monotonic()))
        except TimeoutError:
            raise _late("the call under way takes too long") from None

    def _take_off(self, flight: _Flight[Item, Result]) -> frozenset[Item]:
        with self._lock:
            self._current, self._next = flight, None
            return flight.items

    def _land(self, flight: _Flight[Item, Result]) -> None:
        with self._lock:
            if self._next is flight:  # ended before it took off
                self._next = None
            else:
                self._ended_at = self._monotonic()


def _late(why: str) -> Unreachable:
    return Unreachable(why, reason="timeout")
