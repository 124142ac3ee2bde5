"""Commands for a terminal: parse arguments, call one method, print.

Exit codes: 0 done, 1 refused or failed with one clear line on stderr, 2 wrong usage.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from ltp_service.assembly import open_keyring
from ltp_service.domain.errors import InvalidParameter, LtpError
from ltp_service.keys.first_key import token_path, withdraw
from ltp_service.keys.key import PERMISSIONS, ApiKey, read_life
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config, load_config

_ROW = "{:<13} {:<10} {:<8} {:<20} {:<20} {:<20} {}"


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Runs one command and returns the exit code. Arguments and environment default to this process's."""
    options = _parser().parse_args(arguments)
    logging.getLogger("ltp_service").addHandler(logging.NullHandler())  # the error is printed once, below
    try:
        options.command(load_config(environ), options)
    except LtpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def create(config: Config, options: argparse.Namespace) -> None:
    """Makes a key. Prints only its text on stdout, so that a script can read it."""
    ttl = config.auth_key_ttl if options.expires is None else options.expires
    with closing(open_keyring(config, Runtime())) as keyring:
        text, key = keyring.create(options.name, options.permission, ttl)
    withdraw(token_path(config.database_path))
    print(text)
    print(
        f"{key.permission} key {key.name!r}, good until {_time(key.expires)}. This is the only time it is shown;"
        f" `keys revoke {key.shown}` ends it.",
        file=sys.stderr,
    )


def show(config: Config, _: argparse.Namespace) -> None:
    """Prints one line per key."""
    runtime = Runtime()
    with closing(open_keyring(config, runtime)) as keyring:
        keys = keyring.list()
    print(_ROW.format("PREFIX", "PERMISSION", "STATE", "CREATED", "EXPIRES", "LAST USED", "NAME"))
    for key in keys:
        print(_line(key, runtime.clock.wall()))


def revoke(config: Config, options: argparse.Namespace) -> None:
    """Revokes one key: at once in the back end, within 2 s in every process that serves."""
    with closing(open_keyring(config, Runtime())) as keyring:
        key = keyring.revoke(options.prefix)
    print(f"revoked {key.shown} ({key.name})", file=sys.stderr)


def _line(key: ApiKey, now: float) -> str:
    times = (_time(key.created), _time(key.expires), _time(key.last_used))
    return _ROW.format(key.shown, key.permission, key.state(now), *times, key.name)


def _time(at: float | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _life(text: str) -> float:
    try:
        return read_life(text)
    except InvalidParameter as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ltp_service", description="Administer the service.")
    keys = parser.add_subparsers(required=True, metavar="keys").add_parser("keys", help="API keys")
    commands = keys.add_subparsers(required=True, metavar="create|list|revoke")
    making = commands.add_parser("create", help="make a key and print it, this once")
    making.add_argument("--name", required=True, help="whom it is for")
    making.add_argument("--permission", choices=PERMISSIONS, default="read", help="default: read")
    making.add_argument("--expires", type=_life, metavar="7d", help="its life; default: AUTH_KEY_TTL")
    making.set_defaults(command=create)
    commands.add_parser("list", help="show all keys").set_defaults(command=show)
    ending = commands.add_parser("revoke", help="end a key")
    ending.add_argument("prefix", metavar="PREFIX", help="as the list shows it, for example ltp_Ab3dE6gH")
    ending.set_defaults(command=revoke)
    return parser
