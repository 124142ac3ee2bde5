"""HTTP as no client library would send it: bytes in, answers out."""

import re
import socket
from collections.abc import Sequence
from contextlib import suppress

from tests.deadline import DEADLINE
from tests.process.answer import Answer


def request(
    target: str = "/health", *lines: str, method: str = "GET", host: str = "Host: localhost", body: str = ""
) -> bytes:
    """One request after which the connection is to be closed; `lines` are headers, as texts or worse."""
    headers = [line for line in (host, "Connection: close", *lines) if line]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *headers, "", body]).encode("utf-8", "surrogateescape")


def talk(port: int, sent: bytes) -> bytes:
    """All that comes back until the other side closes. Raises TimeoutError when it never does."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        received: list[bytes] = []
        # A server that refuses early resets the connection while we still send, or before we have read.
        with suppress(ConnectionError):
            connection.sendall(sent)
        with suppress(ConnectionError):
            received += iter(lambda: connection.recv(65536), b"")
        return b"".join(received)


def answers(received: bytes) -> list[Answer]:
    """The answers, one after the other. One without a status line (HTTP/0.9) has status 0 and is all body."""
    if received and not received.startswith(b"HTTP/"):
        return [Answer(0, {}, received)]
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100 "):  # only asks for the body
            received = rest
            continue
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", len(rest)))
        found.append(Answer(int(first.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return found


def pipeline(port: int, requests: Sequence[bytes]) -> list[int]:
    """The statuses of requests that are sent at once on one connection; each must leave it open."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.sendall(b"".join(requests))
        while received.count(b"HTTP/1.1 ") < len(requests):
            piece = connection.recv(1 << 20)
            if not piece:
                raise ConnectionError(
                    f"closed after {received.count(b'HTTP/1.1 ')} of {len(requests)} answers"
                )
            received += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]
