"""What all commands share: exit codes, the address of a service, tables, progress.

rich is loaded where it draws something: it takes a tenth of a second, and most commands in a script need nothing of it.
"""

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair, read_pair

if TYPE_CHECKING:
    from rich.console import Console

STALE = 3
"""Exit code: there is a price, and its evidence is too old to trust it."""

NONE = 4
"""Exit code: there is no price."""

INTERRUPTED = 130
"""Exit code: ended by Ctrl-C. It is 128 and the number of the signal, as in a shell."""

SERVICE = "http://localhost:8080"
"""Where a service is asked unless the user names another."""


class Amount(click.FloatRange):
    """A number within bounds. `nan` is in none, and `inf` would never end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class PairName(click.ParamType[Pair]):
    """A pair in any usual spelling."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Pair:
        try:
            return value if isinstance(value, Pair) else read_pair(value)
        except InvalidParameter as error:
            self.fail(f"{error}.", param, ctx)


PAIR = PairName()


url_option = click.option(
    "--url",
    multiple=True,
    help=f"The service; several are tried in turn. LTP_URL unless given, or {SERVICE}.",
)
"""The option of every command that asks a service."""


def url_of(given: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The services to ask: those of the option, else those of LTP_URL, a comma list, else the one on this machine."""
    named = [each.strip() for each in environ.get("LTP_URL", "").split(",")]
    return list(given) or [each for each in named if each] or [SERVICE]


def key_of(environ: Mapping[str, str]) -> str | None:
    """The API key for the service, which is no option, because others can read the arguments of a process."""
    return environ.get("LTP_API_KEY") or None


def told(error: Exception) -> str:
    """What the client says, whose words are those of a Python program, in the words of the command line."""
    return str(error).replace("api_key", "LTP_API_KEY")


def output() -> "Console":
    """What draws on standard output."""
    from rich.console import Console  # noqa: PLC0415 - see above

    return Console(highlight=False)


def errors() -> "Console":
    """What draws on standard error."""
    from rich.console import Console  # noqa: PLC0415 - see above

    return Console(stderr=True, highlight=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: drawn in a terminal, else as lines whose columns are aligned, for other programs to read."""
    if not sys.stdout.isatty():
        for line in aligned([columns, *rows]):
            click.echo(line)
        return
    from rich import box  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        drawn.add_column(name, overflow="fold")  # a value that is cut off would be another one
    for row in rows:
        drawn.add_row(*map(Text, row))
    output().print(drawn)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row, with two blanks between columns and none at the end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


@contextmanager
def track(what: str, total: float | None = None) -> Generator[Callable[[float], None]]:
    """A progress bar on standard error where that is a terminal. Yields what is to be called with how much is done.

    It is wiped away at the end, also after an error. Without a total it only shows that work goes on. Lines that are
    printed meanwhile name their stream, `click.echo(line, file=sys.stderr)`: click would else take the one below the bar,
    and write into the bar.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - see above

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    # Lines of a result are put above the bar where both are in a terminal, and go into their file where that is one.
    together = sys.stdout.isatty()
    with Progress(
        *columns, TimeRemainingColumn(), console=errors(), transient=True, redirect_stdout=together
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
