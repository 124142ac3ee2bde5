"""Runs one row from its services' start to its verdict."""

import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as BrowserError

from tests.deadline import DEADLINE
from tests.drill.certificates import NAME, Authority
from tests.drill.clients import Clients, Reading
from tests.drill.followed import deaths, followed, misled, recorded, too_old
from tests.drill.heard import Line, broken_promises, lagging, latest, lines, readings
from tests.drill.listener import CLOSED, REFUSED, Listener, Told
from tests.drill.looks import (
    Look,
    Texts,
    alive_too_long,
    live_against,
    never_longer_than,
    open_lines,
    other_digits,
    shown_as_answers,
)
from tests.drill.machine import Holdings, holdings
from tests.drill.proxy import Proxy
from tests.drill.row import PAIRS, RECOVERY, Row, Stage, Tempo
from tests.drill.run_queue import RunQueue
from tests.drill.subscriber import Subscriber
from tests.drill.truth import TRANSPORT, Truth, Waited, Wrong, never_waited
from tests.drill.window import window
from tests.postgres_server import PostgresServer
from tests.process.fleet import Fleet, membership
from tests.process.load import UNHEARD
from tests.process.nginx import own_folder, reachable, running_nginx, shipped
from tests.process.sentinels import Sentinels
from tests.process.service import Service, ServiceError
from tests.programs import find_program, require_program
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator, SimulatorError

HERE = Path(__file__).resolve().parent
FAKETIME = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
"""Debian's libfaketime, where it is installed."""
REQUEST_LINE = "HTTP request processed"
START_SECONDS = DEADLINE
COMES_BACK = 4.0
"""Seconds within which a client that was told to wait connects again."""

SECOND = "second.sock"
"""Where nginx finds the other service of a fleet."""


@dataclass(frozen=True)
class Result:
    """One line of the table. Milliseconds, seconds and MiB."""

    row: Row
    requests: int
    failed: int
    unavailable: int
    """Honest 503s and 206s while no source worked; not among the failed."""
    wrong: int
    p99: tuple[float, float, float]
    recovery: float
    before: Holdings
    after: Holdings
    remarks: list[str]
    problems: list[str]
    log: list[str]
    """What the service said, but for its requests."""

    @property
    def passed(self) -> bool:
        return not (self.problems or self.wrong)


def playable(row: Row) -> bool:
    """Whether the programs that the row needs are installed."""
    return all(find_program(program) for program in row.programs)


def drill(row: Row, tempo: Tempo) -> Result:
    """Plays the row. Raises what keeps the simulator or the service from starting."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stage = _set_stage(row, tempo, stack, folder)
        stage.until(stage.fed, START_SECONDS, "the feed begins")
        port = stage.nginx.port if stage.nginx else stage.service.port
        clients = Clients.start(port, tempo.rate, folder / "readings", tempo.patience)
        stack.callback(clients.kill)
        listener = Listener.start(port, folder / "told")
        stack.callback(listener.kill)
        stage.subscribed = stack.enter_context(Proxy(port))
        stage.subscriber = Subscriber.start(stage.subscribed.port, folder / "followed", row.max_age)
        stack.callback(stage.subscriber.kill)
        if row.page:
            stage.watched = stack.enter_context(Proxy(port))
            stage.window = stack.enter_context(window(stage.watched.port))
        return _act(row, stage, clients, listener)


def _act(row: Row, stage: Stage, clients: Clients, listener: Listener) -> Result:
    stage.hold(stage.tempo.calm)
    before = holdings(stage.service.worker_pids())
    start = time.monotonic()
    try:
        row.play(stage)
    except (ServiceError, SimulatorError, BrowserError, OSError) as error:
        stage.problems.append(f"the row broke off: {error}")
    stage.faulty_from = stage.faulty_from or start
    stage.faulty_until = stage.faulty_until or time.monotonic()
    ended = time.monotonic()
    if not row.ends:
        stage.until(stage.fed, RECOVERY, "every pair from the feed again")
    recovered = time.monotonic()
    recovery = 0.0 if row.ends else recovered - stage.faulty_until
    if not row.ends:
        stage.hold(max(0.0, stage.tempo.calm - (recovered - ended)))
        stage.hold(stage.tempo.calm / 2)
    after = holdings(stage.service.worker_pids())
    looks = stage.window.looks() if stage.window else []
    answers, stopped, told = clients.stop(), time.monotonic(), listener.stop()
    stage.truth.catch_up()
    wrong = _stream_faults(row, stage, answers, told, stopped)
    wrong += _client_faults(row, stage, answers, stopped)
    if stage.window is not None:
        wrong += _page_faults(row, stage, answers, looks, _texts(answers, told))
    return _verdict(row, stage, answers, wrong, recovery, (before, after))


def _set_stage(row: Row, tempo: Tempo, stack: ExitStack, folder: Path) -> Stage:
    simulator = stack.enter_context(
        Simulator.start("--walk", str(row.walk), "--heartbeat", str(tempo.heartbeat), *_market(row))
    )
    authority = Authority(folder) if row.tls else None
    feed, rest = _lines(row, simulator, stack, authority)
    settings = tempo.settings() | _addresses(row, simulator, feed, rest)
    resolver, clock = folder / "resolver", folder / "clock"
    settings |= {"SSL_CERT_FILE": str(authority.file)} if authority else {}
    settings |= _resolver(resolver) if row.names else {}
    settings |= _moved_clock(clock) if row.clock else {}
    front = stack.enter_context(own_folder()) if row.behind_nginx else None
    settings |= reachable(front) if front else {}
    shared, shared_settings = _shared(row, stack, folder)
    settings |= shared_settings
    history = folder / "history" / "history.sqlite3" if row.history == "file" else None
    postgres = stack.enter_context(PostgresServer.start()) if row.history == "postgres" else None
    settings |= {"HISTORY_URL": f"sqlite:{history}"} if history else {}
    settings |= {"HISTORY_URL": postgres.new_database()} if postgres else {}

    def begin() -> Service:
        return stack.enter_context(
            Service.start(simulator, "tests.process.glass:app", fed=False, **(settings | dict(row.settings)))
        )

    service = begin()
    waited = _waited(tempo, simulator, service, stack)
    stage = Stage(tempo, simulator, service, Truth(simulator, PAIRS, waited, tempo.transport), waited)
    stage.truth.ahead = row.ahead
    stage.begin_again = begin
    stage.feed, stage.rest, stage.authority = feed, rest, authority
    stage.resolver, stage.clock = resolver, clock
    stage.history, stage.postgres = history, postgres
    if shared is not None:
        stage.redis, stage.sentinels = _either(shared)
        others = settings | (reachable(front, SECOND) if front else {})
        others |= _elsewhere(row, simulator) if row.own_way else {}
        stage.fleet = stack.enter_context(Fleet(simulator, 1, others, beside=service))
    if front:
        configured = _before_both if shared else None
        stage.nginx = stack.enter_context(running_nginx(require_program("nginx"), front, configured))
    return stage


def _before_both(folder: Path, port: int) -> str:
    """deploy/nginx.conf in front of two services."""
    first = f"server unix:{folder}/http.sock max_fails=0;"
    configuration = shipped(folder, port)
    assert first in configuration
    return configuration.replace(first, f"{first}\n        server unix:{folder}/{SECOND} max_fails=0;")


def _market(row: Row) -> list[str]:
    pairs = [argument for pair in row.exchange for argument in ("--pair", pair)]
    return [*pairs, "--clock-ahead", str(row.ahead)]


def _waited(tempo: Tempo, simulator: Simulator, service: Service, stack: ExitStack) -> Waited:
    """The short form runs among other tests, which take the processor from it; the full one excuses nothing."""
    if not tempo.short:
        return never_waited
    return stack.enter_context(RunQueue(simulator.pid, service.master_pid)).waited


def _shared(
    row: Row, stack: ExitStack, folder: Path
) -> tuple[RedisServer | Sentinels | None, Mapping[str, str]]:
    """What the services of a fleet share, and the settings by which they find it."""
    if not row.fleet:
        return None, {}
    if row.fleet == "sentinels":
        sentinels = stack.enter_context(Sentinels.start(folder))
        return sentinels, membership(sentinels.settings())
    redis = stack.enter_context(RedisServer.start(folder))
    return redis, membership({"REDIS_ADDR": redis.address})


def _either(shared: RedisServer | Sentinels) -> tuple[RedisServer | None, Sentinels | None]:
    return (shared, None) if isinstance(shared, RedisServer) else (None, shared)


def _lines(
    row: Row, simulator: Simulator, stack: ExitStack, authority: Authority | None
) -> tuple[Proxy | None, Proxy | None]:
    """The proxies before WebSocket and REST, where the row has them."""
    if not (row.proxied or row.tls):
        return None, None
    good = authority.issue() if authority else None
    feed = Proxy(simulator.port, good if row.tls == "feed" else None)
    rest = Proxy(simulator.port, good if row.tls == "rest" else None)
    return stack.enter_context(feed), stack.enter_context(rest)


def _addresses(row: Row, simulator: Simulator, feed: Proxy | None, rest: Proxy | None) -> dict[str, str]:
    host = NAME if row.tls else "exchange.invalid" if row.names else "127.0.0.1"
    websocket, http = "wss" if row.tls == "feed" else "ws", "https" if row.tls == "rest" else "http"
    return {
        "KRAKEN_WEBSOCKET_URL": f"{websocket}://{host}:{feed.port if feed else simulator.port}/v2",
        "KRAKEN_REST_URL": f"{http}://{host}:{rest.port if rest else simulator.port}/0/public",
        "COINBASE_WEBSOCKET_URL": f"ws://127.0.0.1:{simulator.port}/coinbase",
        "BITSTAMP_WEBSOCKET_URL": f"ws://127.0.0.1:{simulator.port}/bitstamp",
        "BITSTAMP_REST_URL": f"http://127.0.0.1:{simulator.port}/bitstamp/api/v2",
    }


def _elsewhere(row: Row, simulator: Simulator) -> dict[str, str]:
    """A service as if on a machine of its own, with a way of its own to the exchange."""
    return _addresses(row, simulator, None, None) | _customized() | {"LTP_DRILL_MACHINE": "elsewhere"}


def _resolver(order: Path) -> dict[str, str]:
    order.write_text("")
    return _customized() | {"LTP_DRILL_RESOLVER": str(order)}


def _customized() -> dict[str, str]:
    paths = [str(HERE / "resolver"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def _moved_clock(file: Path) -> dict[str, str]:
    file.write_text("+0")
    return {
        "LD_PRELOAD": FAKETIME or "",
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


# The verdict.


def _stream_faults(
    row: Row, stage: Stage, answers: list[Reading], told: list[Told], stopped: float
) -> list[Wrong]:
    """Everything that the stream told wrong, or did not tell."""
    heard = lines(told)
    for ask in stage.heard:
        ask(heard)
    refused = sum(1 for each in told if each.name == REFUSED)
    events = sum(len(line.told) for line in heard)
    stage.remarks.append(f"stream: {events:,} events on {len(heard)} connections, {refused} refused")
    if not row.ends and not _stands(heard, stopped):
        stage.problems.append("the stream is not back")
    wrong = _wrong(row, stage, list(readings(heard)), stage.waited)
    wrong += broken_promises(heard, stopped, stage.waited)
    if not (row.several_workers or row.fleet):
        stage.remarks[-1] += f", states at most {max(0.0, latest(heard, answers)):.2f} s late"
        wrong += lagging(heard, answers, stage.tempo.transport - TRANSPORT, stage.waited)
    return [Wrong(one.moment, f"stream: {one.why}") for one in wrong]


def _client_faults(row: Row, stage: Stage, answers: list[Reading], stopped: float) -> list[Wrong]:
    """Everything that the Python client was told wrong, or was not told."""
    assert stage.subscriber is not None
    assert stage.subscribed is not None
    every, arrivals = stage.subscriber.stop(), [each for each in stage.subscribed.events if each <= stopped]
    for ask in stage.followed:
        ask(every)
    return [
        Wrong(one.moment, f"client: {one.why}")
        for told in every
        for one in _misled(row, stage, answers, _until(told, stopped), arrivals, stopped)
    ]


def _until(told: list[Told], stopped: float) -> list[Told]:
    return [each for each in told if each.moment <= stopped]


def _misled(
    row: Row, stage: Stage, answers: list[Reading], told: list[Told], arrivals: list[float], stopped: float
) -> list[Wrong]:
    excuse = stage.tempo.transport - TRANSPORT
    heard = followed(told, arrivals)
    record = recorded(told, {pair: stage.truth.trades(pair) for pair in PAIRS})
    dead = deaths(told, arrivals, stopped, excuse, stage.queued)
    prices, ends = (sum(1 for each in told if each.name == name) for name in ("price", CLOSED))
    stage.remarks.append(
        f"client: {prices:,} prices, {record.told:,} trades, {record.in_gaps} in {record.gaps} gaps, {ends} ends"
    )
    if dead:
        stage.remarks[-1] += f", dead lines told after {max(dead):.1f} s at most"
    wrong = _wrong(row, stage, list(readings(heard)), stage.queued)
    wrong += misled(told, arrivals, stopped, excuse, stage.queued)
    wrong += [Wrong(stopped, why) for why in record.wrong]
    if row.max_age is not None:
        return wrong + too_old(told, row.max_age)
    if not (row.several_workers or row.fleet):
        stage.remarks[-1] += f", states at most {max(0.0, latest(heard, answers)):.2f} s late"
        wrong += lagging(heard, answers, excuse, stage.waited)
    return wrong


def _page_faults(
    row: Row, stage: Stage, answers: list[Reading], looks: list[Look], texts: Texts
) -> list[Wrong]:
    """Everything that the page showed wrong."""
    assert stage.window is not None
    assert stage.watched is not None
    excuse, heard = stage.tempo.transport - TRANSPORT, open_lines(looks)
    against = live_against(looks, answers)
    stage.remarks.append(
        f"page: {len(looks):,} looks, states at most {max(0.0, latest(heard, answers)):.2f} s late,"
        f" live against the answers for at most {against:.2f} s"
    )
    wrong = _wrong(row, stage, list(shown_as_answers(looks)), stage.queued)
    wrong += alive_too_long(looks, stage.watched.events, looks[-1].moment, excuse, stage.queued)
    wrong += other_digits(looks, texts)
    wrong += lagging(heard, answers, excuse, stage.waited)
    if not never_longer_than(against, excuse):
        wrong.append(Wrong(looks[-1].moment, f"a pair was live against the answers for {against:.1f} s"))
    stage.problems.extend(f"the browser: {complaint}" for complaint in stage.window.complaints)
    stage.window.complaints.clear()
    if looks[-1].line != "live":
        stage.problems.append(f"the page is not back: {looks[-1].said}")
    return [Wrong(one.moment, f"page: {one.why}") for one in wrong]


def _texts(answers: list[Reading], told: list[Told]) -> Texts:
    """How the service writes each price."""
    served = [(each.pair, each.amount, each.price) for reading in answers for each in reading.served]
    items = [each.data for each in told if each.name == "price"]
    served += [(item["pair"], item["amount"], item["price"]) for item in items if item["amount"] is not None]
    texts: dict[tuple[str, Decimal], set[str]] = defaultdict(set)
    for pair, amount, price in served:
        if price is not None:
            texts[pair, Decimal(amount)].add(price)
    return texts


def _stands(heard: list[Line], stopped: float) -> bool:
    """Whether the last connection stood when the listener was stopped, or had just ended."""
    return bool(heard) and (heard[-1].closed is None or heard[-1].closed >= stopped - COMES_BACK)


def _wrong(row: Row, stage: Stage, answers: list[Reading], waited: Waited) -> list[Wrong]:
    slack = row.apart if row.several_workers else 0.0
    truth = stage.truth.excusing(waited)
    return truth.wrong(answers, stage.tempo.ttl, row.unnoticed, stage.mutes, slack)


def _verdict(
    row: Row,
    stage: Stage,
    readings: list[Reading],
    told_wrong: list[Wrong],
    recovery: float,
    held: tuple[Holdings, Holdings],
) -> Result:
    wrong = _wrong(row, stage, readings, stage.waited) + told_wrong
    for ask in stage.seen:
        ask(readings)
    failures = [reading for reading in readings if reading.failure and not (row.ends and _closed(reading))]
    honest = [reading for reading in failures if _is_honest(row, reading, stage, recovery)]
    failed = len(failures) - len(honest)
    stage.problems.extend(_named(failures, honest))
    return Result(
        row,
        len(readings),
        failed,
        len(honest),
        len(wrong),
        _p99s(stage, readings, recovery),
        recovery,
        *held,
        stage.remarks,
        [*stage.problems, *_examples(wrong, stage)],
        [_said(entry) for entry in stage.service.log_lines() if entry["message"] != REQUEST_LINE],
    )


def _said(entry: Mapping[str, Any]) -> str:
    return f"{entry['timestamp'][11:23]} {entry['level']:5} {entry['message']}"


def _closed(reading: Reading) -> bool:
    """At the door of a service that ends: refused, or taken by the system for a listener that was just being closed."""
    return (reading.failure or "").startswith(("ConnectionRefusedError", UNHEARD))


def _is_honest(row: Row, reading: Reading, stage: Stage, recovery: float) -> bool:
    """A 503 with Retry-After, or a 206, once the prices have lived their life without a source; or nginx's own, while the
    service is away."""
    if row.away and stage.faulty_from <= reading.answered_at <= stage.faulty_until + recovery + 1.0:
        return True
    dark = stage.dark_from + stage.tempo.ttl - stage.tempo.heartbeat - TRANSPORT
    in_time = dark <= reading.answered_at <= stage.faulty_until + recovery + 1.0
    told = reading.status == 206 or (reading.status == 503 and int(reading.retry_after or 0) > 0)
    return told and in_time


def _named(failures: list[Reading], honest: list[Reading]) -> list[str]:
    left = Counter(each.failure for each in failures) - Counter(each.failure for each in honest)
    return [f"{count} x {failure}" for failure, count in left.items()]


def _examples(wrong: list[Wrong], stage: Stage) -> list[str]:
    return [f"{one.moment - stage.faulty_from:+.3f} s: {one.why}" for one in wrong[:5]]


def _p99s(stage: Stage, readings: list[Reading], recovery: float) -> tuple[float, float, float]:
    start, end = stage.faulty_from, stage.faulty_until + recovery
    phases: tuple[Callable[[Reading], bool], ...] = (
        lambda reading: reading.due < start,
        lambda reading: start <= reading.due < end,
        lambda reading: reading.due >= end,
    )
    before, during, after = (_p99([each for each in readings if phase(each)]) for phase in phases)
    return before, during, after


def _p99(readings: list[Reading]) -> float:
    seconds = sorted(reading.answered_at - reading.due for reading in readings)
    return 1000 * seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))] if seconds else float("nan")
