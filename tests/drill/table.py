"""The drill's table: on the terminal, and between two marks in docs/fire-drill.md."""

import os
from collections.abc import Sequence

from tests.drill.row import Tempo
from tests.drill.run import Result
from tests.marks import put_between_marks
from tests.simulator.client import PROJECT

PAGE = PROJECT / "docs" / "fire-drill.md"
MARK = "drill"
COLUMNS = (
    "fault",
    "requests",
    "failed",
    "wrong prices",
    "p99 ms before / during / after",
    "recovered s",
    "RSS MiB",
    "descriptors",
    "seen",
)


def heading(tempo: Tempo, at_once: int) -> str:
    """What the table shows, and its head."""
    return "\n".join([_intro(tempo, at_once), "", _row(COLUMNS), _row(["---", *["---:"] * 7, "---"])])


def line(result: Result) -> str:
    """One row."""
    before, after = result.before, result.after
    return _row(
        [
            result.row.title,
            f"{result.requests:,}",
            f"{result.failed}" + (f" (+{result.unavailable:,} x 503/206)" if result.unavailable else ""),
            f"{result.wrong}",
            " / ".join("-" if each != each else f"{each:.1f}" for each in result.p99),  # noqa: PLR0124 - not a number
            "-" if result.row.ends else f"{result.recovery:.1f}",
            f"{before.rss:.0f} → {after.rss:.0f}",
            f"{before.descriptors} → {after.descriptors}",
            ("" if result.passed else "**FAILED** ") + "; ".join(result.remarks).replace("|", "/"),
        ]
    )


def write(results: Sequence[Result], tempo: Tempo, at_once: int) -> None:
    """Puts the table into docs/fire-drill.md."""
    table = "\n".join([heading(tempo, at_once), *map(line, results)]) + "\n"
    PAGE.write_text(put_between_marks(PAGE.read_text(encoding="utf-8"), MARK, table), encoding="utf-8")


def _intro(tempo: Tempo, at_once: int) -> str:
    form = "short form" if tempo.short else "full form"
    return (
        f"Made by `make drill` ({form}): {at_once} rows at a time on {os.cpu_count()} cores, one gunicorn worker,"
        f" {tempo.rate:g} requests/s from 8 clients, `CACHE_TTL` {tempo.ttl:g} s."
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
