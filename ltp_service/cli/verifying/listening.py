"""Listens to a service and asks it beside that; each in a thread of its own."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from threading import Event, Thread

from ltp_service.cli.terminal import told
from ltp_service.cli.verifying.judge import Judge
from ltp_service.client import PricesError
from ltp_service.client.ask import PATH as ASKED_PATH
from ltp_service.client.ask import fetch, reason_of, refuse
from ltp_service.client.blocking import Line
from ltp_service.client.settings import Settings
from ltp_service.client.sse import EventParser, ServerEvent
from ltp_service.client.steps import Open, Receive, Result, Send, Step
from ltp_service.client.stream import PATH as STREAM_PATH
from ltp_service.client.stream import SLICE
from ltp_service.client.wire import LONGEST_HEAD, Broken, Response, read_json, request

AGAIN_SECONDS = 0.5
"""Pause before the stream is opened again, where the service names none."""

News = SimpleQueue[Callable[[Judge], None]]
"""What the judge is to be told, in order."""


class Part(Thread):
    """Works until `stop` is set. `reason` says why it failed the last time; None when it did not fail."""

    def __init__(self, name: str, settings: Settings, pairs: Sequence[str], news: News) -> None:
        super().__init__(name=name, daemon=True)
        self.stop = Event()
        self.reason: str | None = None
        self.is_heard = False
        """Whether it was answered once."""
        self.failures = 0
        self._base, self._clock = settings.bases[0], settings.clock
        self._headers = settings.headers
        self._query = {"pair": ",".join(pairs)} if pairs else {}
        self._news = news

    @abstractmethod
    def run(self) -> None:
        """Works until `stop` is set."""

    def _failed(self, error: Exception) -> None:
        reason = told(error) if isinstance(error, PricesError) else reason_of(error)
        self.reason = reason.removeprefix(self._base.url).lstrip(": ")  # the session says whose it is
        self.failures += 1


class Listener(Part):
    """Takes the stream, with all events; it connects again, and resumes."""

    _last_id = ""
    """The id of the last event that the judge was told."""

    def run(self) -> None:
        while not self.stop.is_set():
            with Line() as line:
                try:
                    self._listen(line)
                except (OSError, Broken, PricesError) as error:
                    self._failed(error)
            self._news.put(lambda judge: judge.closed())
            self.stop.wait(AGAIN_SECONDS)

    def _listen(self, line: Line) -> None:
        """Opens a connection, and listens to its end."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | self._headers
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        _do(line, Open(self._base))
        _do(line, Send(request(self._base, STREAM_PATH, self._query | {"events": "all"}, headers)))
        response, body, parser = Response(), bytearray(), EventParser(self._last_id)
        nothing_at = self._clock()
        while not self.stop.is_set():
            received = _do(line, Receive(0))
            if received is None:
                nothing_at = self._clock()
                if response.status == 200:
                    self._hear(nothing_at)
                received = _do(line, Receive(SLICE))
            if received is not None:
                self._take(response, received, body, parser, nothing_at)

    def _take(
        self, response: Response, received: bytes, body: bytearray, parser: EventParser, nothing_at: float
    ) -> None:
        """Takes a piece of an answer. Raises what an answer means that is no stream, and Broken at its end."""
        was_open = response.status == 200
        content = response.feed(received)
        if response.status == 200:
            if not was_open:
                self.is_heard = True
                self._news.put(lambda judge: judge.opened())
            for event in parser.feed(content):
                self._tell(event, nothing_at, self._clock())
        elif response.status is not None:
            body += content
            if response.is_complete or len(body) > LONGEST_HEAD:
                refuse(self._base, response, bytes(body))
        if response.is_complete:
            raise Broken("the service closed the connection")

    def _hear(self, since: float) -> None:
        self._news.put(lambda judge: judge.heard(since))

    def _tell(self, event: ServerEvent, since: float, at: float) -> None:
        try:
            data = read_json(event.data)
        except ValueError:
            data = None  # the judge says so
        self._last_id = event.id
        self._news.put(lambda judge: judge.event(event.name, data, since, at))


class Asker(Part):
    """Asks for prices, with detail and without in turn, the latter only for a change."""

    def __init__(self, name: str, settings: Settings, pairs: Sequence[str], news: News, pace: float) -> None:
        """`pace`: seconds between two questions of a kind."""
        super().__init__(name, settings, pairs, news)
        self._pace = pace
        self._etag = ""

    def run(self) -> None:
        due = self._clock()
        while not self.stop.wait(max(0.0, due - self._clock())):
            due = max(due + self._pace, self._clock())
            for detail in (True, False):
                try:
                    self._ask(detail=detail)
                except (OSError, Broken, PricesError) as error:
                    self._failed(error)

    def _ask(self, *, detail: bool) -> None:
        query = self._query | ({"detail": "true"} if detail else {})
        conditional = {"If-None-Match": self._etag} if self._etag and not detail else {}
        content = request(self._base, ASKED_PATH, query, self._headers | conditional)
        asked = self._clock()
        with Line() as line:
            response, body = line.run(fetch(self._clock, self._base, content))
        answered = self._clock()
        status, headers = response.status or 0, response.headers
        if status not in (200, 206, 304):
            refuse(self._base, response, body)
        self.is_heard = True
        if status == 200 and not detail:
            self._etag = headers.get("etag", "")
        self._tell(status, headers, body, (asked, answered), detail=detail)

    def _tell(
        self, status: int, headers: Mapping[str, str], body: bytes, when: tuple[float, float], *, detail: bool
    ) -> None:
        asked, answered = when
        self._news.put(
            lambda judge: judge.answered(
                detail=detail, status=status, headers=headers, body=body, asked=asked, answered=answered
            )
        )


def _do(line: Line, step: Step) -> Result:
    """The result of one step. Raises OSError."""
    result, failure = line.do(step)
    if failure is not None:
        raise failure
    return result
