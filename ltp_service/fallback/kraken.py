"""Kraken's public REST API: last prices of many pairs in one call, whatever is wrong with one of them."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import msgspec

from ltp_service.clock import Clock
from ltp_service.errors import ExchangeError, Rejected, Unreachable
from ltp_service.fallback.breaker import CircuitBreaker
from ltp_service.fallback.kraken_answers import (
    THROTTLED,
    UNKNOWN_PAIR,
    Listings,
    Unusable,
    read_last_trade,
    read_listings,
    read_result,
    read_system_status,
    read_tickers,
)
from ltp_service.http_client import BODY_CAP, Answer, HttpClient
from ltp_service.market import MarketStatus
from ltp_service.observer import Observer
from ltp_service.pairs import Pair, kraken_rest_symbol
from ltp_service.tick import REST, Tick

SERVICE = "kraken"

CHUNK = 50
"""Pairs per call: Kraken's edge answers 520 to URLs with hundreds of them."""

ANSWER_CAP = 1024 * 1024
"""Bytes of an answer at most, but for AssetPairs; a real one about CHUNK pairs has 25 kB."""

LISTINGS_LIFE = 6 * 3600.0
"""Seconds for which AssetPairs is believed."""

LISTINGS_RETRY = 60.0
"""Seconds until it is asked for again when it could not be had."""

UNKNOWN_AGAIN, FORGET_UNKNOWN = 5.0, 3600.0
"""Seconds after which an unknown pair is asked for again, doubling from the one to the other: an ailing exchange has
refused pairs that it knows."""

_RETRY_BASE, _RETRY_CAP = 0.25, 2.0
"""Seconds: full jitter over a bound that doubles from the one to the other."""

_WORTH_ANOTHER_TRY = frozenset(
    {"timeout", "name_resolution", "refused", "closed", "network", "proxy", "server_error"}
)

Read = TypeVar("Read")


class Patience(NamedTuple):
    """How long and how often to try. Seconds."""

    request_timeout: float = 3.0
    """One try, in all."""
    timeout: float = 10.0
    """One question, with all of its tries and waits."""
    max_retries: int = 3
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class RestAnswer(NamedTuple):
    """Pairs in neither have no usable price this time."""

    ticks: list[Tick]
    unknown: frozenset[Pair]
    """Pairs that REST does not know."""


class _Blame(NamedTuple):
    """An unknown pair is not asked for until a monotonic moment, which was `wait` seconds ahead."""

    until: float
    wait: float


class _Request(NamedTuple):
    endpoint: str
    params: Mapping[str, str]
    deadline: float
    """Monotonic seconds."""
    body_cap: int = ANSWER_CAP


class KrakenRest:
    """Asks through the breaker, within a time budget. Safe from any thread or greenlet.

    `base_url` without a slash at its end: https://api.kraken.com/0/public
    """

    def __init__(
        self,
        base_url: str,
        http: HttpClient,
        breaker: CircuitBreaker,
        clock: Clock,
        observer: Observer,
        patience: Patience,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = http
        self._breaker = breaker
        self._clock = clock
        self._observer = observer
        self._patience = patience
        self._listings: Listings | None = None
        self._listed_until = float("-inf")
        self._blamed: dict[Pair, _Blame] = {}

    def last_trades(self, pairs: Iterable[Pair], budget: float | None = None) -> RestAnswer:
        """The last trade of each pair, in one call as a rule; within `budget` seconds where somebody waits.

        A pair that REST does not know or a value that cannot be used concerns that pair alone. Raises
        ExchangeError when nothing was learnt: Unreachable, Rejected, BadFrame or BreakerOpen.
        """
        deadline = self._deadline(budget)
        asked = list(dict.fromkeys(pairs))
        wanted = [pair for pair in asked if not self._is_unknown(pair)]
        waiting = deque(wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK))
        ticks: list[Tick] = []
        while waiting:
            try:
                self._ask_chunk(waiting, ticks, deadline)
            except ExchangeError:
                if not ticks:
                    raise
                break
        return RestAnswer(ticks, frozenset(filter(self._is_unknown, asked)))

    def trades(self, pair: Pair) -> Tick | None:
        """The newest trade of a pair with its exchange time and id; None where there never was one.

        Raises ExchangeError.
        """
        params = {"pair": self._symbol(pair), "count": "1"}

        def read(result: msgspec.Raw, sent_at: float) -> Tick | None:
            return read_last_trade(result, pair, self._listings, sent_at)

        return self._ask(_Request("Trades", params, self._deadline()), read)

    def system_status(self) -> MarketStatus:
        """Whether the exchange matches orders. Raises ExchangeError."""
        request = _Request("SystemStatus", {}, self._deadline())
        return self._ask(request, lambda result, _: read_system_status(result))

    # One unknown pair fails all that are asked with it, and the refusal does not name it.

    def _ask_chunk(self, waiting: deque[list[Pair]], ticks: list[Tick], deadline: float) -> None:
        chunk = waiting.popleft()
        try:
            ticks += self._tickers(chunk, deadline)
        except Rejected as refusal:
            if refusal.reason != UNKNOWN_PAIR:
                raise
            waiting.extendleft(reversed(self._narrowed(chunk, deadline)))

    def _narrowed(self, chunk: list[Pair], deadline: float) -> list[list[Pair]]:
        """What to ask for in place of a chunk that was refused; the pairs to blame are remembered."""
        listings = self._list_pairs(deadline)
        unlisted = [pair for pair in chunk if listings and pair not in listings.symbols]
        blamed = unlisted or (chunk if len(chunk) == 1 else [])
        self._blamed |= {pair: self._blame(pair) for pair in blamed}
        if blamed:
            rest = [pair for pair in chunk if pair not in blamed]
            return [rest] if rest else []
        middle = len(chunk) // 2
        return [chunk[:middle], chunk[middle:]]

    def _blame(self, pair: Pair) -> _Blame:
        before = self._blamed.get(pair)
        wait = min(FORGET_UNKNOWN, 2 * before.wait) if before else UNKNOWN_AGAIN
        return _Blame(self._clock.monotonic() + wait, wait)

    def _is_unknown(self, pair: Pair) -> bool:
        blame = self._blamed.get(pair)
        return blame is not None and self._clock.monotonic() < blame.until

    def _symbol(self, pair: Pair) -> str:
        listed = self._listings.symbols.get(pair) if self._listings else None
        return listed or kraken_rest_symbol(pair)

    def _tickers(self, pairs: Sequence[Pair], deadline: float) -> list[Tick]:
        params = {"pair": ",".join(map(self._symbol, pairs))}

        def read(result: msgspec.Raw, sent_at: float) -> list[Tick | Unusable]:
            return list(read_tickers(result, pairs, self._listings, sent_at))

        found = self._ask(_Request("Ticker", params, deadline), read)
        for each in found:
            if isinstance(each, Unusable):
                self._observer.frame_refused(REST, each.reason)
            else:
                self._blamed.pop(each.pair, None)
        return [each for each in found if isinstance(each, Tick)]

    def _list_pairs(self, deadline: float) -> Listings | None:
        now = self._clock.monotonic()
        if now >= self._listed_until:
            # One try, and none again soon: without the list it takes more calls to find the one to blame,
            # and those need the time.
            self._listed_until = now + LISTINGS_RETRY
            request = _Request(
                "AssetPairs", {}, min(deadline, now + self._patience.request_timeout), BODY_CAP
            )
            with suppress(ExchangeError):
                self._listings = self._ask(request, lambda result, _: read_listings(result))
                self._listed_until = now + LISTINGS_LIFE
        return self._listings

    # One question: tries, time budget, breaker.

    def _deadline(self, budget: float | None = None) -> float:
        return self._clock.monotonic() + min(self._patience.timeout, budget or self._patience.timeout)

    def _ask(self, request: _Request, read: Callable[[msgspec.Raw, float], Read]) -> Read:
        tries = 0
        while True:
            try:
                return self._try(request, read)
            except Unreachable as error:
                delay = self._patience.random() * min(_RETRY_CAP, _RETRY_BASE * 2.0**tries)
                in_time = self._clock.monotonic() + delay < request.deadline
                if (
                    tries >= self._patience.max_retries
                    or error.reason not in _WORTH_ANOTHER_TRY
                    or error.retry_after is not None
                    or not in_time
                ):
                    raise
            tries += 1
            self._observer.external_retry(SERVICE, request.endpoint)
            self._patience.sleep(delay)

    def _try(self, request: _Request, read: Callable[[msgspec.Raw, float], Read]) -> Read:
        sent_at = self._clock.monotonic()
        if sent_at >= request.deadline:
            raise Unreachable(f"no time left to ask for {request.endpoint}", reason="timeout")
        permit = self._breaker.acquire()
        try:
            value = read(read_result(self._get(request, sent_at)), sent_at)
        except Rejected as error:
            # A refusal shows an exchange in good health, unless it is told to keep away.
            permit.succeeded() if error.retry_after is None else permit.failed(error.retry_after)
            if error.reason == THROTTLED:
                self._observer.throttled(SERVICE)
            raise
        except ExchangeError as error:
            permit.failed(error.retry_after)
            raise
        else:
            permit.succeeded()
            return value

    def _get(self, request: _Request, now: float) -> Answer:
        status: int | None = None
        try:
            answer = self._http.get(
                f"{self._base_url}/{request.endpoint}",
                request.params,
                min(self._patience.request_timeout, request.deadline - now),
                body_cap=request.body_cap,
            )
            status = answer.status
            return answer
        finally:
            self._observer.external_call(SERVICE, request.endpoint, status, self._clock.monotonic() - now)
