"""How far one last trade travels: from a frame on the socket to the bytes of an HTTP answer."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import pytest

from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.dialing import Dialer
from tests.exchanges.kraken_frames import ack, trade
from tests.fakes import BTC
from tests.service import FreshService
from tests.websocket_peer import frame

MOST_FILES = 15
"""Of one trade from `receive` to the store and of one GET after it, together."""

MOST_CALLS = 45
"""Python calls of the same."""

PACKAGE = str(Path(__file__).resolve().parent.parent / "ltp_service")


class _Dialed(Dialer):
    """One end of a pair of sockets, as if it had been dialed."""

    def __init__(self, opened: socket.socket) -> None:
        super().__init__("ws://127.0.0.1:9/v2", timeout=1.0)
        self._opened = opened

    def dial(self, stop: Event) -> tuple[socket.socket, bytes]:
        return self._opened, b""


def read(kraken: Any, connection: WebSocketConnection) -> None:
    kraken._digest(connection.receive(1000), kraken._clock.monotonic())  # noqa: SLF001 - one turn of the loop


@contextmanager
def profiled() -> Iterator[list[tuple[str, str]]]:
    """File and function of each call inside the package."""
    calls: list[tuple[str, str]] = []

    def note(called: FrameType, event: str, _: Any) -> None:
        code = called.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            calls.append((code.co_filename.removeprefix(PACKAGE)[1:], code.co_qualname))

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("path", ["/api/v1/ltp", "/api/v1/ltp?pair=BTC/USD"])
def test_a_price_passes_few_files_and_few_calls(tmp_path: Path, path: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        service = FreshService(tmp_path, supported_pairs=[BTC])
        kraken = service.services.prices.kraken
        assert kraken is not None
        connection = WebSocketConnection(_Dialed(ours), Event(), poll_interval=1.0)
        kraken._connect = lambda _: connection  # noqa: SLF001 - the one seam
        kraken._open(Event())  # noqa: SLF001
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path.partition("?")[0],
            "QUERY_STRING": path.partition("?")[2],
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
        }
        for text in (ack("ticker"), ack("trade"), trade("100", 1, 0.0)):
            theirs.sendall(frame(text.encode()))
            read(kraken, connection)
        b"".join(service.app.wsgi_app(dict(environ), lambda *_: print))

        theirs.sendall(frame(trade("101", 2, 0.1).encode()))
        with profiled() as calls:
            read(kraken, connection)
            content = b"".join(service.app.wsgi_app(dict(environ), lambda *_: print))

    assert b'"amount":101' in content
    files = {file for file, _ in calls}
    told = "\n".join(f"{file} {function}" for file, function in calls)
    assert len(files) <= MOST_FILES, f"{len(files)} files\n{told}"
    assert len(calls) <= MOST_CALLS, f"{len(calls)} calls\n{told}"
