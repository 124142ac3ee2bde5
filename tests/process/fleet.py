"""A fleet as it is deployed: several services of several workers each, one Redis, one exchange."""

import http.client
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import Event
from typing import Any, Self

from tests.deadline import DEADLINE
from tests.process.answer import Answer, ask
from tests.process.load import Load, Outcome, percentile
from tests.process.service import Service, ServiceError
from tests.simulator.client import Simulator

WORKERS = 2
"""Of each service."""

_PACE = 0.005
_FRESH = 1.0
"""Seconds for which found workers are not looked for again."""

_never = Event()


class FleetError(ServiceError):
    """The fleet did not do what it was waited for."""


class Seat:
    """A line to one certain worker, which is kept while the worker keeps it."""

    def __init__(self, service: Service, pid: int, connection: http.client.HTTPConnection) -> None:
        self.service, self.pid = service, pid
        self._connection = connection

    def get(self, path: str) -> Answer:
        """On another connection to the same worker where this one was idle for so long that the worker has closed it."""
        self._connection.auto_open = 0  # another connection might end at another worker
        try:
            return ask(self._connection, path)
        except (http.client.NotConnected, ConnectionResetError, BrokenPipeError):
            self.close()
        begun = time.monotonic()
        while time.monotonic() - begun < DEADLINE:
            pid, self._connection = _connect(self.service)
            if pid == self.pid:
                return self.get(path)
            self.close()
        raise FleetError(f"worker {self.pid} did not answer within {DEADLINE:g} s")

    def close(self) -> None:
        self._connection.close()

    def place(self) -> dict[str, Any]:
        """What the worker says about its place in the fleet."""
        place: dict[str, Any] = self.get("/api/v1/status").json()["fleet"]
        return place

    def amount(self, pair: str) -> str | None:
        items = self.get(f"/api/v1/ltp?pair={pair}").json().get("ltp") or [{}]
        amount: str | None = items[0].get("amount")
        return amount


class Fleet:
    """Use `with Fleet(simulator, 2, {"REDIS_ADDR": …}) as fleet:`; every worker is in step then, and one feeds them all."""

    def __init__(
        self, simulator: Simulator, services: int, settings: Mapping[str, str], beside: Service | None = None
    ) -> None:
        """Starts so many services, `beside` one that belongs to the fleet already."""
        self._simulator = simulator
        self._settings = membership(settings)
        self._first = services
        self._stack = ExitStack()
        self._found: dict[Service, tuple[float, list[Seat]]] = {}
        self.services = [beside] if beside else []

    def __enter__(self) -> Self:
        try:
            for _ in range(self._first):
                self.join()
            self.until_led()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def join(self) -> Service:
        """One more service, that answers but may not be in step yet."""
        service = self._stack.enter_context(Service.start(self._simulator, fed=False, **self._settings))
        self.services.append(service)
        return service

    def seats(self) -> list[Seat]:
        """One connection to every worker; those of an earlier call may be closed."""
        return [seat for service in self.services for seat in self._seats_of(service)]

    def _seats_of(self, service: Service) -> list[Seat]:
        found_at, seats = self._found.get(service, (0.0, []))
        if time.monotonic() - found_at < _FRESH:
            return seats
        for seat in seats:
            seat.close()
        seats = _find(service)
        self._found[service] = time.monotonic(), seats
        for seat in seats:
            self._stack.callback(seat.close)
        return seats

    def owner(self) -> Seat:
        """Who feeds the fleet. Raises FleetError when that is not exactly one worker."""
        owners = [seat for seat in self.seats() if seat.place()["role"] == "owner"]
        if len(owners) != 1:
            raise FleetError(f"{len(owners)} workers believe that they feed the fleet")
        return owners[0]

    def until_led(self, within: float = DEADLINE) -> float:
        """Seconds until every worker is in step and one of them feeds all."""

        def led() -> bool:
            places = [seat.place() for seat in self.seats()]
            owners = [place for place in places if place["role"] == "owner"]
            agreed = len({(place["owner"], place["epoch"]) for place in places}) == 1
            return agreed and all(place["in_step"] for place in places) and len(owners) == 1

        return until(led, within, "one owner, and all processes in step with it")

    def is_led_anew(self, epoch: int) -> bool:
        """Whether a worker feeds the fleet in a later tenure than that; it may be the same one."""
        places = [seat.place() for seat in self.seats()]
        return any(place["role"] == "owner" and int(place["epoch"]) > epoch for place in places)

    def until_served(self, pair: str, amount: str, within: float = DEADLINE) -> float:
        """Seconds until every worker serves the pair at that amount."""
        seats = self.seats()
        return until(
            lambda: all(seat.amount(pair) == amount for seat in seats),
            within,
            f"{pair} at {amount} everywhere",
        )

    def until_in_step(self, pair: str, amount: str, within: float) -> float:
        """Seconds until a trade of now is served everywhere, because one owner tells all others.

        Nothing else is traded from then on.
        """
        begun = time.monotonic()
        self.until_led(within)
        self._simulator.walk(on=False)
        self._simulator.trade(pair, amount)
        self.until_served(pair, amount, begun + within - time.monotonic())
        return time.monotonic() - begun

    def kill(self, service: Service) -> None:
        """SIGKILL for the master and all its workers at once: as when the machine dies."""
        self.services.remove(service)
        for pid in (service.master_pid, *service.worker_pids()):
            os.kill(pid, signal.SIGKILL)


def membership(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of a service that belongs to a fleet."""
    return {"CACHE_BACKEND": "redis", "WEB_CONCURRENCY": str(WORKERS), **settings}


def _find(service: Service) -> list[Seat]:
    found: dict[int, Seat] = {}
    begun = time.monotonic()
    while time.monotonic() - begun < DEADLINE:  # a worker may take its time to begin
        pid, connection = _connect(service)
        if pid in found:
            connection.close()
            continue
        found[pid] = Seat(service, pid, connection)
        if len(found) == WORKERS:
            return list(found.values())
    raise FleetError(f"{len(found)} of {WORKERS} workers answered within {DEADLINE:g} s")


def _connect(service: Service) -> tuple[int, http.client.HTTPConnection]:
    """A new connection, and the process of the worker that answers it."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=DEADLINE)
    return int(ask(connection, "/api/v1/status").json()["worker"]["pid"]), connection


def until(condition: Callable[[], bool], within: float, what: str) -> float:
    """Seconds until the condition held. Raises FleetError."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within:
            raise FleetError(f"not within {within:.2f} s: {what}")
        _never.wait(_PACE)
    return time.monotonic() - begun


def hold(seconds: float) -> None:
    """Lets the load go on for that long."""
    _never.wait(seconds)


class Clients:
    """A client that asks every service of a fleet, 100 requests per second in all."""

    def __init__(self, services: list[Service], rate: float = 100.0) -> None:
        self._loads = [
            Load(service.port, "/api/v1/ltp?detail=true", rate=rate / len(services)) for service in services
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for load in self._loads:
            self._stack.enter_context(load)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def failures(self) -> Mapping[str, int]:
        """Reason to number of requests."""
        return {reason: count for load in self._loads for reason, count in load.failures().items()}

    def outcomes(self, since: float = 0.0, until: float = math.inf) -> list[Outcome]:
        """The finished requests that were due in that time."""
        return [outcome for load in self._loads for outcome in load.outcomes(since, until)]

    def assert_none_waits(
        self, before: tuple[float, float], during: tuple[float, float], network: float
    ) -> None:
        """The fastest tenth of the requests of a time of trouble does not wait `network` seconds for an answer, so not all do.

        How fast the others are says more of the machine than of the service. `make drill` says it of 99 of 100, on a machine
        of its own."""
        usual, then = (percentile(self.outcomes(*each), 0.1) for each in (before, during))
        assert then < network + usual

    def steps_back(self) -> list[str]:
        """Where a client saw a pair go back in exchange time on one connection."""
        return [
            step
            for load in self._loads
            for client in {outcome.client for outcome in load.outcomes()}
            for step in _steps_back([each for each in load.outcomes() if each.client == client])
        ]


def _steps_back(outcomes: list[Outcome]) -> list[str]:
    newest: dict[str, int] = {}
    steps = []
    for outcome in outcomes:
        for item in outcome.answer.json()["ltp"] if outcome.answer and not outcome.failure else ():
            trade_id = int(item["trade_id"] or 0)
            if 0 < trade_id < newest.get(item["pair"], 0):
                steps.append(f"{item}: trade {newest[item['pair']]} was served before")
            newest[item["pair"]] = max(trade_id, newest.get(item["pair"], 0))
    return steps
