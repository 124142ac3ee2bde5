"""Counts the reports of the parts, and sets the gauges."""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

import prometheus_client as prometheus

from ltp_service import meters as table
from ltp_service.assembly.services import Services
from ltp_service.meters import METERS, Counter, Gauge, Histogram, Labels, Meter, Meters, Row
from ltp_service.metrics.pairs import METRIC_PREFIX, OF_PAIRS, PairSeries, Report, without_pairs
from ltp_service.prices.freshness import PriceState
from ltp_service.runtime.backlog import Backlog
from ltp_service.version import VERSION

MAX_WAITING_EVENTS = 256
"""Events that wait to be counted together; counting them takes a fraction of a millisecond."""

MAX_SYMBOL_SERIES = 500
"""Symbols with their own series; others count as `other`, because symbols come and go at run time."""

_BREAKER = {"closed": 0, "open": 1, "half_open": 2}
_ROLES = ("owner", "follower", "out_of_step")
_STATES: tuple[PriceState, ...] = get_args(PriceState)


class Distribution(prometheus.Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as `observe` for each."""
        for place, count in Tally(map(partial(bisect_left, self._upper_bounds), amounts)).items():
            self._buckets[place].inc(count)
        self._sum.inc(sum(amounts))


class Metrics(Meters):
    """The Meters that count, on a registry, and set the gauges."""

    def __init__(self) -> None:
        # `_created` series double a scrape, and with several workers there are none.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus.CollectorRegistry()
        self._metrics: dict[object, Any] = {}
        self._series: dict[tuple[object, object], Any] = {}
        """By meter and labels, because finding one costs the library more than counting it."""
        self._waiting: dict[object, Backlog[Any]] = {}
        """By the function that reports the rows."""
        self._symbols: set[str] = set()
        self._of_pairs = PairSeries()
        for meter in METERS:
            if meter in OF_PAIRS:
                continue
            self._metrics[meter] = self._register(meter)
            if meter is table.APPLICATION_INFO:
                # Not later, because a scrape of several workers shows series in the order of their making.
                self.set(table.APPLICATION_INFO, 1, VERSION)

    def _register(self, meter: Meter[*tuple[Any, ...]]) -> Any:
        named = (METRIC_PREFIX + meter.name, meter.text, meter.labels)
        if isinstance(meter, Histogram):
            return Distribution(*named, registry=self.registry, buckets=meter.buckets)
        if isinstance(meter, Gauge):
            return prometheus.Gauge(*named, registry=self.registry, multiprocess_mode=meter.mode)
        return prometheus.Counter(*named, registry=self.registry)

    # Meters.

    def count(self, counter: Counter[*Labels], *labels: *Labels, amount: int = 1) -> None:
        (self._series.get((counter, labels)) or self._find(counter, labels)).inc(amount)

    def observe(self, histogram: Histogram[*Labels], amounts: Sequence[float], *labels: *Labels) -> None:
        (self._series.get((histogram, labels)) or self._find(histogram, labels)).observe_all(amounts)

    def set(self, gauge: Gauge[*Labels], value: float, *labels: *Labels) -> None:
        """The present value."""
        (self._series.get((gauge, labels)) or self._find(gauge, labels)).set(value)

    def later(self, report: Callable[[Meters, list[Row]], None], row: Row) -> None:
        backlog = self._waiting.get(report)
        if backlog is None:
            made = Backlog(partial(report, self), MAX_WAITING_EVENTS)
            backlog = self._waiting.setdefault(report, made)
        backlog.add(row)

    def _find(self, meter: Meter[*Labels], labels: tuple[*Labels]) -> Any:
        bounded = tuple(self._bounded(*each) for each in zip(meter.labels, map(str, labels), strict=True))
        if meter in OF_PAIRS:
            return self._series.setdefault((meter, bounded), self._of_pairs.tally(meter, bounded))
        metric = self._metrics[meter]
        return self._series.setdefault((meter, bounded), metric.labels(*bounded) if bounded else metric)

    def _bounded(self, label: str, text: str) -> str:
        if label != "symbol":
            return text
        if len(self._symbols) < MAX_SYMBOL_SERIES:
            self._symbols.add(text)
        return text if text in self._symbols else "other"

    # Gauges are set from the present state and not by events, because a missed event would leave a wrong value.

    def settle(self) -> None:
        """Counts the waiting events."""
        for backlog in list(self._waiting.values()):
            backlog.settle()

    def show(self, parts: Services) -> Report:
        """Sets every gauge, and returns the series of the pairs."""
        self.set(table.UPTIME, parts.clock.monotonic() - parts.started_at)
        self.set(table.STREAM_CLIENTS, parts.streams.places.taken)
        self.set(table.CACHE_KEYS, len(parts.prices.store.all()), "price")
        self.set(table.BREAKER_STATE, _BREAKER[parts.prices.breaker.state().state], "kraken")
        self.set(table.FALLBACK_ACTIVE, parts.prices.poll.active())
        for name, link in parts.links().items():
            self.set(table.CONNECTED, link.connected, name)
        if (kraken := parts.prices.kraken) is not None:
            self.set(table.LAG, kraken.lag(), kraken.name)
        if (fleet := parts.prices.fleet) is not None:
            for role in _ROLES:
                self.set(table.FLEET_PROCESSES, role == fleet.role(), role)
        if (history := parts.history) is not None:
            state = history.recorder.state()
            self.set(table.HISTORY_LAG, state.lag)
            self.set(table.HISTORY_BYTES, state.size or 0)
        return self._show_pairs(parts)

    def _show_pairs(self, parts: Services) -> Report:
        quotes, wall = parts.prices.quotes.look(parts.prices.served.pairs), parts.clock.wall()
        states = Tally(quote.verdict.state for quote in quotes)
        for name in _STATES:
            self.set(table.PAIRS, states[name], name)
        for quote in quotes:
            for exchange in parts.config.substitute_sources:
                # Makes the series, because a counter that begins at 1 shows no increase.
                self.count(table.SUBSTITUTED, str(quote.pair), f"{exchange}:websocket", amount=0)
        deviates = parts.other_markets.deviates
        report = self._of_pairs.report(quotes, wall, parts.pauses(), deviates)
        return report if parts.config.metrics_per_pair else without_pairs(report)

    def families(self) -> Iterator[tuple[Meter[*tuple[Any, ...]], Any]]:
        """Each meter in order, and what collects it; None of those of pairs."""
        for meter in METERS:
            yield meter, self._metrics.get(meter)
