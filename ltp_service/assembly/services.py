"""The built parts, for the views and the gunicorn hooks."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from flask import Flask, current_app

from ltp_service.assembly.collected import TradeParts
from ltp_service.assembly.prices import PriceParts
from ltp_service.feed.contract import Link
from ltp_service.feed.loop import Collector
from ltp_service.keys.first_key import FirstKey
from ltp_service.keys.keyring import Keyring
from ltp_service.limits.failures import FailureBudget
from ltp_service.meters import Meters
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.database import DatabaseWatch
from ltp_service.runtime.proxies import described
from ltp_service.runtime.runners import CollectorManager, RunnerState
from ltp_service.settings.config import Config

_SLOT = "ltp_service"


@dataclass(frozen=True)
class Services:
    """The parts of one process."""

    config: Config
    clock: Clock
    prices: PriceParts
    trades: TradeParts
    collectors: dict[str, Collector]
    manager: CollectorManager
    keyring: Keyring
    first_key: FirstKey
    database: DatabaseWatch | None
    """None with Redis, where nothing is kept in a file."""
    key_failures: FailureBudget
    meters: Meters
    started_at: float
    """Monotonic seconds."""
    _serving: list[Callable[[], bool]] = field(default_factory=list)
    _at_the_end: list[Callable[[], None]] = field(default_factory=list)

    def start(self, serving: Callable[[], bool]) -> None:
        """Starts the runners. `serving` returns False once the process was told to end."""
        self._serving.append(serving)
        if self.prices.kraken:
            self.prices.quotes.expect_feed()
        self.manager.start()

    def stop(self, timeout: float) -> None:
        """Stops the runners and waits at most `timeout` seconds."""
        self.manager.stop(timeout)

    @cached_property
    def ways(self) -> tuple[str, str]:
        """How the exchange's WebSocket and REST are reached: directly, or through which proxy."""
        urls = self.config.kraken_websocket_url, self.config.kraken_rest_url
        websocket, rest = (described(url, os.environ) for url in urls)
        return websocket, rest

    def links(self) -> dict[str, Link]:
        """The present state of every collector, also of one that runs in another process of the fleet."""
        return {name: self._link(collector) for name, collector in self.collectors.items()}

    def link(self, name: str) -> Link | None:
        """The same of one collector; None where none has that name."""
        collector = self.collectors.get(name)
        return None if collector is None else self._link(collector)

    def _link(self, collector: Collector) -> Link:
        fleet = self.prices.fleet
        return collector.link() if fleet is None else fleet.seen(collector.link())

    def tasks(self) -> list[RunnerState]:
        """The state of every runner, of the collectors too."""
        fleet = self.prices.fleet
        return self.manager.states() + (fleet.lease.collectors() if fleet else [])

    def at_the_end(self, act: Callable[[], None]) -> None:
        """Calls `act` when the worker tells that the process is to end."""
        self._at_the_end.append(act)

    def told_to_end(self) -> None:
        """The process was told to end; requests under way may finish."""
        for act in self._at_the_end:
            act()

    def draining(self) -> bool:
        """True once the process was told to end."""
        return not all(serving() for serving in self._serving)


def attach(app: Flask, services: Services) -> None:
    """Makes the services reachable from the app."""
    app.extensions[_SLOT] = services


def services_of(app: Flask) -> Services:
    """The services of an app."""
    return cast(Services, app.extensions[_SLOT])


def services() -> Services:
    """The services of the app that serves this request."""
    return services_of(current_app)
