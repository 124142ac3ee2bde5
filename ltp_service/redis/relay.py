"""The two runners between a process's stores and Redis: one tells what is new, the other listens to the owner."""

import logging
from collections.abc import Callable, Sequence
from threading import Event

import msgspec

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import RedisClient, Subscription
from ltp_service.redis.owner import Owner
from ltp_service.redis.topic import Topic

log = logging.getLogger(__name__)

AT_LEAST, AT_MOST = 0.005, 0.25
"""Seconds between two bulletins: after a trade, and when there is nothing but evidence. A faster owner would load
every listener for prices that the next bulletin replaces."""

SILENCE = 0.5
"""Seconds without a word from Redis after which it is asked for one, and then has as long again to answer."""

MEASURE = 1.0
"""Seconds between two looks at the server's clock."""

AGAIN = 0.1
"""Seconds between two attempts to listen."""


class Publisher:
    """Runner: while this process owns the feeds, it tells the others what is new."""

    name = "publisher"

    def __init__(
        self,
        topics: Sequence[Topic],
        news: Event,
        epoch: Callable[[], int | None],
        doubt: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._news = news
        self._epoch = epoch
        self._doubt = doubt

    def run(self, stop: Event) -> None:
        while not stop.wait(AT_LEAST):
            if not self._news.is_set():
                self._news.wait(AT_MOST)
            self._news.clear()
            epoch = self._epoch()
            if epoch is not None:
                self.tell(epoch)

    def tell(self, epoch: int) -> None:
        """One bulletin of each topic that has news."""
        try:
            if not all(topic.tell(epoch) for topic in self._topics):
                self._doubt()
        except StoreUnavailable as error:
            self._doubt()
            log.warning(
                "what is new stays here for now: %s", error, extra={"once_a_minute": ("redis", "tell")}
            )


class Follower:
    """Runner: keeps this process's copy in step with what the owner of the feeds tells."""

    name = "follower"

    def __init__(
        self,
        client: RedisClient,
        topics: Sequence[Topic],
        measure: Callable[[], None],
        owner: Owner,
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._owner = owner
        self._topics = {topic.channel: topic for topic in topics}
        self._measure = measure
        self._monotonic = monotonic
        self._in_step = False

    def in_step(self) -> bool:
        """Whether everything that the owner tells arrives here."""
        return self._in_step

    def run(self, stop: Event) -> None:
        while not stop.is_set():
            try:
                self._listen(stop)
            except StoreUnavailable as error:
                self._lost(error)
                stop.wait(AGAIN)

    def _listen(self, stop: Event) -> None:
        subscription = self._client.subscribe(*self._topics)
        try:
            # What is published from now on waits in the socket; what was before is read whole.
            self._measure()
            for channel, topic in self._topics.items():
                self._read(channel, topic.load)
            self._owner.heard(max(topic.epoch for topic in self._topics.values()), self._monotonic())
            self._found()
            self._hear(subscription, stop)
        finally:
            self._in_step = False
            subscription.close()
            if self._owner.cut():
                self._tell_loss()

    def _hear(self, subscription: Subscription, stop: Event) -> None:
        heard_at = asked_at = measured_at = self._monotonic()
        while not stop.is_set():
            message = subscription.receive(SILENCE)
            now = self._monotonic()
            if message is not None:
                heard_at = now
            if isinstance(message, tuple):
                self._take(*message, now)
            elif self._owner.lost(now):
                self._tell_loss()
            if now - heard_at >= SILENCE:
                if heard_at < asked_at:
                    raise StoreUnavailable(f"nothing came from Redis for {now - heard_at:.1f} s")
                subscription.ping()
                asked_at = now
            if now - measured_at >= MEASURE:
                self._measure()
                measured_at = now

    def _take(self, channel: str, message: bytes, now: float) -> None:
        topic = self._topics[channel]
        if self._read(channel, lambda: topic.take(message)):
            self._owner.heard(topic.epoch, now)

    def _read(self, channel: str, read: Callable[[], None]) -> bool:
        """False when what was told cannot be read, which must not keep this process from what comes next."""
        try:
            read()
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            log.warning("%s cannot be read: %s", channel, error, extra={"once_a_minute": ("redis", channel)})
            return False
        return True

    def _tell_loss(self) -> None:
        for topic in self._topics.values():
            topic.lost()

    def _found(self) -> None:
        self._in_step = True
        log.info("in step with the fleet through Redis")

    def _lost(self, error: StoreUnavailable) -> None:
        log.warning("out of step with the fleet: %s", error, extra={"once_a_minute": ("redis", "follow")})
