"""What a stream told, held against the truth, against the answers beside it, and against its own promises."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Any

from tests.drill.clients import PARTS, Reading, Served
from tests.drill.listener import CLOSED, OPENED, Told
from tests.drill.truth import REST, Waited, Wrong, never_waited

HEARTBEAT = 5.0
"""Seconds between two."""

TOLERANCE = 1.0
"""Seconds by which a heartbeat may be early or late; more is a silent gap."""

FOLLOWS = 0.3
"""Seconds from a change that answers show to its event."""

READER = -1
"""The number of this client among the readers."""

NO_PRICE = frozenset({"stale", "unknown"})

Item = dict[str, Any]


@dataclass
class Line:
    """One connection that was answered with a stream. Monotonic seconds."""

    opened: float
    told: list[Told] = field(default_factory=list)
    """Its events."""
    closed: float | None = None
    """None: it stood to the end."""
    items: dict[str, list[tuple[float, Item]]] = field(default_factory=lambda: defaultdict(list))
    """Of each pair."""

    @property
    def last(self) -> float:
        return self.told[-1].moment if self.told else self.opened

    @property
    def end(self) -> float:
        """Up to which it is known what was told."""
        return self.last if self.closed is None else self.closed

    def item(self, pair: str, moment: float) -> Item | None:
        """What was told last about the pair by that moment."""
        known = self.items.get(pair, [])
        place = bisect_right(known, moment, key=lambda each: each[0])
        return known[place - 1][1] if place else None


def lines(told: Iterable[Told]) -> list[Line]:
    """The connections in order."""
    found: dict[int, Line] = {}
    for each in told:
        if each.name == OPENED:
            found[each.connection] = Line(each.moment)
        elif line := found.get(each.connection):
            if each.name == CLOSED:
                line.closed = each.moment
            else:
                line.told.append(each)
            if each.name == "price":
                line.items[each.data["pair"]].append((each.moment, each.data))
    return list(found.values())


def readings(heard: Sequence[Line]) -> Iterator[Reading]:
    """Each price as an answer of its moment; each heartbeat as an answer about all that was told before, and is still
    so old as the heartbeat says."""
    for line in heard:
        for told in line.told:
            if told.name == "price" and told.data["amount"] is not None:
                yield _reading(told, [_served(told.data, told.data["age_ms"])])
            elif told.name == "heartbeat":
                ages = told.data["evidence_age_ms"]
                known = {pair: line.item(pair, told.moment) for pair in ages}
                served = [
                    _served(item, ages[pair])
                    for pair, item in known.items()
                    if item and item["amount"] is not None and ages[pair] is not None
                ]
                yield _reading(told, served)


def _reading(told: Told, served: list[Served]) -> Reading:
    return Reading(READER, told.moment, told.moment, told.moment, None, 200, None, served)


def _served(item: Item, age_ms: str) -> Served:
    return Served(item["pair"], item["amount"], item["state"], item["source"], age_ms, item["trade_id"])


def broken_promises(heard: Sequence[Line], stopped: float, waited: Waited = never_waited) -> list[Wrong]:
    """Silent gaps, heartbeats out of time, and states in a heartbeat that were told otherwise."""
    return [wrong for line in heard for wrong in (*_silent(line, stopped, waited), *_miscounted(line))]


def _silent(line: Line, stopped: float, waited: Waited) -> Iterator[Wrong]:
    end = stopped if line.closed is None else line.closed
    moments = [line.opened, *(told.moment for told in line.told), end]
    beats = [line.opened, *(told.moment for told in line.told if told.name == "heartbeat")]
    for kind, known in (("event", moments), ("heartbeat", [*beats, end])):
        for before, after in pairwise(known):
            if after - before - waited(before, after) > HEARTBEAT + TOLERANCE:
                yield Wrong(after, f"no {kind} for {after - before:.1f} s")
    for before, after in pairwise(beats[1:]):
        early = HEARTBEAT - TOLERANCE - (after - before)
        if early > waited(before - HEARTBEAT, after):
            yield Wrong(after, f"a heartbeat {after - before:.1f} s after another")


def _miscounted(line: Line) -> Iterator[Wrong]:
    """A heartbeat may be a moment before the events of the changes that it counts."""
    for place, told in enumerate(line.told):
        if told.name != "heartbeat":
            continue
        counted = {state: int(number) for state, number in told.data["states"].items() if int(number)}
        later = [each.moment for each in line.told[place:] if each.moment <= told.moment + FOLLOWS]
        if not any(_states(line, moment) == counted for moment in later):
            yield Wrong(told.moment, f"counted {counted} and told {_states(line, told.moment)}")


def _states(line: Line, moment: float) -> dict[str, int]:
    told = (line.item(pair, moment) for pair in line.items)
    return dict(Counter(item["state"] for item in told if item))


def lagging(heard: Sequence[Line], answers: Iterable[Reading], excuse: float, waited: Waited) -> list[Wrong]:
    """What answers showed and the stream did not tell within its time: states that lasted, and trades.

    All answers and the stream come from one worker."""
    ordered = _ordered(answers)
    changes = states_of(answers)
    wrong = []
    for line in heard:
        end = line.end
        for pair, state, begun, ended in changes:
            due = begun + FOLLOWS + excuse
            due += waited(begun, due)
            if line.opened < due - FOLLOWS and due < min(ended, end):
                item = line.item(pair, due)
                if item is None or _named(item["state"]) != state:
                    wrong.append(
                        Wrong(due, f"{pair} is {state} in answers, and told is {item and item['state']}")
                    )
        wrong += _behind(line, ordered, end, excuse, waited)
    return wrong


def latest(heard: Sequence[Line], answers: Iterable[Reading]) -> float:
    """By how many seconds, at most, a new state was told after the first answer that showed it; below 0: before it."""
    changes = states_of(answers)
    return max(
        (
            _told_at(line, pair, state, begun) - begun
            for line in heard
            for pair, state, begun, ended in changes
            if line.opened < begun - FOLLOWS and begun + FOLLOWS < min(ended, line.end)
        ),
        default=0.0,
    )


def _told_at(line: Line, pair: str, state: str, begun: float) -> float:
    """When the line began to tell the state that it tells `FOLLOWS` seconds after that moment."""
    known = [each for each in line.items[pair] if each[0] <= begun + FOLLOWS]
    moments = list(takewhile(lambda each: _named(each[1]["state"]) == state, reversed(known)))
    return moments[-1][0] if moments else begun + FOLLOWS


def _has_detail(reading: Reading) -> bool:
    return PARTS[reader_part(reading)][1].endswith("detail=true") and reading.status in (200, 206, 503)


def reader_part(reading: Reading) -> int:
    """Which of the parts of the load the reader belongs to."""
    return reading.reader // 100


def _named(state: str) -> str:
    return "stale" if state in NO_PRICE else state


def _ordered(answers: Iterable[Reading]) -> list[Reading]:
    return sorted((each for each in answers if _has_detail(each)), key=lambda each: each.answered_at)


def states_of(answers: Iterable[Reading]) -> list[tuple[str, str, float, float]]:
    """Pair, state, the first answer that showed it, and the last question that was answered so, of each run."""
    ordered = _ordered(answers)
    pairs = {served.pair for reading in ordered for served in reading.served}
    running: dict[str, tuple[str, float, float]] = {}
    found = []
    for reading in ordered:
        shown = dict.fromkeys(pairs, "stale") | {each.pair: each.state or "" for each in reading.served}
        for pair, state in shown.items():
            before, begun, _ = running.get(pair, ("", 0.0, 0.0))
            if before != state:
                if before:
                    found.append((pair, *running[pair]))
                begun = reading.answered_at
            running[pair] = state, begun, reading.asked_at
    return [*found, *((pair, *run) for pair, run in running.items())]


def _behind(
    line: Line, ordered: Sequence[Reading], end: float, excuse: float, waited: Waited
) -> Iterator[Wrong]:
    first = bisect_left(ordered, line.opened, key=lambda each: each.answered_at)
    for reading in ordered[first:]:
        due = reading.answered_at + FOLLOWS + excuse
        due += waited(reading.answered_at, due)
        if due > end:
            return
        for served in reading.served:
            item = line.item(served.pair, due)
            if served.source == REST or served.trade_id is None:
                continue
            if item is None:
                yield Wrong(due, f"{served} in an answer, and nothing told")
            elif (
                item["source"] == served.source
                and item["trade_id"]
                and int(item["trade_id"]) < int(served.trade_id)
            ):
                yield Wrong(due, f"{served} in an answer, and told is {item['trade_id']}")


def ended_without_bye(heard: Sequence[Line]) -> int:
    """Connections that ended without being told so."""
    ended = [line for line in heard if line.closed is not None]
    return sum(1 for line in ended if not line.told or line.told[-1].name != "bye")
