"""What a stream promises beside its prices: heartbeats, and the states that answers show too; pure."""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from ltp_service.cli.verifying.said import Finding, Limits, Report

NO_PRICE = frozenset({"stale", "unknown"})

NONE = "without a price"
"""One word for both states, because an answer does not say which of them it is."""

MOST_STATES = 64
"""Changes of state that are remembered of each pair."""


class _Run(NamedTuple):
    """A run of answers that showed the same state. The first came at `begun`, and the last was asked for at `asked`."""

    state: str
    begun: float
    asked: float


class _Change(NamedTuple):
    since: float
    at: float
    state: str


class PromiseJudge:
    """Judges the promises of one stream by its events and by the answers beside it."""

    def __init__(self, limits: Limits, report: Report) -> None:
        self._limits, self._report = limits, report
        self._opened: float | None = None
        self._beat_at: float | None = None
        """The last heartbeat. None while the line is down, and after its silence was reported."""
        self._states: dict[str, deque[_Change]] = defaultdict(lambda: deque(maxlen=MOST_STATES))
        self._runs: dict[str, _Run] = {}
        self._told: set[str] = set()
        """The pairs whose present run of answers was reported."""
        self._waiting: deque[tuple[str, _Run]] = deque(maxlen=1000)

    def begin(self, at: float) -> None:
        """A line has begun."""
        self._opened = self._beat_at = at
        self._forget()

    def end(self) -> None:
        """The line has ended."""
        self._opened = self._beat_at = None
        self._forget()

    def beat(self, since: float, at: float) -> None:
        """A heartbeat."""
        self.hear(since)
        self._beat_at = at

    def hear(self, since: float) -> None:
        """Judges up to the moment `since`, up to which every event is known."""
        if self._beat_at is not None and since - self._beat_at > self._limits.heartbeat:
            seconds = since - self._beat_at
            self._report(
                Finding("heartbeat", since, None, f"no heartbeat for {seconds:.1f} s", "one every 5 s")
            )
            self._beat_at = None
        while self._waiting and self._waiting[0][1].asked <= since:
            self._compare(*self._waiting.popleft())

    def tell(self, pair: str, state: str, since: float, at: float) -> None:
        """The stream told the state of a pair."""
        changes = self._states[pair]
        if not changes or changes[-1].state != _named(state):
            changes.append(_Change(since, at, _named(state)))

    def show(self, pairs: Iterable[str], shown: dict[str, str], asked: float, answered: float) -> None:
        """Takes an answer, which shows the state of each pair that has a price."""
        for pair in pairs:
            state = _named(shown.get(pair, "unknown"))
            run = self._runs.get(pair)
            if run is None or run.state != state:
                run = _Run(state, answered, asked)
                self._told.discard(pair)
            self._runs[pair] = run._replace(asked=asked)
            if asked - run.begun > self._limits.follows + self._limits.pace and pair not in self._told:
                self._waiting.append((pair, self._runs[pair]))

    def _forget(self) -> None:
        self._states.clear()
        self._waiting.clear()
        self._runs.clear()

    def _compare(self, pair: str, run: _Run) -> None:
        """The stream must have told that state at some moment of the run."""
        changes = list(self._states.get(pair, ()))
        if self._opened is None or pair in self._told or not changes:
            return
        for change, following in zip(changes, [*changes[1:], None], strict=True):
            ended = run.asked if following is None else following.at
            if change.state == run.state and change.since <= run.asked and ended >= run.begun:
                return
        self._told.add(pair)
        seconds = run.asked - run.begun
        said = f"stream: {changes[-1].state}"
        self._report(
            Finding("disagree", run.asked, pair, said, f"answers have said {run.state} for {seconds:.1f} s")
        )


def _named(state: str) -> str:
    return NONE if state in NO_PRICE else state
