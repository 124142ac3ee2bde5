"""The HTTP under FakeService: requests come in, answers in the service's form go out."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeServer(ThreadingHTTPServer):
    """On a free port of this machine, with a thread for each request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, serve: "Callable[[Request], None]") -> None:
        class Asked(Request):
            def do_GET(self) -> None:
                serve(self)

        super().__init__(("127.0.0.1", 0), Asked)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no news."""


class Request(BaseHTTPRequestHandler):
    """One request, and the ways in which it is answered."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it overrides
        """A test has its own words."""

    def question(self) -> tuple[str, dict[str, str]]:
        """The path, and the query by name; values of one name joined by commas."""
        parts = urlsplit(self.path)
        return parts.path, {name: ",".join(values) for name, values in parse_qs(parts.query).items()}

    def answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        """Answers with a body of JSON, and ends the connection."""
        self.send_response(status)
        content = body.encode()
        named = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
        for name, value in (named | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def problem(
        self, status: int, code: str, message: str, retry_after: float | None = None, errors: object = None
    ) -> None:
        """Answers with an error as the service writes it. `retry_after` in seconds."""
        content: dict[str, object] = {"error": code, "message": message, "code": code, "request_id": "fake"}
        if errors:
            content["errors"] = errors
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        self.answer(status, json.dumps(content), headers)

    def begin_stream(self) -> None:
        """Sends the headers of a stream; its events follow."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
