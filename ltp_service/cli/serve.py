"""ltp serve: gunicorn with the project's settings."""

from collections.abc import Mapping, Sequence

import click

from ltp_service.cli.programs import at, become, server


@click.command(epilog="Example: ltp serve --port 9000")
@click.option("--host", help="The address to bind, or unix:/path; HOST unless given.")
@click.option("--port", help="The TCP port; PORT unless given.")
@click.argument("gunicorn", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(environ: Mapping[str, str], host: str | None, port: str | None, gunicorn: Sequence[str]) -> None:
    """Serve prices over HTTP.

    This process becomes gunicorn, so signals reach it: TERM ends it when all requests are answered, HUP reads the
    settings again, and Ctrl-C ends it at once. `ltp config` shows the settings. What follows -- goes to gunicorn.
    """
    if gunicorn and not gunicorn[0].startswith("-"):
        raise click.UsageError(
            f"Got unexpected extra argument ({gunicorn[0]}). Options of gunicorn follow --."
        )
    become(server(*gunicorn), at(environ, host, port))
