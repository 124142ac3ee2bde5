"""Asks the service on this machine, at HOST and PORT, whether it is alive; exit code 0 if it is.

For a container's health check: `python -P ltp_service/cli/health_check.py`. It does not import the package, because
that costs half a second of processor time at each check.
"""

import os
import socket
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import yaml

ANSWER_TIMEOUT_SECONDS = 2.0

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def setting(name: str, default: str) -> str:
    """A setting as the service reads it: from the environment, else the file of ENVIRONMENT, else config.yaml."""
    environment = os.environ.get("ENVIRONMENT", "").strip().lower() or "development"
    folder = files_folder()
    files = (folder / f"config.{environment}.yaml", folder / "config.yaml")
    texts = [os.environ.get(name.upper(), ""), *(str(_read(file).get(name, "")) for file in files)]
    return next((text.strip() for text in texts if text.strip() not in _NOTHING), default)


def files_folder() -> Path:
    """The folder of the YAML files, as the settings look for it."""
    package = Path(__file__).resolve().parent.parent
    folders = (Path.cwd() / "configs", package / "configs", package.parent / "configs")
    return next((folder for folder in folders if any(folder.glob("config*.yaml"))), folders[0])


def _read(file: Path) -> dict[str, object]:
    """Empty for a file that cannot be read: a running service has refused it and kept its settings."""
    try:
        found = yaml.load(file.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def connection() -> HTTPConnection:
    """A connection to the service's address. Proxies of the environment are not used."""
    host = setting("host", "0.0.0.0")  # noqa: S104 - asked, not bound
    if host.startswith("unix:"):
        return UnixConnection(host.removeprefix("unix:"))
    address = host.removeprefix("[").removesuffix("]")
    return HTTPConnection(
        _EVERYWHERE.get(address, address), int(setting("port", "8080")), timeout=ANSWER_TIMEOUT_SECONDS
    )


def main() -> str | None:
    """What is wrong; None while the service is alive."""
    try:
        asking = connection()
        asking.request("GET", "/health")
        status = asking.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        return f"the service does not answer: {error}"
    return None if status == 200 else f"the service answers {status}"


if __name__ == "__main__":
    sys.exit(main())
