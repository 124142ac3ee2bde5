"""python -m tests.drill.history_day: plays the day and prints what was answered and was not true."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.drill.history_day.play import Plan, play


def main() -> None:
    """Exits with 1 when anything was found."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.drill.history_day", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=plan.seconds / 3600)
    for name in ("cuts", "kills", "restarts", "moments", "looks", "beside"):
        parser.add_argument(f"--{name}", type=int, default=getattr(plan, name))
    parser.add_argument("--protocol", choices=("v1", "v2"), default=plan.protocol)
    parser.add_argument("--postgres", action="store_true", help="in a server instead of a file")
    parser.add_argument("--show", type=int, default=20, help="findings told")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    plan = Plan(
        round(options.hours * 3600),
        options.cuts,
        options.kills,
        options.restarts,
        options.moments,
        options.looks,
        options.protocol,
        options.beside,
    )
    with _url(in_postgres=options.postgres) as url:
        played = play(plan, options.seed, url)
    for name, count in sorted(played.counts.items()):
        print(f"{name:>24} {count:>9,}")
    for finding in played.findings[: options.show]:
        print(f"{finding.pair} {finding.moment}: {finding.what}")
    print(f"{len(played.findings)} findings; {plan}; {played.took:.0f} s")
    sys.exit(1 if played.findings else 0)


@contextmanager
def _url(*, in_postgres: bool) -> Iterator[str | None]:
    if not in_postgres:
        yield None
        return
    from tests.postgres_server import PostgresServer  # noqa: PLC0415 - loaded only where asked for

    with PostgresServer.start() as server:
        yield server.new_database()


if __name__ == "__main__":
    main()
