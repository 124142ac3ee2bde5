"""Whoever is connected to an exchange."""

import threading
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from ltp_service.simulator.counters import Counters
from ltp_service.simulator.link import Link

Client = TypeVar("Client", bound=Link)


class Links(ABC, Generic[Client]):
    """`lock` guards them and what a subclass adds, and makes the order on each wire the market's."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.lock = threading.RLock()
        self._frozen = False
        self._links: dict[Client, None] = {}

    @abstractmethod
    def forget(self, client: Client) -> None:
        """Ends the subscriptions of a client who has left; under the lock."""

    def connections(self) -> list[Client]:
        with self.lock:
            return list(self._links)

    def is_connected(self, client: Client) -> bool:
        return client in self._links

    def entered(self, client: Client) -> None:
        with self.lock:
            self._links[client] = None
            client.freeze(self._frozen)
        self.counters.opened()

    def left(self, client: Client) -> None:
        with self.lock:
            del self._links[client]
            self.forget(client)
        self.counters.closed()

    def set_frozen(self, frozen: bool) -> None:
        with self.lock:
            self._frozen = frozen
            for client in self.connections():
                client.freeze(frozen)

    def cut(self, how: str, code: int) -> int:
        """Drops all; returns how many."""
        dropped = self.connections()
        for client in dropped:
            client.cut(how, code)
        return len(dropped)

    def send_raw(self, content: bytes) -> int:
        """The same bytes to everyone; returns to how many."""
        receivers = self.connections()
        for client in receivers:
            client.send(content)
        return len(receivers)
