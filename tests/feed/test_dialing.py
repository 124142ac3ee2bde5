"""ltp_service.feed.dialing: whatever the other side of a real socket does on the way to a WebSocket."""

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from ltp_service.domain.errors import ExchangeError, Rejected, Unreachable
from ltp_service.feed.dialing import Address, Dialer, in_turn, resolve
from tests.deadline import DEADLINE
from tests.patched import run_patched
from tests.swallowing import swallowing
from tests.websocket_peer import Conversation, Peer, read_request, shake_hands, upgrade_answer

NEVER = threading.Event()

HANG = 60.0
"""Seconds that a dial may take where it should end by its own deadline; a guard, and no promise."""


def dial(dialer: Dialer, stop: threading.Event = NEVER) -> bytes:
    """Opens a WebSocket and closes it; what came after the handshake."""
    opened, received = dialer.dial(stop)
    opened.close()
    return received


def failure(dialer: Dialer, stop: threading.Event = NEVER) -> ExchangeError:
    """How it fails."""
    with pytest.raises(ExchangeError) as error:
        dial(dialer, stop)
    return error.value


def refused(answer: bytes, *, timeout: float = HANG) -> ExchangeError:
    """How it fails when the handshake is answered with these bytes."""

    def reply(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(answer)

    with Peer(reply, handshake=False) as server:
        return failure(Dialer(server.url, timeout=timeout))


def accepted(headers: bytes) -> bool:
    """Whether the handshake succeeds with these headers beside the necessary ones."""

    def reply(peer: socket.socket) -> None:
        peer.sendall(upgrade_answer(read_request(peer), headers))

    with Peer(reply, handshake=False) as server:
        return dial(Dialer(server.url, timeout=HANG)) == b""


def at(*listeners: socket.socket) -> list[Address]:
    """What a name server would tell of them, in this order."""
    return [(one.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", one.getsockname()) for one in listeners]


# Addresses.


def test_an_address_that_swallows_syns_does_not_keep_from_the_one_beside_it() -> None:
    with swallowing() as dead, Peer(lambda _: None) as server:
        dialer = Dialer(server.url, timeout=HANG, resolve=lambda _, __: at(dead, server.listener))
        started = time.monotonic()
        dial(dialer)

    assert time.monotonic() - started < HANG / 2  # it neither waited for its deadline nor for the kernel's


def test_it_is_the_same_in_a_process_that_gevent_has_patched() -> None:
    """The sockets, the selectors and the thread that looks up names are other ones there."""
    with swallowing() as dead, Peer(lambda _: None) as server:
        told = run_patched(
            """
            import sys, threading
            from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM
            from ltp_service.feed.dialing import Dialer

            dead, good = int(sys.argv[1]), int(sys.argv[2])
            rows = [
                (AF_INET6, SOCK_STREAM, IPPROTO_TCP, "", ("::1", dead, 0, 0)),
                (AF_INET, SOCK_STREAM, IPPROTO_TCP, "", ("127.0.0.1", good)),
            ]
            dialer = Dialer(f"ws://exchange.test:{good}/", timeout=20.0, resolve=lambda *_: rows)
            opened, received = dialer.dial(threading.Event())
            print(opened.getpeername()[0], type(opened).__module__)
            """,
            str(dead.getsockname()[1]),
            str(server.listener.getsockname()[1]),
        )

    assert told == "127.0.0.1 gevent._socket3"


def test_an_address_that_refuses_costs_no_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        rows = at(closed)
    with Peer(lambda _: None) as server:
        assert dial(Dialer(server.url, timeout=HANG, resolve=lambda *_: [*rows, *at(server.listener)])) == b""


def test_when_no_address_answers_the_first_ones_error_is_told_with_all_of_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        rows = at(closed)
    lost: Address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("255.255.255.255", 9))
    error = failure(Dialer("ws://exchange.test/", timeout=HANG, resolve=lambda *_: [*rows, lost]))

    assert error.reason == "refused"
    assert "exchange.test (127.0.0.1, 255.255.255.255)" in str(error)


def test_a_name_without_an_address_is_unreachable() -> None:
    assert failure(Dialer("ws://exchange.test/", timeout=HANG, resolve=lambda *_: [])).reason == "network"


def test_an_address_that_takes_connections_and_says_nothing_is_tried_last_from_then_on() -> None:
    """A racing TCP cannot tell it from a good one: a path that loses large packets, a host whose server is dead."""
    asked: list[str] = []

    def silent(peer: socket.socket) -> None:
        asked.append("silent")
        saying_nothing(peer)

    with Peer(silent, handshake=False) as dead, Peer(lambda _: asked.append("good")) as server:
        rows = at(dead.listener, server.listener)
        dialer = Dialer(server.url, timeout=2.0, resolve=lambda *_: rows)
        assert failure(dialer).reason == "timeout"
        dial(dialer)

    assert asked == ["silent", "good"]


def test_the_families_take_turns() -> None:
    def row(host: str) -> Address:
        return (socket.AF_INET6 if ":" in host else socket.AF_INET, 1, 6, "", (host, 443))

    hosts = ["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"]

    assert [each[4][0] for each in in_turn(map(row, hosts))] == ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]


def test_the_sockets_of_the_race_are_closed() -> None:
    with swallowing() as dead, Peer(lambda _: None) as server:
        before = len(list(Path("/proc/self/fd").iterdir()))
        dial(Dialer(server.url, timeout=HANG, resolve=lambda *_: at(dead, server.listener)))
        after = len(list(Path("/proc/self/fd").iterdir()))

    assert after <= before + 1  # the peer's own end may still be there


# One deadline for everything.


def dripping(piece: bytes, *, first: bytes = b"", every: float = 0.02) -> Conversation:
    """Answers the first bytes with `first`, and then with one piece after the other."""

    def drip(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(first)
        with suppress(OSError):
            while not NEVER.wait(every):
                peer.sendall(piece)

    return drip


def saying_nothing(peer: socket.socket) -> None:
    """Reads until the client leaves."""
    while peer.recv(65536):
        pass


SERVER_HELLO = b"\x16\x03\x03\x40\x00\x02"
"""The beginning of a record of 16 kB that holds a ServerHello."""

STUCK: dict[str, tuple[str, Conversation]] = {
    "a byte of ServerHello at a time": ("wss", dripping(b"\x00", first=SERVER_HELLO)),
    "no ServerHello": ("wss", saying_nothing),
    "a byte of handshake at a time": ("ws", dripping(b"X", first=b"HTTP/1.1 101 Switching\r\nX-A: ")),
    "headers without an end": ("ws", dripping(b"X-A: b\r\n", first=b"HTTP/1.1 101 Switching\r\n")),
    "no handshake": ("ws", saying_nothing),
}


@pytest.mark.parametrize("stuck", STUCK)
def test_a_way_that_stays_stuck_ends_with_the_deadline_and_says_where(stuck: str) -> None:
    scheme, conversation = STUCK[stuck]
    with Peer(conversation, handshake=False) as server:
        error = failure(Dialer(server.url.replace("ws", scheme, 1), timeout=0.3))

    assert error.reason == "timeout"
    assert ("TLS handshake" if scheme == "wss" else "WebSocket handshake") in str(error)
    assert "not within 0.3 s" in str(error)


def test_a_server_hello_that_drips_ends_with_the_deadline_in_a_patched_process_too() -> None:
    """There each read of the TLS handshake may last as long as the socket's timeout says, one after the other."""
    with Peer(dripping(b"\x00", first=SERVER_HELLO), handshake=False) as server:
        told = run_patched(
            """
            import sys, threading
            from ltp_service.feed.dialing import Dialer
            from ltp_service.domain.errors import Unreachable

            try:
                Dialer(sys.argv[1], timeout=0.3).dial(threading.Event())
            except Unreachable as error:
                print(error.reason, "TLS handshake" in str(error))
            """,
            server.url.replace("ws", "wss", 1),
        )

    assert told == "timeout True"


def test_addresses_that_all_swallow_syns_end_with_the_deadline() -> None:
    with swallowing() as first, swallowing(host="127.0.0.2") as second:
        error = failure(Dialer("ws://exchange.test/", timeout=0.5, resolve=lambda *_: at(first, second)))

    assert (error.reason, "connecting to exchange.test (::1, 127.0.0.2)" in str(error)) == ("timeout", True)


@pytest.mark.parametrize(
    ("url", "environ", "step"),
    [
        ("ws://exchange.test/", {"http_proxy": "socks5://127.0.0.1"}, "proxy"),
        ("ws://no-such-name.invalid/", {}, "name"),
        ("ws://127.0.0.1:9/", {}, "connection"),
    ],
)
def test_the_step_at_which_an_attempt_ended_is_told(url: str, environ: dict[str, str], step: str) -> None:
    def not_found(*_: object) -> Sequence[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    names = resolve if step == "connection" else not_found
    dialer = Dialer(url, timeout=HANG, environ=environ, resolve=names)
    failure(dialer)
    assert dialer.step == step


@pytest.mark.parametrize(("scheme", "step"), [("wss", "tls"), ("ws", "handshake")])
def test_the_step_after_the_connection_is_told_too(scheme: str, step: str) -> None:
    with Peer(saying_nothing, handshake=False) as server:
        dialer = Dialer(server.url.replace("ws", scheme, 1), timeout=0.1)
        failure(dialer)
    assert dialer.step == step


class Hanging:
    """A name server that does not answer until it is told to."""

    def __init__(self, addresses: Sequence[Address] = ()) -> None:
        self.asked = 0
        self.answer = threading.Event()
        self._addresses = addresses

    def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked += 1
        self.answer.wait(HANG)
        return self._addresses


def test_a_name_server_that_hangs_ends_with_the_deadline_and_is_not_asked_again_meanwhile() -> None:
    with Peer(lambda _: None) as server:
        names = Hanging(at(server.listener))
        dialer = Dialer(server.url, timeout=0.1, resolve=names)
        errors = [failure(dialer) for _ in range(3)]
        assert names.asked == 1
        names.answer.set()
        assert dial(Dialer(server.url, timeout=HANG, resolve=names)) == b""

    assert {error.reason for error in errors} == {"timeout"}
    assert "looking up 127.0.0.1" in str(errors[0])


@pytest.mark.parametrize("stuck", [*STUCK, "a name server that hangs", "SYNs swallowed"])
def test_the_order_to_stop_is_obeyed_wherever_the_way_is_stuck(stuck: str) -> None:
    scheme, conversation = STUCK.get(stuck, ("ws", lambda _: None))
    stop = threading.Event()
    with swallowing() as dead, Peer(conversation, handshake=False) as server:
        dialer = Dialer(server.url.replace("ws", scheme, 1), timeout=2 * HANG)
        names = Hanging()
        if stuck == "a name server that hangs":
            dialer = Dialer(server.url, timeout=2 * HANG, resolve=names)
        if stuck == "SYNs swallowed":
            dialer = Dialer(server.url, timeout=2 * HANG, resolve=lambda *_: at(dead))
        threading.Timer(0.2, stop.set).start()
        started = time.monotonic()
        error = failure(dialer, stop)
        names.answer.set()

    assert error.reason == "stopped"
    assert time.monotonic() - started < HANG


# The handshake.


@pytest.mark.parametrize(
    "headers",
    [
        b"Set-Cookie: __cf@bm=abc; path=/\r\n",
        b"Set-Cookie: a,b=1\r\n",
        b"Set-Cookie: \xff\xfe=\x00; domain=[]\r\n",
        b"Set-Cookie: a=b; expires=never\r\nSet-Cookie: a=b\r\n",
        b"Sec-WebSocket-Protocol: something\r\n",
        b"no colon at all\r\n",
        b"Content-Length: 5\r\n",
        b"Date: yesterday\r\n",
        b"X: " + b"y" * 30_000 + b"\r\n",
    ],
)
def test_no_header_beside_the_necessary_ones_matters(headers: bytes) -> None:
    assert accepted(headers)


def test_what_follows_the_handshake_in_the_same_packet_is_kept() -> None:
    def reply(peer: socket.socket) -> None:
        peer.sendall(upgrade_answer(read_request(peer)) + b"\x81\x02hi")

    with Peer(reply, handshake=False) as server:
        assert dial(Dialer(server.url, timeout=HANG)) == b"\x81\x02hi"


def test_the_handshake_asks_for_what_the_url_says() -> None:
    seen: list[bytes] = []

    def reply(peer: socket.socket) -> None:
        seen.append(read_request(peer))
        peer.sendall(upgrade_answer(seen[0]))

    with Peer(reply, handshake=False) as server:
        dial(Dialer(f"{server.url}stream?streams=a/b", timeout=HANG))

    first, *headers = seen[0].decode().splitlines()
    assert first == "GET /stream?streams=a/b HTTP/1.1"
    assert f"Host: {server.url.split('/')[2]}" in headers


def date(seconds: int) -> bytes:
    """An HTTP date that long after one that a wrong clock may show."""
    return format_datetime(
        datetime(2031, 5, 6, tzinfo=UTC) + timedelta(seconds=seconds), usegmt=True
    ).encode()


BODIES = pytest.mark.parametrize(
    "body",
    [b"Content-Length: 0\r\n\r\n", b"Content-Length: 100\r\n\r\nshort"],
    ids=["without a body", "a body that never ends"],
)


@BODIES
@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        *((status, b"", None) for status in (400, 404, 500, 502, 520)),
        (503, b"Retry-After: 120\r\n", 120.0),
        (503, b"Date: " + date(0) + b"\r\nRetry-After: " + date(300) + b"\r\n", 300.0),
        (503, b"Date: " + date(0) + b"\r\nRetry-After: " + date(-300) + b"\r\n", 0.0),
        (503, b"Retry-After: soon\r\n", None),
        (429, b"Date: " + date(0) + b"\r\nRetry-After: " + date(300) + b"\r\n", 300.0),
        *((status, b"", 60.0) for status in (403, 429)),
        *((status, b"Retry-After: 7\r\n", 60.0) for status in (403, 429)),
        *((status, b"Retry-After: 300\r\n", 300.0) for status in (403, 429)),
        *((status, "Retry-After: ²\r\n".encode(), 60.0) for status in (403, 429)),
    ],
)
def test_a_refusal_says_how_long_to_wait(status: int, header: bytes, wait: float | None, body: bytes) -> None:
    error = refused(b"HTTP/1.1 %d No\r\n%s%s" % (status, header, body))

    assert (type(error), error.reason, error.retry_after) == (Unreachable, "handshake_status", wait)
    assert f"HTTP {status}" in str(error)


@BODIES
def test_a_location_that_is_not_served_is_a_rejection(body: bytes) -> None:
    error = refused(b"HTTP/1.1 451 No\r\n" + body)

    assert (type(error), error.reason, error.retry_after) == (Rejected, "restricted_location", None)
    assert "HTTP 451" in str(error)


def test_a_date_alone_is_compared_with_this_machines_clock() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True).encode()
    error = refused(b"HTTP/1.1 503 No\r\nRetry-After: " + until + b"\r\n\r\n")

    assert error.retry_after is not None
    assert 200 < error.retry_after <= 300


def test_who_does_not_speak_http_is_told_at_its_first_bytes() -> None:
    def greet(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        peer.recv(65536)
        peer.recv(65536)

    with Peer(greet, handshake=False) as server:
        error = failure(Dialer(server.url, timeout=HANG))

    assert (error.reason, "SSH-2.0" in str(error)) == ("protocol", True)


def test_an_answer_whose_head_never_ends_is_bounded() -> None:
    error = refused(b"HTTP/1.1 101 Switching\r\nX: " + b"y" * 200_000)

    assert (error.reason, "head" in str(error)) == ("protocol", True)


# Proxies.


def proxying(
    then: Conversation, seen: list[bytes], answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n"
) -> Conversation:
    """Answers CONNECT, and is the exchange behind it."""

    def talk(peer: socket.socket) -> None:
        seen.append(read_request(peer))
        peer.sendall(answer)
        then(peer)

    return talk


def environment(server: Peer, userinfo: str = "", **more: str) -> dict[str, str]:
    """The variables of a machine behind this proxy."""
    proxy = f"http://{userinfo}127.0.0.1:{server.listener.getsockname()[1]}"
    return {"http_proxy": proxy, "https_proxy": proxy, **more}


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    ("userinfo", "expected"),
    [("", None), ("anna:s%40cret@", b"Basic YW5uYTpzQGNyZXQ="), ("anna@", b"Basic YW5uYTo=")],
)
def test_a_proxy_makes_tunnels(scheme: str, userinfo: str, expected: bytes | None, certificate: Path) -> None:
    seen: list[bytes] = []
    exchange = secured(certificate) if scheme == "wss" else shake_hands
    with Peer(proxying(exchange, seen), handshake=False) as proxy:
        dialer = Dialer(
            f"{scheme}://localhost/",
            timeout=HANG,
            trust=ssl.create_default_context(cafile=certificate),
            environ=environment(proxy, userinfo),
        )
        assert dial(dialer) == b""

    first, *headers = seen[0].split(b"\r\n")
    port = b"443" if scheme == "wss" else b"80"
    assert first == b"CONNECT localhost:" + port + b" HTTP/1.1"
    told = [line.partition(b": ")[2] for line in headers if line.lower().startswith(b"proxy-authorization")]
    assert told == ([] if expected is None else [expected])


def test_what_no_proxy_names_is_reached_directly() -> None:
    with Peer(lambda _: None) as server:
        environ = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com, 127.0.0.0/8"}
        assert dial(Dialer(server.url, timeout=HANG, environ=environ)) == b""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Who are you\r\nContent-Length: 9\r\n\r\n", "HTTP 407: are user name and password"),
        (b"HTTP/1.1 503 No\r\n\r\n", "answered CONNECT with HTTP 503"),
    ],
)
def test_a_proxy_that_refuses_is_told_without_its_password(answer: bytes, words: str) -> None:
    with Peer(proxying(lambda _: None, [], answer), handshake=False) as proxy:
        environ = environment(proxy, "anna:secret@")
        error = failure(Dialer("ws://exchange.test/", timeout=HANG, environ=environ))

    assert (type(error), error.reason, words in str(error)) == (Unreachable, "proxy", True)
    assert "secret" not in str(error)
    assert "***@127.0.0.1" in str(error)


def test_a_proxy_that_hangs_ends_with_the_deadline_and_says_where() -> None:
    with Peer(saying_nothing, handshake=False) as proxy:
        error = failure(Dialer("ws://exchange.test/", timeout=0.3, environ=environment(proxy)))

    assert (error.reason, "asking the proxy" in str(error)) == ("timeout", True)


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1080", "socks5h://127.0.0.1:1080", "https://127.0.0.1:443"]
)
def test_a_proxy_of_another_kind_is_refused_with_the_remedy(proxy: str) -> None:
    error = failure(Dialer("wss://exchange.test/", timeout=HANG, environ={"https_proxy": proxy}))

    assert (type(error), error.reason) == (Rejected, "proxy")
    assert "give one like http://" in str(error)


# TLS.


def secured(certificate: Path) -> Conversation:
    """Accepts the upgrade over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as wrapped:
            shake_hands(wrapped)

    return talk


def test_a_websocket_over_tls_is_opened(certificate: Path) -> None:
    trust = ssl.create_default_context(cafile=certificate)
    with Peer(secured(certificate), handshake=False) as server:
        url = f"wss://localhost:{server.listener.getsockname()[1]}/"
        assert dial(Dialer(url, timeout=HANG, trust=trust, resolve=lambda *_: at(server.listener))) == b""


def test_a_certificate_of_another_name_or_authority_is_refused(certificate: Path) -> None:
    trust = ssl.create_default_context(cafile=certificate)
    for host, trusted in (("exchange.test", trust), ("localhost", None)):
        with Peer(secured(certificate), handshake=False) as server:
            url = f"wss://{host}:{server.listener.getsockname()[1]}/"
            dialer = Dialer(url, timeout=HANG, trust=trusted, resolve=lambda *_: at(server.listener))
            error = failure(dialer)
        assert (error.reason, "CERTIFICATE_VERIFY_FAILED" in str(error)) == ("tls", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc No\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: many\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ],
)
def test_whatever_answers_the_handshake_the_failure_is_one_of_ours(answer: bytes) -> None:
    assert isinstance(refused(answer), Unreachable)


def test_a_redirection_is_not_followed() -> None:
    followed = threading.Event()
    with Peer(lambda peer: followed.set(), handshake=False) as elsewhere:
        error = refused(f"HTTP/1.1 302 Moved\r\nLocation: {elsewhere.url}\r\n\r\n".encode())

    assert type(error) is Unreachable
    assert not followed.is_set()


def test_nobody_at_the_address_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(Dialer(f"ws://127.0.0.1:{port}/", timeout=HANG))

    assert error.reason == "refused"


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    error = failure(Dialer("ws://nowhere.invalid/", timeout=HANG))

    assert error.reason == "name_resolution"


def test_tls_with_somebody_who_does_not_speak_it_is_unreachable() -> None:
    with Peer(lambda peer: peer.sendall(b"no TLS here\r\n"), handshake=False) as server:
        assert failure(Dialer(server.url.replace("ws:", "wss:"), timeout=HANG)).reason == "tls"


def test_connections_that_fail_leave_no_thread_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(5):
        refused(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", timeout=30.0)
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE)

    assert set(threading.enumerate()) <= before
