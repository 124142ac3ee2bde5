"""The two runners between a process's stores and Redis: one sends changes, the other listens to the owner."""

import logging
from collections.abc import Callable, Sequence
from threading import Event

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import ChannelSubscription
from ltp_service.redis.owner import Owner
from ltp_service.redis.topic import FleetLine, Topic

log = logging.getLogger(__name__)

SHORTEST_BULLETIN_PAUSE_SECONDS, LONGEST_BULLETIN_PAUSE_SECONDS = 0.005, 0.25
"""Seconds between two bulletins: at least, after a trade or another state, and at most, when there is only new evidence. More
would load every listener with prices that the next one replaces."""

PING_AFTER_SECONDS = 0.5
"""Seconds without a message from Redis after which it is pinged. It has as long to answer."""

MEASURE_EVERY_SECONDS = 1.0
"""Seconds between two measurements of the server's clock."""

RELISTEN_AFTER_SECONDS = 0.1
"""Seconds after a lost connection before the next attempt to listen."""


class Publisher:
    """Runner: sends changes to the fleet while this process owns the feeds."""

    name = "publisher"

    def __init__(
        self,
        topics: Sequence[Topic],
        news: Event,
        *,
        epoch: Callable[[], int | None],
        doubt: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._topics = topics
        self._news = news
        self._epoch = epoch
        self._doubt = doubt
        self._monotonic = monotonic
        self._waits_since: float | None = None

    def waits_since(self) -> float | None:
        """The monotonic second since which Redis has not taken what this process tells; None where it took the last bulletin."""
        return self._waits_since

    def run(self, stop: Event) -> None:
        while not stop.wait(SHORTEST_BULLETIN_PAUSE_SECONDS):
            if not self._news.is_set():
                self._news.wait(LONGEST_BULLETIN_PAUSE_SECONDS)
            self._news.clear()
            epoch = self._epoch()
            if epoch is not None:
                self.tell(epoch)

    def tell(self, epoch: int) -> None:
        """Sends one bulletin of each topic with changes. Doubts the lease when that fails."""
        if self._waits_since is None:
            self._waits_since = self._monotonic()
        try:
            if not all(topic.tell(epoch) for topic in self._topics):
                self._doubt()
            self._waits_since = None
        except StoreUnavailable as error:
            self._doubt()
            log.warning(
                "what is new stays here for now: %s", error, extra={"once_a_minute": ("redis", "tell")}
            )


class Follower:
    """Runner: keeps this process's copy in step with the owner of the feeds."""

    name = "follower"

    def __init__(self, line: FleetLine, topics: Sequence[Topic], owner: Owner) -> None:
        self._client = line.client
        self._measure = line.clock.measure
        self._monotonic = line.clock.monotonic
        self._topics = {topic.channel: topic for topic in topics}
        self._owner = owner
        self._in_step = False
        self._is_joining = True
        self._place: str | None = None
        """The place of the Redis to listen to, where that is known."""

    def follow(self, place: str) -> None:
        """Listens to the Redis at that place from now on: connects anew where it listens to another one."""
        self._place = place

    def in_step(self) -> bool:
        """Whether this process receives everything that the owner sends."""
        return self._in_step

    def is_joining(self) -> bool:
        """Whether the first attempt to listen is still under way, so that it is not known whether Redis delivers."""
        return self._is_joining

    def run(self, stop: Event) -> None:
        while not stop.is_set():
            try:
                self._listen(stop)
            except StoreUnavailable as error:
                self._is_joining = False
                self._lost(error)
                stop.wait(RELISTEN_AFTER_SECONDS)

    def _listen(self, stop: Event) -> None:
        subscription = self._client.subscribe(*self._topics)
        self._place = None
        try:
            # Messages from now on wait in the socket; everything before them is read from the hashes.
            self._measure()
            for channel, topic in self._topics.items():
                self._read(channel, topic.load)
            self._owner.heard(max(topic.epoch for topic in self._topics.values()), self._monotonic())
            self._in_step = True
            self._is_joining = False
            log.info("in step with the fleet through Redis")
            self._hear(subscription, stop)
        finally:
            self._in_step = False
            subscription.close()
            if self._owner.cut():
                self._tell_loss()

    def _hear(self, subscription: ChannelSubscription, stop: Event) -> None:
        heard_at = asked_at = measured_at = self._monotonic()
        while not stop.is_set():
            message = subscription.receive(PING_AFTER_SECONDS)
            now = self._monotonic()
            if self._place not in (None, subscription.place):
                raise StoreUnavailable(
                    f"the Sentinels have put another Redis in place of {subscription.place}"
                )
            if message is not None:
                heard_at = now
            if isinstance(message, tuple):
                self._take(*message, now)
            elif self._owner.lost(now):
                self._tell_loss()
            if now - heard_at >= PING_AFTER_SECONDS:
                if heard_at < asked_at:
                    raise StoreUnavailable(f"nothing came from Redis for {now - heard_at:.1f} s")
                subscription.ping()
                asked_at = now
            if now - measured_at >= MEASURE_EVERY_SECONDS:
                self._measure()
                measured_at = now

    def _take(self, channel: str, message: bytes, now: float) -> None:
        topic = self._topics[channel]
        if self._read(channel, lambda: topic.take(message)):
            self._owner.heard(topic.epoch, now)
            for each in self._topics.values():
                each.owner_lives(topic.epoch)

    def _read(self, channel: str, read: Callable[[], None]) -> bool:
        """False when a message cannot be read. The next ones are read all the same."""
        try:
            read()
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            log.warning("%s cannot be read: %s", channel, error, extra={"once_a_minute": ("redis", channel)})
            return False
        return True

    def _tell_loss(self) -> None:
        for topic in self._topics.values():
            topic.lost()

    def _lost(self, error: StoreUnavailable) -> None:
        log.warning("out of step with the fleet: %s", error, extra={"once_a_minute": ("redis", "follow")})
