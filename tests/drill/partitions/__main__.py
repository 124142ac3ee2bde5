"""python -m tests.drill.partitions: cut the network between the hosts of a fleet, and put what was seen into docs/fire-drill.md."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.drill.partitions.cluster import PROGRAMS, Cluster
from tests.drill.partitions.hosts import unable
from tests.drill.partitions.rows import ROWS
from tests.drill.partitions.scene import Outcome, play
from tests.drill.partitions.table import HEADING, line, write
from tests.programs import PACKAGES, find_program


def arguments() -> argparse.ArgumentParser:
    names = "\n".join(f"  {each.name:20} {each.title}" for each in ROWS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill.partitions",
        description=__doc__,
        epilog=f"rows:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", default=[], choices=list(ROWS), metavar="NAME", help="repeatable"
    )
    return parser


def main() -> int:
    only = arguments().parse_args().only
    missing = [PACKAGES[program] for program in PROGRAMS if find_program(program) is None]
    if reason := unable() or (missing and f"sudo apt-get install {' '.join(missing)}"):
        print(f"no partitions can be played here: {reason}", file=sys.stderr)
        return 0
    print(HEADING, flush=True)
    outcomes = []
    with Cluster.start() as cluster, tempfile.TemporaryDirectory() as folder:
        for name in only or ROWS:
            outcomes.append(play(ROWS[name], cluster, Path(folder)))
            _show(outcomes[-1])
    if not only:
        write(outcomes)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _show(outcome: Outcome) -> None:
    print(line(outcome), *(f"    ! {problem}" for problem in outcome.problems), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
