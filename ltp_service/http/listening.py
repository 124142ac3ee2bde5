"""The line that says after the start where to go."""

from collections.abc import Iterable
from typing import Any

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
