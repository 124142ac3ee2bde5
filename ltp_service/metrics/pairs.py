"""The series of pairs, with a thousand of which the library would take 100 ms and 10 MB for a scrape.

So they are kept and written here: the gauges are made from the quotes when they are asked for, and the counters are plain
numbers. Several workers tell one another theirs in files, one a worker.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from math import isnan, nan
from threading import Lock
from typing import Any, get_args

import msgspec
from prometheus_client.utils import floatToGoString

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.meters import (
    CURRENT_PRICES,
    METERS,
    PRICE_AGE,
    PRICE_DEVIATING,
    PRICE_STATE,
    PRICE_TIMESTAMP,
    Counter,
    Meter,
)
from ltp_service.prices.freshness import PriceState
from ltp_service.prices.quotes import Quote

METRIC_PREFIX = "btc_ltp_"
"""Begins the name of every metric."""

OF_PAIRS = tuple(meter for meter in METERS if meter.labels[:1] == ("pair",))
"""The meters whose first label is a pair."""

LINES_BETWEEN_PAUSES = 100

_STATES: tuple[PriceState, ...] = get_args(PriceState)

_FIRST_WITH_EXPONENT = 1e6

_ANY = "\0"
"""A placeholder for the pair, in a line that is made once for all pairs."""

Labels = tuple[str, ...]


class Shown(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the gauges show of a pair. The last three are None before its first price."""

    states: tuple[PriceState, ...]
    """The states that the processes see, each once."""
    price: float | None = None
    """NaN where the store has forgotten it."""
    age: float | None = None
    """Seconds; NaN likewise."""
    confirmed_at: float | None = None
    """Unix seconds."""
    is_deviating: bool = False
    """Whether it is far from other exchanges' prices."""


class Report(msgspec.Struct, array_like=True, frozen=True):
    """What one process has counted and shows of its pairs, or several together."""

    at: float = 0.0
    """Unix seconds."""
    shown: dict[str, Shown] = {}
    counted: dict[str, dict[Labels, int]] = {}
    """The counters by the name of the meter and the labels. The pair is the first label."""


class Tally:
    """A number that threads may add to."""

    __slots__ = ("_lock", "total")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self.total = 0

    def inc(self, amount: int) -> None:
        """Adds to the number."""
        with self._lock:
            self.total += amount


class PairSeries:
    """What this process has counted and shows of its pairs."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tallies: dict[tuple[str, Labels], Tally] = {}
        self._confirmed_at: dict[Pair, float] = {}
        """The last known moment of each pair that ever had a price. The alert on old prices needs it when the store has
        forgotten the price."""

    def tally(self, counter: Meter[*tuple[Any, ...]], labels: Labels) -> Tally:
        """The number of one counter and these labels."""
        return self._tallies.setdefault((counter.name, labels), Tally(self._lock))

    def report(
        self,
        quotes: Iterable[Quote],
        wall: float,
        pause: Callable[[], None],
        deviates: Callable[[Pair, Price | None], bool | None] = lambda *_: None,
    ) -> Report:
        """The whole report. `quotes` are of this moment, `wall` in unix seconds. `deviates`: whether a pair's price is far from
        those of other exchanges."""
        shown = {}
        for number, quote in enumerate(quotes):
            is_deviating = deviates(quote.pair, quote.price) is True
            shown[str(quote.pair)] = self._show(quote, wall, is_deviating=is_deviating)
            if not number % LINES_BETWEEN_PAUSES:
                pause()
        counted: dict[str, dict[Labels, int]] = {}
        for (name, labels), tally in list(self._tallies.items()):
            counted.setdefault(name, {})[labels] = tally.total
        return Report(wall, shown, counted)

    def _show(self, quote: Quote, wall: float, *, is_deviating: bool) -> Shown:
        state, age = (quote.verdict.state,), quote.verdict.age
        if quote.price is not None and age is not None:
            confirmed_at = self._confirmed_at[quote.pair] = wall - age
            return Shown(state, float(quote.price.tick.amount), age, confirmed_at, is_deviating)
        known = self._confirmed_at.get(quote.pair)
        return Shown(state) if known is None else Shown(state, nan, nan, known)


def together(reports: Collection[Report]) -> Report:
    """The report of several processes: the newest price and moment, the highest age, all states, and the sums."""
    ordered = sorted(reports, key=lambda report: report.at)
    if len(ordered) == 1:
        return ordered[0]
    shown: dict[str, Shown] = {}
    counted: dict[str, dict[Labels, int]] = {}
    for report in ordered:
        for pair, each in report.shown.items():
            before = shown.get(pair)
            shown[pair] = each if before is None else _both(before, each)
        for name, totals in report.counted.items():
            known = counted.setdefault(name, {})
            for labels, total in totals.items():
                known[labels] = known.get(labels, 0) + total
    return Report(ordered[-1].at if ordered else 0.0, shown, counted)


def without_pairs(report: Report) -> Report:
    """The sums in place of the pairs, as one without a name: the highest age, the oldest moment, every state that there
    is, and no price."""
    every = report.shown.values()
    ages = [each.age for each in every if each.age is not None]
    moments = [each.confirmed_at for each in every if each.confirmed_at is not None]
    states = tuple(dict.fromkeys(state for each in every for state in each.states))
    counted: dict[str, dict[Labels, int]] = {}
    for name, totals in report.counted.items():
        sums = counted.setdefault(name, {})
        for (_, *others), total in totals.items():
            labels = ("", *others)
            sums[labels] = sums.get(labels, 0) + total
    is_deviating = any(each.is_deviating for each in every)
    everything = Shown(states, None, _highest(ages), min(moments, default=None), is_deviating)
    return Report(report.at, {"": everything}, counted)


def lines(meter: Meter[*tuple[Any, ...]], report: Report, pause: Callable[[], None]) -> str:
    """The text of one meter for Prometheus, as its library writes it."""
    kind = "counter" if isinstance(meter, Counter) else "gauge"
    name = METRIC_PREFIX + meter.name
    written = [f"# HELP {name} {meter.text}\n# TYPE {name} {kind}\n"]
    samples = _state_lines(report) if meter is PRICE_STATE else _lines(meter, _samples(meter, report))
    for number, text in enumerate(samples):
        written.append(text)
        if not number % LINES_BETWEEN_PAUSES:
            pause()
    return "".join(written)


def _state_lines(report: Report) -> Iterable[str]:
    return (_states(each.states, pair and _ANY).replace(_ANY, pair) for pair, each in report.shown.items())


@lru_cache(1000)
def _states(states: tuple[PriceState, ...], pair: str) -> str:
    samples = (((pair, state), float(state in states)) for state in _STATES)
    return "".join(_lines(PRICE_STATE, samples))


_READ: dict[Meter[*tuple[Any, ...]], Callable[[Shown], float | None]] = {
    CURRENT_PRICES: lambda shown: shown.price,
    PRICE_AGE: lambda shown: shown.age,
    PRICE_TIMESTAMP: lambda shown: shown.confirmed_at,
    PRICE_DEVIATING: lambda shown: float(shown.is_deviating),
}


def _samples(meter: Meter[*tuple[Any, ...]], report: Report) -> Iterable[tuple[Labels, float | None]]:
    if (read := _READ.get(meter)) is not None:
        return [((pair,), read(each)) for pair, each in report.shown.items()]
    totals = report.counted.get(meter.name, {})
    if len(meter.labels) == 1:
        # Rare events count from 0, because a counter that begins at 1 shows no increase.
        totals = dict.fromkeys(((pair,) for pair in report.shown), 0) | totals
    return totals.items()


def _lines(meter: Meter[*tuple[Any, ...]], samples: Iterable[tuple[Labels, float | None]]) -> Iterable[str]:
    around: dict[tuple[Labels, bool], tuple[str, str]] = {}
    for labels, value in samples:
        if value is None:
            continue
        pair, others = labels[0], labels[1:]
        known = around.get((others, not pair))
        if known is None:
            known = around[others, not pair] = _around(meter, others, pair and _ANY)
        yield f"{known[0]}{pair}{known[1]} {_number(value)}\n"


def _around(meter: Meter[*tuple[Any, ...]], others: Labels, pair: str) -> tuple[str, str]:
    """What stands before and after the pair in a line."""
    labels = zip(meter.labels, (pair, *others), strict=True)
    text = ",".join(f'{name}="{label}"' for name, label in sorted(labels) if label)
    before, _, after = (f"{{{text}}}" if text else "").partition(_ANY)
    return f"{METRIC_PREFIX}{meter.name}{before}", after


def _number(value: float) -> str:
    """The text that the library would write. It turns to exponents where Go does."""
    if 0 <= value < _FIRST_WITH_EXPONENT:
        return repr(float(value))
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def _both(older: Shown, newer: Shown) -> Shown:
    def last(before: float | None, after: float | None) -> float | None:
        return before if after is None else after

    return Shown(
        tuple(dict.fromkeys(older.states + newer.states)),
        last(older.price, newer.price),
        _highest([age for age in (older.age, newer.age) if age is not None]),
        last(older.confirmed_at, newer.confirmed_at),
        older.is_deviating or newer.is_deviating,
    )


def _highest(ages: Sequence[float]) -> float | None:
    known = [age for age in ages if not isnan(age)]
    return max(known) if known else nan if ages else None
