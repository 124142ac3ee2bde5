"""One loopback port for everything: WebSocket dialects by path, REST and the control door."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping

from tests.simulator import faults
from tests.simulator.connection import Connection
from tests.simulator.dialect import Dialect
from tests.simulator.exchange import Exchange
from tests.simulator.faults import HangUp
from tests.simulator.wire import Reply, Request, RequestReader, json_reply, send_reply

BACKLOG = 512


class Server:
    """A thread per connection; `routes` maps a path's beginning to who answers."""

    def __init__(
        self,
        exchange: Exchange,
        dialects: Mapping[str, Dialect],
        routes: Mapping[str, Callable[[Request], Reply]],
        host: str,
        port: int,
    ) -> None:
        """Binds and listens; raises OSError when it cannot."""
        self._exchange = exchange
        self._dialects = dialects
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
        dialect = self._dialects.get(request.path)
        if dialect is None:
            send_reply(peer, json_reply({"error": f"no WebSocket at {request.path}"}, 404))
            return
        for refusal in self._exchange.faults.ask(faults.at_handshake, request):
            send_reply(peer, refusal)
            return
        connection = Connection(self._exchange, peer, dialect, self._exchange.new_connection_id())
        connection.serve(request.head, rest)
