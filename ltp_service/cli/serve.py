"""ltp serve: gunicorn with the project's settings."""

import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

PACKAGE = Path(__file__).resolve().parent.parent


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
    become(server(*gunicorn), at(environ, host, port))


def at(environ: Mapping[str, str], host: str | None, port: str | None) -> dict[str, str]:
    """The environment of a service that listens there; None leaves what it says."""
    given = {"HOST": host, "PORT": port}
    return {**environ, **{name: text for name, text in given.items() if text is not None}}


def become(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Replaces this process by another program. Returns never."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(arguments[0], list(arguments), dict(environ))  # noqa: S606 - a shell would stand between the signals and it


def server(*options: str) -> list[str]:
    """The command that serves: the gunicorn of this interpreter, with the settings of the checkout or of the package."""
    return [*_gunicorn(), *_application(), *options]


def _gunicorn() -> list[str]:
    # gunicorn starts its script anew at USR2. As `-m gunicorn` it would then find its own modules in place of the
    # standard library's.
    script = Path(sysconfig.get_path("scripts"), "gunicorn")
    return [sys.executable, str(script)] if script.is_file() else [sys.executable, "-m", "gunicorn"]


def _application() -> list[str]:
    checkout = PACKAGE.parent
    if (checkout / "wsgi.py").is_file() and (checkout / "gunicorn.conf.py").is_file():
        return ["--config", str(checkout / "gunicorn.conf.py"), "--pythonpath", str(checkout), "wsgi:app"]
    return ["--config", str(PACKAGE / "gunicorn.conf.py"), f"{PACKAGE.name}.wsgi:app"]
