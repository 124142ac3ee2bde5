"""ltp replay: a recorded session of Kraken, served as an exchange."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from ltp_service.cli.programs import become, simulator
from ltp_service.cli.terminal import Amount


@click.command(epilog="Example: ltp replay session.jsonl --speed 10 -- ltp serve")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed",
    type=Amount(1, 100),
    default=1,
    show_default=True,
    help="Play the session this many times faster.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="The port of the exchange; any free one unless given.",
)
@click.argument("run", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(environ: Mapping[str, str], file: Path, speed: float, port: int, run: Sequence[str]) -> None:
    """Serve a recorded FILE as an exchange.

    Each client that subscribes is played the session from its beginning, at its own pace. The addresses are printed as
    JSON. COMMAND is run with the settings that lead to this exchange, for the pairs of the recording.
    """
    recording = Recording.read(file)
    options = ["--replay", str(file), "--speed", str(speed), "--port", str(port)]
    options += ["--protocol", recording.protocol]
    click.echo(f"protocol {recording.protocol}, pairs: {','.join(recording.pairs)}", err=True)
    if run:
        options += ["--run", *run]
    become(simulator(*options), {"SUPPORTED_PAIRS": ",".join(recording.pairs), **environ})


class Recording:
    """What a file says about itself: Kraken's protocol, and the pairs whose prices are in it."""

    def __init__(self, protocol: str, pairs: Sequence[str]) -> None:
        self.protocol, self.pairs = protocol, pairs

    @classmethod
    def read(cls, file: Path) -> "Recording":
        """Raises ClickException for a file that is no recording of Kraken."""
        protocol, pairs = "v2", dict[str, None]()
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise click.ClickException(f"{file}: no recording of a session, as it is no text") from error
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror or error}") from error
        for number, line in enumerate(text.splitlines(), 1):
            try:
                record = json.loads(line) if line.strip() else {}
                message = json.loads(record["raw"]) if record.get("dir") == "in" else {}
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                raise click.ClickException(f"{file}, line {number}: no record of a session") from error
            if isinstance(message, list):
                protocol = "v1"
            pairs.update(dict.fromkeys(_pairs_of(message)))
        if not pairs:
            raise click.ClickException(f"{file}: no ticker or trade of Kraken is in it")
        return cls(protocol, list(pairs))


def _pairs_of(message: object) -> Iterator[str]:
    """The pairs of which a frame tells a price, as the exchange writes them."""
    match message:
        case [_, *_, "ticker" | "trade", str(pair)]:
            yield pair
        case {"channel": "ticker" | "trade", "data": [*rows]}:
            yield from (row["symbol"] for row in rows if isinstance(row, dict) and "symbol" in row)
