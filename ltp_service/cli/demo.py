"""ltp demo: the simulated exchange of this package, and the service on it."""

from collections.abc import Mapping

import click

from ltp_service.cli.programs import at, become, server, simulator
from ltp_service.exchanges.registry import SOURCES
from ltp_service.settings.config import load_config


@click.command(epilog="Example: ltp demo --port 9000")
@click.option("--port", help="The TCP port of the service; PORT unless given.")
@click.pass_obj
def command(environ: Mapping[str, str], port: str | None) -> None:
    """Serve prices of a simulated exchange, without a network.

    Trades are invented, several a second, and every exchange of PRICE_SOURCES is simulated. Nothing is kept: keys and history go away at the end. Ctrl-C ends the
    exchange and the service.
    """
    environ = at({"PRICE_SOURCES": ",".join(["kraken", *SOURCES]), **environ}, None, port)
    where = load_config(environ).port
    exchange = simulator("--walk", "--run", *server())
    if where:
        click.echo(
            f"Invented prices, in a few seconds at http://localhost:{where}/ (Ctrl-C ends this)", err=True
        )
    become(exchange, environ)
