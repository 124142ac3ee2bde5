"""What the service takes of this machine: the port, and open files."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from ltp_service.cli.checks.finding import Finding, broken, ok, warning
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.cli.health_check import UnixConnection
from ltp_service.runtime.open_files import REMEDY, files_granted, files_needed
from ltp_service.settings.config import Config

ANSWER_SECONDS = 2.0
"""Seconds for an answer of the program that listens at our port."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound

_BINDING = {
    errno.EACCES: "ports below 1024 are root's: set PORT to a higher one, or let nginx listen there",
    errno.EADDRINUSE: "end the program that listens there, or set another PORT",
    errno.EADDRNOTAVAIL: "HOST must be an address of this machine; 0.0.0.0 means all",
}


def port(world: Surroundings) -> Iterator[Finding]:
    """Whether the service can listen, and who answers where it cannot."""
    config = world.config
    if config.host.startswith("unix:"):
        yield _unix_socket(Path(config.host.removeprefix("unix:")))
        return
    place = f"{config.host}:{config.port}"
    try:
        try_to_bind(config)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            yield _judge_listener(place, _listener(config))
            return
        yield broken("port", f"{place} cannot be used ({error.strerror})", remedy_of(error))
    else:
        yield ok("port", f"{place} is free")


def try_to_bind(config: Config) -> None:
    """Takes the port as the service would, and gives it back. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        config.host.strip("[]"), config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
        trial.bind(address)


def remedy_of(error: OSError) -> str:
    """What to do where `try_to_bind` has failed."""
    return _BINDING.get(error.errno or 0, "is HOST a name or an address of this machine?")


def _unix_socket(path: Path) -> Finding:
    place = f"unix:{path}"
    if not path.parent.is_dir():
        return broken("port", f"{path.parent} is not there", "make that folder, or set another HOST")
    if not os.access(path.parent, os.W_OK):
        return broken("port", f"{path.parent} cannot be written", "let this user write that folder")
    if not path.exists():
        return ok("port", f"{place} is free")
    told = _ask(UnixConnection(str(path)))
    if told is None:
        return ok("port", f"{place} is free, and left over from an earlier run")
    return _judge_listener(place, told)


def _listener(config: Config) -> str | None:
    host = config.host.strip("[]")
    return _ask(HTTPConnection(_ANY.get(host, host), config.port, timeout=ANSWER_SECONDS))


def _ask(connection: HTTPConnection) -> str | None:
    """Who answers, in a few words; empty for one that does not speak HTTP, None where nothing takes a connection."""
    try:
        connection.connect()
    except OSError:
        connection.close()
        return None
    try:
        connection.request("GET", "/", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return _name_of(answer.read(65_536)) or answer.getheader("Server", "")
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()


def _name_of(body: bytes) -> str:
    """The service's own name and version; empty for another program."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        return ""
    is_ours = isinstance(told, dict) and told.get("name") == "ltp_service"
    return f"ltp_service {told.get('version')}" if is_ours else ""


def _judge_listener(place: str, told: str | None) -> Finding:
    if told is not None and told.startswith("ltp_service"):
        return ok("port", f"this service answers at {place} ({told})")
    who = f"another program ({told})" if told else "another program"
    return broken("port", f"{who} listens at {place}", "end it, or set PORT or HOST")


def open_files(world: Surroundings) -> Iterator[Finding]:
    """Whether a worker may have as many streams open as STREAM_MAX says."""
    config = world.config
    if config.worker_class != "gevent":
        yield ok("open files", "WORKER_CLASS=gthread serves no streams")
        return
    needed = files_needed(config.stream_max)
    yield judge_files(files_granted(needed), needed, config.stream_max)


def judge_files(granted: int, needed: int, stream_max: int) -> Finding:
    """Whether a worker may open as many files as STREAM_MAX needs."""
    if granted < needed:
        seen = f"a worker may open {granted} files, and STREAM_MAX={stream_max} needs {needed}"
        return warning("open files", seen, REMEDY)
    return ok("open files", f"a worker may open the {needed} files that STREAM_MAX={stream_max} needs")
