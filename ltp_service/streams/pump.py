"""Sends every stream of this worker: one greenlet, which never waits for a client.

Clients that asked the same are one group, and get the same bytes, rendered once. A client is *in step* while it takes
every frame whole. One that takes only a part is *behind*: it gets the rest of that frame first, and then what it
missed in the newest form. All that is kept for it is that frame, which it mostly shares with others.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from math import inf
from socket import SO_SNDBUF, SOL_SOCKET
from threading import Event
from typing import Protocol

from ltp_service.meters import STREAM_DROPPED, STREAM_EVENTS
from ltp_service.runtime.clock import SHORTEST_SLEEP
from ltp_service.runtime.pauses import Pauses
from ltp_service.runtime.runtime import Runtime
from ltp_service.streams.events import HEARTBEAT_SECONDS, NOTHING, Frame, bye
from ltp_service.streams.flow import Flow, Position
from ltp_service.streams.places import Places
from ltp_service.streams.question import MarketQuestion, Question
from ltp_service.streams.sources import News, Sources

LOOK_EVERY_SECONDS = 0.15
"""Seconds between two looks at everything that is asked. With the pace of frames a change of state, which nothing
announces, is told within a quarter of a second."""

CATCH_UP_EVERY_SECONDS = 0.1
"""Seconds after which a client behind that took no byte is tried again."""

SHORTEST_SLICE_SECONDS, LONGEST_SLICE_SECONDS = 0.0002, 0.002
"""Seconds of sending after which other greenlets get a turn: half as long as their last turn, between these. So a lone
request waits little, and many requests do not keep the pump from its share. All of it is processor time: the time
that other programs take counts as no turn."""

SECONDS_PER_SEND = 1e-5
"""About what one send takes. A frame goes out in the order in which all of them would be done, so many small groups cannot
keep a large one waiting for ever."""

SENDS_BETWEEN_LOOKS = 8
"""Sends between two looks at the clock."""

IDLE_SHARE, LONGEST_PAUSE_SECONDS = 2.0, 0.2
"""A group waits so many times as long as the pump has worked since the group's last frame, but never longer than the
second value. So a pump with thousands of clients leaves half of the processor to the requests."""

HEARING_SHARE = 4.0
"""Finding the clients that news concern takes milliseconds when there are thousands of different questions. The pump then
waits this many times as long before it hears more news."""

MANY_CLIENTS = 100
LINGER_PER_CLIENT, LONGEST_LINGER_SECONDS = 5e-6, 0.01
"""A group of many clients waits for more news, so many seconds for each client and never longer than the second value:
news mostly come together, and a second frame would cost more than that."""

HURRY_SECONDS = 0.01
"""Seconds after which a client behind that takes bytes is served again."""

SLOW_AFTER_SECONDS = 30.0
"""Seconds without a byte taken after which a client is dropped."""

SEND_BUFFER_BYTES = 16_384
"""What the system keeps for one client: it bounds how old is what a slow client reads."""

MAX_HEARD_BYTES = 65_536
"""Bytes that a client may send after its request; they are ignored."""

IDLE_WAIT_SECONDS = 0.25
"""Longest sleep while no stream is open, so that the order to stop is heard soon."""


class Connection(Protocol):
    """A socket that never blocks."""

    def fileno(self) -> int: ...
    def send(self, content: bytes, /) -> int: ...
    def recv(self, most: int, /) -> bytes: ...
    def setsockopt(self, level: int, name: int, value: int, /) -> None: ...
    def close(self) -> None: ...


class Client:
    """One open stream."""

    __slots__ = (
        "address",
        "behind_since",
        "connection",
        "content",
        "group",
        "heard",
        "is_allowed",
        "position",
        "sent",
        "stop_watching",
    )

    def __init__(
        self,
        connection: Connection,
        group: "Group",
        address: str,
        is_allowed: Callable[[], bool] | None,
    ) -> None:
        self.connection = connection
        self.group: Group | None = group
        """None once it is dropped."""
        self.address = address
        self.is_allowed = is_allowed
        self.content = b""
        """The frame of which a part is still to be sent; empty when there is none."""
        self.sent = 0
        """How many bytes of it are sent."""
        self.position: Position | None = None
        """How far it is told after that frame; None in step."""
        self.behind_since = 0.0
        """Monotonic seconds since which it has taken no byte."""
        self.heard = 0
        """Bytes that it sent after its request."""
        self.stop_watching: Callable[[], object] | None = None


class Group:
    """The clients of one question."""

    __slots__ = (
        "beat_at",
        "clients",
        "flow",
        "in_step",
        "is_told",
        "news_at",
        "question",
        "told_at",
        "work_before",
    )

    def __init__(self, question: Question, flow: Flow, now: float, work: float) -> None:
        self.question = question
        self.flow = flow
        self.clients: dict[Client, None] = {}
        self.in_step: dict[Client, None] = {}
        self.told_at = self.news_at = now
        """When its last frame with news was begun, and when there first was something to tell after it."""
        self.work_before = work
        """What the pump had worked by then, in seconds."""
        self.beat_at = now + HEARTBEAT_SECONDS
        self.is_told = False
        """Whether a frame is on its way."""

    def due_at(self, work: float) -> float:
        """When its next frame may be sent."""
        pause = IDLE_SHARE * (work - self.work_before)
        due_at = self.told_at + min(max(self.flow.pause, pause), LONGEST_PAUSE_SECONDS)
        if len(self.in_step) < MANY_CLIENTS:
            return due_at
        return max(due_at, self.news_at + min(LINGER_PER_CLIENT * len(self.in_step), LONGEST_LINGER_SECONDS))


class _Round:
    """One frame on its way to the clients in step."""

    __slots__ = ("clients", "frame", "group", "position", "told")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.frame: Frame | None = None
        self.position: Position | None = None
        self.clients: Iterator[Client] = iter(())
        self.told = 0


class Pump:
    """Runner: tells every client what its question asks for."""

    name = "streams"

    def __init__(
        self,
        sources: Sources,
        places: Places,
        runtime: Runtime,
        when_readable: Callable[[int, Callable[[], None]], Callable[[], object]] | None,
        *,
        processor_time: Callable[[], float] = time.thread_time,
    ) -> None:
        """`when_readable` calls a function once a descriptor can be read, and returns what ends that; None where requests
        have threads, and there are no streams."""
        self.sources, self.places = sources, places
        self.is_supported = when_readable is not None
        self._when_readable = when_readable
        self._monotonic, self._sleep = runtime.clock.monotonic, runtime.sleep
        self._random, self._meters = runtime.random, runtime.meters
        self._processor_time = processor_time
        self._slice = SHORTEST_SLICE_SECONDS
        self._work = 0.0
        """Seconds of processor time for all frames so far."""
        self._groups: dict[Question, Group] = {}
        self._group_of: dict[Flow, Group] = {}
        self._behind: dict[Client, None] = {}
        self._waiting: dict[Group, None] = {}
        """Groups with something to tell whose frame is not due yet."""
        self._next_due = inf
        self._rounds: list[tuple[float, int, _Round]] = []
        """By the moment at which each would be done, so that a group of few clients does not wait for one of thousands."""
        self._numbers = count()
        self._look_at = self._catch_up_at = self._hear_at = 0.0
        self._news: set[News] = set()
        self._wake = Event()
        self._is_ending = False
        self._are_other_pairs_served = False
        self._served: Client | None = None
        """The client behind that is served now."""
        self._told: Counter[str] = Counter()
        """Events since the meters were last told."""
        self._dropped: Counter[str] = Counter()

    # Called by requests.

    def join(
        self,
        question: Question,
        address: str,
        last_event_id: str,
        is_allowed: Callable[[], bool] | None,
        connection: Connection,
        head: bytes,
    ) -> None:
        """Takes over a connection. `head` goes before the first event. From here on only the pump closes it.

        `is_allowed` returns whether the client's key is still valid; None where it needed none.
        """
        pause = Pauses(self._monotonic, self._sleep)
        group = self._groups.get(question) or self._open(question)
        client = Client(connection, group, address, is_allowed)
        self.places.take(address)
        group.clients[client] = None
        try:
            self._watch(client)
            for _ in group.flow.render(whole=True):
                pause()
                if client.group is None:
                    return
            frame, position = group.flow.begin(last_event_id)
        except BaseException:
            self._drop(client, "gone")
            raise
        self._count(frame, 1)
        self._hold(client, head + frame.content, 0, position)
        if self._push(client):
            self._advance(client)
        if client.group is None:
            return
        connection.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)
        if self._is_ending:
            self._part(client)
        elif client in self._behind:
            self._wake.set()

    def end(self) -> None:
        """The process was told to end: every client gets a bye, and its connection is closed."""
        self._is_ending = True
        self._wake.set()

    def end_those_of_all_pairs(self) -> None:
        """Other pairs are served from now on: every stream of all pairs gets a bye, so that its client asks again."""
        self._are_other_pairs_served = True
        self._wake.set()

    # The runner.

    def run(self, stop: Event) -> None:
        """Sends until `stop` is set."""
        self._begin_anew()
        while not stop.is_set():
            pause = self.turn()
            if self._is_ending:
                stop.wait()
            elif not self._wake.is_set():  # gevent 26.9 may sleep on where it is set already
                self._wake.wait(pause)
        self._is_ending = True
        self._say_bye()

    def _begin_anew(self) -> None:
        """After a failure it is not known which clients had the frame that was under way, so all have to resume."""
        for _, _, sending in self._rounds:
            for client in list(sending.group.clients):
                self._drop(client, "ended")
        self._rounds.clear()
        if self._served is not None:
            self._drop(self._served, "ended")
            self._served = None

    def turn(self) -> float:
        """Sends all that is due. Returns the seconds until something may be due again."""
        self._wake.clear()
        self._gather()
        while self._rounds:
            self._render()
            self._send_a_slice()
            self._rest()
            self._gather()
        if self._is_ending:
            self._say_bye()  # now that each client has the whole of its frame, or is behind
        elif self._are_other_pairs_served:
            self._are_other_pairs_served = False
            self._say_bye(of_all_pairs=True)
        self._tell_meters()
        if not self._groups:
            return IDLE_WAIT_SECONDS
        due_at = min(self._look_at, self._next_due, self._catch_up_at)
        return max(0.0, min(due_at, self._hear_at if self._news else inf) - self._monotonic())

    def _gather(self) -> None:
        """Finds out which groups have something to tell, and catches up with clients behind."""
        if self._is_ending or not self._groups:
            return
        now = self._monotonic()
        if self._news and now >= self._hear_at:
            news, self._news = self._news, set()
            for flow in self.sources.hear(news):
                self._stir(self._group_of[flow], now)
            heard_at = self._monotonic()
            self._hear_at = heard_at + HEARING_SHARE * (heard_at - now)
        if now >= self._look_at:
            self._look(now)
        if now >= self._next_due:
            self._next_due = inf
            for group in list(self._waiting):
                self._stir(group, now)
        if now >= self._catch_up_at:
            self._catch_up(now)

    def _look(self, now: float) -> None:
        """Looks at everything, because time alone changes states."""
        self._look_at = now + LOOK_EVERY_SECONDS
        for flow in self.sources.look():
            self._stir(self._group_of[flow], now)
        for group in self._groups.values():
            if now >= group.beat_at:
                self._stir(group, now)

    def _stir(self, group: Group, now: float) -> None:
        """The group has something to tell: now, or when its next frame is due."""
        if group.is_told or not group.clients:
            return  # at the end of the present frame it is looked at again
        if group not in self._waiting:
            group.news_at = now
        due_at = group.due_at(self._work)
        if now >= due_at:
            group.is_told = True
            self._waiting.pop(group, None)
            heappush(
                self._rounds,
                (now + SECONDS_PER_SEND * len(group.in_step), next(self._numbers), _Round(group)),
            )
        else:
            self._waiting[group] = None
            self._next_due = min(self._next_due, due_at)

    def _render(self) -> None:
        """Renders the frames of many pairs before they are due to be sent, with rests."""
        begun = self._processor_time()
        for _, _, sending in [each for each in self._rounds if each[2].frame is None]:
            if not sending.group.clients:
                continue  # the last one went in a rest, and the pairs are forgotten
            for _ in sending.group.flow.render():
                if self._processor_time() - begun >= self._slice:
                    self._work += self._processor_time() - begun
                    self._rest()
                    begun = self._processor_time()
                if not sending.group.clients:
                    break
        self._work += self._processor_time() - begun

    def _rest(self) -> None:
        """Lets the other greenlets have a turn."""
        begun = self._processor_time()
        self._sleep(SHORTEST_SLEEP)
        # gevent first wakes who has slept, then whose socket can be read, and then who serves a connection that is new.
        # Without more sleeps a lone request would wait for one slice more. Many requests have had their turn already.
        for _ in range(2):
            if self._processor_time() - begun < SHORTEST_SLICE_SECONDS:
                self._sleep(0)
        taken = self._processor_time() - begun
        self._slice = min(max(SHORTEST_SLICE_SECONDS, taken / 2), LONGEST_SLICE_SECONDS)

    def _send_a_slice(self) -> None:
        begun = self._processor_time()
        ends_at = begun + self._slice
        while self._rounds and self._go_on(self._rounds[0][2], ends_at):
            _, _, sending = heappop(self._rounds)
            self._finish(sending)
            if self._processor_time() >= ends_at:
                break
        self._work += self._processor_time() - begun

    def _begin(self, sending: _Round) -> Frame:
        group, now = sending.group, self._monotonic()
        is_beat = now >= group.beat_at
        if is_beat:
            group.beat_at = now + HEARTBEAT_SECONDS
            for client in [each for each in group.clients if each.is_allowed and not each.is_allowed()]:
                self._drop(client, "key")
            if not group.clients:
                sending.frame = NOTHING
                return NOTHING
        sending.frame = group.flow.next(now, beat=is_beat)
        sending.position = group.flow.position
        sending.clients = iter(list(group.in_step))
        if sending.frame.counts and sending.frame.counts[0][0] != "heartbeat":  # that one comes last
            group.told_at, group.work_before = now, self._work
        return sending.frame

    def _go_on(self, sending: _Round, ends_at: float) -> bool:
        """Sends to the clients that are left; False when the time was over before."""
        if not sending.group.clients:
            return True  # the last one is gone
        content, counts = sending.frame or self._begin(sending)
        if not counts:
            return True
        position, size, left = sending.position, len(content), SENDS_BETWEEN_LOOKS
        for client in sending.clients:
            try:
                sent = client.connection.send(content)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(client, "gone")
                continue
            sending.told += 1
            if sent != size:
                self._hold(client, content, sent, position)
            left -= 1
            if not left:
                left = SENDS_BETWEEN_LOOKS
                if self._processor_time() >= ends_at:
                    return False
        return True

    def _finish(self, sending: _Round) -> None:
        group, frame = sending.group, sending.frame
        group.is_told = False
        if not frame or frame is NOTHING:
            return
        self._count(frame, sending.told)
        if group.clients and group.flow.lags():
            self._stir(group, self._monotonic())

    # Clients behind.

    def _hold(self, client: Client, content: bytes, sent: int, position: Position | None) -> None:
        """The client could take only `sent` bytes of a frame after which it is told up to `position`."""
        client.content, client.sent, client.position = content, sent, position
        client.behind_since = self._monotonic()
        if client.group is not None:
            client.group.in_step.pop(client, None)
            self._behind[client] = None
            self._catch_up_at = min(self._catch_up_at, client.behind_since + HURRY_SECONDS)

    def _push(self, client: Client) -> bool:
        """Sends the rest of the client's frame; False while something is left, or when it is gone."""
        try:
            sent = client.connection.send(client.content[client.sent :] if client.sent else client.content)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client, "gone")
            return False
        if sent:
            client.sent += sent
            client.behind_since = self._monotonic()
            if client.sent >= len(client.content):
                client.content, client.sent = b"", 0
                return True
        return False

    def _advance(self, client: Client) -> bool:
        """The client has taken its frame: it gets the next one, or is in step again. True when it got one."""
        group, position = client.group, client.position
        if group is None or position is None:
            return False
        if position == group.flow.position:
            client.position = None
            del self._behind[client]
            group.in_step[client] = None
            return False
        frame, client.position = group.flow.since(position)
        if not frame.content:
            return False
        client.content, client.sent = frame.content, 0
        self._count(frame, 1)
        self._push(client)
        return True

    def _catch_up(self, now: float) -> None:
        """Serves every client behind once, and drops those that take nothing."""
        is_hurried = False
        begun = self._processor_time()
        for client in list(self._behind):
            if client.group is not None:
                self._served = client
                is_hurried |= self._serve(client)
                self._served = None
            if self._processor_time() - begun >= self._slice:
                self._work += self._processor_time() - begun
                self._rest()
                begun = self._processor_time()
        self._work += self._processor_time() - begun
        pause = HURRY_SECONDS if is_hurried else CATCH_UP_EVERY_SECONDS
        self._catch_up_at = self._monotonic() + pause if self._behind else inf

    def _serve(self, client: Client) -> bool:
        """Sends a client behind what it can take; True when it took something."""
        sent = client.sent
        if not client.content or self._push(client):
            return self._advance(client)
        if client.sent == sent and self._monotonic() - client.behind_since >= SLOW_AFTER_SECONDS:
            self._drop(client, "slow")
        return client.sent > sent

    # Coming and going.

    def _open(self, question: Question) -> Group:
        if not self._groups:
            self.sources.listen(self._tell)
        group = Group(question, self.sources.open(question), self._monotonic(), self._work)
        self._groups[question] = self._group_of[group.flow] = group
        self._wake.set()
        return group

    def _tell(self, news: News) -> None:
        self._news.add(news)
        if not self._wake.is_set():
            self._wake.set()

    def _watch(self, client: Client) -> None:
        if self._when_readable is not None:
            client.stop_watching = self._when_readable(
                client.connection.fileno(), lambda: self._heard(client)
            )

    def _heard(self, client: Client) -> None:
        """The connection can be read: the client is gone, or says something, which is ignored. Never waits."""
        if client.group is None:
            return
        try:
            heard = client.connection.recv(4096)
        except BlockingIOError:
            heard = b"?"
        except OSError:
            heard = b""
        client.heard += len(heard)
        if not heard or client.heard > MAX_HEARD_BYTES:
            self._drop(client, "noisy" if heard else "gone")
        else:
            if client.stop_watching is not None:
                client.stop_watching()
            self._watch(client)

    def _drop(self, client: Client, reason: str) -> None:
        """Ends one stream. It runs in the hub too, so it must not wait."""
        group, client.group = client.group, None
        if group is None:
            return
        if client.stop_watching is not None:
            client.stop_watching()
            client.stop_watching = None
        client.connection.close()
        client.content = b""
        self._behind.pop(client, None)
        group.in_step.pop(client, None)
        del group.clients[client]
        self.places.leave(client.address)
        self._dropped[reason] += 1
        if not group.clients:
            del self._groups[group.question], self._group_of[group.flow]
            self._waiting.pop(group, None)
            self.sources.close(group.flow)
            if not self._groups:
                self.sources.listen(None)
                self._news.clear()

    def _say_bye(self, *, of_all_pairs: bool = False) -> None:
        """Every client gets a bye if it can take one, and is gone; or only those that asked for all pairs."""
        begun, reason = self._processor_time(), "pairs" if of_all_pairs else "ending"
        groups = [each for each in self._groups.values() if not of_all_pairs or _is_of_all(each.question)]
        for client in [each for group in groups for each in group.clients]:
            self._part(client, reason)
            if self._processor_time() - begun >= self._slice:
                self._rest()
                begun = self._processor_time()
        self._tell_meters()

    def _part(self, client: Client, reason: str = "ending") -> None:
        group = client.group
        if group is None:
            return
        if not client.content or self._push(client):
            # Not the newest id where the client is behind: it would never be told what it has missed.
            position = client.position or group.flow.position
            last = bye(group.flow.event_id(position.places), reason, self._random())
            with suppress(OSError):  # it has no room, or is gone
                client.connection.send(last)
                self._told["bye"] += 1
        self._drop(client, "ended")

    # Meters.

    def _count(self, frame: Frame, clients: int) -> None:
        for name, number in frame.counts:
            self._told[name] += number * clients

    def _tell_meters(self) -> None:
        for meter, counts in ((STREAM_EVENTS, self._told), (STREAM_DROPPED, self._dropped)):
            for label, number in counts.items():
                if number:
                    self._meters.count(meter, label, amount=number)
            counts.clear()


def _is_of_all(question: Question) -> bool:
    return isinstance(question, MarketQuestion) and question.everything
