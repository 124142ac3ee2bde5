"""ltp_service.collectors.connection: against bytes on a loopback socket."""

import socket
import ssl
import struct
import threading
import time

import pytest
import websocket

from ltp_service.collectors.connection import MAX_FRAGMENTS, MAX_MESSAGE, WebSocketConnection
from ltp_service.errors import BadFrame, ExchangeError, Rejected, Unreachable
from tests.simulator.client import Simulator
from tests.websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Conversation,
    Peer,
    frame,
    read_request,
)


def connect(url: str, *, timeout: float = 5.0, poll: float = 5.0) -> WebSocketConnection:
    return WebSocketConnection(url, connect_timeout=timeout, poll_interval=poll)


def received(*frames: bytes, count: int = 1) -> list[str | None]:
    """What the connection makes of these frames."""
    with Peer(lambda peer: peer.sendall(b"".join(frames))) as server:
        connection = connect(server.url)
        try:
            return [connection.receive() for _ in range(count)]
        finally:
            connection.close()


def next_text(connection: WebSocketConnection) -> str:
    """The next message, however many polling intervals it takes."""
    return next(text for text in iter(connection.receive, "") if text is not None)


def failure(conversation: Conversation) -> ExchangeError:
    """How the connection fails at its first read."""
    with Peer(conversation) as server:
        connection = connect(server.url)
        with pytest.raises(ExchangeError) as error:
            connection.receive()
        connection.close()
    return error.value


def sends(*pieces: bytes) -> Conversation:
    return lambda peer: peer.sendall(b"".join(pieces))


def _wait(event: threading.Event) -> None:
    event.wait(5)


def refused(answer: bytes, *, timeout: float = 5.0) -> ExchangeError:
    """How the connection fails when the handshake is answered with these bytes."""

    def reply(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(answer)

    with Peer(reply, handshake=False) as server, pytest.raises(ExchangeError) as error:
        connect(server.url, timeout=timeout)
    return error.value


def test_text_comes_out_as_it_was_sent() -> None:
    assert received(frame(b"one"), frame("zw\u00f6lf \u20ac".encode()), frame(b""), count=3) == [
        "one",
        "zw\u00f6lf \u20ac",
        "",
    ]


def test_many_frames_in_one_packet_come_out_one_by_one() -> None:
    texts = [f"frame {number}" for number in range(500)]

    assert received(*(frame(text.encode()) for text in texts), count=500) == texts


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, MAX_MESSAGE])
def test_every_size_up_to_the_limit_comes_through(size: int) -> None:
    assert received(frame(b"x" * size)) == ["x" * size]


@pytest.mark.parametrize("length", [MAX_MESSAGE + 1, 64 * 1024 * 1024, 2**62, 2**63 - 1])
def test_a_frame_over_the_limit_drops_the_connection_before_it_is_read(length: int) -> None:
    error = failure(sends(frame(b"x" * 100, length=length)))

    assert (type(error), error.reason) == (Unreachable, "too_large")


def test_fragments_come_out_as_one_message() -> None:
    pieces = (
        frame(b"one ", final=False),
        frame(b"two ", CONTINUATION, final=False),
        frame(b"three", CONTINUATION),
    )

    assert received(*pieces, frame(b"next"), count=2) == ["one two three", "next"]


def test_a_character_cut_by_a_fragment_comes_out_whole() -> None:
    euro = "\u20ac".encode()

    assert received(frame(euro[:1], final=False), frame(euro[1:], CONTINUATION)) == ["\u20ac"]


def test_a_ping_between_fragments_is_answered_and_disturbs_nothing() -> None:
    answers: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        peer.sendall(frame(b"a", final=False) + frame(b"hello", PING) + frame(b"b", CONTINUATION))
        answers.append(peer.recv(100))

    with Peer(talk) as server:
        connection = connect(server.url)
        assert connection.receive() == "ab"
        connection.close()

    assert answers[0][0] == 0x8A  # a pong, in one frame


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(b"x" * 600_000, final=False), frame(b"x" * 600_000, CONTINUATION)],
        [frame(b"x", final=False), *[frame(b"x", CONTINUATION, final=False)] * MAX_FRAGMENTS],
    ],
    ids=["too large together", "too many"],
)
def test_fragments_are_bounded_like_a_frame(pieces: list[bytes]) -> None:
    error = failure(sends(*pieces))

    assert (type(error), error.reason) == (Unreachable, "too_large")


def test_binary_is_refused_and_the_connection_goes_on() -> None:
    with Peer(sends(frame(b"\x00\x01", BINARY), frame(b"next"))) as server:
        connection = connect(server.url)
        with pytest.raises(BadFrame) as error:
            connection.receive()
        assert error.value.reason == "binary"
        assert connection.receive() == "next"
        connection.close()


def test_text_that_is_not_utf8_is_refused_and_the_connection_goes_on() -> None:
    with Peer(sends(frame(b"\xff\xfe"), frame(b"next"))) as server:
        connection = connect(server.url)
        with pytest.raises(BadFrame) as error:
            connection.receive()
        assert error.value.reason == "encoding"
        assert connection.receive() == "next"
        connection.close()


@pytest.mark.parametrize(
    "hostile",
    [
        frame(b"x", CONTINUATION),
        frame(b"x", final=False) + frame(b"y", TEXT),
        b"\xf1\x01x",
        frame(b"", 3),
        frame(b"x" * 126, PING),
        frame(b"x", CLOSE),
    ],
    ids=[
        "continues nothing",
        "a new message inside another",
        "reserved bits",
        "unknown opcode",
        "long ping",
        "close of one byte",
    ],
)
def test_a_breach_of_the_protocol_ends_the_connection(hostile: bytes) -> None:
    error = failure(sends(hostile))

    assert type(error) is Unreachable
    assert error.reason in ("protocol", "closed")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (struct.pack("!H", 1001) + b"CloudFlare WebSocket proxy restarting", "1001 CloudFlare"),
        (struct.pack("!H", 1000), "1000"),
        (b"", "closed the connection"),
    ],
)
def test_the_reason_for_a_close_is_told(payload: bytes, words: str) -> None:
    error = failure(sends(frame(payload, CLOSE)))

    assert (type(error), error.reason) == (Unreachable, "closed")
    assert words in str(error)


def test_a_connection_that_just_ends_is_closed() -> None:
    assert failure(lambda peer: None).reason == "closed"


def test_a_connection_that_is_reset_is_unreachable() -> None:
    def reset(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert failure(reset).reason in ("network", "closed")


def test_silence_gives_nothing_after_the_polling_interval() -> None:
    done = threading.Event()
    with Peer(lambda peer: _wait(done)) as server:
        connection = connect(server.url, poll=0.01)
        assert connection.receive() is None
        assert connection.receive() is None
        done.set()
        connection.close()


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 50, 190])
def test_a_timeout_in_the_middle_of_a_frame_loses_nothing(cut: int) -> None:
    message = frame(b"x" * 200) + frame(b"next")
    timed_out = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(message[:cut])
        timed_out.wait(5)
        peer.sendall(message[cut:])

    with Peer(talk) as server:
        connection = connect(server.url, poll=0.02)
        assert connection.receive() is None
        timed_out.set()
        assert [next_text(connection), next_text(connection)] == ["x" * 200, "next"]
        connection.close()


def test_a_timeout_between_two_fragments_loses_nothing() -> None:
    timed_out = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(frame(b"one ", final=False))
        timed_out.wait(5)
        peer.sendall(frame(b"two", CONTINUATION) + frame(b"next"))

    with Peer(talk) as server:
        connection = connect(server.url, poll=0.05)
        assert connection.receive() is None
        timed_out.set()
        assert [next_text(connection), next_text(connection)] == ["one two", "next"]
        connection.close()


def test_what_is_sent_arrives_as_one_masked_text_frame() -> None:
    seen: list[bytes] = []
    with Peer(lambda peer: seen.append(peer.recv(100))) as server:
        connection = connect(server.url)
        connection.send("hello")
        with pytest.raises(Unreachable):
            connection.receive()
        connection.close()

    assert seen[0][:2] == bytes([0x80 | TEXT, 0x80 | 5])


def test_sending_on_a_closed_connection_is_unreachable() -> None:
    with Peer(lambda peer: None) as server:
        connection = connect(server.url)
        connection.close()
        with pytest.raises(Unreachable):
            connection.send("hello")


def test_closing_never_raises_however_often_and_whoever_closed_first() -> None:
    with Peer(lambda peer: None) as server:
        connection = connect(server.url)
        with pytest.raises(Unreachable):
            connection.receive()
        connection.close()
        connection.close()


@pytest.mark.parametrize("status", [400, 404, 500, 502, 520])
def test_a_refused_handshake_is_worth_another_try(status: int) -> None:
    error = refused(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    assert (type(error), error.reason, error.retry_after) == (Unreachable, "handshake_status", None)
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (b"", 60.0),
        (b"Retry-After: 7\r\n", 60.0),
        (b"Retry-After: 300\r\n", 300.0),
        ("Retry-After: ²\r\n".encode(), 60.0),
    ],
)
def test_an_exchanges_edge_that_refuses_is_left_alone_for_a_while(
    status: int, header: bytes, wait: float
) -> None:
    error = refused(b"HTTP/1.1 %d No\r\n%sContent-Length: 0\r\n\r\n" % (status, header))

    assert (error.reason, error.retry_after) == ("handshake_status", wait)


def test_a_location_that_is_not_served_is_a_rejection() -> None:
    error = refused(b"HTTP/1.1 451 No\r\nContent-Length: 0\r\n\r\n")

    assert (type(error), error.reason) == (Rejected, "restricted_location")


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
    with pytest.raises(Unreachable) as error:
        connect(f"ws://127.0.0.1:{port}/")

    assert error.value.reason == "refused"


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    with pytest.raises(Unreachable) as error:
        connect("ws://nowhere.invalid/")

    assert error.value.reason == "name_resolution"


def test_tls_with_somebody_who_does_not_speak_it_is_unreachable() -> None:
    plain = Peer(lambda peer: peer.sendall(b"no TLS here\r\n"), handshake=False)
    with plain as server, pytest.raises(Unreachable) as error:
        connect(server.url.replace("ws://", "wss://"))

    assert error.value.reason == "tls"


def test_the_authorities_are_read_once_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    trusts: list[ssl.SSLContext] = []

    def refuse(url: str, *, sslopt: dict[str, ssl.SSLContext], **_: object) -> None:
        trusts.append(sslopt["context"])
        raise ConnectionRefusedError

    monkeypatch.setattr(websocket, "create_connection", refuse)
    for _ in range(2):
        with pytest.raises(Unreachable):
            connect("wss://127.0.0.1/")

    assert trusts[0] is trusts[1]
    assert (trusts[0].verify_mode, trusts[0].check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_handshake_that_never_comes_ends_with_the_timeout() -> None:
    done = threading.Event()
    with Peer(lambda peer: _wait(done), handshake=False) as server:
        with pytest.raises(Unreachable):
            connect(server.url, timeout=0.1)
        done.set()


def test_a_handshake_that_drips_ends_with_the_timeout_all_the_same() -> None:
    done = threading.Event()

    def drip(peer: socket.socket) -> None:
        while not done.wait(0.02):
            peer.sendall(b"X")

    started = time.monotonic()
    with Peer(drip, handshake=False) as server:
        with pytest.raises(Unreachable):
            connect(server.url, timeout=0.2)
        done.set()

    assert time.monotonic() - started < 2


def test_connections_that_fail_leave_no_thread_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(5):
        refused(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", timeout=30.0)
    for thread in set(threading.enumerate()) - before:
        thread.join(2)

    assert set(threading.enumerate()) <= before


def test_it_talks_with_another_librarys_server() -> None:
    with Simulator.start() as exchange:
        connection = connect(exchange.v2_url)
        assert '"channel":"status"' in (connection.receive() or "").replace(" ", "")
        exchange.send_text("ab", repeat=300_000, fragments=7)
        assert connection.receive() == "ab" * 300_000
        exchange.cut("clean", code=1001)
        with pytest.raises(Unreachable) as error:
            connection.receive()
        assert "1001" in str(error.value)
        connection.close()
