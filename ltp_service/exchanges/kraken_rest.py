"""Kraken's public REST API: last prices of many pairs in one call, whatever is wrong with one of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import msgspec

from ltp_service import meters as table
from ltp_service.domain.errors import BadFrame, BreakerOpen, ExchangeError, Rejected, Unreachable
from ltp_service.domain.exchange_time import ExchangeTime
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pairs import Pair, kraken_rest_symbol
from ltp_service.domain.tick import REST
from ltp_service.domain.trade import Trade
from ltp_service.exchanges import kraken_rest_answers as answers
from ltp_service.rest.breaker import CircuitBreaker, Permit
from ltp_service.rest.http_client import MAX_BODY_BYTES, HttpAnswer, HttpClient
from ltp_service.rest.pace import Pace
from ltp_service.rest.sequence import LONGEST_CACHE_SECONDS, NewestTrades, surely_at
from ltp_service.rest.source import MarketAnswer, RestAnswer
from ltp_service.runtime.pauses import Pauses
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

SERVICE = "kraken"

MAX_QUERY_BYTES = 2000
"""Bytes of the pairs in one URL, some 250 of them: Kraken's edge answers 520 to much longer ones."""

MAX_ANSWER_BYTES = 1024 * 1024
"""Bytes of an answer at most, but for those about all pairs; a real one about 250 pairs has 120 kB."""

UNTOLD_CACHE_SECONDS = 2.0
"""Seconds for which an answer may have lain in Kraken's cache when its headers do not tell (measured by others)."""

LISTINGS_AGAIN_AFTER_SECONDS = 60.0
"""Seconds until AssetPairs, which has 1 MB, is asked for again when a pair is refused."""

ALL_AGAIN_AFTER_SECONDS = 600.0
"""Seconds after Kraken refused a question about all pairs before it is asked so again."""

UNKNOWN_AGAIN_AFTER_SECONDS, FORGET_UNKNOWN_AFTER_SECONDS = 5.0, 3600.0
"""Seconds after which an unknown pair is asked for again, doubling from the one to the other: an ailing exchange has
refused pairs that it knows."""

ASKED_TRADES = "100"
"""Newest trades asked for: enough to find among them what Ticker tells, of some seconds."""

PAGE_TRADES, PAGE_OVERLAP_SECONDS = 1000, 0.001
"""Most trades of an answer (docs.kraken.com, get-recent-trades), and seconds by which two pages overlap."""

_RETRY_BASE, _RETRY_CAP = 0.25, 2.0
"""Seconds beyond the turn: full jitter over a bound that doubles from the one to the other."""

_WORTH_ANOTHER_TRY = frozenset("timeout name_resolution refused closed network proxy server_error".split())

Read = TypeVar("Read")

DAY_SECONDS, YOUNG_DAY_SECONDS = 86400.0, LONGEST_CACHE_SECONDS + 5.0
"""Seconds of a day, and of its beginning in which the counts of the day before may still be told."""


class _Blame(NamedTuple):
    """An unknown pair is not asked for until a monotonic moment, which was `wait` seconds ahead."""

    until: float
    wait: float


class _Request(NamedTuple):
    endpoint: str
    params: Mapping[str, str]
    deadline: float
    """Monotonic seconds."""
    body_cap: int = MAX_ANSWER_BYTES


class KrakenRest:
    """Asks through the breaker, within a time budget. Safe from any thread or greenlet."""

    page_trades = PAGE_TRADES

    def __init__(self, config: Config, http: HttpClient, breaker: CircuitBreaker, runtime: Runtime) -> None:
        self._config = config
        self._base_url = config.kraken_rest_url.rstrip("/")
        self._http = http
        self._breaker = breaker
        self._spare_breaker = CircuitBreaker(runtime)
        """Of the questions that no price needs. Their failures keep them away, and nothing else: an exchange that throttles
        Trades of one pair may answer about prices."""
        self._clock = runtime.clock
        self._meters = runtime.meters
        self._sleep = runtime.sleep
        self._random = runtime.random
        self._pace = Pace(runtime)
        self._exchange_time = ExchangeTime(latest=LONGEST_CACHE_SECONDS)
        self._listings: answers.Listings | None = None
        self._listed_at = float("-inf")
        self._all_again_at = float("-inf")
        self._blamed: dict[Pair, _Blame] = {}
        self._suspected: dict[Pair, int] = {}
        """Pairs that were refused together, to how many of them are asked for in one call from now on."""

    def last_trades(self, pairs: Iterable[Pair], budget: float | None = None) -> RestAnswer:
        """The last trades of `pairs`: of all that Kraken lists, without naming any, where more are asked for than have room
        in one URL. Where Kraken refuses that, of the first of them, as many as have room.

        It takes more calls only to find the pair that made Kraken refuse all; `budget` in seconds is for all of them,
        from the first one on. A pair that REST does not know or a value that cannot be used concerns that pair alone.
        Raises ExchangeError when nothing was learnt: Unreachable, Rejected, BadFrame or BreakerOpen.
        """
        deadline = self._deadline(budget)
        wanted = list(dict.fromkeys(pairs))
        worth_asking = [pair for pair in wanted if not self._is_unknown(pair)]
        pending = self._fitting(worth_asking)
        if len(pending) < len(worth_asking) and self._clock.monotonic() >= self._all_again_at:
            try:
                return self._answer(wanted, self._tickers(worth_asking, deadline, of_all=True), worth_asking)
            except (Rejected, BadFrame) as error:
                if error.retry_after is not None:
                    raise
                self._all_again_at = self._clock.monotonic() + ALL_AGAIN_AFTER_SECONDS
        told: list[answers.Told] = []
        asked: set[Pair] = set()
        while pending:
            batch = self._batch(pending)
            try:
                told += self._tickers(batch, deadline)
                asked.update(batch)
            except ExchangeError as error:
                if not self._knows_better(error, batch, deadline):
                    if told:
                        break
                    raise
            pending = [pair for pair in pending if pair not in asked and not self._is_unknown(pair)]
        return self._answer(wanted, told, asked)

    def _answer(
        self, wanted: Iterable[Pair], told: Sequence[answers.Told], asked: Iterable[Pair]
    ) -> RestAnswer:
        return RestAnswer(
            [each.tick for each in told],
            frozenset(filter(self._is_unknown, wanted)),
            frozenset(asked),
            {each.tick.pair: each.detail for each in told},
        )

    def trades(self, pair: Pair) -> NewestTrades | None:
        """The newest trades of a pair, the very newest with its time and id; None where there never was one.

        Raises ExchangeError.
        """
        deadline = self._deadline()

        def read(result: msgspec.Raw, evidence: answers.Evidence) -> NewestTrades | None:
            trades = answers.read_trades(result, pair, self._listings, evidence.at)
            return trades and trades._replace(dated=evidence.dated)

        symbol = self._symbol(pair)
        try:
            return self._ask(_Request("Trades", {"pair": symbol, "count": ASKED_TRADES}, deadline), read)
        except Rejected as refusal:
            if refusal.reason == answers.UNKNOWN_PAIR:
                self._look_up([pair], deadline)
            raise

    def trades_after(self, pair: Pair, since: float | None) -> list[Trade]:
        """A page of trades with their ids: the first after the unix second `since`, or a millisecond before, or without it the
        newest of all.

        No price needs it, so it is refused while prices find out whether the exchange answers. Asks once, and raises
        ExchangeError.
        """
        return self.page_after(pair, since)[0]

    def newest_trades(self, pair: Pair) -> tuple[list[Trade], float]:
        """The newest page of trades, and the newest monotonic second before which no cache can have kept it.

        Like `trades_after` in all else.
        """
        return self.page_after(pair, None)

    def page_after(self, pair: Pair, since: float | None) -> tuple[list[Trade], float]:
        """The page of `trades_after`, with the second of `newest_trades`."""
        params = {"pair": self._symbol(pair), "count": str(PAGE_TRADES)}
        if since is not None:  # in nanoseconds; a little earlier, because a float has less digits
            params["since"] = str(int((since - PAGE_OVERLAP_SECONDS) * 1e9))

        def read(result: msgspec.Raw, evidence: answers.Evidence) -> tuple[list[Trade], float]:
            trades, pause = [], Pauses(self._clock.monotonic, self._sleep)
            for trade in answers.read_page(result, pair, self._listings, self._clock.wall()):
                trades.append(trade)
                pause()
            return trades, evidence.at

        return self._try(_Request("Trades", params, self._deadline()), read, self._spare_permit)

    def _spare_permit(self) -> Permit:
        """For a question that no price needs. Raises BreakerOpen."""
        prices = self._breaker.state()
        if prices.state != "closed":
            raise BreakerOpen(
                "not asked: prices try first whether the exchange answers",
                reason="breaker_open",
                retry_after=prices.retry_in,
            )
        return self._spare_breaker.acquire()

    def unix_ahead(self) -> float | None:
        """Seconds to add to monotonic time for the exchange's unix time, as the heads of its answers tell it, in whole
        seconds; None before the first answer."""
        return self._exchange_time.at(0.0)

    def is_free(self) -> bool:
        """Whether a question that no price needs would be asked at once: none waits for its turn, the exchange answers those
        for prices, and has not asked to be left alone."""
        is_idle = self._pace.free_at() <= self._clock.monotonic()
        is_sound = self._breaker.state().state == "closed" and self._spare_breaker.state().retry_in == 0
        return is_idle and is_sound

    def listed(self) -> Mapping[Pair, MarketStatus]:
        """Every pair of the last list that REST gave, with its status; another object after another list."""
        return (self._listings or answers.NO_LISTINGS).statuses

    def ask_listings(self) -> None:
        """Asks for the list of pairs, once. Raises ExchangeError."""
        self._listed_at = self._clock.monotonic()
        until = self._pace.free_at() + self._config.kraken_request_timeout
        request = _Request("AssetPairs", {}, until, MAX_BODY_BYTES)
        self._listings = self._try(request, self._read_listings)

    def _read_listings(self, result: msgspec.Raw, _: answers.Evidence) -> answers.Listings:
        return answers.read_listings(result, self._listings or answers.NO_LISTINGS)

    def system_status(self) -> MarketAnswer:
        """Whether the exchange matches orders. Raises ExchangeError."""

        def read(result: msgspec.Raw, evidence: answers.Evidence) -> MarketAnswer:
            told_at = surely_at(evidence.at, dated=evidence.dated)
            return MarketAnswer(answers.read_system_status(result), told_at)

        return self._ask(_Request("SystemStatus", {}, self._deadline()), read)

    # One unknown pair fails all that are asked with it, and the refusal does not name it.

    def _fitting(self, pairs: Iterable[Pair]) -> list[Pair]:
        """The first of `pairs`, as many as have room in one URL."""
        fitting: list[Pair] = []
        room = MAX_QUERY_BYTES
        for pair in pairs:
            room -= len(self._symbol(pair)) + 1
            if room < 0:
                break
            fitting.append(pair)
        return fitting

    def _batch(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those to ask for together: no suspect beside one that is none."""
        most = self._suspected.get(pairs[0])
        alike = [pair for pair in pairs if (pair in self._suspected) == (most is not None)]
        return alike[:most]

    def _knows_better(self, error: ExchangeError, batch: Sequence[Pair], deadline: float) -> bool:
        """Whether it is worth while to go on: some pair is to blame, and there is time to ask without it."""
        if not self._blames_a_pair(error, batch):
            return False
        self._narrow(batch, deadline)
        return self._pace.free_at() < deadline

    def _blames_a_pair(self, error: ExchangeError, batch: Sequence[Pair]) -> bool:
        """Whether a pair made Kraken refuse the batch. Invalid arguments of one pair alone may have another cause, unless it
        was refused together with others before."""
        if error.reason == answers.INVALID_ARGUMENTS:
            return len(batch) > 1 or batch[0] in self._suspected
        return error.reason == answers.UNKNOWN_PAIR

    def _narrow(self, batch: Sequence[Pair], deadline: float) -> None:
        """Finds out more about a batch that was refused; the pairs to blame are remembered."""
        if self._look_up(batch, deadline):
            return
        unlisted = [pair for pair in batch if self._listings and pair not in self._listings.symbols]
        blamed = unlisted or (batch if len(batch) == 1 else [])
        self._blamed |= {pair: self._blame(pair) for pair in blamed}
        if not blamed:
            self._suspected |= dict.fromkeys(batch, (len(batch) + 1) // 2)

    def _look_up(self, pairs: Sequence[Pair], deadline: float) -> bool:
        """Asks which pairs there are, unless that was done just now. True when one of `pairs` has another name now."""
        now = self._clock.monotonic()
        if now < self._listed_at + LISTINGS_AGAIN_AFTER_SECONDS:
            return False
        # One try, and none again soon: without the list it takes more calls to find the one to blame, and those
        # need the time.
        self._listed_at = now
        names = list(map(self._symbol, pairs))
        until = min(deadline, self._pace.free_at() + self._config.kraken_request_timeout)
        request = _Request("AssetPairs", {}, until, MAX_BODY_BYTES)
        with suppress(ExchangeError):
            self._listings = self._ask(request, self._read_listings)
        return names != list(map(self._symbol, pairs))

    def _blame(self, pair: Pair) -> _Blame:
        before = self._blamed.get(pair)
        wait = min(FORGET_UNKNOWN_AFTER_SECONDS, 2 * before.wait) if before else UNKNOWN_AGAIN_AFTER_SECONDS
        return _Blame(self._clock.monotonic() + wait, wait)

    def _is_unknown(self, pair: Pair) -> bool:
        blame = self._blamed.get(pair)
        return blame is not None and self._clock.monotonic() < blame.until

    def _symbol(self, pair: Pair) -> str:
        listed = self._listings.symbols.get(pair) if self._listings else None
        return listed or kraken_rest_symbol(pair)

    def _tickers(self, pairs: Sequence[Pair], deadline: float, *, of_all: bool = False) -> list[answers.Told]:
        params = {} if of_all else {"pair": ",".join(map(self._symbol, pairs))}

        def read(result: msgspec.Raw, evidence: answers.Evidence) -> list[answers.Told | answers.Unusable]:
            return list(answers.read_tickers(result, pairs, self._listings, evidence, of_all=of_all))

        most = MAX_BODY_BYTES if of_all else MAX_ANSWER_BYTES
        found = self._ask(_Request("Ticker", params, deadline, most), read)
        for pair in pairs:
            self._suspected.pop(pair, None)
        for each in found:
            if isinstance(each, answers.Unusable):
                self._meters.count(table.FRAMES_REFUSED, REST, each.reason)
            else:
                self._blamed.pop(each.tick.pair, None)
        return [each for each in found if isinstance(each, answers.Told)]

    # One question: tries, time budget, breaker.

    def _deadline(self, budget: float | None = None) -> float:
        # It counts from the turn of the first call: the exchange is not to blame for the wait until then.
        return self._pace.free_at() + min(self._config.kraken_timeout, budget or self._config.kraken_timeout)

    def _ask(self, request: _Request, read: Callable[[msgspec.Raw, answers.Evidence], Read]) -> Read:
        tries = 0
        while True:
            try:
                return self._try(request, read)
            except Unreachable as error:
                jitter = self._random() * min(_RETRY_CAP, _RETRY_BASE * 2.0**tries)
                again_at = self._pace.free_at() + jitter
                if (
                    tries >= self._config.kraken_max_retries
                    or error.reason not in _WORTH_ANOTHER_TRY
                    or error.retry_after is not None
                    or again_at >= request.deadline
                ):
                    raise
            tries += 1
            self._meters.count(table.EXCHANGE_RETRIES, SERVICE, request.endpoint)
            self._sleep(again_at - self._clock.monotonic())

    def _try(
        self,
        request: _Request,
        read: Callable[[msgspec.Raw, answers.Evidence], Read],
        acquire: Callable[[], Permit] | None = None,
    ) -> Read:
        permit = self._pace.take_turn(request.deadline, acquire or self._breaker.acquire)
        sent_at = self._clock.monotonic()
        try:
            answer = self._get(request, sent_at)
            value = read(answers.read_result(answer), self._evidence(answer, sent_at))
        except Rejected as error:
            # A refusal shows an exchange in good health, unless it is told to keep away.
            permit.succeeded() if error.retry_after is None else permit.failed(error.retry_after)
            if error.reason == answers.THROTTLED:
                self._meters.count(table.THROTTLED_CALLS)
            raise
        except ExchangeError as error:
            permit.failed(error.retry_after)
            raise
        else:
            permit.succeeded()
            return value

    def _get(self, request: _Request, now: float) -> HttpAnswer:
        status: int | None = None
        try:
            answer = self._http.get(
                f"{self._base_url}/{request.endpoint}",
                request.params,
                min(self._config.kraken_request_timeout, request.deadline - now),
                body_cap=request.body_cap,
            )
            status = answer.status
            return answer
        finally:
            seconds = self._clock.monotonic() - now
            self._meters.count(table.EXCHANGE_CALLS, SERVICE, request.endpoint, str(status or "none"))
            self._meters.observe(table.EXCHANGE_CALL_SECONDS, [seconds], SERVICE, request.endpoint)

    def _evidence(self, answer: HttpAnswer, sent_at: float) -> answers.Evidence:
        """Of which moment an answer to the question of `sent_at` surely is evidence: caches on the way age it."""
        cached_for = UNTOLD_CACHE_SECONDS if answer.cached_for is None else answer.cached_for
        if answer.date is not None:
            self._exchange_time.learn(answer.date, self._clock.monotonic())
            cached_for = max(cached_for, (self._exchange_time.at(sent_at) or answer.date) - answer.date)
        exchange_time = self._exchange_time.at(sent_at)
        is_young = exchange_time is not None and exchange_time % DAY_SECONDS < YOUNG_DAY_SECONDS
        return answers.Evidence(sent_at - cached_for, answer.cached_for is not None, is_young)
