"""Hosts on one wire: network namespaces with a name, a loopback and an address of their own."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

import pytest

from tests.deadline import DEADLINE
from tests.drill.partitions.switch import UNTOUCHED, Treatment
from tests.simulator.client import PROJECT

_NETWORK = "10.77.0"
_KINDS = ("net", "uts")
"""Namespaces of a host: its network, and its name."""

_libc = ctypes.CDLL(None, use_errno=True)

CUT = Treatment(cut=True)


class Host:
    """A host. A program that is started inside `with host.entered():` runs on it, and 127.0.0.1 is its own."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.address = f"{_NETWORK}.{number + 1}"
        # The namespaces live as long as this process does, which ends with its standard input: nothing is left behind.
        command = ["unshare", *(f"--{kind}" for kind in _KINDS), "cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdin
        assert self._holder.stdout
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        self._holder.stdout.readline()
        self._places = [os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY) for kind in _KINDS]
        with self.entered():
            socket.sethostname(name)

    @property
    def pid(self) -> int:
        return self._holder.pid

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is on the host meanwhile, with every socket that it makes and every process that it starts."""
        home = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY) for kind in _KINDS]
        try:
            _enter(self._places)
            yield
        finally:
            _enter(home)
            for place in home:
                os.close(place)

    def plug_in(self) -> None:
        """Its card has its address from now on."""
        with self.entered():
            for words in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
                subprocess.run(["ip", *words.split()], check=True, capture_output=True)

    def close(self) -> None:
        for place in self._places:
            os.close(place)
        self._holder.communicate(timeout=DEADLINE)


class Wire:
    """Hosts and the switch between them. Use `with Wire.between("redis", "worker") as wire:`."""

    def __init__(self, hosts: Sequence[Host], switch: subprocess.Popen[str]) -> None:
        self.hosts = {host.name: host for host in hosts}
        self._switch = switch

    @classmethod
    @contextmanager
    def between(cls, *names: str) -> Iterator[Self]:
        """Every host reaches every other when this returns."""
        with ExitStack() as stack:
            hosts = []
            for number, name in enumerate(names):
                hosts.append(Host(name, number))
                stack.callback(hosts[-1].close)
            command = [
                sys.executable,
                "-m",
                "tests.drill.partitions.switch",
                *(str(host.pid) for host in hosts),
            ]
            switch = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(switch.communicate, timeout=DEADLINE)
            wire = cls(hosts, switch)
            wire._told("ready")
            for host in hosts:
                host.plug_in()
            yield wire

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def pid(self) -> int:
        """The switch's process."""
        return self._switch.pid

    def treat(self, sender: str, receiver: str, treatment: Treatment) -> None:
        """In this direction, from now on."""
        order = {"from": self[sender].number, "to": self[receiver].number, **treatment._asdict()}
        assert self._switch.stdin
        self._switch.stdin.write(f"{json.dumps(order)}\n")
        self._switch.stdin.flush()
        self._told("done")

    @contextmanager
    def treated(self, directions: Sequence[tuple[str, str]], treatment: Treatment = CUT) -> Iterator[None]:
        """These directions, sender and receiver, meanwhile."""
        for sender, receiver in directions:
            self.treat(sender, receiver, treatment)
        try:
            yield
        finally:
            for sender, receiver in directions:
                self.treat(sender, receiver, UNTOUCHED)

    def _told(self, word: str) -> None:
        assert self._switch.stdout
        if (said := self._switch.stdout.readline().strip()) != word:
            raise OSError(
                f"the switch said {said!r} and not {word!r}: it has ended, or was given a wrong order"
            )


def both_ways(these: Sequence[str], those: Sequence[str]) -> list[tuple[str, str]]:
    """Every direction between a host of `these` and one of `those`."""
    pairs = [(this, that) for this in these for that in those if this != that]
    return [*pairs, *((that, this) for this, that in pairs)]


def unable() -> str | None:
    """Why this machine cannot make hosts; None where it can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "there is no /dev/net/tun for the hosts' network cards"
    tried = subprocess.run(["unshare", "--net", "--uts", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or None


def require_hosts() -> None:
    """Skips the test, with the reason, where this machine cannot make hosts."""
    if reason := unable():
        pytest.skip(reason)


def _enter(places: Sequence[int]) -> None:
    for place in places:
        if _libc.setns(place, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
