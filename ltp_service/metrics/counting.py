"""Counts the reports of the parts, and sets the gauges."""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable
from math import nan
from typing import get_args

from prometheus_client import CollectorRegistry, disable_created_metrics

from ltp_service.assembly import Services
from ltp_service.domain.pairs import Pair
from ltp_service.metrics.series import Series
from ltp_service.prices.freshness import PriceState
from ltp_service.prices.quotes import Quote
from ltp_service.runtime.backlog import Backlog
from ltp_service.runtime.observer import Observer

MAX_WAITING_EVENTS = 256
"""Events that wait to be counted together; counting them takes a fraction of a millisecond."""

MAX_SYMBOL_SERIES = 500
"""Symbols with their own series; others count as `other`, because symbols come and go at run time."""

_BREAKER = {"closed": 0, "open": 1, "half_open": 2}
_ROLES = ("owner", "follower", "out_of_step")
_STATES: tuple[PriceState, ...] = get_args(PriceState)


_AnsweredRequest = tuple[str, str, int, float, int, int]
"""Method, route, status, seconds, bytes received, bytes sent."""
_Measures = tuple[float, int, int]


class Metrics(Observer):
    """The Observer that counts, and sets the gauges."""

    def __init__(self) -> None:
        # `_created` series double a scrape, and with several workers there are none.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._series = Series(self.registry)
        self._answers: Backlog[_AnsweredRequest] = Backlog(self._count_answers, MAX_WAITING_EVENTS)
        self._decisions: Backlog[tuple[bool, int]] = Backlog(self._count_decisions, MAX_WAITING_EVENTS)
        self._trades: Backlog[tuple[str, str]] = Backlog(self._count_trades, MAX_WAITING_EVENTS)
        self._symbols: set[str] = set()
        self._shown: set[str] = set()

    # Observer: reports at every request, or thousands of times a second.

    def answered(
        self, method: str, route: str, status: int, seconds: float, received: int, sent: int
    ) -> None:
        self._answers.add((method, route, status, seconds, received, sent))

    def limited(self, allowed: bool, remaining: int) -> None:
        self._decisions.add((allowed, remaining))

    def trade_stored(self, exchange: str, symbol: str) -> None:
        self._trades.add((exchange, symbol))

    def _count_answers(self, rows: list[_AnsweredRequest]) -> None:
        routes: defaultdict[tuple[str, str, int], list[_Measures]] = defaultdict(list)
        for row in rows:
            routes[row[:3]].append(row[3:])
        for (method, route, status), measures in routes.items():
            seconds, received, sent = zip(*measures, strict=True)
            self._series.requests.labels(method, route, status).inc(len(measures))
            self._series.durations.labels(method, route, status).observe_all(seconds)
            self._series.received.labels(method, route).observe_all(received)
            self._series.sent.labels(method, route).observe_all(sent)

    def _count_decisions(self, rows: list[tuple[bool, int]]) -> None:
        allowed = sum(allowed for allowed, _ in rows)
        self._series.limits.labels("allowed").inc(allowed)
        self._series.limits.labels("limited").inc(len(rows) - allowed)
        self._series.tokens.observe_all([remaining for _, remaining in rows])

    def _count_trades(self, rows: list[tuple[str, str]]) -> None:
        for (exchange, symbol), count in Tally(rows).items():
            self._series.trades_stored.labels(exchange, self._bounded(symbol)).inc(count)

    def _bounded(self, symbol: str) -> str:
        if len(self._symbols) < MAX_SYMBOL_SERIES:
            self._symbols.add(symbol)
        return symbol if symbol in self._symbols else "other"

    # Observer: the other reports.

    def prices_asked(self, pairs: Iterable[Pair], hit: bool, count: int) -> None:
        result = "hit" if hit else "miss"
        asked = 0
        for pair in pairs:
            self._series.price_requests.labels(str(pair), result).inc(count)
            asked += count
        (self._series.cache_hits if hit else self._series.cache_misses).inc(asked)
        self._series.cache_operations.labels("get", result).inc(asked)

    def key_checked(self, result: str) -> None:
        self._series.keys.labels(result).inc()

    def log_lines_dropped(self, count: int) -> None:
        self._series.log_dropped.inc(count)

    def refreshed(self, result: str) -> None:
        self._series.refreshes.labels(result).inc()

    def frames_received(self, exchange: str, kind: str, count: int) -> None:
        self._series.frames.labels(exchange, kind).inc(count)

    def frame_refused(self, exchange: str, reason: str) -> None:
        self._series.refused.labels(exchange, reason).inc()

    def connection_failed(self, exchange: str, reason: str) -> None:
        self._series.link_errors.labels(exchange, reason).inc()

    def reconnecting(self, exchange: str, reason: str) -> None:
        self._series.reconnections.labels(exchange, reason).inc()

    def subscription_deaf(self, pair: Pair) -> None:
        self._series.deaf.labels(str(pair)).inc()

    def trade_discarded(self, exchange: str, reason: str) -> None:
        self._series.trades_discarded.labels(exchange, reason).inc()

    def book_deaf(self, exchange: str) -> None:
        self._series.books_deaf.labels(exchange).inc()

    def trades_missed(self, exchange: str, count: int) -> None:
        self._series.trades_missed.labels(exchange).inc(count)

    def trade_held(self, pair: Pair) -> None:
        self._series.held.labels(str(pair)).inc()

    def sources_diverged(self, pair: Pair) -> None:
        self._series.diverged.labels(str(pair)).inc()

    def external_call(self, service: str, endpoint: str, status_code: int | None, seconds: float) -> None:
        self._series.calls.labels(service, endpoint, status_code or "none").inc()
        self._series.call_seconds.labels(service, endpoint).observe(seconds)

    def external_retry(self, service: str, endpoint: str) -> None:
        self._series.retries.labels(service, endpoint).inc()

    def throttled(self, service: str) -> None:
        self._series.throttled.inc()

    def fallback_started(self, reason: str) -> None:
        self._series.activations.labels(reason).inc()

    def fallback_ended(self, seconds: float) -> None:
        self._series.fallback_seconds.observe(seconds)

    # Gauges are set from the present state and not by events, because a missed event would leave a wrong value.

    def show(self, parts: Services) -> None:
        """Counts the waiting events and sets every gauge."""
        for backlog in (self._answers, self._decisions, self._trades):
            backlog.settle()
        self._series.uptime.set(parts.clock.monotonic() - parts.started_at)
        self._series.cache_keys.labels("price").set(len(parts.prices.store.all()))
        self._series.breaker.labels("kraken").set(_BREAKER[parts.prices.breaker.state().state])
        self._series.fallback.set(parts.prices.poll.active())
        for name, link in parts.links().items():
            self._series.connected.labels(name).set(link.connected)
        if (kraken := parts.prices.kraken) is not None:
            self._series.lag.labels(kraken.name).set(kraken.lag())
        self._show_fleet(parts)
        wall = parts.clock.wall()
        for quote in parts.prices.quotes.look(parts.config.supported_pairs):
            self._show_quote(quote, wall)

    def _show_fleet(self, parts: Services) -> None:
        fleet = parts.prices.fleet
        if fleet is not None:
            for role in _ROLES:
                self._series.fleet.labels(role).set(role == fleet.role())

    def _show_quote(self, quote: Quote, wall: float) -> None:
        pair, age = str(quote.pair), quote.verdict.age
        for rare in (self._series.deaf, self._series.diverged, self._series.held):
            rare.labels(pair)  # makes the series, because a counter that begins at 1 shows no increase
        for state in _STATES:
            self._series.states.labels(pair, state).set(state == quote.verdict.state)
        if quote.price is not None and age is not None:
            self._shown.add(pair)
            self._series.current.labels(pair).set(float(quote.price.tick.amount))
            self._series.ages.labels(pair).set(age)
            self._series.moments.labels(pair).set(wall - age)
        elif pair in self._shown:  # the store forgot it, so its last values must not stay
            self._series.current.labels(pair).set(nan)
            self._series.ages.labels(pair).set(nan)
