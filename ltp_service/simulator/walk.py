"""Trades that keep coming by themselves, and floods of them."""

import threading
import time
from collections.abc import Sequence

from ltp_service.simulator.kraken import Kraken
from ltp_service.simulator.spot import Spot


class Walk:
    """At `rate` per second an event of Kraken's, over all pairs while its market is open, and one of each venue's."""

    def __init__(self, exchange: Kraken, venues: Sequence[Spot]) -> None:
        self._exchange = exchange
        self._venues = venues
        self._changed = threading.Condition()
        self._rate = 0.0
        self._thread: threading.Thread | None = None

    def set_rate(self, rate: float) -> None:
        """0 stops it."""
        with self._changed:
            self._rate = rate
            if rate and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="walk", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rate > 0)
                due = max(due + 1 / self._rate, time.monotonic() - 1)
                self._changed.wait(max(0.0, due - time.monotonic()))
                if not self._rate:
                    continue
            self._step()

    def _step(self) -> None:
        with self._exchange.lock:
            event = self._exchange.market.walk()
            if self._exchange.is_matching(event[0].pair.name):
                self._exchange.publish(event)
        for venue in self._venues:
            venue.walk()
