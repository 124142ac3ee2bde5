"""One verification from its beginning to its end."""

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ltp_service.cli.verifying.asking import PACE_SECONDS, Exchange
from ltp_service.cli.verifying.judge import Judge
from ltp_service.cli.verifying.listening import Asker, Listener, News
from ltp_service.cli.verifying.said import Finding, Limits
from ltp_service.client.settings import Settings
from ltp_service.exchanges.kraken_rest import KrakenRest

LOOK_SECONDS = 0.25
"""Longest wait for news in one piece."""

GREETING_SECONDS = 15.0
"""Longest wait for the first event of the stream."""

MOST_FAILURES = 3
"""Failures in a row after which the exchange, or a service that has not answered yet, is not asked again."""

JOIN_SECONDS, ENDINGS = 2.0, 3
"""Longest wait for a question under way, and how many times as long as usual REST may take to tell the last trades."""


class Outcome(NamedTuple):
    """What became of it."""

    pairs: int
    prices: int
    trades: int
    """How many of each were judged."""
    unjudged: int
    """How many were not, because the exchange's REST does not tell enough."""
    reasons: list[str]
    """Why something could not be judged at all."""


class Session:
    """Listens to a service for a while."""

    def __init__(
        self,
        settings: Settings,
        rest: KrakenRest,
        pairs: Sequence[str],
        limits: Limits,
        report: Callable[[Finding], None],
        progress: Callable[[float], None],
    ) -> None:
        """`rest` goes by the clock of `settings`. `progress` is called with the part that is done, up to 1."""
        self._clock, self._limits = settings.clock, limits
        self._url = settings.bases[0].url
        self._report, self._progress, self._rest = report, progress, rest
        self._news: News = SimpleQueue()
        self._judge = Judge(limits)
        self._listener = Listener("listener", settings, pairs, self._news)
        self._asker = Asker("asker", settings, pairs, self._news, limits.pace)

    def run(self, seconds: float) -> Outcome:
        """Listens for so long, and then waits until the exchange has told what happened up to then."""
        self._listener.start()
        self._until(self._clock() + GREETING_SECONDS, self._is_greeted)
        if not self._judge.books:
            self._listener.stop.set()
            return self._outcome([f"the stream of {self._url}: {self._listener.reason or 'no hello'}"])
        exchange = Exchange(self._rest, list(self._judge.books), self._news, self._clock)
        self._asker.start()
        exchange.start()
        began = self._clock()

        def show() -> None:
            self._progress(min(1.0, (self._clock() - began) / (seconds + self._ending)))

        def is_hopeless() -> bool:
            show()
            return self._is_silent() or exchange.failures >= MOST_FAILURES

        self._until(began + seconds, is_hopeless)
        return self._end(exchange, show)

    @property
    def _ending(self) -> float:
        """Seconds after the end in which REST tells the last trades of all pairs, as a rule."""
        return self._limits.rest_lag + PACE_SECONDS * len(self._judge.books)

    def _end(self, exchange: Exchange, show: Callable[[], None]) -> Outcome:
        parts = self._listener, self._asker
        for part in parts:
            part.stop.set()
        for part in parts:
            part.join(JOIN_SECONDS)
        ended = self._clock()

        def behind() -> list[str]:
            """Those that may still come up."""
            return [pair for pair in self._judge.behind(ended) if pair not in exchange.given_up]

        def is_over() -> bool:
            show()
            return exchange.failures >= MOST_FAILURES or not behind()

        self._until(ended + ENDINGS * self._ending, is_over)
        exchange.stop.set()
        self._judge.finish()
        self._tell()
        reasons = []
        if not self._asker.is_heard:
            reasons.append(f"the answers of {self._url}: {self._asker.reason}")
        why = dict(exchange.given_up)
        if late := behind():
            why[", ".join(late)] = exchange.reason or "it is too slow"
        reasons += [
            f"{pairs}: the exchange's REST does not tell all trades: {each}" for pairs, each in why.items()
        ]
        return self._outcome(reasons)

    def _is_greeted(self) -> bool:
        return bool(self._judge.books) or (not self._listener.is_heard and self._listener.failures > 0)

    def _is_silent(self) -> bool:
        return not self._asker.is_heard and self._asker.failures >= MOST_FAILURES

    def _until(self, due: float, is_over: Callable[[], bool]) -> None:
        """Gives the judge all news until that moment, or until it is over."""
        while not is_over() and (left := due - self._clock()) > 0:
            try:
                self._news.get(timeout=min(left, LOOK_SECONDS))(self._judge)
                while True:
                    self._news.get_nowait()(self._judge)
            except Empty:
                pass
            self._tell()

    def _tell(self) -> None:
        for finding in self._judge.take():
            self._report(finding)

    def _outcome(self, reasons: list[str]) -> Outcome:
        books = self._judge.books.values()
        return Outcome(
            len(books),
            sum(book.prices.judged for book in books),
            sum(book.trades.judged for book in books),
            sum(book.prices.unjudged + book.trades.unjudged for book in books),
            reasons,
        )
