"""How long after a trade does a GET show it, while the service has nothing else to do?"""

from benchmarks.bench import Aim, Bench, Table, milliseconds, percentile
from benchmarks.keep_alive import KeepAlive
from benchmarks.servers import service, simulated_exchange
from benchmarks.ticks import PAIR, pause, prices, time_to_visible

AIM = 0.010
"""Seconds at the median."""

PAUSE = 0.003
"""Seconds between ticks."""


def measure(bench: Bench) -> Table:
    """Both protocols, tick by tick in turn."""
    delays = _delays(bench, bench.scaled(500, 50))
    rows = [
        (
            f"Kraken {protocol}",
            str(len(values)),
            *(milliseconds(percentile(values, at)) for at in (50, 99, 100)),
        )
        for protocol, values in delays.items()
    ]
    aims = [
        Aim(f"{protocol}: under {milliseconds(AIM)} at the median", percentile(values, 50) < AIM)
        for protocol, values in delays.items()
    ]
    return Table(
        "Tick to visible over HTTP, idle service", ("feed", "ticks", "median", "p99", "max"), rows, aims
    )


def _delays(bench: Bench, ticks: int) -> dict[str, list[float]]:
    delays: dict[str, list[float]] = {"v1": [], "v2": []}
    path = f"/api/v1/ltp?pair={PAIR}"
    with (
        simulated_exchange(bench) as exchange,
        service(bench, exchange, "v1") as v1,
        service(bench, exchange, "v2") as v2,
        KeepAlive(v1.port, path) as v1_reader,
        KeepAlive(v2.port, path) as v2_reader,
    ):
        price = prices()
        for _ in range(ticks):
            for protocol, reader in (("v1", v1_reader), ("v2", v2_reader)):
                pause(PAUSE)
                delays[protocol].append(time_to_visible(exchange, next(price), reader))
    return delays
