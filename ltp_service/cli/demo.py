"""ltp demo: the simulated exchange of this package, and the service on it."""

from collections.abc import Mapping

import click

from ltp_service.cli.checks.machine import remedy_of, try_to_bind
from ltp_service.cli.programs import at, become, server, simulator
from ltp_service.exchanges.registry import SOURCES
from ltp_service.http.listening import EVERYWHERE
from ltp_service.settings.config import Config, load_config

LOOPBACK = "127.0.0.1"
"""Where it listens unless HOST names another address, so that invented prices are not taken for real ones elsewhere."""


@click.command(epilog="Example: ltp demo --port 9000")
@click.option("--port", help="The TCP port of the service; PORT unless given.")
@click.pass_obj
def command(environ: Mapping[str, str], port: str | None) -> None:
    """Serve prices of a simulated exchange, without a network.

    Several trades a second are invented on every exchange of PRICE_SOURCES, with Kraken's bid and ask. Only this machine
    reaches the service, unless HOST says otherwise. Nothing is kept: keys and history are deleted at the end. Ctrl-C
    ends the exchange and the service.
    """
    everything = {
        "PRICE_SOURCES": ",".join(["kraken", *SOURCES]),
        "COLLECTORS": "bybit_trades,binance_trades,kraken_books",
    }
    environ = at({**everything, **environ}, None, port)
    config = load_config(environ)
    if "host" not in config.model_fields_set:
        environ = at(environ, LOOPBACK, None)
        config = load_config(environ)
    exchange = simulator("--walk", "--hold-signals", "--run", *server())
    if not config.host.startswith("unix:"):
        _look_at_the_port(config)
    become(exchange, environ)


def _look_at_the_port(config: Config) -> None:
    """Says where the prices will be. Raises ClickException where another program is there."""
    try:
        try_to_bind(config)
    except OSError as error:
        raise click.ClickException(
            f"{config.host}:{config.port} cannot be used ({error.strerror}); {remedy_of(error)}"
        ) from error
    if config.port:
        host = "localhost" if config.host.strip("[]") in EVERYWHERE else config.host
        place = f"http://{host}:{config.port}/"
        click.echo(f"Prices of a simulated exchange, in a few seconds at {place} (Ctrl-C ends it)", err=True)
