"""The lease in Redis. The process that holds it feeds the fleet, and stops when it may have lost the lease."""

import logging
from collections.abc import Callable, Sequence
from threading import Event

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import REDIS_TIMEOUT_SECONDS, RedisClient
from ltp_service.redis.topic import EPOCH_KEY
from ltp_service.runtime.runners import CollectorManager, Runner, RunnerState

log = logging.getLogger(__name__)

LEASE_KEY = "ltp:lease"
"""Redis key: the name of the present owner, which expires unless the owner renews its claim."""

GIVEN_UP_KEY = "ltp:lease:given-up"
"""Redis key: the machine whose process just gave up the lease because it heard nothing."""

OTHERS_FIRST_SECONDS = 1.0
"""Seconds for which the other processes of that machine leave the lease to other machines: Kraken may refuse the machine, and
each of its processes would try in vain for IN_VAIN_SECONDS. Longer than two of CLAIM_EVERY_SECONDS."""

CLAIM_SECONDS = 5.0
"""Seconds after which a claim expires."""

CLAIM_EVERY_SECONDS = 0.25
"""Seconds between two attempts to claim the lease."""

DOUBT_LOOK_EVERY_SECONDS = 0.05
"""Seconds between two checks for a doubt, while this process owns the feeds."""

COLLECTORS_END_SECONDS = 1.0
"""Seconds that the collectors have to end before that is logged."""

SHORT_TENURE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 2.0
"""Seconds below which a tenure is short, and the longest pause after several short ones. Exchanges limit how often a
client may connect, so short tenures must not repeat at once; the pause is bounded, so that the fleet gets an owner."""

IN_VAIN_SECONDS, LONGEST_IN_VAIN_SECONDS = 20.0, 600.0
"""Seconds without a word from Kraken's feed after which the owner gives up the lease to another process. They double up to the
second value while no process hears the feed: a hand-over does not help then, and it interrupts the other collectors."""

# A claim by the present owner continues its tenure: its first answer may have come too late. The epoch is made from
# the time, so that a Redis that lost its data gives no number twice. A claim that another Redis granted expires by that
# one's clock: where ours is behind, its life is cut to what it can have left. The deadline is for a claim that was under
# way for long: its sender may want the lease no more.
_CLAIM = """
local time = redis.call('TIME')
local owner = redis.call('GET', KEYS[1])
local epoch = tonumber(redis.call('GET', KEYS[2]) or '') or 0
if time[1] + time[2] / 1e6 > tonumber(ARGV[3]) then return {0, owner or '', epoch} end
if owner and owner ~= ARGV[1] then
  if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
  return {0, owner, epoch}
end
if not owner and redis.call('GET', KEYS[3]) == ARGV[4] then return {0, '', epoch} end
if not owner or epoch == 0 then
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
# The deadline is for a release that was under way for long: its sender may have claimed the lease again meanwhile.
_RELEASE = """
local time = redis.call('TIME')
if time[1] + time[2] / 1e6 > tonumber(ARGV[2]) then return 0 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) end
return redis.call('DEL', KEYS[1])
"""


class Claim(msgspec.Struct, frozen=True):
    """The owner of the feeds and its epoch, as Redis last told them."""

    owner: str | None
    epoch: int


class Lease:
    """Runner: claims the lease and runs the collectors while this process holds it."""

    name = "lease"

    def __init__(
        self,
        client: RedisClient,
        me: str,
        collectors: Sequence[Runner],
        *,
        in_step: Callable[[], bool],
        heard_at: Callable[[], float],
        begin: Callable[[], None],
        monotonic: Callable[[], float],
        server_time: Callable[[], float],
    ) -> None:
        """`me`: the name of this process, which begins with its machine's and a colon. `in_step`: whether this process receives
        the owner's messages. `heard_at`: the monotonic second of the last word from Kraken's feed, to any process of the fleet.
        `begin` is called at the start of each tenure.
        `server_time`: the unix seconds that Redis' clock shows now, or a little earlier; it sends nothing."""
        self._claim, self._renew, self._release = map(client.script, (_CLAIM, _RENEW, _RELEASE))
        self._me = me
        self._machine, _, _ = me.partition(":")
        self._collectors = collectors
        self._in_step = in_step
        self._heard_at = heard_at
        self._begin = begin
        self._monotonic = monotonic
        self._server_time = server_time
        self._running: CollectorManager | None = None
        self._epoch: int | None = None
        self._doubted = False
        self._in_vain = False
        self._patience = IN_VAIN_SECONDS
        self._gave_up_at = 0.0
        """When this process last gave up the lease because it heard nothing."""
        self.last_seen = Claim(None, 0)

    def epoch(self) -> int | None:
        """The epoch of this process's tenure; None while it does not hold the lease."""
        return self._epoch

    def doubt(self) -> None:
        """This process may have lost the lease, so it is renewed at once."""
        self._doubted = True

    def collectors(self) -> list[RunnerState]:
        """The states of the collectors that this process runs now."""
        return self._running.states() if self._running else []

    def run(self, stop: Event) -> None:
        in_a_row = 0
        while not stop.is_set():
            asked_at = self._monotonic()
            epoch = self._ask()
            if epoch is None:
                stop.wait(CLAIM_EVERY_SECONDS)
                continue
            self._lead(epoch, asked_at, stop)
            if self._in_vain:
                self._gave_up_at = self._monotonic()
                self._patience = min(2 * self._patience, LONGEST_IN_VAIN_SECONDS)
                stop.wait(CLAIM_SECONDS)
            in_a_row = in_a_row + 1 if self._monotonic() - asked_at < SHORT_TENURE_SECONDS else 0
            if in_a_row > 1:
                stop.wait(min(LONGEST_PAUSE_SECONDS, CLAIM_EVERY_SECONDS * 2.0 ** min(in_a_row, 10)))
                # The line to Redis may come and go. Another process, with a better one, is to have the lease first.
                self._let_go()
                stop.wait(2 * CLAIM_EVERY_SECONDS)

    def _ask(self) -> int | None:
        """The epoch of a new tenure; None when another process has the lease, or when Redis does not answer."""
        if not self._in_step():  # it may have missed the last owner's messages, and its own must follow them
            return None
        try:
            granted, owner, epoch = self._claim(
                (LEASE_KEY, EPOCH_KEY, GIVEN_UP_KEY),
                (self._me, int(CLAIM_SECONDS * 1000), self._deadline(), self._machine),
            )
        except StoreUnavailable as error:
            log.warning(
                "whether the fleet needs an owner is not known: %s",
                error,
                extra={"once_a_minute": ("redis", "claim")},
            )
            return None
        self.last_seen = Claim(owner.decode(errors="replace") or None, epoch)
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
        """Renews the lease until it is lost or in doubt; returns the reason."""
        begun = renewed_at
        while not stop.wait(DOUBT_LOOK_EVERY_SECONDS):
            now = self._monotonic()
            if now - renewed_at >= CLAIM_SECONDS:
                return f"it stood still for {now - renewed_at:.1f} s"
            if not self._doubted and now - renewed_at < CLAIM_SECONDS / 3:
                continue
            self._doubted = False
            self._in_vain = self._is_in_vain(begun, now)
            if self._in_vain:
                return f"nothing came from Kraken's feed for {self._patience:g} s"
            try:
                if not self._renew((LEASE_KEY, EPOCH_KEY), (self._me, int(CLAIM_SECONDS * 1000), epoch)):
                    return "another process took over"
            except StoreUnavailable as error:
                return str(error)
            renewed_at = now
        return "it was told to stop"

    def _is_in_vain(self, begun: float, now: float) -> bool:
        heard_at = self._heard_at()
        if heard_at > self._gave_up_at:
            self._patience = IN_VAIN_SECONDS
        return now - max(begun, heard_at) >= self._patience

    def _end(self, collectors: CollectorManager, stop: Event) -> None:
        while not collectors.stop(COLLECTORS_END_SECONDS) and not stop.is_set():
            log.warning("waiting for the collectors to end before the lease is asked for again")
        if stop.is_set() or self._in_vain:
            self._let_go()

    def _let_go(self) -> None:
        """Releases the lease, so that another process need not wait for it to expire."""
        try:
            others_first = self._machine if self._in_vain else ""
            self._release(
                (LEASE_KEY, GIVEN_UP_KEY),
                (self._me, self._deadline(), others_first, int(OTHERS_FIRST_SECONDS * 1000)),
            )
        except StoreUnavailable as error:
            log.info("the lease lapses within %g s: %s", CLAIM_SECONDS, error)

    def _deadline(self) -> float:
        """The server's unix seconds after which what is sent now is not to be done any more, because its sender has given up."""
        return self._server_time() + REDIS_TIMEOUT_SECONDS
