"""ltp config: the settings in force, and where each comes from."""

from collections.abc import Mapping

import click
from msgspec import json

from ltp_service.cli.terminal import table
from ltp_service.settings.config import unknown_names
from ltp_service.settings.effective import settings_in_force


@click.command(epilog="Example: CACHE_TTL=45s ltp config --json")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: for each name its value and its origin."
)
@click.pass_obj
def command(environ: Mapping[str, str], as_json: bool) -> None:
    """Show every setting, and where it comes from.

    The origin is `environment`, `secret file`, the name of a file in configs/, or `default`. Secrets are masked. Standard
    error warns of each variable that looks like a setting and is none. When a setting is refused, it says why, and the
    exit code is 1.
    """
    settings = settings_in_force(environ)
    for warning in unknown_names(environ):
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        told = {each.name: {"value": each.value, "origin": each.origin} for each in settings}
        click.echo(json.format(json.encode(told), indent=2))
    else:
        table(("SETTING", "VALUE", "FROM"), settings)
