"""ltp openapi: the document that the service has at /openapi.json."""

import click
from msgspec import json

from ltp_service.http.openapi.document import document


@click.command(epilog="Example: ltp openapi > openapi.json")
def command() -> None:
    """Print the OpenAPI document of the HTTP API.

    It is what the service of this version answers at /openapi.json. No service needs to run.
    """
    click.echo(json.format(json.encode(document()), indent=2))
