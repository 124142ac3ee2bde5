"""tests.drill.partitions: the switch between hosts, and what is made of the words of workers."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread

import pytest

from tests.drill.partitions.rows import ROWS
from tests.drill.partitions.switch import Switch, hardware_address
from tests.drill.partitions.watch import Tenure, Told, at_once, contradictions, steps_back, tenures, without
from tests.drill.table import PAGE

ALL = b"\xff" * 6


class Bench:
    """A switch between three cards, whose hosts' ends are ours."""

    def __init__(self, stack: ExitStack) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3)]
        self.hosts = []
        for card, host in pairs:
            card.setblocking(False)
            host.settimeout(10)
            self.hosts.append(stack.enter_context(host))
            stack.enter_context(card)
        self.switch = Switch([card.fileno() for card, _ in pairs])
        orders, ours = os.pipe()
        thread = Thread(target=self.switch.run, args=(orders,), daemon=True)
        thread.start()
        stack.callback(os.close, orders)
        stack.callback(thread.join, 10)
        stack.callback(os.close, ours)

    def order(self, sender: int, receiver: int, **treatment: object) -> None:
        self.switch.order(json.dumps({"from": sender, "to": receiver, **treatment}))

    def send(self, sender: int, to: bytes | int, words: bytes) -> None:
        address = to if isinstance(to, bytes) else bytes.fromhex(hardware_address(to).replace(":", ""))
        self.hosts[sender].send(address + words)

    def next(self, host: int) -> bytes:
        """What came to the host, without the address."""
        return self.hosts[host].recv(2048)[6:]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def test_a_frame_goes_to_the_host_that_it_names_and_a_question_to_all_others(bench: Bench) -> None:
    bench.send(0, 2, b"for two")
    bench.send(0, ALL, b"for all")
    assert bench.next(2) == b"for two"
    assert bench.next(2) == bench.next(1) == b"for all"


def test_a_direction_that_is_cut_carries_nothing_and_the_other_one_does(bench: Bench) -> None:
    bench.order(0, 1, cut=True)
    bench.send(0, 1, b"lost")
    bench.send(1, 0, b"carried")
    assert bench.next(0) == b"carried"
    bench.order(0, 1)
    bench.send(0, 1, b"carried again")
    assert bench.next(1) == b"carried again"


def test_delayed_frames_come_later_and_in_their_order(bench: Bench) -> None:
    bench.order(0, 1, delay=0.05)
    sent = time.monotonic()
    for words in (b"first", b"second"):
        bench.send(0, 1, words)
    bench.send(2, 1, b"not delayed")
    assert [bench.next(1) for _ in range(3)] == [b"not delayed", b"first", b"second"]
    assert time.monotonic() - sent >= 0.05


def test_of_a_share_that_is_lost_the_others_come(bench: Bench) -> None:
    bench.order(0, 1, loss=0.5)
    for _ in range(8):
        bench.send(0, 1, b"perhaps")
    bench.order(0, 1)
    came = 0
    bench.send(0, 1, b"the end")
    while bench.next(1) != b"the end":
        came += 1
    assert 0 < came <= 8


def told(at: float, pid: int, role: str = "owner", epoch: int = 1, owner: str | None = None) -> Told:
    return Told(at, at + 0.1, "machine", pid, role, True, owner or f"machine:{pid}:x", epoch)


def test_a_tenure_lasts_from_its_first_answer_to_its_last_question() -> None:
    said = [told(1, 7), told(3, 7), told(2, 8, "follower", owner="machine:7:x"), told(5, 8, epoch=2)]
    assert tenures(said) == [Tenure("machine", 7, 1, 1.1, 3), Tenure("machine", 8, 2, 5.1, 5)]


def test_two_owners_at_a_time_are_seen_and_so_is_a_time_without_one() -> None:
    one, other = Tenure("a", 1, 1, 10.0, 20.0), Tenure("b", 2, 2, 18.5, 30.0)
    assert at_once([one, other]) == 1.5
    later = Tenure("b", 2, 2, 26.0, 30.0)
    assert at_once([one, later]) < 0
    assert without([one, later], 9.0, 31.0) == 6.0
    assert without([], 9.0, 31.0) == 22.0


@pytest.mark.parametrize(
    "said",
    [
        [told(1, 7), told(2, 8)],
        [told(1, 7, owner="machine:8:x")],
    ],
    ids=["one number for two owners", "an owner that names another"],
)
def test_words_that_cannot_all_be_true_are_found(said: list[Told]) -> None:
    assert contradictions(said)
    assert not contradictions([told(1, 7), told(2, 8, epoch=2), told(3, 9, "follower", owner="machine:7:x")])


def test_a_worker_that_goes_back_to_an_earlier_tenure_is_found() -> None:
    assert steps_back([told(1, 7, epoch=2), told(2, 7, epoch=1)])
    assert not steps_back(
        [told(1, 7, epoch=1), told(2, 8, epoch=2), told(3, 7, epoch=1), told(4, 7, epoch=2)]
    )


def test_the_page_has_every_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [row.name for row in ROWS.values() if f"\n| {row.title} |" not in page] == []
