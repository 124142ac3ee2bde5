"""ltp keys: API keys in the back end that the settings name, without a running service."""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

import click

from ltp_service.assembly.keys import open_keyring
from ltp_service.cli.standard_streams import OutputLost
from ltp_service.cli.terminal import table
from ltp_service.domain.errors import InvalidParameter
from ltp_service.keys.first_key import token_path, withdraw
from ltp_service.keys.key import PERMISSIONS, ApiKey, Permission, read_life
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import load_config

COLUMNS = ("PREFIX", "PERMISSION", "STATE", "CREATED", "EXPIRES", "LAST USED", "NAME")


@click.group(epilog="Example: ltp keys create --name dashboard --expires 90d")
def command() -> None:
    """Make, show and revoke API keys."""


def _life(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else read_life(text)
    except InvalidParameter as error:
        raise click.BadParameter(str(error)) from error


@command.command(epilog="Example: ltp keys create --name ops --permission admin")
@click.option("--name", required=True, help="The user or program that gets the key.")
@click.option(
    "--permission", type=click.Choice(PERMISSIONS), default="read", show_default=True, help="What it may do."
)
@click.option(
    "--expires",
    metavar="DURATION",
    callback=_life,
    help="The life of the key, such as 90d; AUTH_KEY_TTL unless given.",
)
@click.pass_obj
def create(environ: Mapping[str, str], name: str, permission: Permission, expires: float | None) -> None:
    """Make a key and print it, this once.

    Only the key is printed on standard output, so that a script can read it.
    """
    config = load_config(environ)
    ttl = config.auth_key_ttl if expires is None else expires
    with closing(open_keyring(config, Runtime())) as keyring:
        text, key = keyring.create(name, permission, ttl)
        try:
            click.echo(text)
        except OutputLost:
            keyring.revoke(key.shown)  # nothing else will ever show it
            raise
    withdraw(token_path(config.database_path))
    click.echo(
        f"{key.permission} key {key.name!r}, good until {_time(key.expires)}. This is the only time it is shown;"
        f" `keys revoke {key.shown}` ends it.",
        err=True,
    )


@command.command("list", epilog="Example: ltp keys list")
@click.pass_obj
def show(environ: Mapping[str, str]) -> None:
    """Show all keys, one a line."""
    runtime = Runtime()
    with closing(open_keyring(load_config(environ), runtime)) as keyring:
        keys = keyring.list()
    table(COLUMNS, [_row(key, runtime.clock.wall()) for key in keys])


@command.command(epilog="Example: ltp keys revoke ltp_Ab3dE6gH")
@click.argument("prefix")
@click.pass_obj
def revoke(environ: Mapping[str, str], prefix: str) -> None:
    """End the key that begins with PREFIX, as the list shows it.

    It ends at once in the back end, and within 2 s in every process that serves.
    """
    with closing(open_keyring(load_config(environ), Runtime())) as keyring:
        key = keyring.revoke(prefix)
    click.echo(f"revoked {key.shown} ({key.name})", err=True)


def _row(key: ApiKey, now: float) -> tuple[str, ...]:
    times = (_time(key.created), _time(key.expires), _time(key.last_used))
    return (key.shown, key.permission, key.state(now), *times, key.name)


def _time(at: float | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
