"""One pump for all clients: who gets what, and when."""

import itertools
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from math import ceil

import gevent
import pytest
from gevent.event import Event as GreenletEvent
from gevent.server import StreamServer

from ltp_service.domain.pairs import Pair
from ltp_service.meters import STREAM_DROPPED, STREAM_EVENTS
from ltp_service.prices.other_markets import LOOK_AGAIN_SECONDS
from ltp_service.prices.quotes import Quote
from ltp_service.streams.events import HEARTBEAT_SECONDS
from ltp_service.streams.flow import Flow
from ltp_service.streams.pump import (
    HEARING_SHARE,
    HURRY_SECONDS,
    IDLE_SHARE,
    LONGEST_LINGER_SECONDS,
    LONGEST_PAUSE_SECONDS,
    LOOK_EVERY_SECONDS,
    MAX_HEARD_BYTES,
    SEND_BUFFER_BYTES,
    SENDS_BETWEEN_LOOKS,
    SLOW_AFTER_SECONDS,
)
from ltp_service.streams.question import MarketQuestion
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, FakeClock, ScriptedStop
from tests.streams.room import PRICES, TTL, Event, Room, Wire

ONLY_BTC = MarketQuestion((BTC,), "prices")


@pytest.fixture
def room() -> Room:
    """With a price of BTC/USD."""
    room = Room()
    room.trade("100")
    return room


def states(events: list[Event]) -> list[str]:
    return [event.data["state"] for event in events if event.name == "price"]


# What a client gets.


def test_hello_and_every_price_come_first(room: Room) -> None:
    hello, btc, eth = room.join().events()

    assert (hello.name, hello.data["pairs"], hello.data["resumed"]) == (
        "hello",
        ["BTC/USD", "ETH/USD"],
        False,
    )
    assert hello.data["heartbeat_s"] == HEARTBEAT_SECONDS
    assert btc.data == {"pair": "BTC/USD", "amount": "100", "state": "live"}
    assert eth.data == {"pair": "ETH/USD", "amount": None, "state": "unknown"}


def test_a_change_between_the_snapshot_and_the_first_frame_is_told(room: Room) -> None:
    client = room.join()
    room.trade("101")
    late = room.join()

    room.turn(LOOK_EVERY_SECONDS)
    for each in (client, late):
        assert [event.data["amount"] for event in each.events() if event.name == "price"][-1] == "101"


def test_news_are_told_at_once_to_a_client_that_is_idle(room: Room) -> None:
    client = room.join()
    room.turn(1)
    client.events()
    room.trade("101")

    room.turn()
    assert [event.data["amount"] for event in client.events()] == ["101"]


def test_at_most_ten_frames_a_second_and_the_newest_wins(room: Room) -> None:
    client = room.join()
    room.turn(1)
    client.events()
    sends = client.sends
    for number in range(100):
        room.trade(str(200 + number))
        room.turn(0.01)
    room.turn(LOOK_EVERY_SECONDS)

    assert 9 <= client.sends - sends <= 11
    assert client.events()[-1].data["amount"] == "299"


def test_hearing_news_leaves_time_for_others(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.join()
    heard: list[float] = []

    def hear(news: object) -> list[Flow]:
        heard.append(room.clock.monotonic())
        room.clock.advance(0.005)  # as if there were thousands of questions
        return []

    monkeypatch.setattr(room.sources, "hear", hear)
    for number in range(100):
        room.trade(str(200 + number))
        room.turn(0.001)

    assert min(after - before for before, after in itertools.pairwise(heard)) >= 0.005 * (1 + HEARING_SHARE)
    room.trade("1")
    assert room.turn() <= 0.005 * HEARING_SHARE


def test_a_heartbeat_does_not_keep_a_price_waiting(room: Room) -> None:
    client = room.join()
    while "heartbeat" not in client.names():
        room.turn(LOOK_EVERY_SECONDS)
    room.trade("101")
    room.turn()

    assert client.names() == ["price"]


def test_news_for_many_clients_go_together(room: Room) -> None:
    clients = [room.join() for _ in range(2000)]
    room.turn(1)
    sends = clients[0].sends
    room.trade("101")
    pause = room.turn()
    assert 0 < pause <= LONGEST_LINGER_SECONDS
    room.trade("2000", ETH)
    room.turn(pause)

    assert clients[0].sends == sends + 1
    assert clients[0].names()[-2:] == ["price", "price"]


def test_the_pump_wakes_when_the_next_frame_is_due(room: Room) -> None:
    client = room.join()
    room.turn(1)
    room.trade("101")
    room.turn()
    client.events()
    room.trade("102")

    while not client.received:
        pause = room.turn()
        assert 0 <= pause <= LOOK_EVERY_SECONDS
        room.clock.advance(pause)
    assert client.events()[0].data["amount"] == "102"


def test_a_state_is_told_when_time_alone_changes_it(room: Room) -> None:
    client = room.join(ONLY_BTC)
    seen = states(client.events())
    for _ in range(ceil(TTL / LOOK_EVERY_SECONDS) + 2):
        room.turn(LOOK_EVERY_SECONDS)
        seen += states(client.events())
    room.heartbeat(BTC)
    room.turn(LOOK_EVERY_SECONDS)

    assert seen == ["live", "stale"]
    assert states(client.events()) == ["live"]


def test_a_substitute_and_krakens_return_are_told_at_the_next_look(room: Room) -> None:
    client = room.join(ONLY_BTC)
    client.events()
    room.clock.advance(TTL + 1)
    room.trade_elsewhere(room.coinbase, "101")
    room.turn(LOOK_EVERY_SECONDS)
    price = client.events()[0]
    assert (price.name, price.data["state"], price.data["amount"]) == ("price", "substitute", "101")

    room.trade_elsewhere(room.coinbase, "101.5")
    room.turn(LOOK_EVERY_SECONDS)
    assert [event.data["amount"] for event in client.events()] == ["101.5"]
    room.heartbeat(BTC)
    room.turn(LOOK_EVERY_SECONDS)
    assert [(event.data["state"], event.data["amount"]) for event in client.events()] == [("live", "100")]


def test_a_price_that_begins_or_ends_to_deviate_is_told_again(room: Room) -> None:
    client = room.join(ONLY_BTC)
    client.events()
    room.trade_elsewhere(room.coinbase, "110")
    room.trade_elsewhere(room.bitstamp, "110")
    for told in (1, 0):
        room.turn(LOOK_AGAIN_SECONDS)
        assert len(client.events()) == told
    room.trade_elsewhere(room.bitstamp, "101")
    room.turn(LOOK_AGAIN_SECONDS)
    assert states(client.events()) == ["live"]


def test_a_heartbeat_comes_every_five_seconds_in_a_silent_market(room: Room) -> None:
    client = room.join()
    client.events()
    at = []
    for _ in range(200):
        room.heartbeat(BTC)
        room.turn(LOOK_EVERY_SECONDS)
        at += [(room.clock.monotonic(), event) for event in client.events()]

    assert {event.name for _, event in at} == {"heartbeat"}
    assert at[0][1].data["states"] == {"live": 1, "unknown": 1}
    assert at[0][1].data["evidence_age_ms"].keys() == {"BTC/USD", "ETH/USD"}
    for (before, _), (after, _) in itertools.pairwise(at):
        assert HEARTBEAT_SECONDS - 1 < after - before < HEARTBEAT_SECONDS + 1


def test_a_frame_is_rendered_once_for_all_who_asked_the_same(room: Room) -> None:
    clients = [room.join(ONLY_BTC) for _ in range(50)]
    room.turn(1)
    room.rendered.clear()
    room.trade("101")
    room.turn()

    assert room.rendered == [BTC]
    assert len({client.received.partition(b'"101"')[2] for client in clients}) == 1
    assert room.meters.counted[STREAM_EVENTS]["price"] == 100


def test_a_group_of_few_is_not_kept_waiting_by_one_of_many(room: Room) -> None:
    """The few get theirs although the many were due first."""
    many = [room.join() for _ in range(200)]
    few = room.join(ONLY_BTC)
    room.turn(1)
    sent: list[Wire] = []
    for client in (*many, few):
        client.log = sent
    for price in ("101", "102"):
        sent.clear()
        room.trade(price)
        room.turn(LONGEST_LINGER_SECONDS)
        room.turn(LONGEST_LINGER_SECONDS)
    room.turn(LONGEST_PAUSE_SECONDS)

    assert sent[0] is few
    assert len(sent) == 201


def test_a_busy_pump_sends_fewer_frames(room: Room) -> None:
    client = room.join()
    room.turn(1)
    quick, busy = LONGEST_PAUSE_SECONDS / IDLE_SHARE, client.send

    def send(content: bytes, /) -> int:
        room.clock.advance(quick)  # as if there were thousands
        return busy(content)

    client.send = send  # type: ignore[method-assign]
    begun, sends = room.clock.monotonic(), client.sends
    for number in range(200):
        room.trade(str(200 + number))
        room.turn(0.01)
    seconds = room.clock.monotonic() - begun

    assert seconds / LONGEST_PAUSE_SECONDS - 2 <= client.sends - sends <= seconds / LONGEST_PAUSE_SECONDS + 1


# The turns of others.


class Sends:
    """What the clients of a room were sent. Each send takes a tenth of a millisecond of the processor, while the machine
    mostly runs other programs."""

    def __init__(
        self,
        room: Room,
        processor: FakeClock,
        clients: list[Wire],
        after_first: Callable[[], object] = lambda: None,
    ) -> None:
        self.number = 0
        self._clocks, self._after_first = {room.clock: 0.01, processor: 0.0001}, after_first
        for client in clients:
            client.send = self._send  # type: ignore[method-assign]

    def _send(self, content: bytes, /) -> int:
        for clock, seconds in self._clocks.items():
            clock.advance(seconds)
        self.number += 1
        if self.number == 1:
            self._after_first()
        return len(content)


@pytest.mark.parametrize("is_new", [False, True], ids=["open connection", "new connection"])
def test_a_request_that_comes_during_a_slice_is_answered_before_the_next(is_new: bool) -> None:
    processor = FakeClock()
    room = Room(sleep=gevent.sleep, processor_time=processor.monotonic)
    clients = [room.join() for _ in range(10 * SENDS_BETWEEN_LOOKS)]
    room.turn(1)
    accepted, answered = GreenletEvent(), GreenletEvent()
    answered_after: list[int] = []

    def answer(connection: socket.socket, _: object) -> None:
        accepted.set()
        connection.recv(100)
        answered_after.append(sends.number)
        answered.set()

    with socket.socket() as client, closing(StreamServer(("127.0.0.1", 0), answer)) as server:
        server.start()

        def ask() -> None:
            if is_new:
                client.connect(server.address)
            client.sendall(b"a request")

        if not is_new:
            client.connect(server.address)
            assert accepted.wait(DEADLINE)
        sends = Sends(room, processor, clients, ask)
        room.trade("101")
        room.turn(LONGEST_LINGER_SECONDS)
        assert answered.wait(DEADLINE)

    assert answered_after == [SENDS_BETWEEN_LOOKS]


def sent_before_each_sleep(used: float) -> list[int]:
    """How much a pump with many clients has sent, where the others use the processor for so many seconds in each sleep and
    the machine runs other programs for 10 ms."""
    processor = FakeClock()
    sent: list[int] = []

    def sleep(_: float) -> None:
        room.clock.advance(0.01)
        processor.advance(used)
        sent.append(sends.number)

    room = Room(sleep=sleep, processor_time=processor.monotonic)
    sends = Sends(room, processor, [room.join() for _ in range(10 * SENDS_BETWEEN_LOOKS)])
    room.turn(1)
    room.trade("101")
    room.turn(LONGEST_LINGER_SECONDS)
    return sent


@pytest.mark.parametrize(("used", "looks"), [(0.0, 1), (0.002, 2), (0.1, 3)])
def test_a_slice_is_half_as_long_as_the_others_used_the_processor(used: float, looks: int) -> None:
    first, second = sorted(set(sent_before_each_sleep(used)))[:2]
    assert second - first == looks * SENDS_BETWEEN_LOOKS


def test_many_requests_have_one_turn_between_two_slices() -> None:
    assert set(Counter(sent_before_each_sleep(0.002)).values()) == {1}


# Slow clients.


def test_a_frame_that_is_cut_is_finished_first_and_then_comes_the_newest(room: Room) -> None:
    client = room.join(ONLY_BTC)
    room.turn(1)
    client.events()
    client.room = 20
    for price in ("101", "102", "103"):
        room.trade(price)
        room.turn(1)
    client.room = 1 << 30
    room.turn(LOOK_EVERY_SECONDS)
    room.turn(LOOK_EVERY_SECONDS)

    assert [event.data["amount"] for event in client.events()] == ["101", "103"]
    room.trade("104")
    room.turn(LOOK_EVERY_SECONDS)
    assert [event.data["amount"] for event in client.events()] == ["104"]


def test_a_client_that_reads_little_is_served_again_soon_and_keeps_its_place(room: Room) -> None:
    client = room.join(ONLY_BTC)
    room.turn(1)
    client.events()
    client.room = 1
    room.trade("101")
    room.turn()
    for _ in range(2 * ceil(SLOW_AFTER_SECONDS)):
        client.room = 1
        room.turn(1)
    client.room = 1
    room.turn(LOOK_EVERY_SECONDS)

    assert room.turn() <= HURRY_SECONDS
    assert not client.closed


def test_a_client_that_takes_nothing_is_dropped_and_no_other_is_kept_waiting(room: Room) -> None:
    stuck, other = room.join(), room.join()
    room.turn(1)
    stuck.room = 0
    room.trade("101")
    for _ in range(ceil(SLOW_AFTER_SECONDS / LOOK_EVERY_SECONDS) - 1):
        other.received = b""
        room.trade(str(room.clock.monotonic()))
        room.turn(LOOK_EVERY_SECONDS)
        assert other.received
        assert not stuck.closed
    room.turn(2 * LOOK_EVERY_SECONDS)

    assert bool(stuck.closed)
    assert room.pump.places.taken == 1
    assert room.meters.counted[STREAM_DROPPED] == {"slow": 1}


def test_a_client_behind_learns_of_heartbeats_too(room: Room) -> None:
    client = room.join(ONLY_BTC)
    room.turn(1)
    client.room = 1
    room.trade("101")
    room.turn()
    room.turn(HEARTBEAT_SECONDS)
    client.room = 1 << 30
    room.turn(LOOK_EVERY_SECONDS)
    room.turn(LOOK_EVERY_SECONDS)

    assert "heartbeat" in client.names()


# Coming and going.


def test_a_client_that_is_gone_leaves_nothing(room: Room) -> None:
    for _ in range(3):
        room.hang_up(room.join())
    room.turn(1)

    assert room.watched == {}
    assert room.pump.places.taken == 0
    assert room.changes.listener is None
    assert not room.pump._groups  # noqa: SLF001 - nothing may be left there
    assert room.meters.counted[STREAM_DROPPED] == {"gone": 3}


def test_a_client_that_is_found_gone_while_it_is_sent_to_is_dropped(room: Room) -> None:
    client, other = room.join(), room.join()
    room.turn(1)
    other.events()
    client.is_gone = True
    room.trade("101")
    room.turn()

    assert client.closed
    assert other.names() == ["price"]


def test_what_a_client_says_is_ignored_up_to_a_limit(room: Room) -> None:
    client = room.join()
    client.says = [b"x" * 4096] * (MAX_HEARD_BYTES // 4096)
    for _ in range(len(client.says)):
        room.watched[client.fileno()]()
    assert not client.closed
    client.says = [b"x"]
    room.watched[client.fileno()]()

    assert client.closed


def test_the_system_keeps_little_for_one_client(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("tests.streams.room.Wire.setsockopt", lambda *args: asked.append(args[-1]))
    room.join()
    assert asked == [SEND_BUFFER_BYTES]


def test_without_a_stream_a_trade_is_told_to_nobody(room: Room) -> None:
    assert room.changes.listener is None
    room.join()
    assert room.changes.listener is not None


# The end.


def test_at_the_end_every_client_gets_a_bye_and_is_closed(room: Room) -> None:
    clients = [room.join(), room.join(ONLY_BTC)]
    for client in clients:
        client.events()
    room.pump.end()
    room.turn()

    for client in clients:
        (bye,) = client.events()
        assert (bye.name, bye.data) == ("bye", {"reason": "ending"})
        assert bye.retry is not None
        assert 500 <= bye.retry <= 3000
        assert client.closed
    assert room.meters.counted[STREAM_DROPPED] == {"ended": 2}


def test_when_other_pairs_are_served_the_streams_of_all_pairs_get_a_bye_and_no_others(room: Room) -> None:
    of_all, of_one = room.join(PRICES._replace(everything=True)), room.join(ONLY_BTC)
    for client in (of_all, of_one):
        client.events()
    room.pump.end_those_of_all_pairs()
    room.turn()
    room.turn()

    assert [event.data for event in of_all.events()] == [{"reason": "pairs"}]
    assert of_all.closed
    assert not of_one.closed


def test_a_client_that_comes_during_the_end_is_told_so(room: Room) -> None:
    room.pump.end()
    room.turn()
    client = room.join()

    assert client.names() == ["hello", "price", "price", "bye"]
    assert client.closed


def test_a_cut_frame_is_not_followed_by_a_bye(room: Room) -> None:
    client = room.join()
    room.turn(1)
    client.events()
    client.room = 10
    room.trade("101")
    room.turn()
    room.pump.end()
    room.turn()

    assert client.closed
    assert b"bye" not in client.received


def test_the_runner_says_bye_when_it_is_stopped(room: Room) -> None:
    client = room.join()
    stop = ScriptedStop(room.clock)
    stop.set()
    room.pump.run(stop)

    assert client.names()[-1] == "bye"


def test_after_a_failure_clients_of_the_broken_frame_have_to_resume(room: Room) -> None:
    clients = [room.join() for _ in range(2)]
    other = room.join(ONLY_BTC)
    room.turn(1)
    render, room.sources.item = room.sources.item, lambda _: 1 / 0  # type: ignore[assignment,return-value]
    room.trade("2000", ETH)
    with pytest.raises(ZeroDivisionError):
        room.turn()
    room.sources.item = render
    stop = ScriptedStop(room.clock)
    stop.set()
    other.events()
    room.pump.run(stop)

    assert all(client.closed for client in clients)
    assert other.names() == ["bye"]


@pytest.mark.parametrize("question", [PRICES, ONLY_BTC])
def test_all_events_carry_the_id_of_their_pairs(room: Room, question: MarketQuestion) -> None:
    events = room.join(question).events()
    assert len({event.id.rpartition(".")[0] for event in events}) == 1
    assert room.join(question, events[-1].id).events()[0].data["resumed"] is True
    other = ONLY_BTC if question is PRICES else PRICES
    hello, *gaps = [event for event in room.join(other, events[-1].id).events() if event.name != "price"]
    assert hello.data["resumed"] is False
    assert [gap.data["pair"] for gap in gaps] == list(map(str, other.pairs))


def test_a_stream_ends_with_its_key(room: Room) -> None:
    valid = [True]
    mine, others = room.join(is_allowed=lambda: valid[0]), room.join()
    alone = room.join(ONLY_BTC, is_allowed=lambda: valid[0])
    room.turn(HEARTBEAT_SECONDS)
    assert (mine.closed, alone.closed) == (False, False)

    valid[0] = False
    room.turn(HEARTBEAT_SECONDS)
    assert (mine.closed, alone.closed, others.closed) == (True, True, False)


def test_a_client_behind_that_cannot_be_served_is_dropped_alone(room: Room) -> None:
    healthy, behind = room.join(ONLY_BTC), room.join()
    behind.room = 0
    room.trade("2000", ETH)
    room.turn(1)
    render, room.sources.item = room.sources.item, lambda _: 1 / 0  # type: ignore[assignment,return-value]
    behind.room = 1 << 30
    room.trade("2001", ETH)
    with pytest.raises(ZeroDivisionError):
        room.turn(1)
    room.sources.item = render
    stop = ScriptedStop(room.clock)
    stop.set()
    room.pump.run(stop)

    assert behind.closed
    assert healthy.names()[-1] == "bye"


# Many pairs.

MANY = MarketQuestion(tuple(Pair(f"C{number}", "USD") for number in range(100)), "prices")


class BusyRoom(Room):
    """Each item takes a millisecond to render. `breaks` has how many were rendered at each sleep."""

    def __init__(self) -> None:
        self.breaks: list[int] = []
        self.meanwhile: Callable[[], object] = list
        super().__init__(sleep=self._note)
        render = self.sources.item

        def item(quote: Quote) -> bytes:
            self.clock.advance(0.001)
            return render(quote)

        self.sources.item = item

    def _note(self, _: float) -> None:
        self.breaks.append(len(self.rendered))
        self.meanwhile()

    def trade_all(self, price: str) -> None:
        for pair in MANY.pairs:
            self.trade(price, pair)

    def longest(self) -> int:
        """The most items that were rendered without a sleep."""
        places = [0, *self.breaks, len(self.rendered)]
        return max(after - before for before, after in pairwise(places))


def test_the_frames_of_many_pairs_are_rendered_with_rests() -> None:
    room = BusyRoom()
    room.trade_all("100.0")
    wire = room.join(MANY)
    assert (len(room.rendered), room.longest()) == (100, 2)

    room.trade_all("101.0")
    room.turn(1.0)

    assert (len(room.rendered), room.longest()) == (200, 2)
    assert wire.names().count("price") == 200


def test_a_client_may_go_while_its_frame_is_rendered() -> None:
    room = BusyRoom()
    wire = room.join(MANY)
    room.trade_all("101.0")

    def hang_up() -> None:
        if not wire.closed:
            room.hang_up(wire)

    room.meanwhile = hang_up
    room.turn(1.0)

    assert (wire.closed, room.pump.places.taken) == (True, 0)


def test_the_only_client_of_a_question_may_go_while_another_one_is_rendered() -> None:
    room = BusyRoom()
    others = MarketQuestion(tuple(Pair(f"D{number}", "USD") for number in range(100)), "prices")
    wires = {question: room.join(question) for question in (MANY, others)}
    for wire in wires.values():
        wire.events()
    for pair in (*MANY.pairs, *others.pairs):
        room.trade("101.0", pair)

    def hang_up() -> None:
        if not any(wire.closed for wire in wires.values()):
            waiting = (
                others if room.rendered[-1] in MANY.pairs else MANY
            )  # which one comes first is not decided
            room.hang_up(wires[waiting])

    room.meanwhile = hang_up
    room.turn(1.0)

    told = [(wire.closed, wire.names().count("price")) for wire in wires.values()]
    assert sorted(told) == [(False, 100), (True, 0)]


def test_who_joins_a_moment_after_another_gets_what_was_rendered(room: Room) -> None:
    room.trade("100.0")
    first, rendered = room.join(), len(room.rendered)
    second = room.join()

    assert len(room.rendered) == rendered
    assert first.names() == second.names() == ["hello", "price", "price"]
