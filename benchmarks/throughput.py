"""What does one request cost, beside the least that the same server can be asked for and beside the usual way?"""

from contextlib import ExitStack

from benchmarks.bench import Aim, Bench, Table, milliseconds
from benchmarks.cost import Cost, Question, costs
from benchmarks.keep_alive import KeepAlive
from benchmarks.load import CONNECTIONS
from benchmarks.servers import bare_server, service, simulated_exchange
from benchmarks.ticks import PAIR

PATH = "/api/v1/ltp"
WSGI, FLASK, NAIVE, ALL = "bare WSGI hello", "bare Flask hello", "all 7 pairs, the usual way", "all 7 pairs"
SINGLE, UNCHANGED = "one pair", "all 7 pairs, If-None-Match (304)"
SHARES = {FLASK: 1.6, WSGI: 0.70}
"""Of whose requests/s `ALL` is to reach how many times as many."""


def measure(bench: Bench) -> Table:
    """All cases round by round, all features on, the access log in a file, nothing coming in."""
    with ExitStack() as running:
        questions = _questions(bench, running)
        found = dict(zip(questions, costs(bench, list(questions.values()), bench.scaled(7, 1)), strict=True))
    rows = [(name, *_cells(cost, found)) for name, cost in found.items()]
    columns = ("answer", "requests/s", "CPU µs/request", "p99", "x Flask hello", "x WSGI hello")
    notes = [] if UNCHANGED in found else ["No 304: /api/v1/ltp sends no ETag."]
    title = f"One worker, {CONNECTIONS} keep-alive connections, as many requests as it answers"
    return Table(title, columns, rows, _aims(found), notes)


def _questions(bench: Bench, running: ExitStack) -> dict[str, Question]:
    exchange = running.enter_context(simulated_exchange(bench))
    ours = running.enter_context(service(bench, exchange))
    wsgi, flask, naive = (
        running.enter_context(bare_server(bench, f"benchmarks.{application}"))
        for application in ("plain:wsgi_hello", "plain:flask_hello", "naive:app")
    )
    questions = {
        WSGI: Question(wsgi.port, wsgi.workers),
        FLASK: Question(flask.port, flask.workers),
        ALL: Question(ours.port, ours.workers, PATH),
        SINGLE: Question(ours.port, ours.workers, f"{PATH}?pair={PAIR}"),
        NAIVE: Question(naive.port, naive.workers, PATH),
    }
    with KeepAlive(ours.port, PATH) as reader:
        etag = reader.header("ETag")
    if etag:
        questions[UNCHANGED] = Question(ours.port, ours.workers, PATH, {"If-None-Match": etag})
    return questions


def _cells(cost: Cost, found: dict[str, Cost]) -> tuple[str, ...]:
    ratios = (f"{cost.per_second / found[beside].per_second:.2f}" for beside in (FLASK, WSGI))
    return (f"{cost.per_second:,.0f}", f"{cost.cpu * 1e6:.0f}", milliseconds(cost.p99), *ratios)


def _aims(found: dict[str, Cost]) -> list[Aim]:
    ours = found[ALL].per_second
    shares = [
        Aim(
            f"{ALL}: at least {share:.2f} times the requests/s of a {beside}",
            ours >= share * found[beside].per_second,
        )
        for beside, share in SHARES.items()
    ]
    # A twentieth is what two rounds of the same case differ by.
    no_slower = [
        Aim(f"{name}: no slower than {ALL}", found[name].per_second >= 0.95 * ours)
        for name in (SINGLE, UNCHANGED)
        if name in found
    ]
    return shares + no_slower
