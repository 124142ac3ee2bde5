"""The table of partitions: on the terminal, and between two marks in docs/fire-drill.md."""

from collections.abc import Sequence
from itertools import groupby

from tests.drill.partitions.scene import Outcome
from tests.drill.table import PAGE
from tests.marks import put_between_marks

MARK = "partitions"
COLUMNS = (
    "cut",
    "for s",
    "who fed",
    "without owner s",
    "requests",
    "failed",
    "wrong",
    "recovered s",
    "seen",
)
HEADING = f"| {' | '.join(COLUMNS)} |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |"


def line(outcome: Outcome) -> str:
    """One row."""
    fed = [name for name, _ in groupby(outcome.fed)]
    cells = (
        outcome.row.title,
        f"{outcome.lasted:.0f}",
        " → ".join(fed),
        f"{outcome.ownerless:.1f}",
        f"{outcome.requests:,}",
        f"{outcome.failed}",
        f"{outcome.wrong}",
        f"{outcome.back:.1f}",
        ("" if outcome.passed else "**FAILED** ") + "; ".join(outcome.remarks),
    )
    return f"| {' | '.join(cells)} |"


def write(outcomes: Sequence[Outcome]) -> None:
    """Puts the table into docs/fire-drill.md."""
    table = "\n".join([HEADING, *map(line, outcomes)]) + "\n"
    PAGE.write_text(put_between_marks(PAGE.read_text(encoding="utf-8"), MARK, table), encoding="utf-8")
