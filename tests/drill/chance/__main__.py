"""python -m tests.drill.chance: plays seeds and prints what was said and was not true."""

import argparse
import logging
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.drill.chance.play import SECONDS, Played, play


def main() -> None:
    """Exits with 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.chance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the play, for each seed")
    parser.add_argument("--at-once", type=int, default=1, help="processes")
    parser.add_argument("--show", type=int, default=3, help="findings told of each seed")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    found, answers = 0, 0
    kinds: Counter[str] = Counter()
    with ProcessPoolExecutor(options.at_once) as pool:
        for played in pool.map(partial(play, seconds=options.seconds), seeds):
            answers += played.answers
            if played.findings:
                found += 1
                kinds.update({finding.what.split(" ")[0] for finding in played.findings})
                tell(played, options.show)
    print(
        f"{len(seeds)} seeds, {answers} prices, {found} seeds with findings, {time.monotonic() - began:.0f} s; {dict(kinds)}"
    )
    sys.exit(1 if found else 0)


def tell(played: Played, most: int) -> None:
    """One seed's findings."""
    behaviour = played.behaviour
    faults = "; ".join(
        f"{fault.kind} {fault.pair or ''} {fault.begin:.1f}-{fault.end:.1f} ({fault.size:g})"
        for fault in behaviour.faults
    )
    print(
        f"seed {played.seed}: {len(played.findings)} of {played.answers}; {behaviour.protocol}, latency {behaviour.latency}, "
        f"skew {behaviour.skew:g} until {behaviour.skew_jumps_at:g}, cache {behaviour.cache:g} x {behaviour.edges} "
        f"age {behaviour.tells_age}, snapshots {behaviour.trade_snapshots}; {faults}"
    )
    for finding in played.findings[:most]:
        said = {
            name: finding.said.get(name)
            for name in ("price", "state", "source", "age_ms", "trade_id", "traded_at")
        }
        print(f"  {finding.moment:.2f} {finding.pair}: {finding.what}: {said}")


if __name__ == "__main__":
    main()
