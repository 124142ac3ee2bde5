"""Builds what a process needs to be one of a fleet; loaded only where the settings ask for Redis."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from uuid import uuid4

from ltp_service.collectors.manager import Runner
from ltp_service.fleet.lease import Lease
from ltp_service.fleet.relay import Follower, Publisher, Topic
from ltp_service.redis_client import RedisClient
from ltp_service.stores.memory import MemoryStore
from ltp_service.stores.redis import RedisStore
from ltp_service.stores.shared_clock import SharedClock


@dataclass(frozen=True)
class FleetParts:
    """One process's place in the fleet."""

    store: RedisStore
    lease: Lease
    follower: Follower
    publisher: Publisher

    @property
    def runners(self) -> list[Runner]:
        """What has to run; the lease runs the collectors."""
        return [self.follower, self.publisher, self.lease]


def open_shared_store(client: RedisClient, local: MemoryStore, monotonic: Callable[[], float]) -> RedisStore:
    """A store that shares its prices once the fleet's runners run."""
    return RedisStore(local, client, SharedClock(client.time, monotonic), Event())


def wire_fleet(
    client: RedisClient,
    store: RedisStore,
    collectors: Sequence[Runner],
    topics: Sequence[Topic],
    monotonic: Callable[[], float],
) -> FleetParts:
    """Everything built and nothing started.

    `collectors` run in one process of the fleet; `topics` tell what they bring beside prices.
    """
    everything: list[Topic] = [store, *topics]

    def begin() -> None:
        for topic in everything:
            topic.restart()

    follower = Follower(client, everything, store.clock.measure, monotonic)
    lease = Lease(client, _me(), collectors, follower.in_step, begin, monotonic)
    publisher = Publisher(everything, store.news, lease.epoch, lease.doubt)
    return FleetParts(store, lease, follower, publisher)


def _me() -> str:
    """A name that no other process has, and that people can read."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
