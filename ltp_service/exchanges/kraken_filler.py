"""Asks REST for the trades that a stream of Kraken's trades misses: those of a cut, or of a time before this process."""

import logging
from collections.abc import Callable
from threading import Event

from ltp_service.collected.kraken_tape import KrakenTape, Want
from ltp_service.domain.errors import ExchangeError
from ltp_service.exchanges.kraken_rest import KrakenRest

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.25
"""Seconds between two looks at what is missing."""

ASK_EVERY_SECONDS = 1.0
"""Least seconds between two questions: Kraken counts them together with those for prices."""


class TapeFiller:
    """Runner: fills the holes of the tape for which a stream waits, the oldest first."""

    name = "tape"

    def __init__(self, tape: KrakenTape, rest: KrakenRest, is_busy: Callable[[], bool]) -> None:
        """`is_busy` returns whether prices need REST now, or REST is not to be asked at all."""
        self._tape = tape
        self._rest = rest
        self._is_busy = is_busy

    def run(self, stop: Event) -> None:
        """Looks until `stop` is set."""
        pause = LOOK_EVERY_SECONDS
        while not stop.wait(pause):
            pause = ASK_EVERY_SECONDS if self.look() else LOOK_EVERY_SECONDS

    def look(self) -> bool:
        """Asks for what has been missing longest. False when nothing was to be asked."""
        wanted = self._tape.wanted()
        if not wanted or self._is_busy():
            return False
        try:
            self._ask(wanted[0])
        except ExchangeError as error:
            log.info(
                "%s: missing trades cannot be had from REST now: %s",
                wanted[0].pair,
                error,
                extra={"once_a_minute": ("tape", error.reason)},
            )
        return True

    def _ask(self, want: Want) -> None:
        page = self._rest.trades_after(want.pair, want.since)
        self._tape.add(want.pair, [trade for trade in page if want.after < int(trade.trade_id) < want.before])
        ids = {int(trade.trade_id) for trade in page}
        # A page that ends earlier comes from a cache, or of a REST that lags behind: the next one may tell more.
        if max(ids, default=0) >= want.before - 1 and not ids.issuperset(range(want.after + 1, want.before)):
            self._tape.give_up(want)  # REST has told all that it knows
