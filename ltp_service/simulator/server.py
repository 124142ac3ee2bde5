"""One loopback port for everything: WebSocket dialects by path, REST and the control door."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping

from ltp_service.simulator.wire import HangUp, Reply, Request, RequestReader, json_reply, send_reply

BACKLOG = 512


Serve = Callable[[socket.socket, Request, bytes], None]
"""Serves a WebSocket client to its end; the bytes are what came after the handshake. Raises HangUp to close without an
answer."""


class Server:
    """A thread per connection; `sockets` maps a path to who serves its WebSocket clients, `routes` a path's beginning
    to who answers."""

    def __init__(
        self,
        sockets: Mapping[str, Serve],
        routes: Mapping[str, Callable[[Request], Reply]],
        host: str,
        port: int,
    ) -> None:
        """Binds and listens; raises OSError when it cannot."""
        self._sockets = sockets
        self._routes = routes
        self._listener = socket.create_server((host, port), backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(peer,), name="client", daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError, HangUp):
            reader = RequestReader(peer)
            while request := reader.read():
                if request.wants_websocket:
                    self._serve_websocket(peer, request, reader.rest())
                    return
                send_reply(peer, self._answer(request), with_body=request.method != "HEAD")
                if request.headers.get("connection", "").lower() == "close":
                    return

    def _answer(self, request: Request) -> Reply:
        for prefix, answer in self._routes.items():
            if request.path.startswith(prefix):
                return answer(request)
        return json_reply({"error": f"nothing at {request.path}"}, 404)

    def _serve_websocket(self, peer: socket.socket, request: Request, rest: bytes) -> None:
        serve = self._sockets.get(request.path)
        if serve is None:
            send_reply(peer, json_reply({"error": f"no WebSocket at {request.path}"}, 404))
            return
        serve(peer, request, rest)
