"""What does the history hold, what does it cost, and how fast does it answer with its proof?"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from statistics import median
from typing import TypeVar

from benchmarks.bench import Aim, Bench, Table, at_most, milliseconds, percentile
from benchmarks.crowd import PAIRS
from benchmarks.history_market import Flood, Past
from benchmarks.history_reference import Reference
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import start_load
from benchmarks.machine import on_cores
from benchmarks.pace import settle
from benchmarks.servers import Server, service, simulated_exchange
from ltp_service.assembly.history import open_history
from ltp_service.domain.pairs import read_pair
from ltp_service.history.answers import PriceThen
from ltp_service.history.candles import MINUTE
from ltp_service.history.contract import HistoryStore
from ltp_service.history.questions import ask_candles, ask_price
from ltp_service.history.rows import News
from ltp_service.settings.types import HistoryUrl
from tests.postgres_server import PostgresServer
from tests.programs import find_program
from tests.simulator.client import Simulator

T = TypeVar("T")

TRADES = 1_000_000
MOST_BYTES = 35 * 2**20
"""Of a million trades."""

RATE, FLOOD_SECONDS = 20_000, 10
"""Trades per second that are told, and for how long."""

REQUESTS = 500
"""Per second, meanwhile."""

AWAITED = 60.0
"""Seconds after the flood within which its last trade must be stored."""

CANDLES = 60
"""One-minute candles of one answer."""

DETAIL = "/api/v1/ltp?detail=true"
AT_TIMES = 2
"""Times the median of DETAIL."""
AT_P99, CANDLES_P50, HUB_P99 = 0.010, 0.003, 0.010
"""Seconds, at most."""

_ABOUT_DUCKDB = (
    "DuckDB answers the same questions in this process from a table of the trades alone, as the reference: it keeps"
    " neither candles nor what is proven."
)

SETTLING = 1.0
"""Seconds until a load that was started is on."""


@dataclass
class Figures:
    """Of one store. Seconds, unless the name says otherwise."""

    per_second: float = 0.0
    """Trades that it takes by itself."""
    bytes_per_million: float = 0.0
    at: list[float] = field(default_factory=list)
    """Asked in the process that has the store."""
    candles: list[float] = field(default_factory=list)
    detail_http: list[float] = field(default_factory=list)
    at_http: list[float] = field(default_factory=list)
    all_http: list[float] = field(default_factory=list)
    """All pairs at one moment."""
    candles_http: list[float] = field(default_factory=list)
    flood_per_second: float = 0.0
    """Trades of the flood that were stored, until the last one was."""
    lost: int = 0
    hub_p99: float = 0.0
    hub_p99_without: float = 0.0
    """The same flood into a service that records nothing."""
    load_p99: float = 0.0
    load_p99_without: float = 0.0


def measure(bench: Bench) -> Table:
    """Each store with the same trades. The service has its feed, its requests and its history in one worker."""
    past = Past(bench.scaled(TRADES, 20_000))
    found: dict[str, Figures] = {}
    with ExitStack() as running:
        for name, url in _stores(bench, running):
            found[name] = _figures(bench, past, HistoryUrl(url))
    reference = _reference(bench, past)
    names = [*found, "DuckDB"]
    rows = [
        (title, *(show(figures) for figures in found.values()), show(reference) if is_shared else "")
        for title, show, is_shared in _ROWS
    ]
    aims = [aim for name, figures in found.items() for aim in _aims(bench, name, figures)]
    notes = [_ABOUT_DUCKDB]
    if "PostgreSQL" not in found:
        notes.append("PostgreSQL is not measured: it is not installed (`make programs`).")
    title = (
        f"History of {past.count:,} trades; {RATE:,} trades/s for {FLOOD_SECONDS} s, {REQUESTS} requests/s"
    )
    return Table(title, ("", *names), rows, aims, notes)


def _stores(bench: Bench, running: ExitStack) -> Iterator[tuple[str, str]]:
    yield "SQLite", f"sqlite:{bench.scratch}/measured_history.sqlite3"
    if find_program("postgres"):
        with on_cores(bench.cores.driving):
            server = running.enter_context(PostgresServer.start(fsync="on", full_page_writes="on"))
        yield "PostgreSQL", server.new_database()


def _figures(bench: Bench, past: Past, url: HistoryUrl) -> Figures:
    figures = Figures()
    store, lock = open_history(url)
    lock.take()
    try:
        figures.per_second = _fill(store, past)
        store.close()  # which empties the journal; the next question opens it again
        figures.bytes_per_million = store.size() / past.count * 1e6
        _ask(bench, store, past, figures)
    finally:
        lock.release()
        store.close()
    settings = {"HISTORY_URL": url.get_secret_value(), "HISTORY_KEEP": "0"}
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, application="benchmarks.watched_hub:app", settings=settings) as server,
    ):
        _ask_over_http(bench, server, past, figures)
        _flood(bench, exchange, server, figures, url)
    with (
        simulated_exchange(bench) as exchange,
        service(
            bench, exchange, application="benchmarks.watched_hub:app", settings={"HISTORY_URL": ""}
        ) as server,
    ):
        without = Figures()
        _flood(bench, exchange, server, without)
        figures.hub_p99_without, figures.load_p99_without = without.hub_p99, without.load_p99
    return figures


def _fill(store: HistoryStore, past: Past) -> float:
    """Writes them; returns trades per second."""
    took, wrote = 0.0, 0
    for pair, trades in past.batches():
        until = trades[-1].traded_at
        begun = time.perf_counter()
        wrote += store.write([News(pair, trades, until, trades[-1].trade_id)]).new
        took += time.perf_counter() - begun
    if wrote != past.count:
        raise RuntimeError(f"{wrote} of {past.count} trades were written")
    return wrote / took


def _ask(bench: Bench, store: HistoryStore, past: Past, figures: Figures) -> None:
    chance = Random(1)
    for _ in range(bench.scaled(2_000, 50)):
        pair, moment = read_pair(chance.choice(PAIRS)), past.moment(chance)
        said, took = _timed(lambda: ask_price(store, pair, moment, 0, lambda: moment))  # noqa: B023 - called at once
        if not (isinstance(said, PriceThen) and said.proof == "exact"):
            raise RuntimeError(f"not exact: {said}")
        figures.at.append(took)
        start = moment - CANDLES * MINUTE
        _, took = _timed(
            lambda: ask_candles(store, pair, 1, start, start + CANDLES * MINUTE, CANDLES, past.end)  # noqa: B023
        )
        figures.candles.append(took)


def _reference(bench: Bench, past: Past) -> Figures:
    figures, chance = Figures(), Random(1)
    reference = Reference(bench.scratch)
    begun = time.perf_counter()
    reference.fill(past.batches())
    figures.per_second = past.count / (time.perf_counter() - begun)
    figures.bytes_per_million = reference.size() / past.count * 1e6
    for _ in range(bench.scaled(200, 5)):
        pair, moment = read_pair(chance.choice(PAIRS)), past.moment(chance)
        is_proven, took = _timed(lambda: reference.at(pair, moment))  # noqa: B023 - called at once
        if not is_proven:
            raise RuntimeError(f"DuckDB misses a trade of {pair} at {moment}")
        figures.at.append(took)
        start = moment - CANDLES * MINUTE
        figures.candles.append(_timed(lambda: reference.candles(pair, start, moment))[1])  # noqa: B023
    reference.close()
    return figures


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    value = function()
    return value, time.perf_counter() - begun


def _ask_over_http(bench: Bench, server: Server, past: Past, figures: Figures) -> None:
    """One client, which asks each in turn."""
    chance = Random(2)
    with KeepAlive(server.port, DETAIL) as reader:
        for number in range(bench.scaled(3_000, 60)):
            pair, moment = chance.choice(PAIRS), past.moment(chance)
            then = _rfc3339(moment)
            begin = _rfc3339(moment - CANDLES * MINUTE)
            questions = {
                DETAIL: figures.detail_http,
                f"/api/v1/ltp/at?pair={pair}&time={then}": figures.at_http,
                f"/api/v1/ltp/at?pair={','.join(PAIRS)}&time={then}": figures.all_http,
                f"/api/v1/candles?pair={pair}&interval=1m&start={begin}&limit={CANDLES}": figures.candles_http,
            }
            for path, times in questions.items():
                (status, body), took = _timed(lambda: reader.get(path))  # noqa: B023 - called at once
                if status != 200 or (times is figures.at_http and b'"exact"' not in body):
                    raise RuntimeError(f"{path}: {status} {body[:300]!r}")
                if number >= bench.scaled(100, 10):  # the first ones warm up what they use
                    times.append(took)


def _flood(
    bench: Bench, exchange: Simulator, server: Server, figures: Figures, url: HistoryUrl | None = None
) -> None:
    """`url` is that of the history, where one is kept."""
    seconds, rate = bench.scaled(FLOOD_SECONDS, 2), bench.scaled(RATE, RATE // 10)
    exchange.wait(connections=1, timeout=20)
    flood = Flood(exchange)
    load = start_load(bench, server.port, "/api/v1/ltp", seconds=seconds + 2, rate=REQUESTS)
    settle(SETTLING)
    _read_stopwatch(server)
    begun = time.monotonic()
    sent = flood.run(rate, seconds)
    figures.hub_p99 = float(_read_stopwatch(server)["p99"])
    if url is not None:
        figures.lost = sent - _await_stored(url, flood, sent)
        figures.flood_per_second = (sent - figures.lost) / (time.monotonic() - begun)
    figures.load_p99 = load.result().p99


def _read_stopwatch(server: Server) -> dict[str, float]:
    """On a connection of its own: the service closes one that is idle for some seconds."""
    with KeepAlive(server.port, "/benchmark/lag") as stopwatch:
        told: dict[str, float] = json.loads(stopwatch.get()[1])
    return told


def _await_stored(url: HistoryUrl, flood: Flood, sent: int) -> int:
    """Trades of the flood that are stored, once all are, or after a while."""
    store, _ = open_history(url)
    until, stored = time.monotonic() + AWAITED, 0
    try:
        while stored < sent and time.monotonic() < until:
            time.sleep(0.05)  # leaves the processor to what writes
            stored = sum(_stored(store, pair, flood) for pair in PAIRS)
    finally:
        store.close()
    return stored


def _stored(store: HistoryStore, pair: str, flood: Flood) -> int:
    first, last, found = flood.before[pair] + 1, flood.last[pair], 0
    runs = store.coverage(read_pair(pair)).runs
    for run in runs:
        if run.series == runs[-1].series:
            found += max(0, min(last, run.last_trade_id) - max(first, run.first_trade_id) + 1)
    return found


def _rfc3339(moment: int) -> str:
    seconds, rest = divmod(moment, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _middle(times: list[float]) -> str:
    return milliseconds(median(times)) if times else ""


def _slowest(times: list[float]) -> str:
    return milliseconds(percentile(times, 99)) if times else ""


_ROWS: tuple[tuple[str, Callable[[Figures], str], bool], ...] = (
    ("trades/s written, nothing else going on", lambda of: f"{of.per_second:,.0f}", True),
    ("MiB per million trades", lambda of: f"{of.bytes_per_million / 2**20:.1f}", True),
    ("price at a moment, p50", lambda of: _middle(of.at), True),
    ("price at a moment, p99", lambda of: _slowest(of.at), True),
    (f"{CANDLES} candles, p50", lambda of: _middle(of.candles), True),
    (f"{CANDLES} candles, p99", lambda of: _slowest(of.candles), True),
    (f"HTTP {DETAIL}, p50", lambda of: _middle(of.detail_http), False),
    ("HTTP at, p50", lambda of: _middle(of.at_http), False),
    ("HTTP at, p99", lambda of: _slowest(of.at_http), False),
    ("HTTP at of all pairs, p50", lambda of: _middle(of.all_http), False),
    (f"HTTP {CANDLES} candles, p50", lambda of: _middle(of.candles_http), False),
    ("flood: trades/s stored", lambda of: f"{of.flood_per_second:,.0f}", False),
    ("flood: trades lost", lambda of: f"{of.lost:,}", False),
    ("flood: hub lag p99", lambda of: milliseconds(of.hub_p99), False),
    ("flood: hub lag p99, no history", lambda of: milliseconds(of.hub_p99_without), False),
    ("flood: HTTP p99", lambda of: milliseconds(of.load_p99), False),
    ("flood: HTTP p99, no history", lambda of: milliseconds(of.load_p99_without), False),
)
"""Title, value, and whether DuckDB has it."""


def _aims(bench: Bench, name: str, figures: Figures) -> list[Aim]:
    detail, then = median(figures.detail_http), median(figures.at_http)
    slowest, candles = percentile(figures.at_http, 99), median(figures.candles_http)
    size = figures.bytes_per_million
    aims = [
        at_most(AT_TIMES, f"{name}: HTTP at, p50", then, "the prices with detail", detail),
        Aim(f"{name}: HTTP at, p99 {milliseconds(slowest)}, at most 10 ms", slowest <= AT_P99),
        Aim(
            f"{name}: HTTP {CANDLES} candles, p50 {milliseconds(candles)}, at most 3 ms",
            candles <= CANDLES_P50,
        ),
        Aim(f"{name}: no trade of the flood is lost", figures.lost == 0),
        Aim(
            f"{name}: hub lag p99 {milliseconds(figures.hub_p99)}, at most 10 ms", figures.hub_p99 <= HUB_P99
        ),
    ]
    if not bench.quick:  # few trades take more room each
        aims.append(Aim(f"{name}: {size / 2**20:.1f} MiB per million, at most 35", size <= MOST_BYTES))
    return aims
