"""What a user of the Python client was told, held against the truth, the answers beside it, and the line that it came on."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from tests.drill.heard import Line, lines
from tests.drill.listener import CLOSED, Told
from tests.drill.record import Record, Tape, judge
from tests.drill.truth import Waited, Wrong

SILENCE, DEAD = 9.0, 11.0
"""Seconds without an event before which a line is not dead, and after which its reader must have said so."""

UNREADABLE = ("cannot be read", "begin with hello", "no HTTP answer", "not a stream")
"""Reasons for an end that no fault of the drill is the cause of."""


def followed(told: Sequence[Told], arrivals: Sequence[float]) -> list[Line]:
    """Its connections as those of a listener. Each ends with the last event that arrived, for the client cannot know more,
    and does not end before, for it must not keep back what it knows.

    `arrivals`: monotonic moments of events on its line."""
    return [replace(line, closed=_last(arrivals, line)) for line in lines(told)]


def _last(arrivals: Sequence[float], line: Line) -> float:
    place = bisect_right(arrivals, float("inf") if line.closed is None else line.closed)
    return max(line.opened, arrivals[place - 1]) if place else line.opened


def silences(
    arrivals: Sequence[float], stopped: float, excuse: float, waited: Waited
) -> Iterator[tuple[float, float]]:
    """From the last event before each to the moment by which the line has to be called dead."""
    for before, after in pairwise([*arrivals, stopped]):
        due = before + DEAD + excuse + waited(before, before + DEAD)
        if after > due:
            yield before, due


def deaths(
    told: Sequence[Told], arrivals: Sequence[float], stopped: float, excuse: float, waited: Waited
) -> list[float]:
    """Seconds of each silence until the client called the line dead; inf where it did not in time."""
    return [_death(told, before, due) for before, due in silences(arrivals, stopped, excuse, waited)]


def _death(told: Sequence[Told], before: float, due: float) -> float:
    known = [each for each in told if each.moment <= due]
    if not known or known[-1].name != CLOSED:
        return float("inf")
    end = len(known) - 1
    while end and known[end - 1].name == CLOSED:  # of several reasons the first counts
        end -= 1
    return max(0.0, known[end].moment - before)


def misled(
    told: Sequence[Told], arrivals: Sequence[float], stopped: float, excuse: float, waited: Waited
) -> list[Wrong]:
    """A line that was dead and not called so, one that was called dead and was not, and what could not be read."""
    dead = deaths(told, arrivals, stopped, excuse, waited)
    due = [due for _, due in silences(arrivals, stopped, excuse, waited)]
    wrong = [
        Wrong(moment, f"nothing came for {DEAD:g} s, and the line is not called dead")
        for moment, seconds in zip(due, dead, strict=True)
        if seconds == float("inf")
    ]
    for each in told:
        reason = each.data.get("reason", "") if each.name == CLOSED else ""
        place = bisect_right(arrivals, each.moment)
        last = arrivals[place - 1] if place else float("-inf")
        if "no event for" in reason and each.moment - last < SILENCE - waited(last, each.moment):
            wrong.append(Wrong(each.moment, f"called dead {each.moment - last:.1f} s after an event"))
        if any(words in reason for words in UNREADABLE):
            wrong.append(Wrong(each.moment, reason))
    return wrong


def too_old(told: Iterable[Told], max_age: float) -> list[Wrong]:
    """Prices that the user has forbidden."""
    return [
        Wrong(each.moment, f"{each.data['pair']} is {each.data['age_ms']} ms old, allowed are {max_age:g} s")
        for each in told
        if each.name == "price" and each.data["age_ms"] and int(each.data["age_ms"]) > 1000 * max_age + 1
    ]


def recorded(told: Sequence[Told], tapes: Mapping[str, Tape]) -> Record:
    """Its trades up to the last one of each pair: what comes after it may be on its way."""
    last = {each.data["pair"]: int(each.data["trade_id"]) for each in told if each.name == "trade"}
    known = {pair: [row for row in tapes[pair] if row[1] <= trade_id] for pair, trade_id in last.items()}
    return judge(told, known, float("inf"))
