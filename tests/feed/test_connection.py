"""ltp_service.feed.connection: against bytes on a loopback socket."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat

import pytest
import websocket

from ltp_service.collected.trades import TradeStore
from ltp_service.domain.errors import BadFrame, ExchangeError, Unreachable
from ltp_service.exchanges.bybit import BybitTrades
from ltp_service.feed import connection as connection_module
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import MAX_FRAGMENTS, MAX_MESSAGE, WebSocketConnection
from ltp_service.feed.contract import Equipment, Terms
from ltp_service.feed.dialing import Dialer
from ltp_service.runtime.runtime import Runtime
from tests.deadline import DEADLINE
from tests.fakes import eventually, fails
from tests.simulator.client import Simulator
from tests.websocket_peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Conversation, Peer, frame


def connect(url: str, *, poll: float = 5.0) -> WebSocketConnection:
    return WebSocketConnection(Dialer(url, timeout=60.0), threading.Event(), poll_interval=poll)


@contextmanager
def connected(conversation: Conversation, *, poll: float = 5.0) -> Iterator[WebSocketConnection]:
    """A connection to a server that talks so; it is closed at the end."""
    with Peer(conversation) as server:
        connection = connect(server.url, poll=poll)
        try:
            yield connection
        finally:
            connection.close()


def received(*frames: bytes, count: int = 1) -> list[str]:
    """What the connection makes of these frames."""
    with connected(sends(*frames)) as connection:
        return [text for _ in range(count) for text in connection.receive(1)]


def next_text(connection: WebSocketConnection) -> str:
    """The next message, however many polling intervals it takes."""
    while not (texts := connection.receive(1)):
        pass
    return texts[0]


def failure(conversation: Conversation) -> ExchangeError:
    """How the connection fails at its first read."""
    with connected(conversation) as connection, pytest.raises(ExchangeError) as error:
        connection.receive(1)
    return error.value


def sends(*pieces: bytes) -> Conversation:
    return lambda peer: peer.sendall(b"".join(pieces))


def _wait(event: threading.Event) -> None:
    event.wait(DEADLINE)


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

    with connected(talk) as connection:
        assert next_text(connection) == "ab"

    assert answers[0][0] == 0x8A  # a pong, in one frame


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(b"x" * (MAX_MESSAGE // 2 + 1), final=False), frame(b"x" * (MAX_MESSAGE // 2), CONTINUATION)],
        [frame(b"x", final=False), *[frame(b"x", CONTINUATION, final=False)] * MAX_FRAGMENTS],
    ],
    ids=["too large together", "too many"],
)
def test_fragments_are_bounded_like_a_frame(pieces: list[bytes]) -> None:
    error = failure(sends(*pieces))

    assert (type(error), error.reason) == (Unreachable, "too_large")


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (frame(b"\x00\x01", BINARY), "binary"),
        (frame(b"one ", BINARY, final=False) + frame(b"two", CONTINUATION), "binary"),
        (frame(b"\xff\xfe"), "encoding"),
    ],
)
def test_what_is_no_text_is_refused_and_the_connection_goes_on(odd: bytes, reason: str) -> None:
    with connected(sends(odd, frame(b"next"))) as connection:
        with fails(reason, kind=BadFrame):
            connection.receive(1)
        assert list(connection.receive(1)) == ["next"]


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
    with connected(lambda peer: _wait(done), poll=0.01) as connection:
        assert not connection.receive(1)
        assert not connection.receive(1)
        done.set()


WHOLE = frame(b"x" * 200)
LENGTH_LIKE_A_FRAME = frame(b"y" * 0x8104)
"""The two bytes of its length are those in which a text of four bytes begins."""


@pytest.mark.parametrize(
    ("first", "rest", "text"),
    [
        *((WHOLE[:cut], WHOLE[cut:], "x" * 200) for cut in (1, 2, 3, 5, 50, 190)),
        (frame(b"one ", final=False), frame(b"two", CONTINUATION), "one two"),
        (LENGTH_LIKE_A_FRAME[:2], LENGTH_LIKE_A_FRAME[2:], "y" * 0x8104),
    ],
    ids=[
        *(f"after {cut} bytes" for cut in (1, 2, 3, 5, 50, 190)),
        "between two fragments",
        "before a length that looks like a frame",
    ],
)
def test_a_timeout_in_the_middle_of_a_message_loses_nothing(first: bytes, rest: bytes, text: str) -> None:
    timed_out = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(first)
        timed_out.wait(DEADLINE)
        peer.sendall(rest + frame(b"next"))

    with connected(talk, poll=0.02) as connection:
        assert not connection.receive(1)
        timed_out.set()
        assert [next_text(connection), next_text(connection)] == [text, "next"]


def test_what_is_sent_arrives_as_one_masked_text_frame() -> None:
    seen: list[bytes] = []
    with connected(lambda peer: seen.append(peer.recv(100))) as connection:
        connection.send("hello")
        with pytest.raises(Unreachable):
            connection.receive(1)

    assert seen[0][:2] == bytes([0x80 | TEXT, 0x80 | 5])


def test_sending_on_a_closed_connection_is_unreachable() -> None:
    with Peer(lambda peer: None) as server:
        connection = connect(server.url)
        connection.close()
        with pytest.raises(Unreachable):
            connection.send("hello")


def test_closing_never_raises_even_twice_or_after_the_peer() -> None:
    with Peer(lambda peer: None) as server:
        connection = connect(server.url)
        with pytest.raises(Unreachable):
            connection.receive(1)
        connection.close()
        connection.close()


def test_it_talks_with_another_librarys_server() -> None:
    with Simulator.start() as exchange:
        connection = connect(exchange.v2_url)
        assert '"channel":"status"' in connection.receive(1)[0].replace(" ", "")
        exchange.send_text("ab", repeat=300_000, fragments=7)
        assert list(connection.receive(1)) == ["ab" * 300_000]
        exchange.cut("clean", code=1001)
        with pytest.raises(Unreachable) as error:
            connection.receive(1)
        assert "1001" in str(error.value)
        connection.close()


def drips(*pieces: bytes, every: float = 0.01) -> tuple[Conversation, threading.Event]:
    """Sends the pieces one after the other, the last one for ever, until the event is set or the client leaves."""
    done = threading.Event()

    def talk(peer: socket.socket) -> None:
        for piece in chain(pieces, repeat(pieces[-1])):
            if done.wait(every):
                return
            peer.sendall(piece)

    return talk, done


@pytest.mark.parametrize(
    "pieces",
    [[frame(b"", PING)], [frame(b"", PONG)], [frame(b"", length=60_000), b"x"], [frame(b"x", final=False)]],
    ids=["pings and nothing else", "pongs", "a frame byte by byte", "a first fragment and no second"],
)
def test_what_is_no_message_ends_a_look_at_the_socket_all_the_same(pieces: list[bytes]) -> None:
    talk, done = drips(*pieces, frame(b"", PING)) if pieces[0][0] == TEXT else drips(*pieces)
    with connected(talk, poll=0.05) as connection:
        for _ in range(5):
            assert not connection.receive(1)
        done.set()


def test_a_look_at_the_socket_ends_for_its_first_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ltp_service.feed.connection.time.monotonic", lambda: now[0])
    rest = iter(frame(b"x" * 200))

    def receive(_: int) -> bytes:
        now[0] += 0.75
        return bytes([next(rest)])

    frames = connection_module._BufferedFrames(receive, b"", 1.0)  # noqa: SLF001 - a socket cannot be paced so
    assert frames.whole_texts(1) == []
    with pytest.raises(websocket.WebSocketTimeoutException):
        frames.recv_strict(200)
    assert now[0] == 1.5


def test_pings_are_answered_between_looks() -> None:
    seen = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(frame(b"hello", PING))
        if peer.recv(100)[0] == 0x8A:
            seen.set()
        peer.sendall(frame(b"next"))

    with connected(talk) as connection:
        assert next_text(connection) == "next"

    assert seen.is_set()


def test_a_peer_that_floods_pings_and_reads_no_answer_is_left() -> None:
    """A pong that went out by half would garble all that follows it."""
    done = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):
            while not done.is_set():
                peer.sendall(frame(b"x" * 125, PING) * 100)

    with connected(talk, poll=0.1) as connection:
        # Little room for pongs: the system would else grow it to megabytes, and stall both ways on the way there.
        opened = connection._socket.sock  # noqa: SLF001
        assert opened is not None
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with fails("closed"):
            next_text(connection)
        done.set()


def test_what_the_library_raises_ends_the_connection_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Surprise(Exception):
        """An error of a kind that no list of kinds has."""

    def surprise(*_: object, **__: object) -> None:
        raise Surprise("Illegal key")

    with connected(sends(frame(b"x"))) as connection:
        monkeypatch.setattr(websocket.WebSocket, "recv_data_frame", surprise)
        with pytest.raises(Unreachable) as error:
            connection.receive(1)

    assert (error.value.reason, "Surprise: Illegal key" in str(error.value)) == ("protocol", True)


SILENT = 0.5


@pytest.mark.parametrize(
    "pieces",
    [[frame(b"", PING)], [frame(b"", length=60_000), b"x"]],
    ids=["pings and nothing else", "a frame byte by byte"],
)
@pytest.mark.parametrize("ending", ["silent", "stop"])
def test_a_line_that_only_trickles_is_given_up_and_left_at_stop(pieces: list[bytes], ending: str) -> None:
    talk, done = drips(*pieces)
    with Peer(talk) as server:
        world = Runtime()
        equipment = Equipment(
            partial(WebSocketConnection, Dialer(server.url, timeout=60.0), poll_interval=0.05),
            Backoff(60.0, 5, world),
            world,
            SILENT if ending == "silent" else 3600.0,
        )
        collector = BybitTrades(["BTCUSDT"], TradeStore(world), equipment)
        collector.terms = Terms()  # no pings of its own, which would make it more patient
        collector._idle_timeout = equipment.idle_timeout  # noqa: SLF001
        stop = threading.Event()
        thread = threading.Thread(target=collector.run, args=(stop,), daemon=True)
        thread.start()
        eventually(lambda: collector.link().connected or collector.link().last_error is not None)
        if ending == "silent":
            eventually(lambda: collector.link().last_error is not None, 60.0)
            assert "no frame" in (collector.link().last_error or "")
        stop.set()
        thread.join(DEADLINE)
        done.set()

    assert not thread.is_alive()
    assert collector.link().state == "stopped"


def in_bursts(*frames: bytes) -> list[list[str]]:
    """What each read of these frames brings, up to the message `end`; a message that is no text is told as such."""
    bursts: list[list[str]] = []
    with connected(lambda peer: peer.sendall(b"".join(frames) + frame(b"end"))) as connection:
        while not bursts or bursts[-1][-1] != "end":
            try:
                bursts.append(list(connection.receive(10_000)) or ["no text"])
            except BadFrame as error:
                bursts.append([error.reason])
    return bursts


def test_what_was_received_whole_behind_a_message_is_taken_in_order_and_without_another_read() -> None:
    texts = ["first", "", "\u20ac" * 40, "x" * 125, "y" * 126, "z" * 65_535, *map(str, range(500))]
    bursts = in_bursts(*(frame(text.encode()) for text in texts))

    assert [text for burst in bursts for text in burst] == [*texts, "end"]
    assert len(bursts) < len(texts) / 10


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (frame(b"x", BINARY), "binary"),
        (frame(b"\xff"), "encoding"),
        (frame(b"hello", PING), "no text"),
        (frame(b"a", final=False) + frame(b"b", CONTINUATION), "ab"),
        (frame(b"w" * 70_000), "w" * 70_000),
    ],
    ids=["binary", "not UTF-8", "ping", "fragments", "large"],
)
def test_what_is_not_plain_in_a_burst_keeps_its_place(odd: bytes, told: str) -> None:
    bursts = in_bursts(frame(b"before"), frame(b"just before"), odd, frame(b"after"))

    assert [text for burst in bursts for text in burst] == ["before", "just before", told, "after", "end"]
