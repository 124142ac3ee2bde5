"""A circuit breaker: refuses calls to an exchange that failed too often."""

from collections.abc import Callable
from threading import Lock
from typing import Literal, NamedTuple

from ltp_service.domain.errors import BreakerOpen
from ltp_service.runtime.runtime import Runtime

LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""Seconds of the longest Retry-After that is obeyed."""

PROBE_LIFE_SECONDS = 60.0
"""Seconds after which a probe without a result counts as lost; no call may take as long."""

URGENT_PROBE_EVERY_SECONDS = 2.5
"""Seconds between probes while no price can be served, so that the exchange's return is noticed soon."""

BreakerState = Literal["closed", "open", "half_open"]


class BreakerSnapshot(NamedTuple):
    """The state of a breaker at one moment."""

    state: BreakerState
    failures: int
    """Failures since the last success."""
    retry_in: float
    """Seconds until a call may pass; 0 when one may pass now."""


class Permit:
    """The permission for one call. Its result counts once; a missing result does no harm."""

    def __init__(self, settle: Callable[[bool, float | None], None]) -> None:
        self._settle = settle
        self._told = False

    def succeeded(self) -> None:
        """The exchange gave a usable answer, which may be a refusal."""
        self._tell(True, None)

    def failed(self, retry_after: float | None = None) -> None:
        """The exchange gave no usable answer. `retry_after`: the seconds that it asks to wait."""
        self._tell(False, retry_after)

    def _tell(self, success: bool, retry_after: float | None) -> None:
        if not self._told:
            self._told = True
            self._settle(success, retry_after)


class CircuitBreaker:
    """Closed, open, half-open with exactly one probe. A state machine without I/O, safe from any thread.

    After `failures` in a row it opens for a random time in the upper half of `open_seconds`. Each failed probe doubles
    that time, up to `cap` seconds. While `urgent` returns True, it opens for at most URGENT_PROBE_EVERY_SECONDS.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        failures: int = 5,
        open_seconds: float = 30.0,
        cap: float = 300.0,
        urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._monotonic = runtime.clock.monotonic
        self._random = runtime.random
        self._limit = failures
        self._open_seconds = open_seconds
        self._cap = cap
        self._urgent = urgent
        self._opened_at = 0.0
        self._told_until = 0.0
        """End of the time that the exchange asked to wait; urgency does not shorten it."""
        self._lock = Lock()
        self._state: BreakerState = "closed"
        self._failures = 0
        self._failed_probes = 0
        self._until = 0.0
        """End of the open time, or of the probe's life."""
        self._generation = 0
        """Grows with each transition. Results of older permits come too late to count."""

    def acquire(self) -> Permit:
        """A permit for one call. Raises BreakerOpen with the seconds to wait."""
        with self._lock:
            if self._state != "closed":
                self._start_probe()
            generation = self._generation
        return Permit(lambda success, retry_after: self._settle(generation, success, retry_after))

    def state(self) -> BreakerSnapshot:
        """The present state; reading it changes nothing."""
        with self._lock:
            return BreakerSnapshot(self._state, self._failures, self._wait())

    def _wait(self) -> float:
        if self._state == "closed":
            return 0.0
        until = self._until
        if self._state == "open" and self._urgent():
            until = min(until, max(self._opened_at + URGENT_PROBE_EVERY_SECONDS, self._told_until))
        return max(0.0, until - self._monotonic())

    def _start_probe(self) -> None:
        wait = self._wait()
        if wait > 0:
            raise BreakerOpen(
                f"not asked: {self._failures} failures in a row, next try in {wait:.1f} s",
                reason="breaker_open",
                retry_after=wait,
            )
        self._turn("half_open", PROBE_LIFE_SECONDS)

    def _settle(self, generation: int, success: bool, retry_after: float | None) -> None:
        with self._lock:
            if generation != self._generation:
                self._stay_open(retry_after)
            elif success:
                self._close()
            else:
                self._fail(retry_after)

    def _close(self) -> None:
        self._failures = self._failed_probes = 0
        if self._state != "closed":
            self._turn("closed", 0.0)

    def _fail(self, retry_after: float | None) -> None:
        self._failures += 1
        self._heed(retry_after)
        if self._state == "half_open":
            self._failed_probes += 1
        elif self._failures < self._limit:
            # The exchange asked to wait before the limit of failures: open for exactly that time.
            if retry_after is not None:
                self._turn("open", min(retry_after, LONGEST_RETRY_AFTER_SECONDS))
            return
        self._turn("open", max(self._open_time(), min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS)))

    def _open_time(self) -> float:
        bound = min(self._cap, self._open_seconds * 2.0 ** min(self._failed_probes, 60))
        return bound * (0.5 + self._random() / 2)

    def _heed(self, retry_after: float | None) -> None:
        if retry_after is not None:
            told = self._monotonic() + min(retry_after, LONGEST_RETRY_AFTER_SECONDS)
            self._told_until = max(self._told_until, told)

    def _stay_open(self, retry_after: float | None) -> None:
        # A late result does not count, but a Retry-After in it does.
        if self._state == "open" and retry_after is not None:
            self._heed(retry_after)
            self._until = max(self._until, self._told_until)

    def _turn(self, state: BreakerState, seconds: float) -> None:
        self._state = state
        self._opened_at = self._monotonic()
        self._until = self._opened_at + seconds
        self._generation += 1
