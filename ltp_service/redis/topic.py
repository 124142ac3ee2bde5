"""What the owner of the feeds tells everybody: a Redis hash that holds it whole, and a channel for what is new."""

from collections.abc import Callable, Mapping
from threading import Event
from typing import NamedTuple

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import RedisClient, open_redis
from ltp_service.redis.clock import TOLERANCE, SharedClock
from ltp_service.settings.config import Config

EPOCH = "ltp:epoch"
"""Redis key: the number of the present owner's tenure; whoever writes must name it."""

MEMORY = 24 * 3600
"""Seconds after the last word for which Redis keeps a topic."""

_TELL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
if math.abs(now - ARGV[2]) > tonumber(ARGV[3]) then return 'late' end
for field = 7, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[field], ARGV[field + 1]) end
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[5], string.format('%.6f ', now) .. ARGV[6])
return 'ok'
"""
# Written long after it was sent (a frozen server reads its backlog when it wakes up) it would look young: `late`.

Fields = Mapping[str, bytes]
"""Names and the JSON of what they stand for."""


class _Bulletin(msgspec.Struct, array_like=True, frozen=True):
    epoch: int
    fields: dict[str, msgspec.Raw]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Bulletin).decode


class Line(NamedTuple):
    """What connects a process with its fleet."""

    client: RedisClient
    clock: SharedClock
    news: Event
    """Set when there is something to be told that should not wait."""


def open_line(config: Config, monotonic: Callable[[], float]) -> Line:
    """The line through the Redis that the settings name; nothing is sent yet."""
    client = open_redis(config, monotonic)
    return Line(client, SharedClock(client.time, monotonic), Event())


class Topic:
    """Fields that one process tells and every other has a copy of. A subclass knows what they mean."""

    def __init__(self, name: str, line: Line) -> None:
        self._client, self._clock, self._news = line
        self._key = f"ltp:{name}"
        self.channel = f"{self._key}@{self._client.database}"
        self._tell = self._client.script(_TELL)
        self.epoch = 0
        """The tenure of which this process heard last."""
        self._own_epoch: int | None = None

    # What a subclass adds.

    def restart(self) -> None:
        """This process begins to tell: everything that it holds is new."""
        raise NotImplementedError

    def take_news(self) -> Fields:
        """What is new since the last call."""
        raise NotImplementedError

    def give_back(self, fields: Fields) -> None:
        """These could not be told."""
        raise NotImplementedError

    def learn(self, fields: Fields) -> None:
        """What the owner told. Raises ValueError or msgspec.MsgspecError for what cannot be read."""
        raise NotImplementedError

    def lost(self) -> None:
        """Nobody tells any more, or this process cannot hear it."""

    # What the runners of the fleet call; each may raise StoreUnavailable.

    def tell(self, epoch: int) -> bool:
        """Tells what is new; False when another process owns the feeds."""
        self._own_epoch = epoch
        fields = self.take_news()
        if not fields:
            return True
        try:
            outcome = self._write(epoch, fields)
        except StoreUnavailable:
            self.give_back(fields)
            raise
        if outcome == b"late":
            self.give_back(fields)
            self._clock.measure()
        return bool(outcome != b"fenced")

    def load(self) -> None:
        """Reads everything there is, in place of what was missed; who told it himself has missed nothing."""
        self.epoch = int(self._client.run("GET", EPOCH) or 0)
        if self.epoch == self._own_epoch:
            return
        held: Mapping[bytes, bytes] = self._client.run("HGETALL", self._key)
        self.learn({name.decode(): text for name, text in held.items()})

    def take(self, message: bytes) -> None:
        """What another process told."""
        told_at, _, text = message.partition(b" ")
        if self._clock.is_doubted(float(told_at)):
            self._clock.measure()
        bulletin = _decode(text)
        if bulletin.epoch < self.epoch:
            return
        self.epoch = bulletin.epoch
        if bulletin.epoch != self._own_epoch:
            self.learn({name: bytes(text) for name, text in bulletin.fields.items()})

    def _write(self, epoch: int, fields: Fields) -> object:
        bulletin = _Bulletin(epoch, {name: msgspec.Raw(text) for name, text in fields.items()})
        flat = [part for field in fields.items() for part in field]
        settings = (epoch, self._clock.now(), TOLERANCE, MEMORY, self.channel)
        return self._tell((EPOCH, self._key), (*settings, _encode(bulletin), *flat))
