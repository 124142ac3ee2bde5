"""python -m benchmarks: measures the service on this machine, prints the tables and writes RESULTS.md."""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    behind_nginx,
    fleet,
    fleet_visible,
    heavy,
    history,
    in_process,
    ingest,
    pairs,
    relay,
    streams,
    throughput,
    trades,
    under_load,
    visible,
)
from benchmarks.bench import Bench, Scenario, markdown
from benchmarks.load import load_source
from benchmarks.machine import describe, split_cores

RESULTS = Path(__file__).with_name("RESULTS.md")
SCENARIOS: dict[str, Scenario] = {
    "visible": visible.measure,
    "ingest": ingest.measure,
    "in-process": in_process.measure,
    "throughput": throughput.measure,
    "under-load": under_load.measure,
    "heavy": heavy.measure,
    "behind-nginx": behind_nginx.measure,
    "pairs": pairs.measure,
    "trades": trades.measure,
    "history": history.measure,
    "fleet": fleet.measure,
    "fleet-visible": fleet_visible.measure,
    "relay": relay.measure,
    **streams.SCENARIOS,
}


def main() -> None:
    """Runs all scenarios, or those asked for; only a full run replaces RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="show that every scenario works, within a minute"
    )
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="repeatable")
    options = parser.parse_args()
    report = run(options.only or list(SCENARIOS), quick=options.quick)
    if not options.quick and not options.only:
        RESULTS.write_text(report, encoding="utf-8")
        print(f"written to {RESULTS.parent.name}/{RESULTS.name}")


def run(names: Sequence[str], *, quick: bool) -> str:
    """The report, each part printed as soon as it is known."""
    cores = split_cores()
    started = time.monotonic()
    os.sched_setaffinity(0, cores.driving)
    parts = [
        "# What `make bench` measured",
        "\n".join(f"- {line}" for line in describe(cores, load_source())),
    ]
    print(*parts, sep="\n\n", end="\n\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="ltp-bench-") as scratch:
        bench = Bench(cores, Path(scratch), quick)
        for name in names:
            parts.append(markdown(SCENARIOS[name](bench)))
            print(parts[-1], end="\n\n", flush=True)
    parts.append(f"Took {time.monotonic() - started:.0f} s. Medians of rounds in which the cases take turns.")
    print(parts[-1], flush=True)
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
