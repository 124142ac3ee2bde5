"""API keys and tickets in Redis."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.keys.key import ApiKey
from ltp_service.keys.tickets import MOST_TICKETS
from ltp_service.redis.client import RedisClient
from ltp_service.redis.hash import RedisHash, Texts

KEYS_HASH = "ltp:keys"

TICKETS_SET = "ltp:tickets"

_PUT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[2], KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""

_TAKE = """
local found = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], KEYS[1])
return found
"""


class RedisKeys:
    """The Redis hash `ltp:keys`: one JSON object per API key, named by the key's SHA-256."""

    def __init__(self, redis: RedisClient) -> None:
        self._hash = RedisHash(redis, KEYS_HASH)
        self.version, self.close = self._hash.version, self._hash.close

    def load(self) -> list[ApiKey]:
        return sorted(_keys_in(self._hash.load()).values(), key=lambda key: (key.created, key.hash))

    def insert(self, key: ApiKey, *, only_first: bool) -> bool:
        done = False

        def change(texts: Texts) -> Texts:
            nonlocal done
            done = not (only_first and texts)
            return _texts(key) if done else {}

        self._hash.change(change)
        return done

    def revoke(self, key_hash: str, at: float, *, leave_admin: bool) -> bool:
        done = False

        def change(texts: Texts) -> Texts:
            nonlocal done
            keys = _keys_in(texts)
            key = keys.pop(key_hash, None)
            done = not leave_admin or any(
                other.permission == "admin" and other.state(at) == "active" for other in keys.values()
            )
            return _texts(replace(key, revoked=at)) if done and key and key.revoked is None else {}

        self._hash.change(change)
        return done

    def touch(self, used: Mapping[str, float]) -> None:
        def change(texts: Texts) -> Texts:
            keys = [key for key in _keys_in(texts).values() if used.get(key.hash, 0) > (key.last_used or 0)]
            return _texts(*(replace(key, last_used=used[key.hash]) for key in keys))

        self._hash.change(change)


class RedisTickets:
    """One Redis key per ticket, `ltp:ticket:` and its SHA-256, which Redis removes when it expires.

    The sorted set `ltp:tickets` has their names by the time at which they expire, so that they can be counted.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._put = redis.script(_PUT)
        self._take = redis.script(_TAKE)

    def put(self, ticket_hash: str, key_hash: str, now: float, expires: float) -> bool:
        milliseconds = round((expires - now) * 1000)
        return bool(self._put(_names(ticket_hash), (key_hash, milliseconds, MOST_TICKETS)))

    def take(self, ticket_hash: str, now: float) -> str | None:
        found = self._take(_names(ticket_hash), ())
        return found.decode() if isinstance(found, bytes) else None


def _names(ticket_hash: str) -> tuple[str, str]:
    return f"ltp:ticket:{ticket_hash}", TICKETS_SET


def _texts(*keys: ApiKey) -> Texts:
    return {key.hash: msgspec.json.encode(key) for key in keys}


def _keys_in(texts: Texts) -> dict[str, ApiKey]:
    return {name: _key_in(name, text) for name, text in texts.items()}


def _key_in(name: str, text: bytes) -> ApiKey:
    try:
        key = msgspec.json.decode(text, type=ApiKey)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(name, str(error)) from error
    if key.hash != name:
        raise _unreadable(name, "it is another key")
    return key


def _unreadable(name: str, reason: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"field {name[:12]!r} of {KEYS_HASH} in Redis is no API key ({reason}); delete that field or restore a backup"
    )
