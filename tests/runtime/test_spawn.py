"""ltp_service.runtime.spawn"""

import threading

import gevent
import pytest
from gevent import monkey

from ltp_service.runtime import spawn as module
from ltp_service.runtime.spawn import NativeThread, Rests, greenlets, spawn
from tests.deadline import DEADLINE
from tests.patched import run_patched


def test_in_an_unpatched_process_it_runs_on_a_native_thread_with_a_hub_of_its_own() -> None:
    assert not monkey.is_module_patched("threading")
    seen: list[object] = []

    def look() -> None:
        is_greenlet = isinstance(gevent.getcurrent(), gevent.Greenlet)
        seen.extend((threading.current_thread().name, gevent.get_hub(), is_greenlet))

    task = spawn(look, "the feed")
    task.join(DEADLINE)

    assert not task.is_alive()
    name, hub, is_greenlet = seen
    assert name == "the feed"
    assert hub is not gevent.get_hub()
    assert is_greenlet


def test_nobody_has_to_run_a_hub_for_it() -> None:
    done = threading.Event()
    task = spawn(done.set, "the feed")

    assert done.wait(DEADLINE)
    task.join(DEADLINE)


def test_it_can_be_waited_for_with_a_limit() -> None:
    let_go = threading.Event()

    def wait() -> None:
        let_go.wait(DEADLINE)

    task = spawn(wait, "the feed")
    task.join(0.02)
    assert task.is_alive()
    let_go.set()
    task.join(DEADLINE)
    assert not task.is_alive()


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    for _ in range(20):
        spawn(lambda: None, "the feed").join(DEADLINE)

    assert threading.active_count() == before


def test_in_a_patched_process_it_is_a_greenlet_on_the_hub_that_serves_the_requests() -> None:
    printed = run_patched(
        """
        import threading, gevent
        from ltp_service.runtime.spawn import spawn
        hub, go, hubs = gevent.get_hub(), threading.Event(), []
        def feed():
            hubs.append(gevent.get_hub() is hub)
            go.wait(60)
        task = spawn(feed, "the feed")
        task.join(0.01)
        print(hubs, task.is_alive(), end=" ")
        go.set()
        task.join(60)
        print(task.is_alive())
        """
    )

    assert printed == "[True] True False"


def test_living_greenlets_are_named_by_what_they_were_called_or_what_they_run() -> None:
    def count_to_three() -> None:
        gevent.sleep(0)

    unnamed, named, ended = (gevent.spawn(count_to_three) for _ in range(3))
    named.name = "the feed"
    ended.kill()
    names = greenlets()
    gevent.joinall([unnamed, named])

    assert names.count("the feed") == 1
    assert sum("count_to_three" in name for name in names) == 1
    assert sum("count_to_three" in name for name in greenlets()) == 0


BUSY = """
import os, socket, sys, time
import gevent
from ltp_service.runtime.clock import SHORTEST_SLEEP, SystemClock
from ltp_service.runtime.spawn import socket_rounds
from ltp_service.http.turns import TURN_SECONDS, Turns

rounds = socket_rounds()
turns = Turns(rounds, SystemClock().monotonic, time.sleep)
here, there = socket.socketpair()
done, heard = [], []

def listen():
    while True:
        heard.append(len(done) - int(here.recv(10)))

def work(give_way):
    for _ in range(40):
        give_way()
        end = time.monotonic() + TURN_SECONDS / 2
        while time.monotonic() < end:
            pass
        done.append(None)
        if len(done) % 10 == 1:
            os.write(there.fileno(), b"%d" % len(done))

def request():
    time.sleep(0)  # what gunicorn.conf.py does after each request: it looks at no socket
    turns.wait()

gevent.spawn(listen)
if sys.argv[1] == "feed":
    gevent.joinall([gevent.spawn(work, lambda: time.sleep(SHORTEST_SLEEP))])
else:
    gevent.joinall([gevent.spawn(work, request) for _ in range(4)])
print(max(heard), len(heard))
"""


@pytest.mark.parametrize("at_work", ["feed", "requests"])
def test_what_a_socket_holds_is_heard_after_a_turn_of_others(at_work: str) -> None:
    """Without a look at the sockets gevent runs fifty pieces of work that are ready."""
    latest, heard = map(int, run_patched(BUSY, at_work).split())

    assert heard >= 3
    assert latest <= 4


THREAD = """
import threading, time
from gevent import get_hub, spawn
from gevent.monkey import get_original
from ltp_service.runtime.spawn import NativeThread, native_sleep

beats = []
def beat():
    while True:
        time.sleep(0.001)
        beats.append(1)
spawn(beat)
one = NativeThread("one")
identity = get_original("_thread", "get_ident")
def work():
    before = len(beats)
    native_sleep(0.2)
    return identity(), len(beats) - before
thread, during = one.run(work)
def fail():
    raise ValueError("told to the caller")
try:
    one.run(fail)
except ValueError as error:
    print(error, thread != identity(), one.run(identity) == thread, during > 20)
"""


def test_the_hub_goes_on_while_a_native_thread_works() -> None:
    assert run_patched(THREAD) == "told to the caller True True True"


COMPUTING = """
import sys
from ltp_service.runtime.spawn import NativeThread

print(sys.getswitchinterval(), NativeThread("one").run(sys.getswitchinterval))
"""


def test_a_native_thread_that_computes_gives_way_to_the_hub_soon() -> None:
    before, then = map(float, run_patched(COMPUTING).split())
    assert then < 0.001 < before


class Worker:
    """A thread that computes, beside a hub that lets it wait for `late` seconds after each nap."""

    def __init__(self) -> None:
        self.now = self.computed = self.late = 0.0
        self.rests = Rests(lambda: self.computed, lambda: self.now, self._sleep)
        self.rests.begin()

    def work(self, seconds: float) -> float:
        """Returns the seconds of the rest after it."""
        self.computed += seconds
        self.now += seconds
        before = self.now
        self.rests.rest()
        return self.now - before

    def _sleep(self, seconds: float) -> None:
        self.now += seconds + self.late


def test_a_native_thread_rests_after_each_slice_until_the_hub_is_idle() -> None:
    worker = Worker()
    slice_seconds, nap = module.SLICE_SECONDS, module.NAP_SECONDS
    assert worker.work(slice_seconds * 0.9) == 0.0
    assert worker.work(slice_seconds * 0.2) == pytest.approx(nap)
    assert worker.work(slice_seconds * 0.9) == 0.0

    worker.late = 0.004
    assert worker.work(2 * slice_seconds) == pytest.approx(module.LONGEST_REST_SECONDS, abs=nap + worker.late)


def test_the_rests_beside_a_busy_hub_are_bounded_for_each_piece_of_work() -> None:
    worker = Worker()
    worker.late = 0.004
    all_of_it = sum(worker.work(2 * module.SLICE_SECONDS) for _ in range(1_000))
    assert all_of_it == pytest.approx(module.MOST_REST_SECONDS, abs=module.NAP_SECONDS + worker.late)

    worker.rests.begin()
    assert worker.work(2 * module.SLICE_SECONDS) > 0.0


def test_without_the_patch_it_is_one_thread_too() -> None:
    one = NativeThread("one")
    thread = one.run(threading.get_ident)

    assert thread not in {threading.get_ident(), None}
    assert one.run(threading.get_ident) == thread
    with pytest.raises(ValueError, match="told"):
        one.run(lambda: int("told"))
