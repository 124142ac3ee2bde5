"""A collector: one exchange's feed, from the first attempt to connect until it is told to stop.

connect → subscribe → read → parse → take → (on any failure) wait → again, for ever.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from math import inf
from threading import Event

import msgspec

from ltp_service.book import BookChange, BookSnapshot
from ltp_service.collectors.connection import Connection
from ltp_service.collectors.contract import Dialect, Equipment, Link, State, Terms
from ltp_service.collectors.events import (
    Acknowledged,
    Answered,
    Ended,
    Invalid,
    LastTrade,
    Leaving,
    MarketChanged,
    Parsed,
    Refused,
    Skipped,
    Traded,
)
from ltp_service.collectors.subscriptions import Request, Requests, Subscriptions
from ltp_service.errors import BadFrame, ExchangeError, Rejected, Unreachable

log = logging.getLogger(__name__)

TURN, LONGEST_TURN = 0.003, 0.015
"""Seconds of uninterrupted work after which others get their turn: as long as they had, within these bounds. A
flooded feed must not starve the requests, nor they it; giving way after a number of frames starves the feed."""

GAVE_WAY = 0.001
"""Seconds of waiting for a frame in which others had their turn."""

TENDING = 0.1
"""Seconds between looks at deadlines and between confirmations of the held prices."""

STABLE = 60.0
"""Seconds of useful data after which a connection counts as a success."""

REJECTED = 3600.0
"""Seconds before an exchange that refuses this place is asked again: the answer will be the same."""


class Collector:
    """The run loop and the state. What arrives goes to `take`, which a subclass provides."""

    name: str
    terms = Terms()

    def __init__(self, dialect: Dialect, subscriptions: Subscriptions, equipment: Equipment) -> None:
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._connect = equipment.connect
        self._backoff = equipment.backoff
        self._clock = equipment.clock
        self._observer = equipment.observer
        self._sleep = equipment.sleep
        self._idle_timeout = max(equipment.idle_timeout, self.terms.patience)
        self._random = equipment.random
        self._requests = Requests(self.terms.symbols_per_request, self.terms.messages_per_second)
        self._state: State = "stopped"
        self._generation = 0
        self._attempts = self._request_id = 0
        self._last_frame_at: float | None = None
        self._last_error: str | None = None
        self._over_by = ""
        """Why the last attempt or connection came to its end, in one word."""
        self._rejection: str | None = None
        self._wanted: Sequence[str] | None = None
        self._asked_at = self._leave_at = 0.0
        self._useful_since: float | None = None
        self._out_of_reach = False
        """An attempt to connect failed, and no connection has been useful since."""
        self._connection: Connection | None = None
        self._counted: Counter[str] = Counter()

    # What a subclass adds.

    def take(self, trade: LastTrade, received_at: float) -> None:
        """A last trade arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def traded(self, trade: Traded, received_at: float) -> None:
        """A complete trade arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def book_replaced(self, snapshot: BookSnapshot, received_at: float) -> None:
        """A whole order book arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def book_changed(self, change: BookChange, received_at: float) -> None:
        """A change of an order book arrived. Raises BadFrame when it cannot be believed."""
        raise NotImplementedError

    def wasted(self, now: float) -> None:
        """Something arrived that could not be used."""

    def connected(self, now: float) -> None:
        """A new connection, on which nothing is subscribed yet."""

    def disconnected(self, now: float) -> None:
        """The connection is over."""

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        """The collector follows these symbols from now on, and those no longer."""

    def tended(self, now: float) -> None:
        """The time to look after what is overdue, ten times a second while connected."""

    def problem(self, now: float) -> str | None:
        """Why this collector is of no use at present; None when it is."""
        return self._rejection

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
            self.problem(self._clock.monotonic()),
        )

    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    def leave(self) -> None:
        """Ends the present connection soon; another one follows. From any thread."""
        self._leave_at = 0.0

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
            self._read(self._open(), stop)
        except ExchangeError as error:
            self._failed(error)
            self._rejection = str(error) if isinstance(error, Rejected) else None
            return max(error.retry_after or 0.0, REJECTED if self._rejection else 0.0)
        finally:
            self._close()
        return 0.0

    def _open(self) -> Connection:
        self._state = "connecting"
        self._connection = connection = self._connect()
        self._rejection = None
        self._generation += 1
        self._state = "connected"
        self._observer.connection_changed(self.name, connected=True)
        now = self._clock.monotonic()
        self._last_frame_at = self._asked_at = now
        self._leave_at = self._end_of_life(now)
        self._subscriptions.begin(now)
        self._requests.begin()
        self.connected(now)
        self._state = "subscribing"
        self._subscribe(self._subscriptions.symbols)
        self._send(connection, now)
        return connection

    def _end_of_life(self, now: float) -> float:
        if self.terms.lifetime is None:
            return inf
        return now + self.terms.lifetime - self.terms.lifetime_jitter * self._random()

    def _close(self) -> None:
        self._report()
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        if self._useful_since is not None:
            self._backoff.forgive()
            self._useful_since = None
        self.disconnected(self._clock.monotonic())
        self._subscriptions.end()
        self._observer.connection_changed(self.name, connected=False)

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
        turn_ends = tend_at = now
        while not stop.is_set() and now < self._leave_at:
            before = now
            frame = self._receive(connection)
            now = self._clock.monotonic()
            if frame is not None and now - before > self._idle_timeout:
                # This process stood still: the frame waited in a buffer and says nothing about now.
                raise Unreachable(f"{self.name}: stalled for {now - before:.0f} s", reason="stalled")
            if now - looked_at > GAVE_WAY:  # waiting for this frame was the others' turn
                turn_ends = now + _turn(now - looked_at)
            if frame is not None:
                self._last_frame_at = now
                self._digest(frame, now)
            if now >= tend_at:
                self._tend(connection, now)
                tend_at = now + TENDING
            looked_at = now
            if now >= turn_ends:
                self._sleep(0)
                looked_at = self._clock.monotonic()
                turn_ends = looked_at + _turn(looked_at - now)

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
            try:
                if type(event) is LastTrade:
                    self.take(event, now)
                else:
                    self._learn(event, now)
            except BadFrame as error:
                self._refuse(error.reason, error)

    def _learn(self, event: object, now: float) -> None:
        match event:
            case Traded():
                self.traded(event, now)
            case BookChange():
                self.book_changed(event, now)
            case BookSnapshot():
                self.book_replaced(event, now)
            case MarketChanged():
                self.market_changed(event)
            case _:
                self._note(event, now)

    def _note(self, event: object, now: float) -> None:
        match event:
            case Acknowledged():
                self._subscriptions.acknowledge(event.channel, event.symbol, now)
                self.acknowledged(event, now)
            case Answered():
                self._answered(event, now)
            case Refused():
                self._refused(event, now)
            case Ended():
                self._subscriptions.lose(event.channel, event.symbol, now)
            case Invalid():
                self._refuse(event.reason, event.message)
            case Skipped():
                self._counted[event.kind] += 1
            case Leaving():
                self._leave_at = now

    def _answered(self, answer: Answered, now: float) -> None:
        request = self._requests.answered(answer.request_id)
        if answer.error is not None:
            self._refused_request(request, answer.error, now)
        elif request is not None and request.verb == "subscribe":
            for symbol in request.symbols:
                self._subscriptions.acknowledge(request.channel, symbol, now)

    def _refused_request(self, request: Request | None, message: str, now: float) -> None:
        if request is None or request.verb == "unsubscribe":
            self._refused(Refused(message), now)
        elif len(request.symbols) == 1:
            self._refused(Refused(message, request.channel, request.symbols[0]), now)
        else:  # one of them is to blame, and the answer does not say which
            self._requests.ask("subscribe", request.channel, request.symbols, each=1)

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
        self.wasted(self._clock.monotonic())
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
        self._ping(connection, last_frame_at, now)
        if proven := self._subscriptions.proven():
            self.confirm(proven, last_frame_at)
            self._prove(now)
        if overdue := self._subscriptions.overdue(now):
            self._renew(overdue)
        self._change_symbols(now)
        self.tended(now)
        self._send(connection, now)
        self._report()

    def _ping(self, connection: Connection, last_frame_at: float, now: float) -> None:
        every, within = self.terms.ping_every, self.terms.pong_within
        if every is None:
            return
        if last_frame_at < self._asked_at <= now - within:
            raise Unreachable(f"{self.name}: nothing within {within:g} s of a ping", reason="silent")
        if now - self._asked_at >= every and self._requests.may_send(now):
            self._request_id += 1
            connection.send(self._dialect.ping(self._request_id))
            self._requests.sent(now)
            self._asked_at = now

    def _change_symbols(self, now: float) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        added, removed = self._subscriptions.want(wanted, now)
        self._unsubscribe(removed)
        self._subscribe(added)
        self.symbols_changed(added, removed, now)

    def _prove(self, now: float) -> None:
        if self._useful_since is None:
            self._useful_since = now
            self._out_of_reach = False
            self._state = "active"
            self.activated()
        elif now - self._useful_since >= STABLE:
            self._backoff.reset()

    def _renew(self, symbols: Sequence[str]) -> None:
        """Asks again; what was accepted and brings nothing is given back first."""
        proven = set(self._subscriptions.proven())
        for channel in self._subscriptions.channels:
            accepted = [symbol for symbol in symbols if self._subscriptions.accepted(channel, symbol)]
            self._requests.ask("unsubscribe", channel, [name for name in accepted if name not in proven])
            wanted = [name for name in symbols if name not in proven or name not in accepted]
            self._requests.ask("subscribe", channel, wanted)

    def _subscribe(self, symbols: Sequence[str]) -> None:
        for channel in self._subscriptions.channels:
            self._requests.ask("subscribe", channel, symbols)

    def _unsubscribe(self, symbols: Sequence[str]) -> None:
        for channel in self._subscriptions.channels:
            self._requests.ask("unsubscribe", channel, symbols)

    def resubscribe(self, symbol: str) -> None:
        """Ends one symbol's subscriptions and asks for them again; only from the collector's own loop."""
        self._unsubscribe([symbol])
        self._subscribe([symbol])

    def _send(self, connection: Connection, now: float) -> None:
        while request := self._requests.next(self._request_id + 1, now):
            self._request_id += 1
            write = self._dialect.subscribe if request.verb == "subscribe" else self._dialect.unsubscribe
            connection.send(write(request.channel, request.symbols, self._request_id))

    def _report(self) -> None:
        for kind, count in self._counted.items():
            self._observer.frames_received(self.name, kind, count)
        self._counted.clear()


def _turn(seconds: float) -> float:
    """How long the next turn may be after others had `seconds`."""
    return min(LONGEST_TURN, max(TURN, seconds))
