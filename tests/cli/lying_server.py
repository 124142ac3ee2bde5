"""A lying service and its exchange at a port of this machine."""

import json
import time
from threading import Event, Lock, Thread
from typing import Self

from ltp_service.client.testing_server import FakeServer, Request
from tests.cli.lying_service import LyingService, Truth

STEP = 0.05
"""Seconds between two looks at what the stream has to say."""


class LyingServer:
    """Serves the stream, the answers, and the exchange's REST under /0/public."""

    def __init__(self, lie: Truth, refuses: str = "") -> None:
        """`refuses`: the path that is answered with 503."""
        noon = time.time() - time.monotonic()  # the heads of its answers have this machine's time
        self._service = LyingService(time.monotonic, lie, lies_from=0.0, noon=noon)
        self._lock, self._over, self._refuses = Lock(), Event(), refuses
        self._server = FakeServer(self._serve)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.rest_url = f"{self.url}/0/public"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": STEP})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def crowd(self, pair: str, count: int) -> None:
        """So many trades of one moment."""
        with self._lock:
            self._service.crowd(pair, count)

    def _serve(self, request: Request) -> None:
        path, query = request.question()
        if self._refuses and path.startswith(self._refuses):
            request.problem(503, "SERVICE_UNAVAILABLE", "so the test wants it")
        elif path == "/api/v1/stream":
            self._stream(request)
        elif path == "/api/v1/ltp":
            with self._lock:
                answer = self._service.answer(
                    detail="detail" in query, etag=request.headers.get("If-None-Match", "")
                )
            request.answer(answer.status, answer.body, answer.headers)
        else:
            request.answer(200, self._page(query), {"CF-Cache-Status": "MISS"})

    def _stream(self, request: Request) -> None:
        request.begin_stream()
        with self._lock:
            content = self._service.hello()
        while not self._over.is_set():
            try:
                request.connection.sendall(content)
            except OSError:
                return  # the client is gone
            self._over.wait(STEP)
            with self._lock:
                self._service.go_on()
                content = self._service.stream()

    def _page(self, query: dict[str, str]) -> str:
        key = query["pair"]
        pair = "BTC/USD" if key == "XBTUSD" else "ETH/USD"
        since = int(query["since"]) / 1e9 if "since" in query else None
        with self._lock:
            trades = self._service.page(pair, since)
        rows = [
            [f"{each.price:f}", f"{each.quantity:f}", each.timestamp, "b", "m", "", int(each.trade_id)]
            for each in trades
        ]
        return json.dumps({"error": [], "result": {key: rows, "last": "0"}})
