"""Every answer and every fault ends within its deadline, the same in a patched and in an unpatched process."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ltp_service.domain.errors import Rejected, Unreachable
from ltp_service.rest.http_client import HttpAnswer, HttpClient
from ltp_service.runtime.clock import SystemClock
from tests.deadline import DEADLINE as PATIENCE
from tests.deadline import generous
from tests.fakes import fails, in_threads

DEADLINE = 0.25
"""Seconds for a call that ends badly."""

Script = Callable[[socket.socket], None]


class Server:
    """Runs a script for each connection; `served` counts them, `dropped` is set when a client goes away."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/"
        self.served = 0
        self.dropped = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                self.served += 1
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            with peer, self._tls.wrap_socket(peer, server_side=True) if self._tls else peer as wrapped:
                self._script(wrapped)
        except OSError:  # in the handshake, too
            self.dropped.set()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE)


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(script, tls)
    try:
        yield server
    finally:
        server.close()


def request_of(peer: socket.socket) -> bytes:
    """The next request's head; an OSError when there is none."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = peer.recv(65536)
        if not piece:
            raise ConnectionResetError("the client is gone")
        head += piece
    return head


def answering(body: bytes, *headers: str, status: str = "200 OK", heads: list[bytes] | None = None) -> Script:
    """Keeps the connection and answers each request the same; `heads` takes what was asked."""
    asked = [] if heads is None else heads
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]

    def script(peer: socket.socket) -> None:
        while True:
            asked.append(request_of(peer))
            peer.sendall("\r\n".join(lines).encode() + body)

    return script


def dripping(start: bytes, drop: bytes = b"x", every: float = 0.05) -> Script:
    """Sends the start at once and then, until the client hangs up, a little at a time."""

    def script(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(start)
        drip(peer, drop, every)

    return script


def drip(peer: socket.socket, drop: bytes, every: float) -> None:
    hung_up = threading.Event()  # never set: it only paces the drops
    while not hung_up.wait(every):
        peer.sendall(drop)


taken: list[int] = []
"""How many bytes of a flood had left before each of its pieces did."""


def flooding(head: bytes, piece: bytes = b"x" * 65536) -> Script:
    def script(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(head)
        for number in range(3200):
            taken.append(number * len(piece))
            peer.sendall(piece)

    return script


@pytest.fixture
def http() -> Generator[HttpClient]:
    client = HttpClient(SystemClock(), "ltp_service/test")
    yield client
    client.close()


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_an_answer_comes_back_whole(http: HttpClient) -> None:
    headers = (
        "Content-Type: Application/JSON; charset=utf-8",
        "Retry-After: 7",
        "Date: Mon, 21 Sep 2026 14:13:20 GMT",
    )
    with serving(answering(b'{"a":1}', *headers)) as server:
        answer = http.get(server.url, {}, PATIENCE)
    assert answer == HttpAnswer(200, "application/json", 7.0, b'{"a":1}', 1_790_000_000.0, None)


@pytest.mark.parametrize("end", [b"x" * 10, b""])
def test_an_error_keeps_its_status_and_retry_after_without_its_body(http: HttpClient, end: bytes) -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 1000\r\n\r\n"

    def script(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(head + end)
        if end:
            drip(peer, b"x", 0.05)

    with serving(script) as server:
        answer = http.get(server.url, {}, PATIENCE)
    assert answer == HttpAnswer(503, "", 7.0, b"")


def test_the_request_names_us_asks_for_no_compression_and_carries_the_parameters(http: HttpClient) -> None:
    heads: list[bytes] = []
    with serving(answering(b"", heads=heads)) as server:
        http.get(server.url + "Ticker", {"pair": "XBTUSD,ETHUSD"}, PATIENCE)
    head = heads[0].decode()
    assert head.startswith("GET /Ticker?pair=XBTUSD,ETHUSD HTTP/1.1\r\n")
    assert "\r\nUser-Agent: ltp_service/test\r\n" in head
    assert "\r\nAccept-Encoding: identity\r\n" in head


def test_calls_after_each_other_share_a_connection_and_keep_no_cookie(http: HttpClient) -> None:
    heads: list[bytes] = []
    with serving(answering(b"{}", "Set-Cookie: a=b", heads=heads)) as server:
        for _ in range(3):
            http.get(server.url, {}, PATIENCE)
    assert server.served == 1
    assert b"cookie" not in heads[-1].lower()


def test_a_date_in_retry_after_is_read_as_seconds_from_now(http: HttpClient) -> None:
    with serving(answering(b"", "Retry-After: " + formatdate(time.time() + 100, usegmt=True))) as server:
        assert http.get(server.url, {}, PATIENCE).retry_after == pytest.approx(100, abs=3)


def test_a_date_in_retry_after_counts_from_the_servers_own_date(http: HttpClient) -> None:
    now = time.time() - 600  # by this machine's clock it is long over
    dates = ("Date: " + formatdate(now, usegmt=True), "Retry-After: " + formatdate(now + 100, usegmt=True))
    with serving(answering(b"", *dates, status="503 Service Unavailable")) as server:
        assert http.get(server.url, {}, PATIENCE).retry_after == 100.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        (("Cache-Control: public",), None),
        (("Cache-Control: public, max-age=2",), 2.0),
        (("Cache-Control: max-age=2, s-maxage=10",), 10.0),
        (("Cache-Control: max-age=2, stale-while-revalidate=8",), 10.0),
        (("Cache-Control: no-store",), 0.0),
        (("Cache-Control: max-age=2, no-cache",), 0.0),
        (("Cache-Control: max-age=soon",), None),
        (("CF-Cache-Status: HIT", "Cache-Control: max-age=2", "Age: 1"), 2.0),
        (("CF-Cache-Status: HIT", "Cache-Control: max-age=2", "Age: 0"), 1.0),
        (("CF-Cache-Status: MISS", "Cache-Control: max-age=2"), 0.0),
        (("CF-Cache-Status: MISS", "Age: 5"), 6.0),
        (("CF-Cache-Status: MISS", "Age: 0"), 0.0),
        (("CF-Cache-Status: HIT", "Cache-Control: max-age=2"), 2.0),
        (("CF-Cache-Status: STALE", "Cache-Control: max-age=2"), None),
        (("CF-Cache-Status: updating", "Cache-Control: max-age=2, stale-while-revalidate=8"), None),
        (("CF-Cache-Status: STALE", "Cache-Control: max-age=2", "Age: 0"), None),
        (("CF-Cache-Status: UPDATING", "Cache-Control: no-cache"), None),
        (("CF-Cache-Status: STALE", "Cache-Control: max-age=2", "Age: 30"), 31.0),
        (("Age: old",), None),
    ],
)
def test_headers_tell_a_caches_age(http: HttpClient, headers: tuple[str, ...], seconds: float | None) -> None:
    with serving(answering(b"", *headers)) as server:
        assert http.get(server.url, {}, PATIENCE).cached_for == seconds


@pytest.mark.parametrize("text", ["soon", "-5", "Mon, 01 Jan 2035 00:00:00 +99999999999999999999"])
def test_an_unreadable_retry_after_is_none(http: HttpClient, text: str) -> None:
    with serving(answering(b"", f"Retry-After: {text}")) as server:
        assert http.get(server.url, {}, PATIENCE).retry_after is None


def test_a_length_of_thousands_of_digits_is_too_large_and_no_error_of_ours(http: HttpClient) -> None:
    with (
        serving(dripping(BEGUN + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n")) as server,
        pytest.raises(Unreachable, match="more than"),
    ):
        http.get(server.url, {}, PATIENCE)


def silent(peer: socket.socket) -> None:
    request_of(peer)
    request_of(peer)


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(silent, id="nothing"),
        pytest.param(dripping(b"H", b"T"), id="status line"),
        pytest.param(dripping(BEGUN, b"X-Drip: drop\r\n"), id="headers"),
        pytest.param(dripping(BEGUN + b"X-Long: "), id="one header"),
        pytest.param(dripping(BEGUN + b"Content-Length: 100000\r\n\r\n"), id="body"),
        pytest.param(dripping(BEGUN + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"),
    ],
)
def test_a_drip_ends_at_the_deadline_and_its_connection_with_it(http: HttpClient, script: Script) -> None:
    with serving(script) as server:
        assert_ends_in_time(http, server.url)
        assert server.dropped.wait(PATIENCE)


def assert_ends_in_time(http: HttpClient, url: str) -> None:
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        http.get(url, {}, DEADLINE)
    took = time.monotonic() - started
    assert caught.value.reason == "timeout"
    assert DEADLINE - 0.05 <= took < generous(DEADLINE)


def test_a_drip_on_a_connection_that_was_used_before_ends_at_the_deadline(http: HttpClient) -> None:
    def script(peer: socket.socket) -> None:
        request_of(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        request_of(peer)
        drip(peer, b"x", 0.05)

    with serving(script) as server:
        http.get(server.url, {}, PATIENCE)
        assert_ends_in_time(http, server.url)
        assert server.served == 1
        assert server.dropped.wait(PATIENCE)


def test_a_tls_handshake_that_drips_ends_at_the_deadline(http: HttpClient) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")  # the start of a long ServerHello
        drip(peer, b"\x00", 0.05)

    with serving(script) as server:
        assert_ends_in_time(http, server.url.replace("http:", "https:"))
        assert server.dropped.wait(PATIENCE)


def test_a_drip_over_tls_ends_at_the_deadline(tls: ssl.SSLContext, certificate: Path) -> None:
    with serving(dripping(BEGUN), tls) as server, asking(certificate) as http:
        assert_ends_in_time(http, server.url.replace("127.0.0.1", "localhost"))
        assert server.dropped.wait(PATIENCE)


def test_a_name_that_resolves_late_ends_in_time(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def resolve(*_: object, **__: object) -> list[object]:
        answered.wait(PATIENCE)
        raise socket.gaierror("too late")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    assert_ends_in_time(http, "http://slow.invalid/")
    answered.set()


def test_calls_that_hang_are_bounded_in_number(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.rest.http_client.MAX_CALLS", 2)
    http = HttpClient(SystemClock(), "test")
    released = threading.Event()
    hanging: list[object] = []

    def resolve(*_: object, **__: object) -> list[object]:
        hanging.append(None)
        released.wait(PATIENCE)
        raise socket.gaierror("too late")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    for _ in range(4):
        with pytest.raises(Unreachable, match="did not answer within"):
            http.get("http://slow.invalid/", {}, 0.05)
    assert len(hanging) == 2
    released.set()
    http.close()


def test_a_connection_made_too_late_is_ended(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    left, resolve = threading.Event(), socket.getaddrinfo

    def resolve_late(*arguments: Any, **more: Any) -> Any:
        assert left.wait(PATIENCE)
        return resolve(*arguments, **more)

    monkeypatch.setattr("socket.getaddrinfo", resolve_late)
    with serving(dripping(BEGUN)) as server:
        assert_ends_in_time(http, server.url)
        left.set()
        assert server.dropped.wait(PATIENCE)


def test_a_system_without_threads_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("ltp_service.rest.http_client.MAX_CALLS", 1)
    with serving(answering(b"{}")) as server, asking() as http:
        with monkeypatch.context() as without_threads:
            without_threads.setattr("ltp_service.rest.http_client.Thread.start", start)
            with pytest.raises(Unreachable):
                http.get(server.url, {}, PATIENCE)
        assert http.get(server.url, {}, PATIENCE).body == b"{}"


def test_a_call_that_ended_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.rest.http_client.MAX_CALLS", 1)
    with serving(answering(b"{}")) as server, asking() as http:
        assert [http.get(server.url, {}, PATIENCE).body for _ in range(3)] == [b"{}"] * 3


BUFFERS = 20 << 20
"""Bytes that the system may take for a socket on either side, and more."""

GZIPPED_ZEROS = gzip.compress(bytes(20 * 1024 * 1024))


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(flooding(BEGUN + b"Content-Length: 209715200\r\n\r\n"), id="announced"),
        pytest.param(dripping(BEGUN + b"Content-Length: 209715200\r\n\r\n"), id="announced and dripped"),
        pytest.param(
            flooding(BEGUN + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
            id="chunked",
        ),
        pytest.param(flooding(BEGUN + b"\r\n"), id="until the end"),
        pytest.param(answering(GZIPPED_ZEROS, "Content-Encoding: gzip"), id="compressed"),
    ],
)
def test_of_200_mib_no_more_than_the_cap_and_the_buffers_is_taken(http: HttpClient, script: Script) -> None:
    taken.clear()
    with serving(script) as server, fails("too_large"):
        http.get(server.url, {}, PATIENCE, body_cap=1 << 20)
    assert max(taken, default=0) < BUFFERS + (1 << 20)


class Waits(Future[HttpAnswer]):
    """Notes how long a caller would have waited, and lets it wait no longer."""

    asked: ClassVar[list[float | None]] = []

    def result(self, timeout: float | None = None) -> HttpAnswer:
        self.asked.append(timeout)
        raise TimeoutError


def test_a_caller_waits_for_the_rest_of_its_time(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.rest.http_client.Future", Waits)
    moments = iter([100.0, 100.1])
    monkeypatch.setattr("ltp_service.rest.http_client.time", SimpleNamespace(monotonic=lambda: next(moments)))
    with serving(silent) as server, pytest.raises(Unreachable, match=r"did not answer within 0\.25 s"):
        http.get(server.url, {}, DEADLINE)
    assert Waits.asked == [pytest.approx(DEADLINE - 0.1)]


def test_an_answer_is_late_in_the_same_words_when_its_socket_ends_first(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([100.0, 100.0 - PATIENCE])
    monkeypatch.setattr("ltp_service.rest.http_client.time", SimpleNamespace(monotonic=lambda: next(moments)))
    with (
        serving(silent) as server,
        pytest.raises(Unreachable, match=r"did not answer within 0\.25 s") as caught,
    ):
        http.get(server.url, {}, DEADLINE)
    assert caught.value.reason == "timeout"


def test_a_body_of_exactly_the_cap_is_taken(http: HttpClient) -> None:
    with serving(answering(bytes(1000))) as server:
        assert len(http.get(server.url, {}, PATIENCE, body_cap=1000).body) == 1000
        with pytest.raises(Unreachable, match="more than 999 bytes"):
            http.get(server.url, {}, PATIENCE, body_cap=999)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_a_redirect_is_never_followed(http: HttpClient, status: str) -> None:
    with (
        serving(answering(b"secret")) as elsewhere,
        serving(answering(b"", f"Location: {elsewhere.url}", status=status)) as server,
    ):
        with fails("redirect"):
            http.get(server.url, {}, PATIENCE)
        assert elsewhere.served == 0


def hanging_up(peer: socket.socket) -> None:
    request_of(peer)


def stopping_short(peer: socket.socket) -> None:
    request_of(peer)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (hanging_up, "closed"),
        (stopping_short, "closed"),
        (dripping(b"\x00\x01 nonsense\r\n\r\n"), "closed"),
        (answering(b"not gzip", "Content-Encoding: gzip"), "network"),
    ],
)
def test_what_is_cut_short_or_unreadable_is_no_answer(http: HttpClient, script: Script, reason: str) -> None:
    with serving(script) as server, fails(reason):
        http.get(server.url, {}, PATIENCE)


def test_a_port_where_nobody_listens_refuses(http: HttpClient) -> None:
    with serving(silent) as server:
        pass
    with fails("refused"):
        http.get(server.url, {}, PATIENCE)


def test_a_name_that_does_not_exist_is_told_apart(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    with fails("name_resolution", match=r"^http://nowhere.invalid/: nowhere.invalid:80: Failed to resolve"):
        http.get("http://nowhere.invalid/", {}, PATIENCE)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        pytest.param("localhost", False, id="signed by itself"),
        pytest.param("127.0.0.1", True, id="another name"),
    ],
)
def test_no_bad_certificate_passes(tls: ssl.SSLContext, certificate: Path, host: str, trusted: bool) -> None:
    authority = certificate if trusted else None
    with serving(answering(b"{}"), tls) as server, asking(authority) as http, fails("tls"):
        http.get(server.url.replace("127.0.0.1", host), {}, PATIENCE)


def test_a_certificate_of_the_given_authority_is_accepted(tls: ssl.SSLContext, certificate: Path) -> None:
    with serving(answering(b"{}"), tls) as server, asking(certificate) as http:
        assert http.get(server.url.replace("127.0.0.1", "localhost"), {}, PATIENCE).body == b"{}"


def test_authorities_are_read_once(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = HttpClient(SystemClock(), "test", ca_file=str(certificate))
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", _read_again)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", _read_again)
    HttpClient(SystemClock(), "another", ca_file=str(certificate)).close()
    for _ in range(2):
        with serving(answering(b"{}"), tls) as server:
            assert http.get(server.url.replace("127.0.0.1", "localhost"), {}, PATIENCE).body == b"{}"
    http.close()


def _read_again(*_: object, **__: object) -> None:
    raise AssertionError("the authorities are read again")


@contextmanager
def asking(certificate: Path | None = None, **environ: str) -> Iterator[HttpClient]:
    """A client that finds these variables in its environment."""
    ca_file = str(certificate) if certificate else None
    client = HttpClient(SystemClock(), "test", ca_file=ca_file, environ=environ)
    yield client
    client.close()


class Tunnels:
    """An HTTP proxy: connects to the target of a CONNECT and passes everything on. `heads` is what it was asked."""

    def __init__(self) -> None:
        self.heads: list[str] = []

    def __call__(self, peer: socket.socket) -> None:
        head = request_of(peer).decode()
        self.heads.append(head)
        host, port = head.split(" ")[1].rsplit(":", 1)
        with socket.create_connection((host, int(port)), PATIENCE) as target:
            peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(target, peer), daemon=True)
            back.start()
            _pass_on(peer, target)
            back.join(PATIENCE)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


def test_a_plain_url_is_asked_of_the_proxy_with_its_credentials() -> None:
    heads: list[bytes] = []
    with (
        serving(answering(b"{}", heads=heads)) as proxy,
        asking(http_proxy=f"http://me:secret@127.0.0.1:{proxy.port}") as http,
    ):
        assert http.get("http://exchange.example/0/public", {"a": "b"}, PATIENCE).body == b"{}"
    head = heads[0].decode()
    assert head.startswith("GET http://exchange.example/0/public?a=b HTTP/1.1\r\n")
    assert "\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in head


def test_an_encrypted_url_goes_through_a_checked_tunnel(tls: ssl.SSLContext, certificate: Path) -> None:
    tunnels = Tunnels()
    with serving(tunnels) as proxy, serving(answering(b"{}"), tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with asking(certificate, https_proxy=f"127.0.0.1:{proxy.port}") as http:
            assert http.get(url, {}, PATIENCE).body == b"{}"
        with asking(https_proxy=f"127.0.0.1:{proxy.port}") as http, fails("tls"):
            http.get(url, {}, PATIENCE)
    assert tunnels.heads[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.")


def test_what_no_proxy_lists_is_asked_directly() -> None:
    with (
        serving(answering(b"{}")) as server,
        asking(http_proxy="127.0.0.1:1", no_proxy="127.0.0.0/8") as http,
    ):
        assert http.get(server.url, {}, PATIENCE).body == b"{}"


def test_a_proxy_that_refuses_is_named_without_its_password(tls: ssl.SSLContext) -> None:
    refusing = answering(b"", status="407 Proxy Authentication Required")
    with serving(refusing) as proxy, asking(https_proxy=f"http://me:secret@127.0.0.1:{proxy.port}") as http:
        with pytest.raises(Unreachable, match="407 Proxy Authentication Required") as caught:
            http.get("https://exchange.example/", {}, PATIENCE)
        assert caught.value.reason == "proxy"
        assert f"through the proxy http://***@127.0.0.1:{proxy.port}" in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_proxy_where_nobody_listens_is_told_from_an_exchange_where_nobody_listens() -> None:
    with asking(http_proxy="127.0.0.1:1") as http, fails("proxy", match="refused"):
        http.get("http://exchange.example/", {}, PATIENCE)


def test_a_socks_proxy_is_refused_and_nothing_is_asked_directly() -> None:
    with (
        serving(answering(b"{}")) as server,
        asking(all_proxy="socks5://127.0.0.1:1080") as http,
        pytest.raises(Rejected, match="SOCKS is not supported") as caught,
    ):
        http.get(server.url, {}, PATIENCE)
    assert caught.value.reason == "proxy"
    assert server.served == 0


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://", "nonsense", "http://[::1"])
def test_a_url_that_cannot_be_asked_is_rejected(http: HttpClient, url: str) -> None:
    with fails("invalid_url", kind=Rejected):
        http.get(url, {}, PATIENCE)


def test_many_calls_at_once_do_not_wait_for_each_other(http: HttpClient) -> None:
    gate = threading.Barrier(8)

    def script(peer: socket.socket) -> None:
        request_of(peer)
        gate.wait(PATIENCE)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    bodies: list[bytes] = []
    with (
        serving(script) as server,
        in_threads(8, lambda: bodies.append(http.get(server.url, {}, PATIENCE).body)),
    ):
        pass
    assert bodies == [b"{}"] * 8


def test_calls_that_end_badly_leave_no_thread_and_no_descriptor(http: HttpClient) -> None:
    with serving(dripping(BEGUN)) as server:
        with pytest.raises(Unreachable):
            http.get(server.url, {}, 0.05)
        before = descriptors()
        for _ in range(10):
            with pytest.raises(Unreachable):
                http.get(server.url, {}, 0.05)
        for thread in calls_under_way():
            thread.join(PATIENCE)
        assert not calls_under_way()
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE
        while descriptors() > before and time.monotonic() < deadline:  # the server's own close a little later
            pause.wait(0.01)
        assert descriptors() <= before


def calls_under_way() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "http-get"]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
