"""ltp demo: the simulated exchange of this package, and the service on it."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec

import click

from ltp_service.cli.serve import at, become, server
from ltp_service.settings.config import load_config


@click.command(epilog="Example: ltp demo --port 9000")
@click.option("--port", help="The TCP port of the service; PORT unless given.")
@click.pass_obj
def command(environ: Mapping[str, str], port: str | None) -> None:
    """Serve prices of a simulated exchange, without a network.

    Trades are invented, several a second. Nothing is kept: keys and history go away at the end. Ctrl-C ends the
    exchange and the service.
    """
    environ = at(environ, None, port)
    where = load_config(environ).port
    if find_spec("websockets") is None:
        raise click.ClickException(
            "the simulated exchange needs the package websockets: pip install 'ltp-service[demo]'"
        )
    if where:
        click.echo(
            f"Invented prices, in a few seconds at http://localhost:{where}/ (Ctrl-C ends this)", err=True
        )
    exchange = [sys.executable, "-m", "ltp_service.simulator", "--walk", "--run"]
    become([*exchange, *server()], environ)
