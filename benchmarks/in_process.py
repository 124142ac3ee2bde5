"""What does reading a price cost inside a Python program? Also: python -m benchmarks.in_process, the measured half."""

import json
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from timeit import timeit

from benchmarks.bench import Bench, Table, at_most
from benchmarks.machine import on_cores
from benchmarks.servers import service_environment, simulated_exchange
from ltp_service import LastPrices
from tests.simulator.client import PROJECT

AIM = 10
"""Reads of a bare dict that one price may cost."""

PAIRS = (
    "BTC/USD BTC/EUR BTC/CHF BTC/CAD ETH/USD LTC/USD XRP/USD BTC/USDT DOGE/USD ADA/BTC "
    "ETH/BTC WAVES/EUR XMR/USD KSM/BTC GRT/ETH SC/EUR ETH/CHF OCEAN/BTC OMG/USD SOL/USD"
).split()

ONE, TWENTY, BARE = "one price", "20 pairs in a row", "one key of a bare dict"


def measure(bench: Bench) -> Table:
    """One program with a running feed."""
    nanoseconds = _measured(bench)
    rows = [(name, f"{nanoseconds[name]:,.0f}") for name in (ONE, TWENTY, BARE)]
    aims = [at_most(AIM, ONE, nanoseconds[ONE], BARE, nanoseconds[BARE])]
    return Table("LastPrices.get_current_price from memory", ("read", "ns"), rows, aims)


def _measured(bench: Bench) -> dict[str, float]:
    rounds = bench.scaled(15, 3)
    command = [sys.executable, "-m", "benchmarks.in_process", str(rounds)]
    with simulated_exchange(bench, "--pair", "SOL/USD") as exchange, on_cores(bench.cores.measured):
        environment = service_environment(bench, exchange)
        output = subprocess.run(
            command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, check=True, timeout=120
        )
    nanoseconds: dict[str, float] = json.loads(output.stdout)
    return nanoseconds


def main(rounds: int) -> None:
    """Prints nanoseconds by kind of read, medians of rounds in turn."""
    bare = dict.fromkeys(PAIRS, 0)
    with LastPrices(PAIRS) as prices:
        get = prices.get_current_price
        for pair in PAIRS:
            get(pair)
        reads: dict[str, tuple[Callable[[], object], int]] = {
            ONE: (lambda: get("BTC/USD"), 100_000),
            TWENTY: (lambda: list(map(get, PAIRS)), 5_000),
            BARE: (lambda: bare["BTC/USD"], 100_000),
        }
        taken: dict[str, list[float]] = {name: [] for name in reads}
        for _ in range(rounds):
            for name, (read, number) in reads.items():
                taken[name].append(timeit(read, number=number) / number)
    print(json.dumps({name: median(values) * 1e9 for name, values in taken.items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
