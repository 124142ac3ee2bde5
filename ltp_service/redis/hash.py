"""Texts by name in one Redis hash. Several processes change it without losing each other's changes."""

from collections.abc import Callable, Mapping

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import REDIS_TIMEOUT_SECONDS, RedisClient

CHANGE_ATTEMPTS = 20
"""Attempts at one change. Each attempt that fails means that another process changed the hash."""

Texts = Mapping[str, bytes]

_VERSION = b"version"
"""The field with the hash's version. It is in the hash, so that both are lost together or not at all."""

_READ = "return {redis.call('HGETALL', KEYS[1]), redis.call('TIME')}"

# The deadline is for a server that was stalled: it runs old commands after their sender was told that nothing was
# changed. Versions are times, so that a hash that was lost and made anew never repeats one.
_WRITE = """
local time = redis.call('TIME')
local seen = redis.call('HGET', KEYS[1], 'version') or ''
if seen ~= ARGV[1] or time[1] + time[2] / 1e6 > tonumber(ARGV[2]) then return 0 end
for place = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1]) end
local version = math.max((tonumber(seen) or 0) + 1, time[1] * 1e6 + time[2])
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', version))
return 1
"""


class RedisHash:
    """One hash. Every method may raise StoreUnavailable and has then changed nothing."""

    def __init__(self, redis: RedisClient, key: str) -> None:
        self._redis = redis
        self._key = key
        self._read = redis.script(_READ)
        self._write = redis.script(_WRITE)

    def version(self) -> bytes:
        """A value that differs after each change; empty while there is no hash."""
        return self._redis.run("HGET", self._key, _VERSION) or b""

    def load(self) -> Texts:
        """Every text by its name."""
        return self._load()[0]

    def change(self, change: Callable[[Texts], Texts]) -> None:
        """Stores the texts that `change` returns for those that are there; nothing if it returns none.

        No other process changes the hash in between. `change` may run several times; when it raises, nothing is
        changed.
        """
        for _ in range(CHANGE_ATTEMPTS):
            texts, version, now = self._load()
            new = change(texts)
            pairs = [part for name, text in new.items() for part in (name, text)]
            if not new or self._write([self._key], [version, now + REDIS_TIMEOUT_SECONDS, *pairs]):
                return
        raise StoreUnavailable("nothing was changed: too many others change the same in Redis; try again")

    def close(self) -> None:
        """Closes the connections; the next use makes new ones."""
        self._redis.close()

    def _load(self) -> tuple[Texts, bytes, float]:
        """The texts, their version (empty without a hash), and the server's unix seconds."""
        flat, (seconds, microseconds) = self._read([self._key], [])
        texts = dict(zip(flat[::2], flat[1::2], strict=True))
        version = texts.pop(_VERSION, b"")
        named = {name.decode(errors="replace"): text for name, text in texts.items()}
        return named, version, int(seconds) + int(microseconds) / 1e6
