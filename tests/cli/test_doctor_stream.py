"""ltp doctor on a running service: a stream that is held back on its way is named, as is all else that keeps it away."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltp_service.cli.checks import stream
from ltp_service.cli.checks.finding import Finding
from ltp_service.client.testing import FakeService
from ltp_service.runtime.clock import SystemClock
from tests.cli.doctor_page import names
from tests.cli.hostile import hostile, saying_nothing
from tests.process.nginx import own_folder, running_nginx
from tests.programs import require_program
from tests.websocket_peer import read_request

PAIR = "BTC/USD"

PROXY = """
pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; proxy_buffering {buffering}; }} }}
}}
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELLO_SECONDS", 2.0)


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        running.set_price(PAIR, "115643.10")
        running.answer("/health", {"status": "healthy"})
        yield running


def seen(url: str, key: str | None = None) -> list[Finding]:
    return list(stream.look(url, key, SystemClock()))


def behind_nginx(service: FakeService, buffering: str) -> list[Finding]:
    def configured(folder: Path, port: int) -> str:
        return PROXY.format(folder=folder, port=port, url=service.url, buffering=buffering)

    with own_folder() as folder, running_nginx(require_program("nginx"), folder, configured) as nginx:
        return seen(f"http://127.0.0.1:{nginx.port}/")


def test_a_stream_that_nginx_passes_on_at_once_is_ok(service: FakeService) -> None:
    assert [each.level for each in behind_nginx(service, "off")] == ["ok", "ok"]


def test_a_stream_that_nginx_buffers(service: FakeService) -> None:
    names("a proxy holds streams back", behind_nginx(service, "on"))


def test_a_stream_of_which_only_the_head_comes_through() -> None:
    def hold_back(client: socket.socket) -> None:
        if b"/health" in read_request(client):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        saying_nothing(client)

    with hostile(hold_back) as server:
        found = seen(f"http://127.0.0.1:{server.getsockname()[1]}")
    names("a proxy passes on the head of a stream alone", found)


def test_a_key_that_is_missing(service: FakeService) -> None:
    service.answer(stream.STREAM, {"code": "API_KEY_MISSING"}, status=401)
    names("the stream wants a key", seen(service.url))


def test_a_key_goes_with_the_question_for_the_stream(service: FakeService) -> None:
    seen(service.url, key="secret")
    assert [headers.get("x-api-key") for _, headers in service.requests] == [None, "secret"]


def test_a_service_that_is_not_there() -> None:
    found = seen("http://127.0.0.1:9")
    names("the service at --url is not there", found)
    assert len(found) == 1  # its streams need no line of their own


def test_a_service_without_streams(service: FakeService) -> None:
    service.answer(stream.STREAM, {"code": "NOT_SUPPORTED"}, status=501)
    names("the service has no streams", seen(service.url))


def test_another_site_at_the_url(service: FakeService) -> None:
    service.answer(stream.STREAM, {"hello": "world"})
    names("another site is at --url", seen(service.url))


def test_a_proxy_that_does_not_reach_the_service(service: FakeService) -> None:
    service.answer("/health", {}, status=502)
    names("the proxy does not reach the service", seen(service.url))
