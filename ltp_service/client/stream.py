"""The line of a stream: when it is alive, and how it goes on after a cut. No I/O."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from ltp_service.client.ask import read_problem, reason_of, refuse, worst_of
from ltp_service.client.errors import PricesError, RateLimited, Unreachable
from ltp_service.client.events import Disconnected, Event, Kind
from ltp_service.client.fields import fields_of, seconds
from ltp_service.client.ledger import Ledger
from ltp_service.client.policy import SILENCE
from ltp_service.client.service_clock import ServiceClock
from ltp_service.client.settings import Settings
from ltp_service.client.sse import EventParser, ServerEvent
from ltp_service.client.steps import Close, Open, Receive, Result, Send, Sleep, Step
from ltp_service.client.turns import Turns
from ltp_service.client.wire import LONGEST_HEAD, Base, Broken, Response, read_json, request

SLICE = 0.25
"""Longest wait in one piece, in seconds: what comes in it may be this much younger than it is taken for."""

PATH = "/api/v1/stream"

LONGEST_ID = 7000
"""Most characters of an id that can be sent back in a header."""

Steps = Generator[Step, Result, None]
Telling = Generator[Step | Event, Result, None]


class Stream:
    """One stream of events, for ever.

    A moment of arrival is the last one at which nothing was there to read, however long the user was busy, or the process
    stopped. What the service's clock shows to have been sent before that counts from then.
    """

    def __init__(self, settings: Settings, pairs: Sequence[str], kind: Kind) -> None:
        self._settings = settings
        self._pairs, self._kind = pairs, kind
        self._turns = Turns(len(settings.bases), settings.chance)
        self._ledger = Ledger(settings)
        self._last_id = ""
        """Of the last event that is told."""
        self._heard = settings.clock()
        """When the service said something for the last time."""
        self._served = self._heard
        """When something that it said was dealt with for the last time."""
        self._index = 0
        self._refusals: dict[int, PricesError] = {}
        """Of each base that refused for good when it was tried last."""
        self._has_begun = False
        """Whether any hello came."""
        self._asked_at = self._heard
        """When the present line was asked for."""
        self._service: ServiceClock | None = None
        """As the present line has shown it; None before its hello."""
        self._greeting: set[tuple[object, ...]] | None = None
        """The gaps told after a hello that does not resume, up to the first other event."""

    def run(self) -> Telling:
        """Steps, and events for the user. Raises PricesError only before the first hello, where every base itself refuses."""
        told = ""
        clock = self._settings.clock
        while True:
            self._index, pause = self._turns.next(clock())
            if pause:
                yield Sleep(pause)
            before, parser = self._heard, EventParser(self._last_id)
            try:
                yield from self._connection(self._settings.bases[self._index], parser)
            except (OSError, Broken, PricesError) as error:
                reason = self._failed(error)
            yield Close()
            if self._heard > before:
                told = ""  # it was alive in between
            if reason != told:
                told = reason
                self._ledger.forget_shown()
                yield Disconnected(reason, self._moment(self._heard))

    def _failed(self, error: Exception) -> str:
        """Books the end of a connection; returns its reason. Raises PricesError where every base refuses for good."""
        now = self._settings.clock()
        base = self._settings.bases[self._index]
        self._refusals.pop(self._index, None)
        if isinstance(error, Broken) and error.pause is not None:
            self._turns.ended(self._index, now, error.pause)
            return f"{base.url}: {error.reason}"
        if isinstance(error, Waited):
            self._turns.failed(self._index, now, error.retry_after)
            return str(error)
        self._turns.failed(self._index, now)
        if isinstance(error, PricesError):
            self._refusals[self._index] = error
            if len(self._refusals) == len(self._settings.bases):
                raise worst_of(list(self._refusals.values()))
            return str(error)
        return f"{base.url}: {reason_of(error)}"

    def _connection(self, base: Base, parser: EventParser) -> Generator[Step | Event, Result, NoReturn]:
        """From its opening to its end, which is always an error."""
        clock = self._settings.clock
        self._served = started = clock()
        self._service = None
        yield Open(base)
        self._asked_at = clock()
        yield Send(self._request(base))
        nothing_at = clock()
        response, body, is_open = Response(), bytearray(), False
        while True:
            received = yield Receive(0)
            if received is None:
                nothing_at = clock()
                self._check_life(nothing_at, max(self._heard, started))
                received = yield Receive(SLICE)
                if received is None:
                    continue
            content = response.feed(received)
            if response.status == 200:
                is_open = is_open or _check_type(response)
                yield from self._events(parser, content, nothing_at)
            elif response.status is not None:
                body += content
                if response.is_complete or len(body) > LONGEST_HEAD:
                    self._refused(base, response, bytes(body))
            if response.is_complete:
                raise Broken("the service closed the connection")
            self._check_life(clock(), self._served)

    def _check_life(self, now: float, last: float) -> None:
        if now - last > SILENCE:
            raise Broken(f"no event for {SILENCE:g} s")

    def _request(self, base: Base) -> bytes:
        query = {"pair": ",".join(self._pairs)} if self._pairs else {}
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | self._settings.headers
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        return request(base, PATH, query | {"events": self._kind}, headers)

    def _refused(self, base: Base, response: Response, body: bytes) -> NoReturn:
        """Raises what the answer means; an error that is Waited is tried again."""
        wait = response.retry_after or 0.0
        try:
            refuse(base, response, body)
        except PricesError as error:
            may_change = self._has_begun or isinstance(error, RateLimited | Unreachable)
            # A proxy refuses, too, while the service behind it is replaced. The service's own refusal has a code.
            if may_change or not read_problem(body)[0]:
                raise Waited(str(error).partition("; ask again")[0], wait) from error
            raise
        raise Waited(f"{base.url} answered {response.status}", wait)

    def _events(self, parser: EventParser, content: bytes, arrived: float) -> Telling:
        """Tells everything that is complete in what came; of several prices of a pair the newest."""
        events: list[_Read] = []
        broken: Broken | None = None
        try:
            events.extend(_Read(each, _data(each)) for each in parser.feed(content))
        except Broken as error:
            broken = error  # what came before it is in the list, and is told all the same
        newest = {each.pair: place for place, each in enumerate(events) if each.event.name == "price"}
        for place, read in enumerate(events):
            if read.event.name == "price" and newest[read.pair] != place:
                self._ledger.supersede(read.pair)
            else:
                yield from self._event(read, arrived, parser)
        if broken is not None:
            raise broken

    def _event(self, read: "_Read", arrived: float, parser: EventParser) -> Telling:
        name, data = read.event.name, read.data
        if name not in _KNOWN:
            if "price" in data or "amount" in data:
                yield from self._ledger.doubt(read.pair)
            return
        if self._service is None and name != "hello":
            raise Broken("the stream does not begin with hello")
        try:
            sent = self._note_life(name, data, arrived)
            self._note_id(read.event)
            told = self._ledger.read(name, data, sent)
        except ValueError as error:
            raise Broken(f"the event {name} cannot be read: {error}") from error
        if name == "gap" and self._greeting is not None:
            key = tuple(data[field] for field in ("pair", "after_trade_id", "before_trade_id"))
            told = () if key in self._greeting else told
            self._greeting.add(key)
        yield from told
        self._served = self._settings.clock()
        if name == "heartbeat" and self._service is not None:
            self._service.prove()
            self._turns.proven(self._index)
        if name == "bye":
            reason = data.get("reason")
            raise Broken(f"the service says goodbye: {reason}", 1.0 if parser.retry is None else parser.retry)

    def _note_id(self, event: ServerEvent) -> None:
        """An id counts when everything before it is told: gaps after a hello belong to it."""
        if event.name == "hello":
            self._has_begun = True
            self._greeting = None if _says_resumed(event) else (self._greeting or set())
        elif event.name != "gap":
            self._greeting = None
        if self._greeting is None or not self._last_id:
            self._last_id = event.id if len(event.id) <= LONGEST_ID else ""

    def _note_life(self, name: str, data: dict[str, Any], arrived: float) -> float:
        """The event was sent between `arrived` and now, or was longer under way. Returns the earliest moment of these."""
        told, now = _written(name, data), self._settings.clock()
        if told is None:
            self._heard = max(self._heard, arrived)
            return arrived
        if self._service is None:
            self._service = ServiceClock(told, self._asked_at, now)
        sent = self._service.sent_at(told, now)
        if arrived - sent > SILENCE:
            late = f"{arrived - sent:.0f} s"
            raise Broken(f"what the service says is {late} under way, or its clock was set back")
        self._heard = max(self._heard, arrived, sent)
        return min(arrived, sent)

    def _moment(self, at: float) -> datetime:
        ago = max(0.0, self._settings.clock() - at)
        return datetime.fromtimestamp(self._settings.wall() - ago, UTC)


class Waited(Unreachable):
    """The service refuses for now; `retry_after` seconds of it are asked for."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


_KNOWN = frozenset({"hello", "price", "trade", "gap", "heartbeat", "bye"})


class _Read:
    """An event with its data."""

    def __init__(self, event: ServerEvent, data: dict[str, Any]) -> None:
        self.event, self.data = event, data
        self.pair = str(data.get("pair"))


def _data(event: ServerEvent) -> dict[str, Any]:
    """Raises Broken for what cannot be read; of an event that this client does not know that is nothing."""
    try:
        return fields_of(read_json(event.data))
    except ValueError as error:
        if event.name not in _KNOWN:
            return {}
        raise Broken(f"the event {event.name} cannot be read: {error}") from error


def _written(name: str, data: dict[str, Any]) -> float | None:
    """When the service wrote the event, by its own clock; None where it does not say. Raises Broken or ValueError."""
    if name in ("hello", "heartbeat"):
        return _unix_seconds(data.get("server_time"))
    if name == "price" and data.get("confirmed_at") is not None and data.get("age_ms") is not None:
        return _unix_seconds(data["confirmed_at"]) + seconds(data["age_ms"])
    return None


def _unix_seconds(moment: object) -> float:
    """Raises Broken for what is no time."""
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        raise Broken(f"{moment!r} is no time") from None


def _says_resumed(event: ServerEvent) -> bool:
    return _data(event).get("resumed") is True


def _check_type(response: Response) -> bool:
    media = response.headers.get("content-type", "")
    if media.partition(";")[0].strip().lower() != "text/event-stream":
        raise Broken(f"the answer is {media or 'of no type'}, not a stream; is it the service's URL?")
    return True
