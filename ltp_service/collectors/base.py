"""A collector: one exchange's feed, from the first attempt to connect until it is told to stop.

connect → subscribe → read → parse → take → (on any failure) wait → again, for ever.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event
from typing import Literal, Protocol

import msgspec

from ltp_service.clock import Clock
from ltp_service.collectors.backoff import Backoff
from ltp_service.collectors.connection import Connection
from ltp_service.collectors.events import (
    Acknowledged,
    Ended,
    Invalid,
    LastTrade,
    MarketChanged,
    Parsed,
    Refused,
)
from ltp_service.collectors.subscriptions import Subscriptions
from ltp_service.errors import BadFrame, ExchangeError, Unreachable
from ltp_service.observer import Observer

log = logging.getLogger(__name__)

State = Literal["stopped", "connecting", "connected", "subscribing", "active", "reconnecting", "error"]

TURN = 0.003
"""Seconds of uninterrupted work after which others get their turn. A flooded feed must not starve the
requests; giving way after a fixed number of frames instead starves the feed."""

TENDING = 0.1
"""Seconds between looks at deadlines and between confirmations of the held prices."""

STABLE = 60.0
"""Seconds of useful data after which a connection counts as a success."""


class Dialect(Protocol):
    """One exchange's language; pure. A module with these functions is a dialect."""

    def subscribe(self, channel: str, symbols: Sequence[str], request_id: int) -> str:
        """The request for one channel of some symbols."""

    def unsubscribe(self, channel: str, symbols: Sequence[str], request_id: int) -> str:
        """Its opposite."""

    def parse(self, frame: str) -> Parsed:
        """Raises BadFrame, ValueError, msgspec.MsgspecError or RecursionError for what cannot be used."""


class Equipment(msgspec.Struct, frozen=True):
    """What a collector is given to work with."""

    connect: Callable[[], Connection]
    """Raises ExchangeError."""
    backoff: Backoff
    clock: Clock
    observer: Observer
    sleep: Callable[[float], None]
    """With 0 it lets others have their turn."""
    idle_timeout: float
    """Seconds without any frame after which a connection is given up."""


class Link(msgspec.Struct, frozen=True):
    """What a collector says about itself. Moments are monotonic seconds."""

    name: str
    state: State
    connected: bool
    generation: int
    """Connections made so far."""
    attempts: int
    last_frame_at: float | None
    last_error: str | None
    subscriptions: dict[str, str]
    """Symbol → one word, or the exchange's refusal."""


class Collector:
    """The run loop and the state. What arrives goes to `take`, which a subclass provides."""

    name: str

    def __init__(self, dialect: Dialect, subscriptions: Subscriptions, equipment: Equipment) -> None:
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._connect = equipment.connect
        self._backoff = equipment.backoff
        self._clock = equipment.clock
        self._observer = equipment.observer
        self._sleep = equipment.sleep
        self._idle_timeout = equipment.idle_timeout
        self._state: State = "stopped"
        self._generation = 0
        self._attempts = 0
        self._request_id = 0
        self._last_frame_at: float | None = None
        self._last_error: str | None = None
        self._useful_since: float | None = None
        self._out_of_reach = False
        """An attempt to connect failed, and no connection has been useful since."""
        self._connection: Connection | None = None
        self._counted: Counter[str] = Counter()

    # What a subclass adds.

    def take(self, trade: LastTrade, received_at: float) -> None:
        """A trade arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        """The connection was alive at `at`, and these symbols' subscriptions with it."""

    def market_changed(self, change: MarketChanged) -> None:
        """The exchange told whether it is matching."""

    def acknowledged(self, acknowledgement: Acknowledged, now: float) -> None:
        """A subscription was accepted."""

    def activated(self) -> None:
        """The first price of this connection is in step with the exchange."""

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
            self._subscriptions.labels(),
        )

    # The loop.

    def run(self, stop: Event) -> None:
        """Feeds until `stop` is set. Never ends by an exchange's doing."""
        while not stop.is_set():
            at_least = self._attempt(stop)
            if stop.is_set():
                break
            delay = self._backoff.delay(at_least)
            self._state = "reconnecting"
            log.info("%s: next connection attempt in %.1f s", self.name, delay)
            stop.wait(delay)
        self._state = "stopped"

    def _attempt(self, stop: Event) -> float:
        """One connection from its beginning to its end; the least delay in seconds before the next."""
        self._attempts += 1
        try:
            self._read(self._open(), stop)
        except ExchangeError as error:
            self._failed(error)
            return error.retry_after or 0.0
        finally:
            self._close()
        return 0.0

    def _open(self) -> Connection:
        self._state = "connecting"
        self._connection = connection = self._connect()
        self._generation += 1
        self._state = "connected"
        self._observer.connection_changed(self.name, connected=True)
        now = self._clock.monotonic()
        self._last_frame_at = now
        self._subscriptions.begin(now)
        self._state = "subscribing"
        self._subscribe(connection, self._subscriptions.symbols)
        return connection

    def _close(self) -> None:
        self._report()
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        self._subscriptions.end()
        self._observer.connection_changed(self.name, connected=False)

    def _failed(self, error: ExchangeError) -> None:
        self._state = "error"
        self._last_error = str(error)
        if self._useful_since is not None:
            self._backoff.forgive()
            self._useful_since = None
        self._observer.connection_failed(self.name, error.reason)
        if self._connection is None and not self._out_of_reach:
            self._out_of_reach = True
            log.warning(
                "%s: cannot be reached (%s); `make demo` runs the service without a network", self.name, error
            )
        else:
            log.warning("%s: %s", self.name, error, extra={"once_a_minute": (self.name, error.reason)})

    def _read(self, connection: Connection, stop: Event) -> None:
        turn_ends = tend_at = 0.0
        while not stop.is_set():
            frame = self._receive(connection)
            now = self._clock.monotonic()
            if frame is not None:
                self._last_frame_at = now
                self._digest(frame, now)
            if now >= tend_at:
                self._tend(connection, now)
                tend_at = now + TENDING
            if now >= turn_ends:
                self._sleep(0)
                turn_ends = self._clock.monotonic() + TURN

    def _receive(self, connection: Connection) -> str | None:
        try:
            return connection.receive()
        except BadFrame as error:
            self._refuse(error.reason, error)
            self._last_frame_at = self._clock.monotonic()
            return None

    def _digest(self, frame: str, now: float) -> None:
        try:
            parsed = self._dialect.parse(frame)
        except BadFrame as error:
            self._refuse(error.reason, error)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._refuse("malformed", error)
        else:
            self._counted[parsed.kind] += 1
            self._follow(parsed, now)

    def _follow(self, parsed: Parsed, now: float) -> None:
        for event in parsed.events:
            if type(event) is LastTrade:
                self._offer(event, now)
            else:
                self._note(event, now)

    def _offer(self, trade: LastTrade, now: float) -> None:
        try:
            self.take(trade, now)
        except BadFrame as error:
            self._refuse(error.reason, error)

    def _note(self, event: object, now: float) -> None:
        match event:
            case Acknowledged():
                self._subscriptions.acknowledge(event.channel, event.symbol, now)
                self.acknowledged(event, now)
            case Refused():
                self._refused(event, now)
            case Ended():
                self._subscriptions.lose(event.channel, event.symbol, now)
            case Invalid():
                self._refuse(event.reason, event.message)
            case MarketChanged():
                self.market_changed(event)

    def _refused(self, refusal: Refused, now: float) -> None:
        self._last_error = refusal.message
        if refusal.symbol is not None:
            self._subscriptions.refuse(refusal.channel, refusal.symbol, refusal.message, now)
        log.warning(
            "%s refused a request: %s",
            self.name,
            refusal.message,
            extra={"once_a_minute": (self.name, "refused", refusal.symbol)},
        )

    def _refuse(self, reason: str, cause: object) -> None:
        self._observer.frame_refused(self.name, reason)
        log.warning(
            "%s: frame not used (%s): %s",
            self.name,
            reason,
            str(cause)[:200],
            extra={"once_a_minute": (self.name, "frame", reason)},
        )

    # Now and then.

    def _tend(self, connection: Connection, now: float) -> None:
        last_frame_at = self._last_frame_at or now
        if now - last_frame_at >= self._idle_timeout:
            raise Unreachable(f"{self.name}: no frame for {self._idle_timeout:g} s", reason="silent")
        if proven := self._subscriptions.proven():
            self.confirm(proven, last_frame_at)
            self._prove(now)
        if overdue := self._subscriptions.overdue(now):
            self._subscribe(connection, overdue)
        self._report()

    def _prove(self, now: float) -> None:
        if self._useful_since is None:
            self._useful_since = now
            self._out_of_reach = False
            self._state = "active"
            self.activated()
        elif now - self._useful_since >= STABLE:
            self._backoff.reset()

    def _subscribe(self, connection: Connection, symbols: Sequence[str]) -> None:
        for channel in self._subscriptions.channels:
            self._request_id += 1
            connection.send(self._dialect.subscribe(channel, symbols, self._request_id))

    def _report(self) -> None:
        for kind, count in self._counted.items():
            self._observer.frames_received(self.name, kind, count)
        self._counted.clear()
