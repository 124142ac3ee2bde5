"""The wire between hosts: `python -m tests.drill.partitions.switch PID …`, one process of each host's network namespace.

It gives each host a network card, `eth0`, and carries Ethernet frames between the cards. What it does to the frames of one
direction is set while it runs: a line of JSON on standard input is answered by a line on standard output. It ends when
standard input does.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA  # docs.kernel.org/networking/tuntap.html
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_LONGEST_FRAME = 2048
_FRAMES_AT_ONCE = 64
"""Read from one card before the others have their turn."""


class Treatment(NamedTuple):
    """What is done to the frames of one direction."""

    cut: bool = False
    delay: float = 0.0
    """Seconds."""
    loss: float = 0.0
    """Share of the frames, 0 to 1."""


UNTOUCHED = Treatment()


def hardware_address(number: int) -> str:
    """Of the card of the host with that number, 0 to 254. Its last byte is how the switch finds the card."""
    return f"02:00:00:00:00:{number:02x}"


class Switch:
    """Carries frames between cards; `cards` are their files, in the order of the hosts' numbers."""

    def __init__(self, cards: Sequence[int], seed: int = 1) -> None:
        self._cards = cards
        self._numbers = {card: number for number, card in enumerate(cards)}
        self._treatments: dict[tuple[int, int], Treatment] = {}
        self._late: list[tuple[float, int, int, bytes]] = []
        """Delayed frames: monotonic moment, a count that keeps their order, the receiver, the frame."""
        self._count = 0
        self._random = random.Random(seed)

    def order(self, line: str) -> None:
        """Does what a line of JSON says: `{"from": 0, "to": 1, "cut": true, "delay": 0.2, "loss": 0.05}`."""
        told = json.loads(line)
        direction = (told.pop("from"), told.pop("to"))
        self._treatments[direction] = Treatment(**told)

    def run(self, orders: int) -> None:
        """Returns when the file `orders` ends."""
        poll = select.epoll()
        for file in (orders, *self._cards):
            poll.register(file, select.EPOLLIN)
        unread = b""
        while True:
            for file, _ in poll.poll(self._until_next()):
                if file != orders:
                    self._read(file)
                    continue
                said = os.read(orders, 65536)
                if not said:
                    return
                *lines, unread = (unread + said).split(b"\n")
                for line in lines:
                    self.order(line.decode())
                    print("done", flush=True)
            self._send_late()

    def _until_next(self) -> float:
        return max(0.0, self._late[0][0] - time.monotonic()) if self._late else -1.0

    def _read(self, card: int) -> None:
        sender = self._numbers[card]
        for _ in range(_FRAMES_AT_ONCE):
            try:
                frame = os.read(card, _LONGEST_FRAME)
            except BlockingIOError:
                return
            if frame[0] & 1:  # to all hosts, such as the question which of them has an address
                receivers = [number for number in range(len(self._cards)) if number != sender]
            else:
                receivers = [frame[5]] if frame[5] < len(self._cards) else []
            for receiver in receivers:
                self._carry(sender, receiver, frame)

    def _carry(self, sender: int, receiver: int, frame: bytes) -> None:
        treatment = self._treatments.get((sender, receiver), UNTOUCHED)
        if treatment.cut or (treatment.loss and self._random.random() < treatment.loss):
            return
        if not treatment.delay:
            self._deliver(receiver, frame)
            return
        self._count += 1
        heapq.heappush(self._late, (time.monotonic() + treatment.delay, self._count, receiver, frame))

    def _send_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, receiver, frame = heapq.heappop(self._late)
            self._deliver(receiver, frame)

    def _deliver(self, receiver: int, frame: bytes) -> None:
        try:
            os.write(self._cards[receiver], frame)
        except OSError:  # the card is not up, or its queue is full: on a wire the frame would be lost, too
            return


def _card(pid: int, number: int) -> int:
    """A new card in the network namespace of that process; the file of its other end."""
    card = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    asked = struct.pack("16sH22x", b"ltp%d", _IFF_TAP | _IFF_NO_PI)  # the kernel puts a free number there
    name = fcntl.ioctl(card, _TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
    for words in (
        ("address", hardware_address(number)),
        ("netns", str(pid), "name", "eth0"),
    ):
        subprocess.run(["ip", "link", "set", name, *words], check=True, capture_output=True)
    return card


def main(pids: list[int]) -> None:
    switch = Switch([_card(pid, number) for number, pid in enumerate(pids)])
    print("ready", flush=True)
    switch.run(sys.stdin.fileno())


if __name__ == "__main__":
    main([int(pid) for pid in sys.argv[1:]])
