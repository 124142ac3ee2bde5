"""The command line `ltp`: one module per command, loaded when it is asked for.

Exit codes: 0 done, 1 refused or failed with one clear line on stderr, 2 wrong usage, 74 standard output cannot be written,
130 ended by Ctrl-C, 141 the reader of the pipe has gone. A command that has others says so in its help.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import click

from ltp_service.cli.standard_streams import UNREAD, OutputLost, guarded
from ltp_service.cli.terminal import INTERRUPTED
from ltp_service.domain.errors import LtpError
from ltp_service.version import VERSION

COMMANDS = {
    "serve": "Serve prices over HTTP.",
    "demo": "Serve prices of a simulated exchange, without a network.",
    "price": "Print the last price of each PAIR.",
    "watch": "Show prices as they change, of all pairs unless some are named.",
    "record": "Record what the exchange sends into FILE.",
    "replay": "Serve a recorded FILE as an exchange.",
    "export": "Write recorded trades, with every digit, and a row where trades are missing.",
    "verify": "Verify what the service at URL says.",
    "config": "Show every setting, and where it comes from.",
    "doctor": "Look for what is wrong, and say what to do about it.",
    "keys": "Make, show and revoke API keys.",
    "openapi": "Print the OpenAPI document of the HTTP API.",
}
"""Each command and what it does. Its module in this room has the same name, and the click object `command`."""


class LazyGroup(click.Group):
    """Loads the module of a command when that command is run, because some need the whole service and others nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker; a test loads each of them
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # it knows only those that are loaded
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`ltp COMMAND --help` has an example of each.",
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
def ltp() -> None:
    """Last traded prices, and how far to trust them."""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Runs one command and returns the exit code. Arguments and environment default to this process's."""
    logging.getLogger("ltp_service").addHandler(logging.NullHandler())  # the error is printed once, below
    environ = os.environ if environ is None else environ
    with guarded(environ) as output:
        try:
            code = _run(arguments, environ)
            sys.stdout.flush()
        except OutputLost as lost:
            output.lost = lost
        if output.lost is None:
            return code
        if output.lost.code != UNREAD:  # a reader that has gone is told nothing, as the system tells nothing
            click.echo(f"Error: {output.lost}", err=True)
        return output.lost.code


def _run(arguments: Sequence[str] | None, environ: Mapping[str, str]) -> int:
    try:
        code = ltp.main(arguments, prog_name="ltp", standalone_mode=False, obj=environ)
    except LtpError as error:
        click.echo(error, err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except FileNotFoundError:
        if not _is_folder_gone():
            raise
        click.echo("Error: the working directory was removed; change to one that is there", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _is_folder_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
