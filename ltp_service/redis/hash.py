"""Texts by name under one key of Redis, that several processes change without losing each other's changes."""

from collections.abc import Callable, Mapping

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import TIMEOUT, RedisClient

ATTEMPTS = 20
"""Rounds against others who change the same hash; in each one somebody wins."""

Texts = Mapping[str, bytes]

_VERSION = b"version"
"""The one field that is no text. Within the hash, so that nothing can take away the one without the other."""

_READ = "return {redis.call('HGETALL', KEYS[1]), redis.call('TIME')}"

# A server that was stalled runs what was sent long ago, after its sender was told that nothing was changed: hence
# the deadline. Versions begin with the time, so that a hash that was lost and made anew shows none seen before.
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
    """Every method may raise StoreUnavailable and has then changed nothing."""

    def __init__(self, redis: RedisClient, key: str) -> None:
        self._redis = redis
        self._key = key
        self._read = redis.script(_READ)
        self._write = redis.script(_WRITE)

    def version(self) -> bytes:
        """Another value than before after each change; empty while there is nothing."""
        return self._redis.run("HGET", self._key, _VERSION) or b""

    def load(self) -> Texts:
        """Every text."""
        return self._load()[0]

    def change(self, change: Callable[[Texts], Texts]) -> None:
        """Keeps the texts that `change` makes of those that are there; nothing if it makes none.

        No other process comes between; `change` may run several times, and when it raises, nothing is changed.
        """
        for _ in range(ATTEMPTS):
            texts, version, now = self._load()
            new = change(texts)
            pairs = [part for name, text in new.items() for part in (name, text)]
            if not new or self._write([self._key], [version, now + TIMEOUT, *pairs]):
                return
        raise StoreUnavailable("nothing was changed: too many others change the same in Redis; try again")

    def close(self) -> None:
        """Lets the connections go; the next use makes others."""
        self._redis.close()

    def _load(self) -> tuple[Texts, bytes, float]:
        """The texts, their version (empty for none), and the server's unix time."""
        flat, (seconds, microseconds) = self._read([self._key], [])
        texts = dict(zip(flat[::2], flat[1::2], strict=True))
        version = texts.pop(_VERSION, b"")
        named = {name.decode(errors="replace"): text for name, text in texts.items()}
        return named, version, int(seconds) + int(microseconds) / 1e6
