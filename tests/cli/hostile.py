"""Servers that do one wrong thing to each client."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from ltp_service.feed.dialing import Address, Resolve


@contextmanager
def hostile(conversation: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """The listener of a server on loopback that holds this conversation with each client in turn, then hangs up.

    It begins with the client's first byte."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                if client.recv(1, socket.MSG_PEEK):  # else it only knocked
                    conversation(client)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def saying_nothing(client: socket.socket) -> None:
    """Reads until the client leaves."""
    while client.recv(65_536):
        pass


def at(*places: tuple[str, int]) -> Resolve:
    """A name server that knows every name: at these addresses and ports, in this order."""
    rows: list[Address] = [
        (
            socket.AF_INET6 if ":" in host else socket.AF_INET,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
            "",
            (host, port, 0, 0) if ":" in host else (host, port),
        )
        for host, port in places
    ]
    return lambda *_: rows
