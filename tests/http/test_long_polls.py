"""Requests that are held until their answer changes."""

import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from math import inf
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from ltp_service.http.fast_lane import PairProblem, body
from ltp_service.http.long_polls import ADDRESS_SHARE, CLIENT_LOOK_EVERY_SECONDS, Held, LongPolls
from ltp_service.prices.changes import Changes, Watch
from tests.deadline import DEADLINE
from tests.fakes import BTC, ETH, NOON, FakeClock, eventually
from tests.service import FreshService, amounts

PAIRS = frozenset({BTC})
PATH = "/api/v1/ltp?pair=BTC/USD"


class Room:
    """Places for ten, on a clock that waits move, and the hub's part of the watching of clients."""

    def __init__(self, *, threads: bool = False) -> None:
        self.clock = FakeClock()
        self.changes = Changes(10)
        self.ending = False
        self.watched: dict[int, Callable[[], None]] = {}
        self.polls = LongPolls(
            self.changes, self.clock.monotonic, lambda: self.ending, None if threads else self._when_readable
        )

    @contextmanager
    def holding(self, client: socket.socket, seconds: float = 30) -> Iterator[Held]:
        """A client has a place and waits."""
        with self.polls.hold("a", PAIRS, client, seconds) as held:
            assert held
            yield held

    def _when_readable(self, handle: int, tell: Callable[[], None]) -> Callable[[], None]:
        self.watched[handle] = tell
        return partial(self.watched.__delitem__, handle)


Sleeps = Callable[[Room], list[float]]


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    """How long each sleep in a room was to be; it takes no time and moves the room's clock."""

    def of(room: Room) -> list[float]:
        asked: list[float] = []

        def wait(_: Watch, seconds: float) -> bool:
            asked.append(seconds)
            room.clock.advance(seconds)
            return False

        monkeypatch.setattr(Watch, "wait", wait)
        return asked

    return of


@pytest.fixture
def pipe() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end and the worker's."""
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


Pipe = tuple[socket.socket, socket.socket]


def test_one_address_has_its_share_of_the_places_and_the_others_the_rest() -> None:
    polls = Room().polls
    with ExitStack() as taken:
        for _ in range(int(10 * ADDRESS_SHARE)):
            assert taken.enter_context(polls.hold("a", PAIRS, None, 30))
        with polls.hold("a", PAIRS, None, 30) as refused:
            assert refused is None
        for _ in range(10 - int(10 * ADDRESS_SHARE)):
            assert taken.enter_context(polls.hold("b", PAIRS, None, 30))
        with polls.hold("c", PAIRS, None, 30) as refused:
            assert refused is None
    with polls.hold("a", PAIRS, None, 30) as again:
        assert again


def test_who_waits_sleeps_once_until_the_time_is_over(sleeps: Sleeps, pipe: Pipe) -> None:
    room = Room()
    asked = sleeps(room)
    with room.holding(pipe[1]) as held:
        assert not held.wait(inf)

    assert asked == [30]


def test_what_may_be_another_answer_from_a_moment_on_is_looked_at_then(sleeps: Sleeps, pipe: Pipe) -> None:
    room = Room()
    asked = sleeps(room)
    with room.holding(pipe[1]) as held:
        assert held.wait(room.clock.monotonic() + 7)

    assert asked == [7]


def test_a_thread_looks_at_its_client_now_and_then(sleeps: Sleeps, pipe: Pipe) -> None:
    client, worker = pipe
    room = Room(threads=True)
    asked = sleeps(room)
    with room.holding(worker, 3 * CLIENT_LOOK_EVERY_SECONDS) as held:
        client.send(b"the next request")
        assert not held.wait(inf)
    assert asked == [CLIENT_LOOK_EVERY_SECONDS] * 3

    with room.holding(worker) as held:
        worker.recv(100)
        client.close()
        assert not held.wait(inf)
    assert asked == [CLIENT_LOOK_EVERY_SECONDS] * 4


def test_a_client_that_is_gone_gives_its_place_back_at_once(pipe: Pipe) -> None:
    client, worker = pipe
    room = Room()
    with room.holding(worker) as held:
        (tell,) = room.watched.values()
        client.close()
        threading.Timer(0.05, tell).start()
        assert not held.wait(inf)
    assert room.watched == {}


def test_a_client_that_sends_its_next_request_already_is_still_there(pipe: Pipe) -> None:
    client, worker = pipe
    room = Room()
    with room.holding(worker) as held:
        (tell,) = room.watched.values()
        client.send(b"GET ")
        tell()
        room.changes.announce(BTC)
        assert held.wait(inf)


@pytest.mark.parametrize("threads", [False, True])
def test_one_that_goes_after_its_next_request_is_noticed(pipe: Pipe, sleeps: Sleeps, threads: bool) -> None:
    client, worker = pipe
    room = Room(threads=threads)
    asked = sleeps(room)
    with room.holding(worker) as held:
        client.send(b"GET ")
        for tell in room.watched.values():
            tell()
        client.close()
        assert not held.wait(inf)
    assert asked == [CLIENT_LOOK_EVERY_SECONDS]


def test_a_process_that_is_told_to_end_lets_go_of_all_who_wait(pipe: Pipe) -> None:
    room = Room()
    with room.holding(pipe[1]) as held:
        room.ending = True
        threading.Timer(0.05, room.polls.end).start()
        assert not held.wait(inf)


# The same in the service.


class Waiting:
    """A request that is held, on a thread of its own."""

    def __init__(self, service: FreshService, path: str = PATH, **headers: str) -> None:
        self._service = service
        self._answers: list[TestResponse] = []
        self._before = self._places()
        tag = service.get(path, **headers).headers["ETag"]
        self._thread = threading.Thread(target=self._ask, args=(path, {"If_None_Match": tag, **headers}))
        self._thread.start()
        eventually(lambda: self._places() > self._before or not self._thread.is_alive())

    def _places(self) -> int:
        return self._service.services.prices.changes._members  # noqa: SLF001 - no other part has to know

    def _ask(self, path: str, headers: dict[str, str]) -> None:
        self._answers.append(self._service.get(path, Prefer="wait=30", **headers))

    def answer(self) -> TestResponse:
        self._thread.join(DEADLINE)
        return self._answers[0]


def test_a_change_is_rendered_once_for_all(service: FreshService, monkeypatch: pytest.MonkeyPatch) -> None:
    service.trade("100")
    held = [Waiting(service) for _ in range(8)]
    rendered: list[object] = []

    def counted(items: Sequence[bytes], failed: Sequence[PairProblem]) -> bytes:
        rendered.append(items)
        return body(items, failed)

    monkeypatch.setattr("ltp_service.http.fast_lane.body", counted)
    service.trade("101", ETH)
    service.trade("101", traded_at=NOON + 1)

    assert [amounts(each.answer()) for each in held] == [{"BTC/USD": "101"}] * 8
    assert 1 <= len(rendered) < 8


def test_the_time_spent_waiting_is_no_latency(service: FreshService) -> None:
    service.trade("100")
    waiting = Waiting(service)
    service.clock.advance(20.0)
    service.trade("101", traded_at=NOON + 1)

    assert waiting.answer().status_code == 200
    text = service.get("/metrics").get_data(as_text=True)
    spent = re.findall(r"http_request_duration_seconds_sum\{[^}]*\} (\S+)", text)
    assert spent
    assert sum(map(float, spent)) < 1


@pytest.mark.parametrize(("question", "seconds"), [("", 31.0), ("&max_age=4", 5.0), ("&detail=true", 31.0)])
def test_what_time_alone_changes_is_told(service: FreshService, question: str, seconds: float) -> None:
    service.trade("100")
    waiting = Waiting(service, f"{PATH}{question}")
    service.clock.advance(seconds)

    assert waiting.answer().status_code == 503


def test_kraken_that_comes_back_with_the_price_of_its_substitute_is_told(tmp_path: Path) -> None:
    sources = {"price_sources": ("kraken", "coinbase"), "substitute_sources": ("coinbase",)}
    service = FreshService(tmp_path, **sources, rate_limit_enabled=False)
    service.trade("100")
    service.clock.advance(31)
    service.trade_elsewhere("coinbase", "100")
    waiting = Waiting(service, f"{PATH}&allow_stale=true")  # which Flask answers
    service.heartbeat(BTC)
    service.clock.advance(1.0)

    answer = waiting.answer()
    assert (answer.status_code, answer.headers.get("X-Price-Source")) == (200, None)


def test_where_reads_need_a_key_a_change_is_waited_for_all_the_same(tmp_path: Path) -> None:
    key = "ltp_" + "a" * 43
    service = FreshService(tmp_path, auth_enabled=True, auth_api_key=key)
    service.trade("100")
    waiting = Waiting(service, X_API_Key=key)
    service.trade("101", traded_at=NOON + 1)

    answer = waiting.answer()
    assert amounts(answer) == {"BTC/USD": "101"}
    assert answer.headers["Cache-Control"] == "private, max-age=1"
    assert service.get(PATH, Prefer="wait=30").status_code == 401


def test_who_finds_no_place_is_told_when_to_come_back(service: FreshService) -> None:
    service.trade("100")
    tag = service.get(PATH).headers["ETag"]
    service.services.prices.changes.most = 0
    answer = service.get(PATH, If_None_Match=tag, Prefer="wait=30")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "TOO_MANY_WAITING")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers
    assert service.get(PATH, If_None_Match=tag).status_code == 304
