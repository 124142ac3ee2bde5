"""The programs that commands start: gunicorn, and the simulated exchange. A command becomes one of them."""

import os
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import click

from ltp_service.cli import server_start
from ltp_service.cli.server_start import ENDING

PACKAGE = Path(__file__).resolve().parent.parent


def at(environ: Mapping[str, str], host: str | None, port: str | None) -> dict[str, str]:
    """The environment of a service that listens there; None leaves what it says."""
    given = {"HOST": host, "PORT": port}
    return {**environ, **{name: text for name, text in given.items() if text is not None}}


def become(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Replaces this process by another program. Returns never. Raises FileNotFoundError where the working directory is gone."""
    Path.cwd()  # both programs need it
    sys.stdout.flush()
    sys.stderr.flush()
    # While Python starts and loads the other program, Ctrl-C would end it with a traceback. Both programs take what was
    # held back as soon as they can.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        os.execve(arguments[0], list(arguments), dict(environ))  # noqa: S606 - a shell would stand between the signals and it
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def server(*options: str) -> list[str]:
    """The command that serves: the gunicorn of this interpreter, with the settings of the checkout or of the package.

    It begins with the ENDING signals blocked.
    """
    return [sys.executable, "-P", server_start.__file__, *_gunicorn(), *_application(), *options]


def _gunicorn() -> list[str]:
    # gunicorn starts its script anew at USR2. As `-m gunicorn` it would then find its own modules in place of the
    # standard library's.
    script = Path(sysconfig.get_path("scripts"), "gunicorn")
    return [str(script)] if script.is_file() else ["-m", "gunicorn"]


def _application() -> list[str]:
    checkout = PACKAGE.parent
    if (checkout / "wsgi.py").is_file() and (checkout / "gunicorn.conf.py").is_file():
        return ["--config", str(checkout / "gunicorn.conf.py"), "--pythonpath", str(checkout), "wsgi:app"]
    return ["--config", str(PACKAGE / "gunicorn.conf.py"), f"{PACKAGE.name}.wsgi:app"]


def simulator(*options: str) -> list[str]:
    """The command of the simulated exchange. It begins with the ENDING signals blocked. Raises ClickException where its
    library is not installed."""
    if find_spec("websockets") is None:
        raise click.ClickException(
            "the simulated exchange needs the package websockets, which is the extra `demo`: pip install websockets"
        )
    return [sys.executable, "-m", f"{PACKAGE.name}.simulator", *options]
