"""Asks the exchange for its trades, one page a second, of one pair after the other."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread

from ltp_service.cli.verifying.listening import News
from ltp_service.cli.verifying.said import moment
from ltp_service.cli.verifying.tape import OVERLAP_SECONDS, PAGE_TRADES
from ltp_service.domain.errors import ExchangeError, InvalidParameter
from ltp_service.domain.pairs import read_pair
from ltp_service.exchanges.kraken_rest import KrakenRest

PACE_SECONDS = 1.0
"""Between two questions; Kraken allows one a second (support.kraken.com, API rate limits)."""


class Exchange(Thread):
    """Gives the judge the exchange's trades, until `stop` is set."""

    def __init__(
        self, rest: KrakenRest, pairs: Sequence[str], news: News, clock: Callable[[], float]
    ) -> None:
        super().__init__(name="exchange", daemon=True)
        self.stop = Event()
        self.reason: str | None = None
        """Why the last question failed; None where it did not."""
        self.failures = 0
        """The number of failed questions in a row."""
        self.given_up: dict[str, str] = {}
        """The pairs that are not asked for any more, and why."""
        self._rest, self._news, self._clock = rest, news, clock
        self._since: dict[str, float | None] = dict.fromkeys(pairs)
        """The unix second from which on each pair is asked for."""
        self._turns = deque(pairs)

    def run(self) -> None:
        while self._turns and not self.stop.is_set():
            try:
                is_whole = self._ask(self._turns[0])
            except (ExchangeError, InvalidParameter) as error:
                self.reason, is_whole = str(error), True
                self.failures += 1
            else:
                self.reason, self.failures = None, 0
            if self._turns[0] in self.given_up:
                self._turns.popleft()
            elif is_whole:
                self._turns.rotate(-1)
            self.stop.wait(PACE_SECONDS)

    def _ask(self, pair: str) -> bool:
        """Asks for a page. Returns whether there is no more after it now."""
        since = self._since[pair]
        page, as_of = self._rest.page_after(read_pair(pair), since)
        newest = max((trade.timestamp for trade in page), default=None)
        now, ahead = self._clock(), self._rest.unix_ahead()
        known = [newest - now] if newest is not None else []
        ahead = max([*known, *([] if ahead is None else [ahead])], default=float("-inf"))
        is_newest = since is None
        is_whole = is_newest or len(page) < PAGE_TRADES
        if newest is not None:  # a full page goes on at its end, however many trades a second has
            if not is_whole and since is not None and newest <= since:
                self._give_up(pair, len(page), newest)
            self._since[pair] = newest - OVERLAP_SECONDS if is_whole else newest
        self._news.put(lambda judge: judge.learn(pair, page, as_of, ahead, is_newest=is_newest))
        return is_whole

    def _give_up(self, pair: str, count: int, newest: float) -> None:
        """The next page would be the same one: REST pages by time, and a whole page has one moment. Behind it trades may be
        left out, so later ones would be compared with less than there was."""
        self.given_up[pair] = (
            f"{count:,} of them are of one moment, {moment(newest)}, behind which it cannot be asked; nothing later was compared"
        )
