"""How long after a trade does a GET show it, while the service has nothing else to do?"""

from benchmarks.bench import Bench, Table, at_most, milliseconds, percentile
from benchmarks.keep_alive import KeepAlive
from benchmarks.servers import bare_server, service, simulated_exchange
from benchmarks.ticks import PAIR, pause, prices, time_beside, time_to_visible

AIM = 3
"""Times what it takes to make the trade known to the exchange and to ask a bare server for something else."""

BARE = "a trade and a bare hello"

PAUSE = 0.003
"""Seconds between ticks."""


def measure(bench: Bench) -> Table:
    """Both protocols and the calibration, tick by tick in turn."""
    delays = _delays(bench, bench.scaled(500, 50))
    rows = [
        (
            name,
            str(len(values)),
            *(milliseconds(percentile(values, at)) for at in (50, 99, 100)),
        )
        for name, values in delays.items()
    ]
    calibration = percentile(delays[BARE], 50)
    aims = [
        at_most(AIM, f"{name}, median", percentile(values, 50), BARE, calibration)
        for name, values in delays.items()
        if name != BARE
    ]
    return Table(
        "Tick to visible over HTTP, idle service", ("feed", "ticks", "median", "p99", "max"), rows, aims
    )


def _delays(bench: Bench, ticks: int) -> dict[str, list[float]]:
    delays: dict[str, list[float]] = {BARE: [], "Kraken v1": [], "Kraken v2": []}
    path = f"/api/v1/ltp?pair={PAIR}"
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, "v1") as v1,
        service(bench, exchange, "v2") as v2,
        KeepAlive(v1.port, path) as v1_reader,
        bare_server(bench, "benchmarks.plain:wsgi_hello") as bare,
        KeepAlive(v2.port, path) as v2_reader,
        KeepAlive(bare.port, "/") as bare_reader,
    ):
        price = prices()
        for _ in range(ticks):
            pause(PAUSE)
            delays[BARE].append(time_beside(exchange, next(price), bare_reader))
            for protocol, reader in (("v1", v1_reader), ("v2", v2_reader)):
                pause(PAUSE)
                delays[f"Kraken {protocol}"].append(time_to_visible(exchange, next(price), reader))
    return delays
