"""ltp export: recorded trades of any length, with the gaps between them, in a file."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click

from ltp_service.assembly.history import open_history
from ltp_service.cli.terminal import PAIR, track
from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.history.answers import Gap, Window
from ltp_service.history.export import COLUMNS, PAGE, Form, every_row, lines
from ltp_service.history.questions import ask_trades
from ltp_service.history.rows import Coverage, RecordedTrade
from ltp_service.runtime.moments import read_moment
from ltp_service.settings.config import Config, load_config

Row = RecordedTrade | Gap

EVERY_ROWS = 500
"""Rows between two looks of the progress bar."""

_MOMENT, _DIGITS = "TIMESTAMPTZ", "DECIMAL(38, 18)"
_TYPES = {
    "trade_id": "BIGINT",
    "after_trade_id": "BIGINT",
    "before_trade_id": "BIGINT",
    "traded_at": _MOMENT,
    "from": _MOMENT,
    "to": _MOMENT,
    "price": _DIGITS,
    "quantity": _DIGITS,
}
"""The types of the columns in Parquet; all other columns are texts."""

_HELD = re.compile(r"[0-9]{1,20}(\.[0-9]{1,18})?")
"""Numbers that DECIMAL(38, 18) holds. The database would round any other."""


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else read_moment("it", text.strip())
    except InvalidParameter as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog="Example: ltp export --pair BTC/USD --from 2026-11-21T00:00:00Z --output trades.csv")
@click.option("--pair", required=True, type=PAIR, help="The pair.")
@click.option(
    "--from",
    "start",
    callback=_moment,
    metavar="TIME",
    help="The first moment; that of the first trade unless given.",
)
@click.option(
    "--to",
    "end",
    callback=_moment,
    metavar="TIME",
    help="The moment after the last one; the end of the record unless given.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    default="csv",
    show_default=True,
    help="The format of the file.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to write; standard output unless given.",
)
@click.pass_obj
def command(
    environ: Mapping[str, str],
    pair: Pair,
    start: int | None,
    end: int | None,
    form: Literal["csv", "jsonl", "parquet"],
    output: Path | None,
) -> None:
    """Write recorded trades, with every digit, and a row where trades are missing.

    Reads the history at HISTORY_URL directly, so no service needs to run, and a running one is not slowed down. A TIME is
    RFC 3339 with a zone, or unix seconds. FILE appears when it is complete, and must not exist yet.
    """
    if form == "parquet" and output is None:
        raise click.UsageError("--format parquet needs --output FILE")
    if start is not None and end is not None and start >= end:
        raise click.UsageError("--from must be before --to")
    if output is not None and output.exists():
        raise click.ClickException(f"{output} exists; remove it, or name another one")
    with track(f"exporting {pair}", 1.0) as show:
        rows = _begun(_rows(load_config(environ), pair, start, end, show))
        if output is None:
            for line in lines(pair, rows, "csv" if form == "csv" else "jsonl"):
                sys.stdout.write(line)
        else:
            _write_file(output, pair, rows, form)


def _begun(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows, after the first one was read, so that no file is begun without a row. Raises what `rows` raises."""
    first = next(rows, None)
    return rows if first is None else chain([first], rows)


def _rows(
    config: Config, pair: Pair, start: int | None, end: int | None, show: Callable[[float], None]
) -> Iterator[Row]:
    """All rows of the window. Raises ClickException where nothing is recorded, and StoreUnavailable."""
    if not config.history_url.get_secret_value():
        raise click.ClickException("HISTORY_URL is empty, so nothing is recorded")
    store, _ = open_history(config.history_url)
    with closing(store):
        known = store.coverage(pair)
        if not known.runs:
            raise click.ClickException(
                f"no trade of {pair} is recorded in {config.history_url} (HISTORY_URL)"
            )
        window = _window(known, start, end)
        rows = every_row(lambda asked: ask_trades(store, pair, asked, PAGE), window)
        yield from _shown(rows, _first(known, start), window.end, show)


def _window(known: Coverage, start: int | None, end: int | None) -> Window:
    """What is missing at the end is told up to the end that was asked for. Else the record's own end counts, and no clock: a wrong
    one would leave out trades, or tell of a gap where none is."""
    if end is not None:
        return Window(start, None, end, end)
    last = max(known.evidence_until or 0, *(run.last_traded_at for run in known.runs))
    return Window(start, None, last + 1, max(start or 0, known.runs[-1].last_traded_at))


def _first(known: Coverage, start: int | None) -> int:
    """The moment at which the rows begin."""
    return max(start or 0, known.kept_from or 0, known.runs[0].first_traded_at)


def _shown(rows: Iterable[Row], begin: int, end: int, show: Callable[[float], None]) -> Iterator[Row]:
    """Passes on the rows, and shows how much of the time range they have covered."""
    for number, row in enumerate(rows):
        if number % EVERY_ROWS == 0 and isinstance(row, RecordedTrade):
            show((row.traded_at - begin) / max(1, end - begin))
        yield row


def _write_file(output: Path, pair: Pair, rows: Iterable[Row], form: Form | Literal["parquet"]) -> None:
    """Writes the whole file or none, because it gets its name only when it is complete."""
    try:
        with TemporaryDirectory(prefix=".ltp-export-", dir=output.parent) as folder:
            part = Path(folder, "part")
            if form == "parquet":
                _write_parquet(part, Path(folder, "rows"), pair, rows)
            else:
                with part.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(lines(pair, rows, form))
            part.rename(output)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror or error}") from error


def _write_parquet(part: Path, between: Path, pair: Pair, rows: Iterable[Row]) -> None:
    """Writes a CSV first, so that no more than a page is in memory. Raises ClickException for digits that do not fit."""
    try:
        import duckdb  # noqa: PLC0415 - an extra, needed for this alone
    except ImportError as error:
        raise click.ClickException(
            "--format parquet needs the package duckdb, which is the extra `parquet`: pip install duckdb"
        ) from error
    with between.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines(pair, map(_that_fits, rows), "csv"))
    columns = {name: _TYPES.get(name, "VARCHAR") for name in COLUMNS}
    with duckdb.connect() as database:
        database.read_csv(str(between), header=True, columns=columns).write_parquet(str(part))


def _that_fits(row: Row) -> Row:
    if isinstance(row, RecordedTrade):
        for digits in (row.price, row.quantity):
            if not _HELD.fullmatch(f"{digits:f}"):
                raise click.ClickException(
                    f"trade {row.trade_id} has {digits:f}, more digits than Parquet's decimals hold; use another format"
                )
    return row
