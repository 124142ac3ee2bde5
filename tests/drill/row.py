"""What a row of the drill is, and the stage on which its fault happens."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Literal

from tests.deadline import DEADLINE
from tests.drill.certificates import Authority
from tests.drill.clients import Reading
from tests.drill.heard import Line
from tests.drill.listener import Told
from tests.drill.proxy import Proxy
from tests.drill.subscriber import Subscriber
from tests.drill.truth import TRANSPORT, Mute, Truth, Waited, never_waited
from tests.drill.window import Window
from tests.postgres_server import PostgresServer
from tests.process.fleet import Fleet
from tests.process.nginx import Nginx
from tests.process.sentinels import Sentinels
from tests.process.service import Service
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

PAIRS = ("BTC/USD", "BTC/EUR", "BTC/CHF", "BTC/CAD", "ETH/USD", "LTC/USD", "XRP/USD")
PACE = 0.02
RECOVERY = 65.0
"""Seconds within which the feed is back: the longest pause between two attempts is a minute."""


@dataclass(frozen=True)
class Tempo:
    """How much time a drill takes, and the settings that go with it. Seconds."""

    short: bool
    calm: float
    """Before the fault, and after the recovery."""
    rate: float
    heartbeat: float
    idle: float
    ttl: float
    request: float
    reconnect: float
    patience: float
    """Of each client, for an answer."""
    transport: float
    """What an honest price may lose on its way: the short form runs beside other tests, on a machine that is shared."""

    def settings(self) -> dict[str, str]:
        return {
            "KRAKEN_IDLE_TIMEOUT": f"{self.idle}s",
            "CACHE_TTL": f"{self.ttl}s",
            "KRAKEN_REQUEST_TIMEOUT": f"{self.request}s",
            "KRAKEN_RECONNECT_DELAY": f"{self.reconnect}s",
        }

    def of(self, full: float, short: float) -> float:
        """One of the two."""
        return short if self.short else full


FULL = Tempo(False, 4.0, 200.0, 1.0, 10.0, 30.0, 3.0, 0.5, 10.0, TRANSPORT)
SHORT = Tempo(True, 0.6, 40.0, 0.25, 3.0, 8.0, 1.0, 0.1, DEADLINE, 2.0)


class Stage:
    """One running service under load, its exchange, and what may go wrong between them."""

    def __init__(
        self,
        tempo: Tempo,
        simulator: Simulator,
        service: Service,
        truth: Truth,
        waited: Waited = never_waited,
    ) -> None:
        self.tempo = tempo
        self.simulator = simulator
        self.service = service
        self.feed: Proxy | None = None
        self.rest: Proxy | None = None
        self.authority: Authority | None = None
        self.resolver: Path | None = None
        self.clock: Path | None = None
        self.nginx: Nginx | None = None
        self.fleet: Fleet | None = None
        self.redis: RedisServer | None = None
        self.sentinels: Sentinels | None = None
        self.history: Path | None = None
        self.postgres: PostgresServer | None = None
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.mutes: list[Mute] = []
        self.faulty_from = self.faulty_until = 0.0
        self.dark_from = float("inf")
        """Monotonic seconds from which no source works."""
        self.seen: list[Callable[[list[Reading]], None]] = []
        """Asked about all answers once the load has ended."""
        self.heard: list[Callable[[list[Line]], None]] = []
        """Asked about all that the stream told, likewise."""
        self.followed: list[Callable[[list[list[Told]]], None]] = []
        """Asked about all that the Python client was told, and its child after a fork."""
        self.subscriber: Subscriber | None = None
        self.subscribed: Proxy | None = None
        """The line of the Python client."""
        self.window: Window | None = None
        self.watched: Proxy | None = None
        """The line of the page."""
        self.begin_again: Callable[[], Service] = self.another
        """Starts the service once more, where it was and as it was."""
        self.truth = truth
        self.queued = waited
        self._stops: list[tuple[float, float]] = []
        self._never = Event()

    # Time.

    def hold(self, seconds: float) -> None:
        """Lets the load go on for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._never.wait(min(left, 5.0))
            self.truth.catch_up()

    def since(self, moment: float) -> float:
        """Seconds, without those in which the programs waited for a processor."""
        now = time.monotonic()
        return max(0.0, now - moment - self.waited(moment, now))

    def until(self, condition: Callable[[], bool], within: float, what: str) -> float:
        """Seconds as in `since` until the condition held; a problem, and `within`, when it did not."""
        start = time.monotonic()
        while not condition():
            if self.since(start) > within or time.monotonic() - start > within + DEADLINE:
                self.problems.append(f"not within {within:g} s: {what}")
                return within
            self._never.wait(PACE)
        return self.since(start)

    @contextmanager
    def faulty(self) -> Iterator[None]:
        """The fault is on inside of it."""
        self.faulty_from = time.monotonic()
        yield
        self.faulty_until = time.monotonic()

    def waited(self, since: float, until: float) -> float:
        """How long the programs on the way got no processor; and each time, as a whole, for which they were stopped on
        purpose: what is read at its end can have been sent at its beginning."""
        now = time.monotonic()
        stops = [(begin, min(end, now)) for begin, end in self._stops if begin < until and since < end]
        return self.queued(since, until) + sum(end - begin for begin, end in stops)

    @contextmanager
    def stopped(self, *pids: int) -> Iterator[None]:
        """These processes do nothing meanwhile, and the system goes on to take in what they are sent."""
        self._stops.append((begin := time.monotonic(), float("inf")))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            self._stops[-1] = begin, time.monotonic()

    def another(self, **settings: str) -> Service:
        """A second service at the same exchange, with other settings, not waited for."""
        return Service.start(self.simulator, fed=False, **(self.tempo.settings() | settings))

    # What is found out.

    def check(self, right: bool, what: str) -> None:
        """Notes a figure, and a problem when it is not right."""
        self.remarks.append(what)
        if not right:
            self.problems.append(what)

    def mute(self, pairs: Iterable[str], start: float, noticed: float) -> None:
        """From `noticed` seconds after `start` until now `pairs` may not have been called live or quiet."""
        since = start + noticed + self.waited(start, start + noticed)
        self.mutes.append(Mute(frozenset(pairs), since, time.monotonic()))

    def status(self) -> dict[str, Any]:
        """The service's own view; numbers are texts."""
        answer: dict[str, Any] = self.service.get("/api/v1/status").json()
        return answer

    def another_connection(self) -> Callable[[], bool]:
        """Tells whether the service has connected once more since now."""
        before = self.simulator.counters()["connections_total"]
        return lambda: bool(self.simulator.counters()["connections_total"] > before)

    def connected(self) -> bool:
        return bool(self.status()["connection"]["websocket_connected"])

    def fallback(self) -> bool:
        return bool(self.status()["connection"]["fallback_mode"])

    def fed(self) -> bool:
        """Every pair comes from the WebSocket."""
        status = self.status()
        link = status["connection"]
        return status["status"] == "ok" and link["websocket_connected"] and not link["fallback_mode"]

    def served(self) -> bool:
        """Every pair is served."""
        return self.service.get("/api/v1/ltp").status == 200

    def detail(self, pair: str) -> dict[str, Any]:
        """One pair's item with detail; empty when it is not served."""
        items = self.service.get(f"/api/v1/ltp?detail=true&pair={pair}").json().get("ltp") or [{}]
        item: dict[str, Any] = items[0]
        return item

    def rest_calls(self, *only: str) -> int:
        """All that the exchange was asked, or only for these."""
        counted = self.simulator.counters()["rest_calls"]
        return sum(int(number) for name, number in counted.items() if not only or name in only)


Play = Callable[[Stage], None]


@dataclass(frozen=True)
class Row:
    """One fault: what is played, and what the service must do about it."""

    name: str
    title: str
    play: Play
    settings: Mapping[str, str] = field(default_factory=dict)
    proxied: bool = False
    tls: Literal["", "feed", "rest"] = ""
    """Which of the two lines speaks TLS, with a certificate that the WebSocket's client trusts and REST's does not."""
    exchange: tuple[str, ...] = ()
    """Further pairs that it lists."""
    ahead: float = 0.0
    """Seconds by which the exchange's clock is before this machine's; negative: behind."""
    names: bool = False
    """The exchange is found through name resolution."""
    clock: bool = False
    """The service's wall clock can be moved."""
    walk: float = 80.0
    """Events per second over all pairs of the simulator."""
    unnoticed: float = 0.0
    """Seconds by which the feed may be behind without anything that tells: deaf, or on a slow line."""
    several_workers: bool = False
    apart: float = TRANSPORT
    """Seconds by which they may be behind each other: an answer comes from one, and the next from another."""
    behind_nginx: bool = False
    """The load comes through deploy/nginx.conf, as for real; the stage still asks the service itself."""
    fleet: Literal["", "redis", "sentinels"] = ""
    """Another service beside it, and what the two share."""
    own_way: bool = False
    """The other service of the fleet is as if on another machine, and goes to the exchange past the proxies."""
    history: Literal["", "file", "postgres"] = ""
    """Where trades are recorded, if they are."""
    ends: bool = False
    """The service ends: clients who find the door closed do not count."""
    away: bool = False
    """The service is away for a while: what nginx answers in its place does not count."""
    page: bool = False
    """The page is open in a browser, through a line of its own."""
    max_age: float | None = None
    """What the Python client asks for, in seconds."""
    long: bool = False
    """It has no short form: a time in it cannot be set."""
    elsewhere: str = ""
    """The tests that show the same in less time, so that `make test` plays the row only in full."""
    beside: str = ""
    """Rows with the same word need the same service: in their short form one is enough for all."""

    @property
    def programs(self) -> list[str]:
        """What has to be installed for it."""
        needed = {
            "redis-server": bool(self.fleet),
            "postgres": self.history == "postgres",
            "nginx": self.behind_nginx,
            "faketime": self.clock,
            "chromium-headless-shell": self.page,
        }
        return [name for name, is_needed in needed.items() if is_needed]


def in_turn(rows: Sequence[Row]) -> Row:
    """All of them as one, on one service. Raises ValueError where they need different ones."""
    first = rows[0]
    title = "; ".join(each.title for each in rows)
    whole = replace(first, name=first.beside, title=title, play=partial(_play_in_turn, rows))
    if any(replace(each, name=whole.name, title=title, play=whole.play) != whole for each in rows):
        raise ValueError(f"the rows of {whole.name!r} need different services")
    return whole


def _play_in_turn(rows: Sequence[Row], stage: Stage) -> None:
    for each in rows:
        known = len(stage.problems)
        each.play(stage)
        stage.until(stage.fed, RECOVERY, "every pair from the feed again")
        stage.problems[known:] = [f"{each.name}: {problem}" for problem in stage.problems[known:]]


ROWS: dict[str, Row] = {}


def row(name: str, title: str, **conditions: Any) -> Callable[[Play], Play]:
    """Declares the decorated function as a row of the drill."""

    def declare(play: Play) -> Play:
        ROWS[name] = Row(name, title, play, **conditions)
        return play

    return declare
