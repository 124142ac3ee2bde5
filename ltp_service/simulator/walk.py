"""Trades that keep coming by themselves."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from ltp_service.simulator.exchange import Exchange


class Walk:
    """At `rate` per second an event of each exchange."""

    def __init__(self, exchanges: Sequence[Exchange[Any]]) -> None:
        self._exchanges = exchanges
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
            for exchange in self._exchanges:
                exchange.walk()
