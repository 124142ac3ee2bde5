"""tests.drill.heard and tests.drill.record: what judges a stream is shown streams that are wrong."""

import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import DEADLINE
from tests.drill.clients import Reading, Served
from tests.drill.heard import broken_promises, ended_without_bye, lagging, latest, lines, readings
from tests.drill.listener import CLOSED, OPENED, Listener, Told
from tests.drill.record import judge
from tests.drill.truth import Truth, never_waited

PAIR = "BTC/USD"
DETAIL, PLAIN = 200, 0
"""Readers of the load that ask with and without detail."""


class Market:
    """100 until 10 s ago, then 101."""

    def __init__(self) -> None:
        now = time.time()
        self.rows = [[now - 30, "100", 1], [now - 10, "101", 2]]

    def market(self, *pairs: str, after: float | None = None) -> dict[str, dict[str, Any]]:
        return {pair: {"history": [row for row in self.rows if row[0] > (after or 0)]} for pair in pairs}  # type: ignore[operator]


class Stream:
    """Events of one connection, at seconds after its beginning."""

    def __init__(self, ago: float = 30.0) -> None:
        self.begun = time.monotonic() - ago
        self.told = [Told(self.begun, 0, OPENED, "", {})]

    def price(self, at: float, amount: str | None, trade_id: int, state: str = "live") -> "Stream":
        data = {
            "pair": PAIR,
            "amount": amount,
            "state": state,
            "source": "kraken:websocket",
            "age_ms": "0",
            "trade_id": str(trade_id),
        }
        return self.event(at, "price", data)

    def heartbeat(self, at: float, age_ms: int = 0, **states: int) -> "Stream":
        counted = {state: str(number) for state, number in states.items()}
        return self.event(at, "heartbeat", {"states": counted, "evidence_age_ms": {PAIR: str(age_ms)}})

    def event(self, at: float, name: str, data: dict[str, Any]) -> "Stream":
        self.told.append(Told(self.begun + at, 0, name, "", data))
        return self

    def wrong(self) -> list[str]:
        truth = Truth(Market(), [PAIR])
        truth.catch_up()
        return [one.why for one in truth.wrong(readings(lines(self.told)), 5.0)]

    def broken(self, until: float) -> list[str]:
        return [one.why for one in broken_promises(lines(self.told), self.begun + until)]


def test_a_price_is_held_to_its_moment() -> None:
    assert not Stream().price(1, "100", 1).price(20.1, "101", 2).wrong()
    assert len(Stream().price(21, "100", 1).wrong()) == 1


def test_a_price_that_was_not_told_in_time_makes_the_next_heartbeat_wrong() -> None:
    assert not Stream().price(1, "100", 1).heartbeat(19, live=1).wrong()
    assert len(Stream().price(1, "100", 1).heartbeat(22, live=1).wrong()) == 1
    assert not Stream().price(1, "100", 1).heartbeat(22, age_ms=3000, live=1).wrong()


def test_heartbeats_come_in_time_or_the_line_was_silent() -> None:
    stream = Stream().price(0, "100", 1).heartbeat(5, live=1).heartbeat(10, live=1)
    assert not stream.broken(until=15.5)
    assert len(stream.broken(until=17)) == 2  # no event, and no heartbeat
    assert stream.price(14, "101", 2).broken(until=17) == ["no heartbeat for 7.0 s"]
    assert len(Stream().heartbeat(5).heartbeat(8).broken(until=10)) == 1


def test_a_heartbeat_counts_the_states_that_were_told() -> None:
    assert len(Stream().price(0, "100", 1).heartbeat(5, fallback=1).broken(until=6)) == 1
    late = Stream().price(0, "100", 1).heartbeat(5, fallback=1).price(5.2, "100", 1, "fallback")
    assert not late.broken(until=6)


def answer(stream: Stream, at: float, trade_id: int, state: str, reader: int = DETAIL) -> Reading:
    moment = stream.begun + at
    served = Served(PAIR, "100", state, "kraken:websocket", "0", str(trade_id))
    return Reading(reader, moment, moment, moment, None, 200, None, [served])


def late(stream: Stream, *answers: Reading) -> list[str]:
    return [one.why for one in lagging(lines(stream.told), answers, 0.0, never_waited)]


def test_a_state_that_answers_show_is_told_within_its_time() -> None:
    stream = Stream().price(0, "100", 1).price(10.2, "100", 1, "quiet").heartbeat(20, quiet=1)
    shown = [answer(stream, 5, 1, "live")]
    quiet = [*shown, answer(stream, 10, 1, "quiet"), answer(stream, 15, 1, "quiet")]
    assert latest(lines(stream.told), quiet) == pytest.approx(0.2)
    assert not late(stream, *quiet)
    assert late(stream, *shown, answer(stream, 9.8, 1, "quiet"), answer(stream, 15, 1, "quiet"))
    no_price = answer(stream, 16, 1, "")._replace(status=503, served=[])
    gone = no_price._replace(answered_at=no_price.answered_at + 1, asked_at=no_price.asked_at + 1)
    assert late(stream, *shown, no_price, gone)
    assert not late(stream, *shown, no_price._replace(reader=PLAIN), gone._replace(reader=PLAIN))


def test_a_trade_that_answers_show_is_told_within_its_time() -> None:
    stream = Stream().price(0, "100", 1).price(10, "101", 2).heartbeat(20, live=1)
    assert not late(stream, answer(stream, 9.8, 2, "live"))
    assert len(late(stream, answer(stream, 9, 2, "live"))) == 1


def test_who_is_cut_off_is_told_so() -> None:
    stream = Stream().event(1, "bye", {"reason": "ends"})
    stream.event(1, CLOSED, {})
    assert ended_without_bye(lines(stream.told)) == 0
    del stream.told[1]
    assert ended_without_bye(lines(stream.told)) == 1


TAPE = [(float(number), number, Decimal(100 + number)) for number in range(1, 9)]


def recorded(*events: int | tuple[int | None, int | None]) -> list[str]:
    """Trades by their ids, gaps by the ids around them."""
    told = [
        Told(0.0, 0, "trade", "", {"pair": PAIR, "trade_id": str(each), "price": str(100 + each)})
        if isinstance(each, int)
        else Told(0.0, 0, "gap", "", {"pair": PAIR, "after_trade_id": each[0], "before_trade_id": each[1]})
        for each in events
    ]
    return judge(told, {PAIR: TAPE}, 8.5).wrong


def test_each_trade_is_told_once_and_in_order_or_in_a_gap() -> None:
    assert not recorded(3, 4, 5, 6, 7, 8)
    assert not recorded(3, 4, (4, 7), 7, 8)
    assert not recorded(3, 4, (4, None), 7, 8)
    assert len(recorded(3, 4, 6, 7, 8)) == 1
    assert len(recorded(3, 4, 5, 6, 7)) == 1
    assert recorded(3, 4, 4, 5, 6, 7, 8)
    assert recorded(3, 5, 4, 6, 7, 8)
    assert len(recorded(3, 4, (3, 7), 7, 8)) == 1  # the fourth is told, and told to be lost
    assert recorded()


def test_a_trade_has_its_own_price() -> None:
    told = [Told(0.0, 0, "trade", "", {"pair": PAIR, "trade_id": "8", "price": "107"})]
    assert len(judge(told, {PAIR: TAPE}, 8.5).wrong) == 1


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        yield listener


def answered(server: socket.socket, body: bytes) -> bytes:
    """Lets one client in, tells it that, hangs up, and returns what it had asked."""
    client, _ = server.accept()
    with client:
        asked = client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
    return asked


def test_the_listener_comes_back_with_the_id_it_heard_last(server: socket.socket, tmp_path: Path) -> None:
    listener = Listener.start(server.getsockname()[1], tmp_path / "told")
    try:
        first = answered(server, b': hi\n\nid: a1\nevent: bye\nretry: 10\ndata: {"reason":"end"}\n\n')
        second = answered(server, b"")
        third = answered(server, b"")
        told = listener.stop()
    finally:
        listener.kill()
    assert b"Last-Event-ID" not in first
    assert b"Last-Event-ID: a1\r\n" in second
    assert b"Last-Event-ID: a1\r\n" in third
    assert [each.name for each in told][:3] == [OPENED, "bye", CLOSED]
    assert told[1].data == {"reason": "end"}
