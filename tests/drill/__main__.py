"""python -m tests.drill: break everything on purpose, print one table, and put that of a full drill into docs/fire-drill.md."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.drill.row import FULL, SHORT, Row, Tempo
from tests.drill.rows import ROWS
from tests.drill.run import Result, drill, playable
from tests.drill.soak import soak
from tests.drill.table import heading, line, write
from tests.programs import PACKAGES, find_program


def arguments() -> argparse.ArgumentParser:
    names = "\n".join(f"  {each.name:16} {each.title}" for each in ROWS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill",
        description=__doc__,
        epilog=f"rows:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--short", action="store_true", help="each fault for a second or two")
    parser.add_argument(
        "--only", action="append", default=[], choices=list(ROWS), metavar="NAME", help="repeatable"
    )
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="rows that run at the same time")
    parser.add_argument("--log", action="store_true", help="show what the service said in rows that failed")
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="cuts for that long instead of the rows"
    )
    return parser


def main() -> int:
    options = arguments().parse_args()
    if options.soak:
        return soak(options.soak)
    tempo = SHORT if options.short else FULL
    rows = [ROWS[name] for name in options.only] or chosen(tempo)
    print(heading(tempo, options.at_once), flush=True)
    with ThreadPoolExecutor(options.at_once) as pool:
        results = list(pool.map(partial(_shown, tempo, options.log), rows))
    if not options.only and not options.short:
        write(results, tempo, options.at_once)
    return 0 if all(result.passed for result in results) else 1


def chosen(tempo: Tempo) -> list[Row]:
    """The rows for that tempo that can be played on this machine."""
    fitting = [each for each in ROWS.values() if not (tempo.short and each.long)]
    for program in {each for row in fitting for each in row.programs if not find_program(each)}:
        print(f"without the rows that need it: sudo apt-get install {PACKAGES[program]}", file=sys.stderr)
    return list(filter(playable, fitting))


def _shown(tempo: Tempo, with_log: bool, each: Row) -> Result:
    result = drill(each, tempo)
    said = result.log if with_log and not result.passed else []
    print(
        line(result),
        *(f"    ! {problem}" for problem in result.problems),
        *(f"    {entry}" for entry in said),
        sep="\n",
        flush=True,
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
