"""The state of the owner's collectors, shared with every process of the fleet."""

from collections.abc import Callable, Iterable

import msgspec

from ltp_service.feed.contract import Link
from ltp_service.redis.topic import Fields, FleetLine, Topic

BULLETIN_EVERY_SECONDS = 0.5
"""Seconds between two bulletins. They also show that there is an owner."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Link).decode


class Links(Topic):
    """The states of the owner's collectors by name. Moments are this process's monotonic seconds."""

    def __init__(self, links: Iterable[Callable[[], Link]], line: FleetLine) -> None:
        super().__init__("links", line)
        self._links = tuple(links)
        self._told: dict[str, Link] = {}
        self._next = 0.0

    def told(self, name: str) -> Link | None:
        """The state of a collector that the owner told; None while there is no owner."""
        return self._told.get(name)

    def restart(self) -> None:
        self._next = 0.0

    def load(self) -> None:
        """Learns no states, because Redis may hold those of an owner that is gone; a present owner sends its own within half
        a second.
        """
        self._load_epoch()

    def take_news(self) -> Fields:
        now = self._clock.monotonic()
        if now < self._next:
            return {}
        self._next = now + BULLETIN_EVERY_SECONDS
        links = [link() for link in self._links]
        return {link.name: _encode(_moved(link, self._clock.shared)) for link in links}

    def give_back(self, fields: Fields) -> None:
        self._next = 0.0

    def learn(self, fields: Fields) -> None:
        links = [_decode(text) for text in fields.values()]
        self._told |= {link.name: _moved(link, self._clock.own) for link in links}

    def lost(self) -> None:
        self._told = {}


def _moved(link: Link, move: Callable[[float], float]) -> Link:
    at = link.last_frame_at
    return msgspec.structs.replace(link, last_frame_at=None if at is None else move(at))
