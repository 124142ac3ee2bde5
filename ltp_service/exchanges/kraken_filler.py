"""Asks REST for the trades that a stream of Kraken's trades misses: those of a cut, or of a time before this process."""

import logging
from collections.abc import Callable
from math import inf
from threading import Event

from ltp_service.collected.kraken_tape import HOLE_FILL_SECONDS, KrakenTape, Want
from ltp_service.domain.errors import ExchangeError
from ltp_service.exchanges.kraken_rest import KrakenRest

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
"""Seconds between two looks at what is missing."""

FRAMES_AT_ONCE, PAUSE_SECONDS = 50, 0.001
"""Frames that are read before others get their turn: at 20,000 trades a second 500 wait, which take 25 ms."""

ASK_EVERY_SECONDS = 1.0
"""Least seconds between two questions: Kraken counts them together with those for prices."""


class TapeFiller:
    """Runner: fills the holes of the tape for which a stream waits, the oldest first."""

    name = "tape"

    def __init__(
        self, tape: KrakenTape, rest: KrakenRest, is_busy: Callable[[], bool], monotonic: Callable[[], float]
    ) -> None:
        """`is_busy` returns whether prices need REST now. They come first."""
        self._tape = tape
        self._rest = rest
        self._is_busy = is_busy
        self._monotonic = monotonic
        self._ask_at = -inf
        self._pause = ASK_EVERY_SECONDS
        self._asked_at: dict[Want, float] = {}

    def run(self, stop: Event) -> None:
        """Looks until `stop` is set."""
        while not stop.wait(LOOK_EVERY_SECONDS):
            while self._tape.settle(FRAMES_AT_ONCE) and not stop.wait(PAUSE_SECONDS):
                pass  # others on this hub come first
            self.look()

    def look(self) -> bool:
        """Asks for one hole, if it is time. False when nothing was to be asked."""
        wanted = self._tape.wanted()
        if not wanted:
            self._pause, self._asked_at = ASK_EVERY_SECONDS, {}
        if not wanted or self._monotonic() < self._ask_at or self._is_busy():
            return False
        # The one that has waited longest, but a hole that REST was asked about in vain lets the others go first.
        want = min(wanted, key=lambda each: self._asked_at.get(each, -inf))
        self._asked_at[want] = self._monotonic()
        try:
            self._ask(want)
            self._pause = ASK_EVERY_SECONDS
        except ExchangeError as error:
            self._pause = min(HOLE_FILL_SECONDS, 2 * self._pause)
            log.info(
                "%s: missing trades cannot be had from REST now: %s",
                want.pair,
                error,
                extra={"once_a_minute": ("tape", error.reason)},
            )
        self._ask_at = self._monotonic() + self._pause
        return True

    def _ask(self, want: Want) -> None:
        page = self._rest.trades_after(want.pair, want.since)
        self._tape.add(want.pair, [trade for trade in page if want.after < int(trade.trade_id) < want.before])
        ids = {int(trade.trade_id) for trade in page}
        # A page that ends earlier comes from a cache, or of a REST that lags behind: the next one may tell more.
        if max(ids, default=0) >= want.before - 1 and not ids.issuperset(range(want.after + 1, want.before)):
            self._tape.give_up(want)  # REST has told all that it knows
