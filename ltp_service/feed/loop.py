"""A collector: one exchange's feed, from the first attempt to connect until it is told to stop.

connect → subscribe → read → parse → take → (on any failure) wait → again, for ever.
"""

import logging
from collections.abc import Sequence
from math import inf
from threading import Event

from ltp_service.domain.errors import BadFrame, ExchangeError, NoText, Rejected, Unreachable
from ltp_service.feed.connection import Connection
from ltp_service.feed.contract import Dialect, Equipment, Link, State, Terms
from ltp_service.feed.hooks import Hooks
from ltp_service.feed.reading import Reading
from ltp_service.feed.requests import Asking
from ltp_service.feed.subscriptions import Subscriptions
from ltp_service.runtime.clock import SHORTEST_SLEEP

log = logging.getLogger(__name__)

TURN, LONGEST_TURN = 0.003, 0.015
"""Seconds of uninterrupted work after which others get their turn: as long as they had, within these bounds. A
flooded feed must not starve the requests, nor they it; giving way after a number of frames starves the feed."""

GAVE_WAY = 0.001
"""Seconds of waiting for a frame in which others had their turn."""

ALONE = 2
"""Longest turns after which they get one in any case: where processor time is scarce, what looks like waiting may have
been this process waiting for its own."""

ASIDE_TURN, ASIDE_BURST = 0.001, 20
"""Seconds and frames of a feed on which no price depends: beside requests and the price's own feed it takes the rest.
Two floods with turns as long as the others' leave requests every third one."""

TENDING = 0.1
"""Seconds between looks at deadlines and between confirmations of the held prices."""

STABLE = 60.0
"""Seconds of useful data after which a connection counts as a success."""

REJECTED = 3600.0
"""Seconds before an exchange that refuses this place is asked again: the answer will be the same. No exchange is
left alone for longer, whatever it asks for."""


class Collector(Hooks):
    """The run loop and the state. What arrives goes to the hooks, of which a subclass provides some."""

    terms = Terms()
    longest_turn = LONGEST_TURN
    """Seconds: as long as others had, and no longer than this."""
    burst = 1_000
    """Frames that are taken from one read before anything else gets a turn."""

    def __init__(self, dialect: Dialect, subscriptions: Subscriptions, equipment: Equipment) -> None:
        self._subscriptions = subscriptions
        self._connect = equipment.connect
        self._backoff = equipment.backoff
        self._clock = equipment.clock
        self._observer = equipment.observer
        self._sleep = equipment.sleep
        self._idle_timeout = max(equipment.idle_timeout, self.terms.patience)
        self._random = equipment.random
        self._asking = Asking(dialect, subscriptions, self.terms)
        self._reading = Reading(self, dialect, subscriptions, self._asking, self._clock, self._observer)
        self._state: State = "stopped"
        self._generation = 0
        self._attempts = 0
        self._last_frame_at: float | None = None
        self._last_error: str | None = None
        self._over_by = ""
        """Why the last attempt or connection ended, in one word."""
        self._rejection: str | None = None
        self._wanted: Sequence[str] | None = None
        self._opened_at = self._asked_at = self._leave_at = 0.0
        self._useful_since: float | None = None
        self._out_of_reach = False
        """An attempt to connect failed, and no connection has been useful since."""
        self._connection: Connection | None = None

    # What others may ask.

    def link(self) -> Link:
        """A still picture of the collector."""
        return Link(
            self.name,
            self._state,
            self._connection is not None,
            self._generation,
            self._attempts,
            self._last_frame_at,
            self._last_error,
            self.labels(),
            self.problem(self._clock.monotonic()),
        )

    def abandon(self) -> None:
        """In a forked process: lets go of the connection, which is the parent's, without ending it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    def labels(self) -> dict[str, str]:
        """Symbol → one word for people on its subscription."""
        return self._subscriptions.labels()

    def problem(self, now: float) -> str | None:
        return self._rejection

    def leave(self) -> None:
        self._leave_at = 0.0

    def complain(self, message: str) -> None:
        self._last_error = message

    def want(self, symbols: Sequence[str]) -> None:
        """Other symbols from now on. From any thread; only what changes is subscribed or unsubscribed."""
        self._wanted = tuple(symbols)

    # The loop.

    def run(self, stop: Event) -> None:
        """Feeds until `stop` is set. Never ends by an exchange's doing."""
        while not stop.is_set():
            at_least = self._attempt(stop)
            if stop.is_set():
                break
            delay = self._backoff.delay(at_least)
            self._state = "error" if self._rejection else "reconnecting"
            log.info("%s: next connection attempt in %.1f s", self.name, delay)
            stop.wait(delay)
        self._state = "stopped"

    def _attempt(self, stop: Event) -> float:
        """One connection from its beginning to its end; the least delay in seconds before the next."""
        if self._attempts:
            self._observer.reconnecting(self.name, self._over_by)
        self._attempts += 1
        self._over_by = "left"
        try:
            self._read(self._open(stop), stop)
        except ExchangeError as error:
            if error.reason == "stopped":
                return 0.0
            self._failed(error)
            self._rejection = str(error) if isinstance(error, Rejected) else None
            return REJECTED if self._rejection else min(error.retry_after or 0.0, REJECTED)
        except Exception as error:
            self._state = "error"
            self._last_error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._close()
        return 0.0

    def _open(self, stop: Event) -> Connection:
        self._state = "connecting"
        self._connection = connection = self._connect(stop)
        self._rejection = None
        self._generation += 1
        self._state = "connected"
        now = self._clock.monotonic()
        self._opened_at = self._asked_at = now
        self._leave_at = self._end_of_life(now)
        self._subscriptions.begin(now)
        self._asking.begin()
        self.connected(now)
        self._state = "subscribing"
        self._asking.send(connection, now)
        return connection

    def _end_of_life(self, now: float) -> float:
        if self.terms.lifetime is None:
            return inf
        return now + self.terms.lifetime - self.terms.lifetime_jitter * self._random()

    def _close(self) -> None:
        self._reading.report()
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        if self._useful_since is not None:
            self._backoff.forgive()
            self._useful_since = None
        self.disconnected(self._clock.monotonic())
        self._subscriptions.end()

    def _failed(self, error: ExchangeError) -> None:
        self._state = "error"
        self._last_error = str(error)
        self._over_by = error.reason
        self._observer.connection_failed(self.name, error.reason)
        if self._connection is None and not self._out_of_reach:
            self._out_of_reach = True
            log.warning(
                "%s: cannot be reached (%s); `make demo` runs the service without a network", self.name, error
            )
        else:
            log.warning("%s: %s", self.name, error, extra={"once_a_minute": (self.name, error.reason)})

    def _read(self, connection: Connection, stop: Event) -> None:
        now = looked_at = self._clock.monotonic()
        turn_ends = tend_at = gave_way_at = now
        while not stop.is_set() and now < self._leave_at:
            before = now
            frame = self._receive(connection)
            now = self._clock.monotonic()
            if frame is not None and now - before > self._idle_timeout:
                # This process stood still: the frame waited in a buffer and says nothing about now.
                raise Unreachable(f"{self.name}: stalled for {now - before:.0f} s", reason="stalled")
            if now - looked_at > GAVE_WAY:  # waiting for this frame was the others' turn
                turn_ends = now + self._turn(now - looked_at)
            if frame is not None:
                self._last_frame_at = now
                self._digest(frame, connection.take_received(self.burst), now)
            if now >= tend_at:
                self._tend(connection, now)
                tend_at = now + TENDING
            looked_at = now
            if now >= min(turn_ends, gave_way_at + ALONE * self.longest_turn):
                self._sleep(SHORTEST_SLEEP)
                looked_at = gave_way_at = self._clock.monotonic()
                turn_ends = looked_at + self._turn(looked_at - now)

    def _digest(self, frame: str, received: list[str], now: float) -> None:
        """One frame, and those that came right behind it."""
        if not received:
            self._reading.digest(frame, now)
            return
        frames = [frame, *received]
        newest = self.without_superseded(frames)
        self._reading.skip(len(frames) - len(newest))
        for each in newest:
            self._reading.digest(each, now)

    def _receive(self, connection: Connection) -> str | None:
        try:
            return connection.receive()
        except BadFrame as error:
            self._reading.refuse(error.reason, error)
            self._last_frame_at = now = self._clock.monotonic()
            if isinstance(error, NoText):
                self.unreadable(error.content.decode(errors="replace"), now)
            return None

    # Now and then.

    def _tend(self, connection: Connection, now: float) -> None:
        last_frame_at = self._alive_at()
        if now - last_frame_at >= self._idle_timeout:
            raise Unreachable(f"{self.name}: no frame for {self._idle_timeout:g} s", reason="silent")
        self._ping(connection, last_frame_at, now)
        if proven := self._subscriptions.proven():
            self.confirm(proven, last_frame_at)
            self._prove(now)
        if overdue := self._subscriptions.overdue(now):
            self._asking.renew(overdue)
        self._change_symbols(now)
        self.tended(now)
        self._asking.send(connection, now)
        self._reading.report()

    def _alive_at(self) -> float:
        """The last sign of life: the newest frame, or the present connection's beginning."""
        return max(self._opened_at, self._last_frame_at or 0.0)

    def _ping(self, connection: Connection, last_frame_at: float, now: float) -> None:
        every, within = self.terms.ping_every, self.terms.pong_within
        if every is None:
            return
        if last_frame_at < self._asked_at <= now - within:
            raise Unreachable(f"{self.name}: nothing within {within:g} s of a ping", reason="silent")
        if now - self._asked_at >= every and self._asking.ping(connection, now):
            self._asked_at = now

    def _change_symbols(self, now: float) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        added, removed = self._subscriptions.want(wanted, now)
        self._asking.unsubscribe(removed)
        self._asking.subscribe(added)
        self.symbols_changed(added, removed, now)

    def _prove(self, now: float) -> None:
        if self._useful_since is None:
            self._useful_since = now
            self._out_of_reach = False
            self._state = "active"
            self.activated()
        elif now - self._useful_since >= STABLE:
            self._backoff.reset()

    def resubscribe(self, symbol: str) -> None:
        """Ends one symbol's subscriptions and asks for them again; only from the collector's own loop."""
        self._asking.unsubscribe([symbol])
        self._asking.subscribe([symbol])

    def _turn(self, seconds: float) -> float:
        """How long the next turn may be after others had `seconds`."""
        return min(self.longest_turn, max(TURN, seconds))
