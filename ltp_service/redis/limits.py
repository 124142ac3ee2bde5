"""The token buckets of a fleet. Each process decides from its own buckets, and Redis brings them together."""

from collections.abc import Callable
from itertools import islice
from math import ceil
from threading import Event

from ltp_service.limits.buckets import LimitDecision, MemoryLimiter
from ltp_service.redis.client import REDIS_TIMEOUT_SECONDS, RedisClient
from ltp_service.runtime.database import Reload

EXCHANGE_EVERY_SECONDS = 0.05
"""Seconds between two exchanges with Redis."""

HURRY_SHARE = 0.1
"""Share of the capacity that one address may spend here before an exchange is made at once."""

ADDRESSES_PER_EXCHANGE = 500
"""Most addresses in one exchange, because Redis does nothing else while the script runs."""

LIMIT_KEY_PREFIX = "ltp:limit:"

# The deadline is for a server that was stalled: it runs old commands when all buckets are full again. A bucket is
# stored as "tokens unix_seconds"; any other value, or none, is a full bucket.
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
    """A local bucket per address. Each exchange tells what was spent here and sets the bucket to the fleet's balance.

    When several processes let too many requests through between two exchanges, the balance falls below 0, and later
    refusals make up for it: in the long run no more pass than through one bucket. `server_time`, unix seconds,
    replaces the server's clock.
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
        """Seconds from monotonic time to the server's unix time; None until an exchange succeeds."""
        self._spent: dict[str, int] = {}
        """Tokens spent here since the last exchange, by address; only of addresses in the table."""
        self._much = ceil(capacity * HURRY_SHARE)
        self._due = Event()

    def take(self, address: str) -> LimitDecision:
        """Spends one token of the local bucket of `address`, if it has one. Never waits for Redis."""
        with self._lock:
            decision = super().take(address)
            if decision.allowed:
                spent = self._spent[address] = self._spent.get(address, 0) + 1
                if spent == self._much:
                    self._due.set()
        return decision

    def due(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds for an urgent exchange; True when there is one."""
        due = self._due.wait(timeout)
        self._due.clear()
        return due

    def exchange(self) -> None:
        """Tells Redis what was spent here and learns the fleet's balances. Raises StoreUnavailable.

        Without Redis the local buckets go on. Tokens that they refill meanwhile are never told as spent.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            ahead, _ = self._ask({}, deadline=0.0)
        for _ in range(0, len(self._spent), ADDRESSES_PER_EXCHANGE):
            ahead = self._exchange(ahead)
        self._ahead = ahead

    def _exchange(self, ahead: float) -> float:
        sent_at = self._monotonic()
        batch = self._batch(sent_at)
        balances: list[float] = []
        try:
            ahead, balances = self._ask(batch, sent_at + ahead + REDIS_TIMEOUT_SECONDS)
        finally:
            with self._lock:
                if balances:
                    self._settle(dict(zip(batch, balances, strict=True)), sent_at)
                else:
                    self._keep(batch)
        return ahead

    def _ask(self, batch: dict[str, float], deadline: float) -> tuple[float, list[float]]:
        """Seconds that the server's clock is ahead, and the balances; none when the batch came after the deadline."""
        now = "" if self._server_time is None else self._server_time()
        time, *balances = self._script(
            [LIMIT_KEY_PREFIX + address for address in batch],
            [*self._settings, deadline, now, *batch.values()],
        )
        return float(time) - self._monotonic(), [float(balance) for balance in balances]

    def _batch(self, now: float) -> dict[str, float]:
        with self._lock:
            addresses = list(islice(self._spent, ADDRESSES_PER_EXCHANGE))
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
    """Runner: exchanges every EXCHANGE_EVERY_SECONDS, and at once when an address has spent much."""

    def __init__(self, limiter: SharedLimiter) -> None:
        super().__init__("limits", limiter.exchange)
        self._limiter = limiter

    def run(self, stop: Event) -> None:
        while not stop.is_set():
            self._limiter.due(EXCHANGE_EVERY_SECONDS)
            self.attempt(self._limiter.exchange)
