"""Where the service listens: what it says when it cannot, and where to go when it does."""

import errno
import logging
import socket
import sys
from collections.abc import Iterable
from typing import Any

log = logging.getLogger("ltp_service")

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


def where_it_listens(addresses: Iterable[Any], scheme: str = "http") -> str:
    """In a form that a person can open or copy.

    `addresses` are as `getsockname` gives them: a path, or host and port. A socket on every address of the machine is
    shown as localhost, because a browser cannot open 0.0.0.0 everywhere.
    """
    places = list(dict.fromkeys(_place(address, scheme) for address in addresses))
    pages = [place for place in places if place.startswith(scheme)]
    where = f"{pages[0]}/docs" if pages else "its path /docs"
    return f"serving at {', '.join(places)}; the API is described at {where}"


def _place(address: Any, scheme: str) -> str:
    # A name of Linux's own, which programs write with an @ in place of its zero byte.
    if isinstance(address, bytes):
        return f"unix:@{address[1:].decode(errors='backslashreplace')}"
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    if host in EVERYWHERE:
        return f"{scheme}://localhost:{port}"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def refuse_a_socket_in_use(addresses: Iterable[Any]) -> None:
    """Exits when a program listens at the unix socket: gunicorn would replace it, and the other one could not serve."""
    for address in addresses:
        if isinstance(address, str) and _is_answered(address):
            log.error(
                "unix:%s is in use: another instance listens there; end it first, or give this one another HOST",
                address,
            )
            sys.exit(1)


def tell_of_ports_in_use(addresses: Iterable[Any]) -> None:
    """Says what to do about a port that another program has. gunicorn tries it again for some seconds, because that program
    may be an instance that is ending."""
    for address in addresses:
        # The others are the path of a socket, and the number of an open file.
        if isinstance(address, tuple) and _is_taken(*address[:2]):
            log.warning(
                "%s:%d is in use by another program: end that one, or set PORT or HOST; it is tried again for 5 s",
                *address[:2],
            )


def _is_answered(path: str) -> bool:
    """Whether a program listens at that unix socket."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (BlockingIOError, TimeoutError):  # the queue of its listener is full
            return True
        except OSError:  # gunicorn will report it
            return False
        return True


def _is_taken(host: str, port: int) -> bool:
    """Whether another program has that address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((host, port))
        except OSError as error:  # gunicorn will report another one
            return error.errno == errno.EADDRINUSE
        return False
