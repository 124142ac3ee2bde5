"""What a check found, in the words that the user reads; pure."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Level = Literal["ok", "warning", "broken"]

EXIT_CODES: dict[Level, int] = {"ok": 0, "warning": 1, "broken": 2}
"""The exit code of the program, by its worst finding."""


class Finding(NamedTuple):
    """One line of the report."""

    check: str
    level: Level
    """`broken` is what keeps a price or the service away. `warning` is what costs something else, or may break."""
    seen: str
    remedy: str = ""
    """What to do; empty where all is well."""


class ClockReading(NamedTuple):
    """How this machine's clock compares with an exchange's."""

    source: str
    ahead: float
    """Seconds that this machine's clock is ahead at least; negative behind; 0 where both may be the same."""
    precision: float
    """Seconds within which the comparison is exact."""


SHOWN = 5
"""Pairs that are named in one line."""

Observation = Finding | ClockReading


def ok(check: str, seen: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", seen)


def warning(check: str, seen: str, remedy: str) -> Finding:
    """Something costs, or may break."""
    return Finding(check, "warning", seen, remedy)


def broken(check: str, seen: str, remedy: str) -> Finding:
    """Something keeps a price or the service away."""
    return Finding(check, "broken", seen, remedy)


def wrong(check: str, seen: str, remedy: str, *, essential: bool) -> Finding:
    """`broken` where a price or the service needs it, else `warning`."""
    return Finding(check, "broken" if essential else "warning", seen, remedy)


def split(check: str, message: str, remedy: str, *, essential: bool = True) -> Finding:
    """What is wrong by an error whose text ends with `; remedy`. Without that end `remedy` is told."""
    seen, found, own = message.rpartition("; ")
    return wrong(check, seen if found else message, own if found else remedy, essential=essential)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of all; `ok` of none."""
    return max((each.level for each in findings), key=EXIT_CODES.__getitem__, default="ok")


def named(pairs: Sequence[object]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return ", ".join(map(str, pairs[:SHOWN])) + more
