"""Builds the parts of one process in a fleet; loaded only with CACHE_BACKEND=redis."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from uuid import uuid4

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST
from ltp_service.feed.contract import Gap, Link
from ltp_service.feed.loop import Collector
from ltp_service.redis.board import Board
from ltp_service.redis.lease import Lease
from ltp_service.redis.links import Links
from ltp_service.redis.master import MasterWatch
from ltp_service.redis.neighbours import Neighbours
from ltp_service.redis.owner import Owner, UnixClock
from ltp_service.redis.prices import RedisStore
from ltp_service.redis.relay import Follower, Publisher
from ltp_service.redis.topic import FleetLine, Topic
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runners import Runner


@dataclass(frozen=True)
class FleetParts:
    """The parts of one process in a fleet."""

    store: RedisStore
    lease: Lease
    follower: Follower
    publisher: Publisher
    links: Links
    owner: Owner
    neighbours: Neighbours
    master_watch: MasterWatch | None
    """None without Sentinels."""

    @property
    def runners(self) -> list[Runner]:
        """The runners of the fleet; the lease runs the collectors."""
        watch = [self.master_watch] if self.master_watch else []
        return [self.follower, self.publisher, self.lease, *watch]

    def leads(self) -> bool:
        """Whether this process feeds the fleet."""
        return self.lease.epoch() is not None

    def owner_elsewhere(self) -> str | None:
        """The machine whose process feeds the fleet, where it is another one; None on that machine, or before it is known."""
        machine, _, _ = (self.lease.last_seen.owner or "").partition(":")
        return None if self.leads() or machine in {"", socket.gethostname()} else machine

    def in_step(self) -> bool:
        """Whether this process receives everything that the owner of the feeds sends."""
        return self.follower.in_step()

    def told_at(self, pair: Pair) -> float | None:
        """Monotonic seconds of the newest evidence that the owner told of `pair`; None when none came."""
        return self.store.told_at(pair)

    def askers(self) -> int:
        """How many processes of this machine ask REST while they do not hear the owner, with this one; 0 while another one
        asks for it, too."""
        return self.neighbours.askers()

    def meet(self, file: int) -> None:
        """Has this process and those that have the same file open since their fork share prices while Redis does not
        deliver."""
        self.neighbours.meet(Board(file))

    def role(self) -> str:
        """`owner`, `follower`, or `out_of_step` when Redis does not deliver the owner's messages."""
        if self.leads():
            return "owner"
        return "follower" if self.in_step() else "out_of_step"

    def seen(self, own: Link) -> Link:
        """The state of a collector in the owner's process; `own`, of this process, while no owner tells it.

        Its gaps include those in what this process heard from the owner.
        """
        link = self._told(own.name) or own
        return (
            link
            if link.gaps is None
            else msgspec.structs.replace(link, gaps=self._with_ours(own.name, link.gaps))
        )

    def gaps(self, name: str, own: Sequence[Gap]) -> tuple[Gap, ...]:
        """Those of a collector alone, as `seen` tells them."""
        told = self._told(name)
        return self._with_ours(name, own if told is None else told.gaps or ())

    def _told(self, name: str) -> Link | None:
        return None if self.leads() else self.links.told(name)

    def _with_ours(self, name: str, gaps: Sequence[Gap]) -> tuple[Gap, ...]:
        return tuple(sorted((*gaps, *self.owner.gaps(name)), key=attrgetter("since")))


def wire_fleet(
    line: FleetLine,
    store: RedisStore,
    collectors: Sequence[Collector],
    topics: Sequence[Topic],
    clock: Clock,
    processes: int = 1,
    *,
    kraken: Collector | None,
    clocks: Mapping[str, UnixClock],
) -> FleetParts:
    """Builds everything and starts nothing.

    `collectors` run in one process of the fleet; `topics` share what they bring beside prices. `processes`: those of this
    machine. `kraken`: the one of `collectors` that brings the prices; None where its WebSocket is switched off. `clocks`: of
    the exchange of each collector of trades, by the collector's name.
    """
    links = Links([each.link for each in collectors], line)
    everything: list[Topic] = [store, links, *topics]

    def begin() -> None:
        for topic in everything:
            topic.restart()

    def heard_at() -> float:
        # The other collectors do not count: they bring no price, and Kraken may refuse this machine alone.
        # Nor does REST beside a WebSocket: Kraken may refuse this machine's handshakes alone, and answer its REST.
        if kraken is None:
            return max((price.confirmed_at for price in store.all().values()), default=0.0)
        told = (price.confirmed_at for price in store.all().values() if price.confirmed_by != REST)
        return max(kraken.link().last_frame_at or 0.0, *told, 0.0)

    owner = Owner(clocks)
    follower = Follower(line, everything, owner)
    lease = Lease(
        line.client,
        _me(),
        collectors,
        in_step=follower.in_step,
        heard_at=heard_at,
        begin=begin,
        monotonic=clock.monotonic,
        server_time=line.clock.now,
    )
    publisher = Publisher(
        everything, line.news, epoch=lease.epoch, doubt=lease.doubt, monotonic=clock.monotonic
    )
    watch = MasterWatch(line.client, follower.follow) if line.client.has_sentinels else None
    neighbours = Neighbours(
        store,
        leads=lambda: lease.epoch() is not None,
        heard_at=lambda: owner.heard_lately(clock.monotonic()) if follower.in_step() else None,
        is_joining=follower.is_joining,
        waits_since=publisher.waits_since,
        processes=processes,
        monotonic=clock.monotonic,
    )
    owner.on_heard = neighbours.heard
    return FleetParts(store, lease, follower, publisher, links, owner, neighbours, watch)


def _me() -> str:
    """A unique name of this process that people can read."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
