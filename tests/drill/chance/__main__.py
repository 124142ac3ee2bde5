"""python -m tests.drill.chance: plays seeds and prints what was said and was not true."""

import argparse
import logging
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.drill.chance.exchange import ALTNAMES, KEYS, V1
from tests.drill.chance.market import PAUSES
from tests.drill.chance.play import SECONDS, Played, play

SHOWN = ("amount", "state", "source", "age_ms", "trade_id", "traded_at")
LONGEST_LINE = 300


def main() -> None:
    """Exits with 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill.chance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the play, for each seed")
    parser.add_argument("--at-once", type=int, default=1, help="processes")
    parser.add_argument("--show", type=int, default=3, help="findings told of each seed")
    parser.add_argument("--events", type=int, default=0, help="events told before each finding")
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
                tell(played, options.show, options.events)
    print(
        f"{len(seeds)} seeds, {answers} prices, {found} seeds with findings, {time.monotonic() - began:.0f} s; {dict(kinds)}"
    )
    sys.exit(1 if found else 0)


def tell(played: Played, most: int, events: int) -> None:
    """One seed's findings."""
    print(f"seed {played.seed}: {len(played.findings)} of {played.answers}; {played.behaviour}")
    for finding in played.findings[:most]:
        said = {name: finding.said[name] for name in SHOWN if name in finding.said}
        print(f"  {finding.moment:.2f} {finding.pair}: {finding.what}: {said}")
        concerns = [
            each for each in played.events if each[0] <= finding.moment and _concerns(each[1], finding.pair)
        ]
        for moment, text in concerns[len(concerns) - events :]:
            print(f"    {moment:.3f} {text[:LONGEST_LINE]}")


def _concerns(text: str, pair: str) -> bool:
    """Whether an event has to do with the pair; a frame without any does."""
    names = {each: {each, V1.get(each, each), ALTNAMES[each], KEYS[each]} for each in PAUSES}
    named = {each for each, spellings in names.items() if any(name in text for name in spellings)}
    return not named or pair in named


if __name__ == "__main__":
    main()
