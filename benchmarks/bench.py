"""What every scenario is given, what it gives back, and how numbers are summed up and written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from benchmarks.machine import Cores


@dataclass(frozen=True)
class Bench:
    """One run."""

    cores: Cores
    scratch: Path
    """A directory for logs."""
    quick: bool

    def scaled(self, full: int, quick: int) -> int:
        """How much of something: `full`, or `quick` in a run that only shows that everything works."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Aim:
    """A promise, and whether this run kept it. A figure is judged beside a calibration of the same run: machines differ."""

    text: str
    kept: bool


def at_most(times: float, what: str, value: float, beside: str, calibration: float) -> Aim:
    """`value` is at most so many times what the same machine needed for `beside` in the same run."""
    ratio = value / calibration
    return Aim(f"{what}: {ratio:.2f} x {beside}, at most {times:g} x", ratio <= times)


def at_least(times: float, what: str, value: float, beside: str, calibration: float) -> Aim:
    """`value` is at least so many times what the same machine managed of `beside` in the same run."""
    ratio = value / calibration
    return Aim(f"{what}: {ratio:.2f} x {beside}, at least {times:g} x", ratio >= times)


@dataclass(frozen=True)
class Table:
    """What a scenario found out."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    aims: Sequence[Aim] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)


Scenario = Callable[[Bench], Table]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of them do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def milliseconds(seconds: float) -> str:
    """`0.63 ms`, three digits."""
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def markdown(table: Table) -> str:
    """The table as Markdown, aligned so that it reads as plain text too."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    written = [_line(line, widths) for line in lines]
    written.insert(
        1, "|" + "|".join("-" * (width + 1) + (":" if n else "-") for n, width in enumerate(widths)) + "|"
    )
    aims = [f"- {'kept' if aim.kept else 'MISSED'}: {aim.text}" for aim in table.aims]
    blocks = [f"## {table.title}", "\n".join(written), "\n".join(aims), "\n\n".join(table.notes)]
    return "\n\n".join(block for block in blocks if block)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if n else cell.ljust(width)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"
