"""Many trades, or many book updates, of a venue's symbols."""

import random
import threading
import time
from collections.abc import Sequence

from ltp_service.simulator.market import SpotTape
from ltp_service.simulator.spot import Spot

TICK_SECONDS = 0.002
MOST_TRADES = 10  # of one match event, as recorded
MOST_LEVELS = 4  # of one book update
_BURST = 500
_BACKLOG = 1024 * 1024
_PATIENCE = 0.1
_PACE = 50  # updates between two looks at the clients


class TradeFlood:
    """Match events of one to ten trades, one symbol after the other."""

    def __init__(self, venue: Spot, tapes: Sequence[SpotTape], seed: int) -> None:
        self._venue = venue
        self._tapes = tapes
        self._choice = random.Random(seed)
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self, rate: float, seconds: float) -> int:
        """`rate` trades per second for that long, all symbols together; returns the trades."""
        started = time.monotonic()
        total = int(rate * seconds)
        sent = turn = 0
        while sent < total and not self._stop.is_set():
            due = min(int((time.monotonic() - started) * rate), total) - sent
            burst = min(due, _BURST)
            while burst > 0:
                trades = min(burst, self._choice.randint(1, MOST_TRADES))
                self._venue.trade(self._tapes[turn % len(self._tapes)], trades)
                turn += 1
                burst -= trades
                sent += trades
            if due < _BURST:
                self._stop.wait(TICK_SECONDS)
        return sent


class BookChurn:
    """Random changes of one book, the same ones for the same seed."""

    def __init__(self, venue: Spot, tape: SpotTape, seed: int) -> None:
        self._venue = venue
        self._tape = tape
        self._choice = random.Random(seed)
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self, updates: int, gaps: int = 0, rate: float = 0) -> int:
        """That many updates of one to four levels, of which `gaps` get lost on their way; `rate` per second, 0: as
        fast as the clients read. Returns the updates."""
        lost = set(self._choice.sample(range(updates), gaps))
        started = time.monotonic()
        for number in range(updates):
            if self._stop.is_set():
                return number
            self._venue.change_book(self._tape, self._choice.randint(1, MOST_LEVELS), lost=number in lost)
            if rate:
                self._stop.wait(max(0.0, started + (number + 1) / rate - time.monotonic()))
            elif number % _PACE == _PACE - 1:
                self._wait_for_clients()
        return updates

    def _wait_for_clients(self) -> None:
        while not self._venue.backlog(_BACKLOG, _PATIENCE) and not self._stop.is_set():
            pass
