"""Where Kraken's WebSocket clients come in."""

import socket

from ltp_service.simulator import questions
from ltp_service.simulator.connection import Connection
from ltp_service.simulator.dialect import Dialect
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.wire import Request, send_reply


class Endpoint:
    """One path, one dialect."""

    def __init__(self, exchange: Exchange, dialect: Dialect) -> None:
        self._exchange = exchange
        self._dialect = dialect

    def serve(self, peer: socket.socket, request: Request, rest: bytes) -> None:
        """Raises HangUp when the connection is to be closed instead."""
        for refusal in self._exchange.faults.ask(questions.at_handshake, request):
            send_reply(peer, refusal)
            return
        connection = Connection(self._exchange, peer, self._dialect, self._exchange.new_connection_id())
        for headers in self._exchange.faults.ask(questions.handshake_headers, request):
            connection.handshake_headers.extend(headers)
        connection.serve(request.head, rest)
