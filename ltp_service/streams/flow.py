"""What the clients of one question are told: from hello on, in step or behind."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from ltp_service.streams.board import Board
from ltp_service.streams.event_ids import told_again
from ltp_service.streams.events import NOTHING, Frame, event
from ltp_service.streams.tapes import Place, Tape

TRADES_A_FRAME = 50
"""Most trades of one frame: 11 KB, less than a socket's buffer holds."""


MANY_SUBJECTS = 50
"""Subjects whose rendering takes longer than a rest of the pump costs."""

FRAME_EVERY_SECONDS, TRADES_EVERY_SECONDS = 0.1, 0.02
"""Shortest time between two frames for one client, and between two where each trade is told and nothing is left out."""


class Position(NamedTuple):
    """How far a client was told."""

    versions: tuple[int, ...]
    """Of the boards."""
    places: tuple[Place, ...]
    """Of the lanes of the tape."""
    beat: int
    """The number of its last heartbeat."""


class Newest(NamedTuple):
    """Events of one kind of which only the newest counts."""

    board: Board[Any, Any]
    subjects: tuple[Hashable, ...]
    event: str


class Wording(NamedTuple):
    """How a question is talked about."""

    hello: Callable[[bool], bytes]
    """The data of the first event, by whether it resumes."""
    heartbeat: Callable[[], bytes]
    moment_id: Callable[[], str]
    """The id of an event where no trades are told."""
    knows: Callable[[str], bool]
    """Whether such an id is of this question."""
    unknown: Callable[[str], list[bytes]]
    """The data of the gaps for an id that cannot be honoured, where no trades are told."""
    wall: Callable[[], float]


class Flow:
    """The events of one question. `position` is how far the clients in step were told."""

    def __init__(self, wording: Wording, newest: Sequence[Newest], tape: Tape | None) -> None:
        self._wording, self._newest, self._tape = wording, newest, tape
        self._usual_pause = FRAME_EVERY_SECONDS if newest else TRADES_EVERY_SECONDS
        self.pause = self._usual_pause
        """Shortest time from the last frame to the next."""
        self._prices_due_at = 0.0
        """When prices may be told again while trades are left; monotonic seconds."""
        for each in newest:
            each.board.look(each.subjects)
        places = tuple(map(tape.newest, tape.lanes)) if tape else ()
        self.position = Position(self._versions(), places, 0)
        self._remembered: dict[Position, tuple[Frame, Position]] = {}
        """What clients behind were told a moment ago, by where they were."""

    def begin(self, last_event_id: str) -> tuple[Frame, Position]:
        """Hello and what belongs to it, for a client that comes new or with the id of its last event."""
        writing = _Writing(self)
        places, gaps, is_whole = self._start(last_event_id)
        *before, last = [("hello", self._wording.hello(is_whole)), *(("gap", gap) for gap in gaps)]
        # A client that is cut off before the last gap comes back with the id that it has, and is told all of them again.
        writing.at_id(told_again(last_event_id))
        for each in before:
            writing.add(*each)
        writing.at(places)
        writing.add(*last)
        for board, subjects, name in self._newest:
            for subject in subjects:
                writing.add(name, board.item(subject))
        return writing.frame(), self.position._replace(places=places)

    def render(self, *, whole: bool = False) -> Iterator[None]:
        """Renders what is new to the clients in step, or the whole, so that the frame is soon written. Yields after each of
        many subjects: with a thousand it takes long."""
        for (board, subjects, _), version in zip(self._newest, self.position.versions, strict=True):
            if len(subjects) >= MANY_SUBJECTS:
                for subject in subjects if whole else board.changed_since(version, subjects):
                    board.item(subject)
                    yield

    def lags(self) -> bool:
        """Whether there is something to tell to the clients in step."""
        tape = self._tape
        told = zip(self._newest, self.position.versions, strict=True)
        if any(board.changed_since(version, subjects) for (board, subjects, _), version in told):
            return True
        return tape is not None and any(
            tape.is_behind(lane, place) for lane, place in zip(tape.lanes, self.position.places, strict=True)
        )

    def next(self, now: float, *, beat: bool = False) -> Frame:
        """Everything new for the clients in step; with `beat` a heartbeat, too. `now` in monotonic seconds.

        A heartbeat says how old the evidence for the told prices is. So all that was new at the last look is told before it.
        """
        before = self.position
        until = Position(self._versions(), (), before.beat + beat)
        self.pause = self._usual_pause
        frame, self.position = self._between(before, until, with_prices=beat or now >= self._prices_due_at)
        if self.position.versions != before.versions:
            self._prices_due_at = now + FRAME_EVERY_SECONDS
        self.refresh()
        return frame

    def since(self, position: Position) -> tuple[Frame, Position]:
        """What a client behind was not told, up to the clients in step; and how far it is told then."""
        found = self._remembered.get(position)
        if found is None:
            found = self._remembered[position] = self._between(position, self.position)
        return found

    def refresh(self) -> None:
        """Forgets what was told a moment ago, because ages have changed."""
        self._remembered.clear()

    def event_id(self, places: Sequence[Place]) -> str:
        """The id of an event after which the lanes are told that far."""
        return self._tape.event_id(places) if self._tape else self._wording.moment_id()

    def _versions(self) -> tuple[int, ...]:
        return tuple(each.board.version for each in self._newest)

    def _start(self, last_event_id: str) -> tuple[tuple[Place, ...], list[bytes], bool]:
        """Where a client begins, the gaps before that, and whether it resumes."""
        here = self.position.places
        if not last_event_id:
            return here, [], False
        tape, now = self._tape, self._wording.wall()
        if tape is None:
            if self._wording.knows(last_event_id):
                return here, [], True
            return here, self._wording.unknown(last_event_id), False
        named = tape.read_id(last_event_id) or [None] * len(tape.lanes)
        resumed = [tape.resume(lane, place, now) for lane, place in zip(tape.lanes, named, strict=True)]
        gaps = [each.gap for each in resumed if each.gap is not None]
        return tuple(each.place for each in resumed), gaps, all(each.is_whole for each in resumed)

    def _between(
        self, after: Position, until: Position, *, with_prices: bool = True
    ) -> tuple[Frame, Position]:
        """The frame for a client at `after`. Without places `until` means all trades that there are: while some are left,
        prices are told only `with_prices`, for the next frame comes sooner than they may."""
        writing = _Writing(self)
        places = self._trades(writing, after.places, until.places) if self._tape else after.places
        versions = tuple(map(max, after.versions, until.versions))
        are_left = writing.trades >= TRADES_A_FRAME and not until.places
        if are_left:
            self.pause = TRADES_EVERY_SECONDS
        if are_left and not with_prices:
            versions = after.versions
        else:
            for (board, subjects, name), version in zip(self._newest, after.versions, strict=True):
                for subject in board.changed_since(version, subjects):
                    writing.add(name, board.item(subject))
        if until.beat > after.beat:
            writing.add("heartbeat", self._wording.heartbeat())
        return writing.frame(), Position(versions, places, until.beat)

    def _trades(
        self, writing: "_Writing", after: tuple[Place, ...], until: tuple[Place, ...]
    ) -> tuple[Place, ...]:
        tape, places, left = self._tape, list(after), TRADES_A_FRAME
        if tape is None:
            return after
        lanes = list(enumerate(tape.lanes))
        first = hash(after) % len(
            lanes
        )  # another one each time, so that none has to wait for those before it
        for index, lane in lanes[first:] + lanes[:first]:
            if left <= 0 or (until and places[index] == until[index]):
                continue
            for told in tape.following(lane, places[index], left):
                if until and told.place > until[index]:
                    break
                places[index] = told.place
                writing.at(places)
                writing.add(told.event, told.data)
                left -= 1
        writing.trades = TRADES_A_FRAME - left
        writing.at(places)
        return tuple(places)


class _Writing:
    """A frame that is being written."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._parts: list[bytes] = []
        self._counts: dict[str, int] = {}
        self.trades = 0
        """How many of the events are trades, or gaps of them."""
        self._id: str | None = None
        self._places: Sequence[Place] = flow.position.places

    def at_id(self, event_id: str) -> None:
        """Events from here on carry this id."""
        self._id = event_id

    def at(self, places: Sequence[Place]) -> None:
        """Events from here on tell the lanes that far."""
        self._places, self._id = places, None

    def add(self, name: str, data: bytes) -> None:
        if self._id is None:
            self._id = self._flow.event_id(self._places)
        self._parts.append(event(name, self._id, data))
        self._counts[name] = self._counts.get(name, 0) + 1

    def frame(self) -> Frame:
        return Frame(b"".join(self._parts), tuple(self._counts.items())) if self._parts else NOTHING
