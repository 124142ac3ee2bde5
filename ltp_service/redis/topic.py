"""What the owner of the feeds shares: a Redis hash with everything, and a channel for changes."""

from collections.abc import Callable, Mapping
from threading import Event
from typing import NamedTuple

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import RedisClient, open_redis
from ltp_service.redis.clock import TOLERANCE_SECONDS, SharedClock
from ltp_service.settings.config import Config

EPOCH_KEY = "ltp:epoch"
"""Redis key: the number of the present tenure. A write with another number is refused."""

TOPIC_LIFE_SECONDS = 24 * 3600
"""Seconds after its last bulletin for which Redis keeps a topic."""

_TELL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
if math.abs(now - ARGV[2]) > tonumber(ARGV[3]) then return 'late' end
local place = redis.call('GET', KEYS[3])
if place ~= ARGV[7] then
  redis.call('SET', KEYS[3], ARGV[7])
  if place then
    redis.call('DEL', KEYS[2])
    return 'moved'
  end
end
for field = 8, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[field], ARGV[field + 1]) end
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[5], string.format('%.6f ', now) .. ARGV[6])
return 'ok'
"""
# `late`: a server that was frozen runs old commands when it wakes, and their evidence would look new. `moved`: a replica
# has become the master. What it copied has moments of another server's clock, so it is forgotten and told anew.

Fields = Mapping[str, bytes]
"""Names and their values in JSON."""


class _Bulletin(msgspec.Struct, array_like=True, frozen=True):
    epoch: int
    fields: dict[str, msgspec.Raw]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Bulletin).decode


class FleetLine(NamedTuple):
    """The connection of a process with its fleet. Every Topic and the Follower use the same one."""

    client: RedisClient
    clock: SharedClock
    news: Event
    """Set when there is an urgent change to send."""


def open_line(config: Config, monotonic: Callable[[], float]) -> FleetLine:
    """The connection through the Redis that the settings name; nothing is sent yet."""
    client = open_redis(config, monotonic)
    return FleetLine(client, SharedClock(client.time, monotonic), Event())


class Topic:
    """Fields that the owner sends and every other process copies. A subclass knows their meaning."""

    def __init__(self, name: str, line: FleetLine) -> None:
        self._client, self._clock, self._news = line
        self._key = f"ltp:{name}"
        self._place_key = f"{self._key}:place"
        """Redis key: by the clock of which Redis the moments in the hash are."""
        self.channel = f"{self._key}@{self._client.database}"
        self._tell = self._client.script(_TELL)
        self.epoch = 0
        """The tenure that this process heard last."""
        self._own_epoch: int | None = None

    # For subclasses.

    def restart(self) -> None:
        """This process becomes the owner, so everything that it holds is to be sent."""
        raise NotImplementedError

    def take_news(self) -> Fields:
        """The changes since the last call."""
        raise NotImplementedError

    def give_back(self, fields: Fields) -> None:
        """These fields could not be sent and are to be sent again."""
        raise NotImplementedError

    def learn(self, fields: Fields) -> None:
        """Takes fields of the owner. Raises ValueError or msgspec.MsgspecError for one that cannot be read."""
        raise NotImplementedError

    def recall(self, fields: Fields) -> None:
        """Takes what Redis held before this process listened; the owner that told it may be gone. Raises as `learn`."""
        self.learn(fields)

    def owner_lives(self, epoch: int) -> None:
        """A bulletin of any topic shows that the owner with this tenure is there."""

    def lost(self) -> None:
        """There is no owner any more, or this process cannot hear it."""

    # For the runners of the fleet; each method may raise StoreUnavailable.

    def tell(self, epoch: int) -> bool:
        """Sends the changes; False when another process owns the feeds."""
        self._own_epoch = epoch
        fields = self.take_news()
        if not fields:
            return True
        try:
            outcome = self._write(epoch, fields)
        except StoreUnavailable:
            self.give_back(fields)
            raise
        if outcome in (b"late", b"moved"):
            self.give_back(fields)
            self._clock.measure()
        return bool(outcome != b"fenced")

    def load(self) -> None:
        """Reads the whole hash, because messages may be missing. Does nothing after this process's own tenure, nor where a
        Redis has it from another one: its owner tells it anew."""
        self._load_epoch()
        if self.epoch == self._own_epoch:
            return
        place = self._client.run("GET", self._place_key)
        if place is not None and place.decode() != self._client.place:
            return
        held: Mapping[bytes, bytes] = self._client.run("HGETALL", self._key)
        self.recall({name.decode(): text for name, text in held.items()})

    def take(self, message: bytes) -> None:
        """Takes one message of the channel; ignores those of this process and of earlier tenures."""
        told_at, _, text = message.partition(b" ")
        if self._clock.is_doubted(float(told_at)):
            self._clock.measure()
        bulletin = _decode(text)
        if bulletin.epoch < self.epoch:
            return
        self.epoch = bulletin.epoch
        if bulletin.epoch != self._own_epoch:
            self.learn({name: bytes(text) for name, text in bulletin.fields.items()})

    def _load_epoch(self) -> None:
        """Learns the present tenure, whose number is lower than the last one's where a Redis lost that."""
        self.epoch = int(self._client.run("GET", EPOCH_KEY) or 0)

    def _write(self, epoch: int, fields: Fields) -> object:
        bulletin = _Bulletin(epoch, {name: msgspec.Raw(text) for name, text in fields.items()})
        flat = [part for field in fields.items() for part in field]
        settings = (epoch, self._clock.now(), TOLERANCE_SECONDS, TOPIC_LIFE_SECONDS, self.channel)
        keys = (EPOCH_KEY, self._key, self._place_key)
        return self._tell(keys, (*settings, _encode(bulletin), self._client.place, *flat))
