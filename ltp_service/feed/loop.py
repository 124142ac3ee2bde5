"""A collector: one exchange's feed, from the first attempt to connect until it is told to stop.

connect → subscribe → read → parse → take → (on any failure) wait → again, for ever.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import inf
from threading import Event
from typing import Any

import msgspec

from ltp_service.domain.errors import BadFrame, ExchangeError, NoText, Rejected, Unreachable
from ltp_service.feed.connection import Connection
from ltp_service.feed.contract import Dialect, Equipment, Link, State, Terms
from ltp_service.feed.messages import (
    Acknowledged,
    Answered,
    Ended,
    Invalid,
    LastTrade,
    Leaving,
    Parsed,
    Refused,
    Request,
    Skipped,
    Unreadable,
)
from ltp_service.feed.requests import Requests
from ltp_service.feed.subscriptions import Subscriptions
from ltp_service.meters import CONNECTION_ERRORS, FRAMES, FRAMES_REFUSED, RECONNECTIONS
from ltp_service.runtime.clock import SHORTEST_SLEEP

log = logging.getLogger(__name__)

SHORTEST_TURN_SECONDS, LONGEST_TURN_SECONDS = 0.003, 0.015
"""Bounds of a turn, in seconds: the feed works as long as the others just did, and then sleeps once. A flooded feed must
not starve the requests, and many requests must not starve the feed. A turn of a number of frames would starve the feed."""

WAITED_SECONDS = 0.001
"""Seconds of waiting for a frame from which on the others had their turn."""

TURNS_WITHOUT_A_PAUSE = 2
"""Longest turns after which the others get one in any case: waiting for the processor looks like waiting for a frame."""

ASIDE_TURN_SECONDS, ASIDE_BURST_FRAMES = 0.001, 20
"""Seconds and frames of one turn of a feed on which no price depends: requests and Kraken's feed come first."""

TEND_EVERY_SECONDS = 0.1
"""Seconds between looks at deadlines and between confirmations of the held prices."""

STABLE_AFTER_SECONDS = 60.0
"""Seconds of useful data after which a connection counts as a success."""

ASK_AGAIN_AFTER_REFUSAL_SECONDS = 3600.0
"""Seconds before an exchange that refuses our address is asked again: the answer will be the same. No exchange is
left alone for longer, even where it asks for that."""

TOO_MANY_MESSAGES = "msg rate"
"""In the words of a refusal that is about the number of messages, and not about what they ask for (Kraken's)."""
NAMED_IN_THE_LOG = 100
"""Symbols up to which each refusal of one has a line of its own in the log."""

Handler = Callable[[Any, float], None]
"""Takes one event and the monotonic moment at which it arrived. Raises BadFrame when it cannot be believed."""


class Collector:
    """The run loop, its state, and what an exchange says about requests and subscriptions.

    A subclass adds the handlers of the events that it is there for, and overrides what else concerns it.
    """

    name: str
    terms = Terms()
    longest_turn = LONGEST_TURN_SECONDS
    """Seconds: as long as others had, and no longer than this."""
    burst = 1_000
    """Frames that are taken from one read before anything else gets a turn."""
    refusal_level = logging.WARNING
    """Of the log's line on a refusal."""
    names_refusals = True
    """False where requests for one symbol each are answered in order, and a refusal does not say which one it means."""

    def __init__(
        self,
        dialect: Dialect,
        subscriptions: Subscriptions,
        equipment: Equipment,
        handlers: Mapping[type, Handler],
    ) -> None:
        """`handlers`: what becomes of the events of the product that is collected."""
        self._parse = dialect.parse
        self._subscriptions = subscriptions
        self._connect = equipment.connect
        self._backoff = equipment.backoff
        self._advice = equipment.advice
        self._clock = equipment.runtime.clock
        self._meters = equipment.runtime.meters
        self._sleep = equipment.runtime.sleep
        self._random = equipment.runtime.random
        self._idle_timeout = max(equipment.idle_timeout, self.terms.patience)
        self._requests = Requests(dialect, subscriptions, self.terms)
        self._handlers: dict[type, Handler] = {
            Acknowledged: self._acknowledged,
            Answered: self._answered,
            Refused: self._refused,
            Ended: self._ended,
            Invalid: self._note_invalid,
            Skipped: self._skip,
            Leaving: lambda *_: self.leave(),
            **handlers,
        }
        self._counted: Counter[str] = Counter()
        """Frames by kind, since the last report."""
        self._state: State = "stopped"
        self._generation = 0
        self._attempts = 0
        self._last_frame_at: float | None = None
        self._last_error: str | None = None
        self._end_reason = ""
        """Why the last attempt or connection ended, in one word."""
        self._rejection: str | None = None
        self._wanted: Sequence[str] | None = None
        self._followed: Sequence[str] | None = None
        """What was last made of `_wanted`."""
        self._opened_at = self._pinged_at = self._leave_at = 0.0
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
        """Why this collector is of no use at present; None when it is."""
        return self._rejection

    def leave(self) -> None:
        """Ends the present connection soon; another one follows. From any thread."""
        self._leave_at = 0.0

    def want(self, symbols: Sequence[str]) -> None:
        """Other symbols from now on. From any thread; only what changes is subscribed or unsubscribed."""
        self._wanted = tuple(symbols)

    # What a product may add.

    def without_superseded(self, messages: list[Parsed | Unreadable]) -> list[Parsed | Unreadable]:
        """Of messages that arrived together, those that have to be taken, in order."""
        return messages

    def wasted(self, now: float) -> None:
        """Something arrived that could not be used."""

    def unreadable(self, frame: str, now: float) -> None:
        """A frame arrived of which nothing could be read: what is known of all that it names may be wrong."""

    def symbol_unusable(self, symbol: str, now: float) -> None:
        """Something arrived about this symbol that could not be used: what is known of it may be wrong."""

    def symbol_cut_off(self, symbol: str, now: float) -> None:
        """The exchange ended or refused a subscription of this symbol: there may be changes that it does not tell."""

    def connected(self, now: float) -> None:
        """A new connection, on which nothing is subscribed yet."""

    def disconnected(self, now: float) -> None:
        """The connection is over."""

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        """The collector follows these symbols from now on, and those no longer."""

    def tended(self, now: float) -> None:
        """The time to look after what is overdue, ten times a second while connected."""

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        """The prices of `symbols` were still the last ones at `at`: their subscriptions and the connection were alive."""

    def activated(self) -> None:
        """The first price of this connection is in step with the exchange."""

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
            self._meters.count(RECONNECTIONS, self.name, self._end_reason)
        self._attempts += 1
        self._end_reason = "left"
        try:
            self._read(self._open(stop), stop)
        except ExchangeError as error:
            if error.reason == "stopped":
                return 0.0
            self._failed(error)
            self._rejection = str(error) if isinstance(error, Rejected) else None
            if self._rejection:
                return ASK_AGAIN_AFTER_REFUSAL_SECONDS
            return min(error.retry_after or 0.0, ASK_AGAIN_AFTER_REFUSAL_SECONDS)
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
        self._opened_at = self._pinged_at = now
        self._leave_at = self._end_of_life(now)
        self._subscriptions.begin(now)
        self._requests.begin()
        self.connected(now)
        self._state = "subscribing"
        self._requests.send(connection, now)
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

    def _failed(self, error: ExchangeError) -> None:
        self._state = "error"
        self._last_error = str(error)
        self._end_reason = error.reason
        self._meters.count(CONNECTION_ERRORS, self.name, error.reason)
        if self._connection is None and not self._out_of_reach:
            self._out_of_reach = True
            advice = f"; {self._advice}" if self._advice else ""
            log.warning("%s: cannot be reached (%s)%s", self.name, error, advice)
        else:
            log.warning("%s: %s", self.name, error, extra={"once_a_minute": (self.name, error.reason)})

    def _read(self, connection: Connection, stop: Event) -> None:
        """Reads until `stop` is set or the connection is to be left. Raises ExchangeError when it is over.

        It gives way when a turn is over, and looks at what is overdue ten times a second.
        """
        now = looked_at = self._clock.monotonic()
        turn_ends = tend_at = gave_way_at = now
        while not stop.is_set() and now < self._leave_at:
            before = now
            frames = self._receive(connection)
            now = self._clock.monotonic()
            if frames and now - before > self._idle_timeout:
                # This process stood still: the frame waited in a buffer and says nothing about now.
                raise Unreachable(f"stalled for {now - before:.0f} s", reason="stalled")
            if now - looked_at > WAITED_SECONDS:  # waiting for this frame was the others' turn
                turn_ends = now + self._turn(now - looked_at)
            if frames:
                self._last_frame_at = now
                if isinstance(frames, BadFrame):
                    self._reject_message(frames, now)
                else:
                    self._digest(frames, now)
            if now >= tend_at:
                self._tend(connection, now)
                tend_at = now + TEND_EVERY_SECONDS
            looked_at = now
            if now >= min(turn_ends, gave_way_at + TURNS_WITHOUT_A_PAUSE * self.longest_turn):
                self._sleep(SHORTEST_SLEEP)
                looked_at = gave_way_at = self._clock.monotonic()
                turn_ends = looked_at + self._turn(looked_at - now)

    def _receive(self, connection: Connection) -> Sequence[str] | BadFrame:
        """The messages that arrived, or why the one that did is no text."""
        try:
            return connection.receive(self.burst)
        except BadFrame as error:
            return error

    # What the exchange says.

    def _digest(self, frames: Sequence[str], now: float) -> None:
        """Frames that arrived together at `now`; never raises for what is in them."""
        messages: list[Parsed | Unreadable] = []
        for frame in frames:
            try:
                messages.append(self._parse(frame))
            except (BadFrame, msgspec.MsgspecError, ValueError, RecursionError) as error:
                reason = error.reason if isinstance(error, BadFrame) else "malformed"
                messages.append(Unreadable(frame, reason, error))
        if len(messages) > 1:
            messages = self.without_superseded(messages)
        for message in messages:
            if isinstance(message, Unreadable):
                self._reject_frame(message.reason, message.cause)
                self.unreadable(message.frame, now)
                continue
            self._counted[message.kind] += 1
            for event in message.events:
                try:
                    self._handlers[type(event)](event, now)
                except BadFrame as error:
                    self._reject_frame(error.reason, error)
                    if type(event) is LastTrade:
                        self.symbol_unusable(event.symbol, now)

    def _acknowledged(self, accepted: Acknowledged, now: float) -> None:
        self._subscriptions.acknowledge(accepted.channel, accepted.symbol, now)

    def _answered(self, answer: Answered, now: float) -> None:
        request = self._requests.answered(answer.request_id)
        if answer.error is not None:
            self._take_refusal(request, answer.error, now)
        elif request is not None and request.verb == "subscribe":
            for symbol in request.symbols:
                self._subscriptions.acknowledge(request.channel, symbol, now)

    def _refused(self, refusal: Refused, now: float) -> None:
        request = None
        if refusal.symbol is None and refusal.request_id is not None:
            request = self._requests.answered(refusal.request_id)
        if TOO_MANY_MESSAGES in refusal.message.lower():
            if refusal.symbol is not None:
                self._requests.ask_again(refusal.symbol, refusal.channel, refusal.request_id)
            self._requests.rest(request, now)
            self._request_refused(Refused(refusal.message), now)  # it is about no symbol, whichever it names
        elif request is None:
            self._request_refused(refusal, now)
        else:
            self._take_refusal(request, refusal.message, now)

    def _take_refusal(self, request: Request | None, message: str, now: float) -> None:
        if request is None or request.verb == "unsubscribe" or not request.symbols:
            self._request_refused(Refused(message), now)
        elif len(request.symbols) == 1:
            self._request_refused(Refused(message, request.channel, request.symbols[0]), now)
        else:  # one of them is to blame, and the answer does not say which
            self._requests.halve(request)

    def _request_refused(self, refusal: Refused, now: float) -> None:
        if refusal.symbol is None and not self.names_refusals:
            refusal = Refused(refusal.message, None, self._subscriptions.first_unanswered())
        self._last_error = refusal.message
        if refusal.symbol is not None and self._subscriptions.refuse(
            refusal.channel, refusal.symbol, refusal.message, now
        ):
            self.symbol_cut_off(refusal.symbol, now)
        # A line for each of very many symbols would hide all others; the status names what was refused of each.
        subject = refusal.symbol if len(self._subscriptions.symbols) <= NAMED_IN_THE_LOG else None
        said = refusal.message if (subject or "") in refusal.message else f"{refusal.message} ({subject})"
        log.log(
            self.refusal_level,
            "%s refused a request: %s",
            self.name,
            said,
            extra={"once_a_minute": (self.name, "refused", subject)},
        )

    def _ended(self, subscription: Ended, now: float) -> None:
        self._subscriptions.lose(subscription.channel, subscription.symbol, now)
        self.symbol_cut_off(subscription.symbol, now)

    def _note_invalid(self, value: Invalid, now: float) -> None:
        self._reject_frame(value.reason, value.message)
        if value.symbol is not None:
            self.symbol_unusable(value.symbol, now)

    def _skip(self, part: Skipped, now: float) -> None:
        self._counted[part.kind] += 1

    def _reject_frame(self, reason: str, cause: object) -> None:
        """Something that arrived cannot be used."""
        self.wasted(self._clock.monotonic())
        self._meters.count(FRAMES_REFUSED, self.name, reason)
        log.warning(
            "%s: frame not used (%s): %s",
            self.name,
            reason,
            str(cause)[:200],
            extra={"once_a_minute": (self.name, "frame", reason)},
        )

    def _report(self) -> None:
        """Reports what was counted since the last time."""
        for kind, count in self._counted.items():
            self._meters.count(FRAMES, self.name, kind, amount=count)
        self._counted.clear()

    def _reject_message(self, error: BadFrame, now: float) -> None:
        self._reject_frame(error.reason, error)
        if isinstance(error, NoText):
            self.unreadable(error.content.decode(errors="replace"), now)

    # Now and then.

    def _tend(self, connection: Connection, now: float) -> None:
        last_frame_at = self._alive_at()
        if now - last_frame_at >= self._idle_timeout:
            raise Unreachable(f"no frame for {self._idle_timeout:g} s", reason="silent")
        self._ping(connection, last_frame_at, now)
        if proven := self._subscriptions.proven():
            self.confirm(proven, last_frame_at)
            self._note_useful(now)
        if overdue := self._subscriptions.overdue(now):
            self._requests.renew(overdue)
        self._change_symbols(now)
        self.tended(now)
        self._requests.send(connection, now)
        self._report()

    def _alive_at(self) -> float:
        """The last sign of life: the newest frame, or the present connection's beginning."""
        return max(self._opened_at, self._last_frame_at or 0.0)

    def _ping(self, connection: Connection, last_frame_at: float, now: float) -> None:
        every, within = self.terms.ping_every, self.terms.pong_within
        if every is None:
            return
        if last_frame_at < self._pinged_at <= now - within:
            raise Unreachable(f"nothing within {within:g} s of a ping", reason="silent")
        if now - self._pinged_at >= every and self._requests.ping(connection, now):
            self._pinged_at = now

    def _change_symbols(self, now: float) -> None:
        wanted = self._wanted
        if wanted is None or wanted is self._followed:
            return
        self._followed = wanted  # compared and never cleared, so that no wish of another thread is lost
        before = self._subscriptions.states
        added, removed = self._subscriptions.want(wanted, now)
        # What the exchange refused it would refuse to take back.
        taken = [name for name in removed if before[name].refusal is None or before[name].acknowledged]
        self._requests.unsubscribe(taken)
        self._requests.subscribe(added)
        self.symbols_changed(added, removed, now)

    def _note_useful(self, now: float) -> None:
        if self._useful_since is None:
            self._useful_since = now
            self._out_of_reach = False
            self._state = "active"
            self.activated()
        elif now - self._useful_since >= STABLE_AFTER_SECONDS:
            self._backoff.reset()

    def resubscribe(self, symbol: str) -> None:
        """Ends one symbol's subscriptions and asks for them again; only from the collector's own loop."""
        self._requests.unsubscribe([symbol])
        self._requests.subscribe([symbol])

    def _turn(self, seconds: float) -> float:
        """How long the next turn may be after others had `seconds`."""
        return min(self.longest_turn, max(SHORTEST_TURN_SECONDS, seconds))
