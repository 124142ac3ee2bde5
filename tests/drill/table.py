"""The drill's table: on the terminal, and between two marks in README.md."""

import os
import re
from collections.abc import Sequence

from tests.drill.row import Tempo
from tests.drill.run import Result
from tests.simulator.client import PROJECT

START, END = "<!-- drill -->", "<!-- /drill -->"
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
    """Puts the table into README.md."""
    table = "\n".join([heading(tempo, at_once), *map(line, results)]) + "\n"
    file = PROJECT / "README.md"
    file.write_text(put_between_marks(file.read_text(), table))


def put_between_marks(text: str, table: str) -> str:
    """The text with the table in place of what stood between the marks. Raises ValueError without them."""
    found, times = re.subn(
        f"{re.escape(START)}.*{re.escape(END)}", lambda _: f"{START}\n{table}{END}", text, flags=re.DOTALL
    )
    if not times:
        raise ValueError(f"README.md has no {START} … {END}")
    return found


def _intro(tempo: Tempo, at_once: int) -> str:
    form = "short form" if tempo.short else "full form"
    return (
        f"Made by `make drill` ({form}): one row per fault, {at_once} at a time on {os.cpu_count()} cores, one gunicorn worker, {tempo.rate:g} requests/s from 8 clients"
        f" (half of them on fresh connections, 40 % with `detail=true`), CACHE_TTL {tempo.ttl:g} s. They ask gunicorn itself, or deploy/nginx.conf before it where the row says"
        " “through nginx”. A price is wrong when"
        " it was not the last trade at any moment between the request, less the age that the answer admits to"
        " (CACHE_TTL for a plain answer) and 250 ms, and the answer; or when it is older than one that the same client"
        " saw before; or when it is called live or quiet after the fault had to be noticed."
        " Workers that lost their Redis ask REST each by itself and may be some seconds apart (the rows of a fleet allow"
        " it); the same worker never goes back."
        " Anything but 200 is failed, except for 503 and 206 when no source has worked for CACHE_TTL."
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
