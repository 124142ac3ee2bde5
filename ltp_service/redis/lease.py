"""Who feeds the fleet: the one process that holds a lease in Redis, and nobody when that is in doubt."""

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import NamedTuple

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import RedisClient
from ltp_service.redis.topic import EPOCH
from ltp_service.runtime.runners import CollectorManager, Runner, RunnerState

log = logging.getLogger(__name__)

LEASE = "ltp:lease"
"""Redis key: the present owner, for as long as it renews its claim."""

LIFE = 5.0
"""Seconds for which a claim holds."""

LOOK = 0.25
"""Seconds between two looks whether the lease is free."""

STEP = 0.05
"""Seconds between two looks at doubts, while this process owns the feeds."""

END = 1.0
"""Seconds that the collectors have to end."""

SHORT, LONGEST_PAUSE = 10.0, 2.0
"""Seconds below which a tenure is too short to be repeated at once, again and again, for an exchange counts
connections; and for how long, so that a fleet of such processes does not stay without an owner."""

IN_VAIN = 20.0
"""Seconds in which nothing came from any exchange, so that a process elsewhere may have better luck."""

# Only the first claim of a tenure gives a new number: one that was answered too late to be believed is taken up
# again. The clock goes into the number so that a Redis that lost everything gives no number twice.
_CLAIM = """
local owner = redis.call('GET', KEYS[1])
local epoch = tonumber(redis.call('GET', KEYS[2]) or '') or 0
if owner and owner ~= ARGV[1] then return {0, owner, epoch} end
if not owner or epoch == 0 then
  local time = redis.call('TIME')
  epoch = math.max(epoch + 1, time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('SET', KEYS[2], string.format('%.0f', epoch))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, ARGV[1], epoch}
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Claim(msgspec.Struct, frozen=True):
    """Who owned the feeds when Redis last told."""

    owner: str | None
    epoch: int


class Signs(NamedTuple):
    """How a process fares."""

    in_step: Callable[[], bool]
    """Whether it hears what an owner tells."""
    heard_at: Callable[[], float]
    """Monotonic seconds at which anything last came from any exchange."""


class Lease:
    """Runner: runs the collectors while this process owns them."""

    name = "lease"

    def __init__(
        self,
        client: RedisClient,
        me: str,
        collectors: Sequence[Runner],
        signs: Signs,
        begin: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._claim, self._renew, self._release = map(client.script, (_CLAIM, _RENEW, _RELEASE))
        self._me = me
        self._collectors = collectors
        self._signs = signs
        self._begin = begin
        self._monotonic = monotonic
        self._running: CollectorManager | None = None
        self._epoch: int | None = None
        self._doubted = False
        self._in_vain = False
        self.last_seen = Claim(None, 0)

    def epoch(self) -> int | None:
        """The number of this process's tenure; None while it owns nothing."""
        return self._epoch

    def doubt(self) -> None:
        """Somebody had reason to believe that this process owns nothing any more."""
        self._doubted = True

    def collectors(self) -> list[RunnerState]:
        """Those that run because of this lease."""
        return self._running.states() if self._running else []

    def run(self, stop: Event) -> None:
        in_a_row = 0
        while not stop.is_set():
            asked_at = self._monotonic()
            epoch = self._ask()
            if epoch is None:
                stop.wait(LOOK)
                continue
            self._lead(epoch, asked_at, stop)
            if self._in_vain:
                stop.wait(LIFE)
            in_a_row = in_a_row + 1 if self._monotonic() - asked_at < SHORT else 0
            if in_a_row > 1:
                stop.wait(min(LONGEST_PAUSE, LOOK * 2.0 ** min(in_a_row, 10)))

    def _ask(self) -> int | None:
        """The number of a new tenure; None when another process owns the feeds, or nobody can tell."""
        if not self._signs.in_step():  # who does not hear what the last owner told must not speak after it
            return None
        try:
            granted, owner, epoch = self._claim((LEASE, EPOCH), (self._me, int(LIFE * 1000)))
        except StoreUnavailable as error:
            log.warning(
                "whether the fleet needs an owner is not known: %s",
                error,
                extra={"once_a_minute": ("redis", "claim")},
            )
            return None
        self.last_seen = Claim(owner.decode(errors="replace"), epoch)
        return int(epoch) if granted else None

    def _lead(self, epoch: int, asked_at: float, stop: Event) -> None:
        log.info("this process feeds the fleet from now on (epoch %d)", epoch)
        self._doubted = self._in_vain = False
        self._epoch = epoch
        self._begin()
        self._running = CollectorManager(self._collectors)
        self._running.start()
        try:
            reason = self._hold(epoch, asked_at, stop)
        finally:
            self._epoch = None
            self._end(self._running, stop)
            self._running = None
        log.warning("this process feeds the fleet no longer: %s", reason)

    def _hold(self, epoch: int, renewed_at: float, stop: Event) -> str:
        """Returns at once when there is any doubt, with its cause."""
        begun = renewed_at
        while not stop.wait(STEP):
            now = self._monotonic()
            if now - renewed_at >= LIFE:
                return f"it stood still for {now - renewed_at:.1f} s"
            if not self._doubted and now - renewed_at < LIFE / 3:
                continue
            self._doubted = False
            self._in_vain = now - max(begun, self._signs.heard_at()) >= IN_VAIN
            if self._in_vain:
                return f"nothing came from any exchange for {IN_VAIN:g} s"
            try:
                if not self._renew((LEASE, EPOCH), (self._me, int(LIFE * 1000), epoch)):
                    return "another process took over"
            except StoreUnavailable as error:
                return str(error)
            renewed_at = now
        return "it was told to stop"

    def _end(self, collectors: CollectorManager, stop: Event) -> None:
        while not collectors.stop(END) and not stop.is_set():
            log.warning("waiting for the collectors to end before the lease is asked for again")
        if stop.is_set() or self._in_vain:
            self._let_go()

    def _let_go(self) -> None:
        """So that another process needs not wait for the claim to lapse."""
        try:
            self._release((LEASE,), (self._me,))
        except StoreUnavailable as error:
            log.info("the lease lapses within %g s: %s", LIFE, error)
