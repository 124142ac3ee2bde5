"""The token buckets of a whole fleet. Each process decides at once from its own, and they agree through Redis."""

from collections.abc import Callable
from itertools import islice
from math import ceil
from threading import Event

from ltp_service.limits.bucket import Decision
from ltp_service.limits.memory import MemoryLimiter
from ltp_service.redis.client import TIMEOUT, RedisClient
from ltp_service.runtime.database import Reload

EVERY = 0.05
"""Seconds between two exchanges."""

HURRY = 0.1
"""Share of the capacity that one address may spend here before the others are told at once."""

BATCH = 500
"""Most addresses in one exchange: Redis does nothing else for as long as the script runs."""

PREFIX = "ltp:limit:"

# A server that was stalled runs what was sent long ago, when all buckets are full again: hence the deadline. What is
# kept is "tokens unix_seconds"; anything else is a full bucket, as is nothing.
_EXCHANGE = """
local time = redis.call('TIME')
local capacity, rate, deadline = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(ARGV[4]) or time[1] + time[2] / 1e6
local answer = {string.format('%.6f', now)}
if now > deadline then return answer end
for place, kept in ipairs(redis.call('MGET', unpack(KEYS))) do
  local tokens, at = string.match(kept or '', '^([%d.e+-]+) ([%d.e+-]+)$')
  tokens, at = tonumber(tokens), tonumber(at)
  local balance = capacity
  if tokens and at then balance = math.min(capacity, tokens + math.max(0, now - at) * rate) end
  balance = balance - ARGV[4 + place]
  local life = math.max(1, math.ceil((capacity - balance) / rate * 1000))
  redis.call('SET', KEYS[place], string.format('%.17g %.17g', balance, now), 'PX', string.format('%.0f', life))
  answer[1 + place] = string.format('%.17g', balance)
end
return answer
"""


class SharedLimiter(MemoryLimiter):
    """A local bucket per address, brought to the fleet's balance by each exchange of what was spent here.

    What several processes let through between two exchanges is a debt: the balance is below 0 and refusals pay for
    it, so that in the long run no more passes than through one bucket. `server_time` replaces the server's clock.
    """

    def __init__(
        self,
        capacity: int,
        refill_rate: float,
        monotonic: Callable[[], float],
        redis: RedisClient,
        *,
        server_time: Callable[[], float] | None = None,
        max_addresses: int = 100_000,
    ) -> None:
        super().__init__(capacity, refill_rate, monotonic, max_addresses)
        self._settings = (capacity, refill_rate)
        self._server_time = server_time
        self._script = redis.script(_EXCHANGE)
        self._ahead: float | None = None
        """Seconds by which the server's clock is ahead of ours; None while the server is not known to answer."""
        self._spent: dict[str, int] = {}
        """What nobody else knows of yet; of addresses in the table only."""
        self._much = ceil(capacity * HURRY)
        self._due = Event()

    def take(self, address: str) -> Decision:
        """Spends one token of the address, if it has one as far as is known here. Never waits for Redis."""
        with self._lock:
            decision = self._take(address)
            if decision.allowed:
                spent = self._spent[address] = self._spent.get(address, 0) + 1
                if spent == self._much:
                    self._due.set()
        return decision

    def due(self, timeout: float) -> bool:
        """Waits until an exchange should not be put off, at most `timeout` seconds; whether it should not."""
        due = self._due.wait(timeout)
        self._due.clear()
        return due

    def exchange(self) -> None:
        """Tells what was spent here and learns what was spent elsewhere. Raises StoreUnavailable.

        The local buckets go on then. When Redis answers again, what these have got back meanwhile is not told.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            ahead, _ = self._ask({}, deadline=0.0)
        for _ in range(0, len(self._spent), BATCH):
            ahead = self._exchange(ahead)
        self._ahead = ahead

    def _exchange(self, ahead: float) -> float:
        sent_at = self._monotonic()
        batch = self._batch(sent_at)
        balances: list[float] = []
        try:
            ahead, balances = self._ask(batch, sent_at + ahead + TIMEOUT)
        finally:
            with self._lock:
                if balances:
                    self._settle(dict(zip(batch, balances, strict=True)), sent_at)
                else:
                    self._keep(batch)
        return ahead

    def _ask(self, batch: dict[str, float], deadline: float) -> tuple[float, list[float]]:
        """How far the server's clock is ahead, and the balances; none when the batch came after the deadline."""
        now = "" if self._server_time is None else self._server_time()
        time, *balances = self._script(
            [PREFIX + address for address in batch], [*self._settings, deadline, now, *batch.values()]
        )
        return float(time) - self._monotonic(), [float(balance) for balance in balances]

    def _batch(self, now: float) -> dict[str, float]:
        with self._lock:
            addresses = list(islice(self._spent, BATCH))
            return {
                address: min(self._spent.pop(address), self._bucket.missing(self._states[address], now))
                for address in addresses
            }

    def _settle(self, balances: dict[str, float], at: float) -> None:
        for address in balances.keys() & self._states.keys():
            self._states[address] = (balances[address] - self._spent.get(address, 0), at)

    def _keep(self, batch: dict[str, float]) -> None:
        for address in batch.keys() & self._states.keys():
            self._spent[address] = self._spent.get(address, 0) + ceil(batch[address])

    def _forget(self, address: str) -> None:
        super()._forget(address)
        self._spent.pop(address, None)


class LimitExchange(Reload):
    """Runner: exchanges every moment, and at once when an address spends much."""

    def __init__(self, limiter: SharedLimiter) -> None:
        super().__init__("limits", limiter.exchange)
        self._limiter = limiter

    def run(self, stop: Event) -> None:
        while not stop.is_set():
            self._limiter.due(EVERY)
            self.attempt(self._limiter.exchange)
