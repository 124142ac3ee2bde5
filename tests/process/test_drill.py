"""The faults of the fire drill in their short form, a few of them at the same time."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import groupby

import pytest

from tests.deadline import IN_FULL
from tests.drill.row import SHORT, Row, in_turn
from tests.drill.rows import ROWS
from tests.drill.run import Result, drill, playable
from tests.programs import require_program

LANES = os.cpu_count() or 1
"""Rows at the same time."""

LONGEST_FIRST = ("deaf_all", "deaf_pair", "rest", "dark_websocket")


def played() -> Iterator[Row]:
    """Each row by itself in full; else without those that other tests show too, and some on one service."""
    rows = [each for each in ROWS.values() if not each.long]
    if IN_FULL:
        yield from rows
        return
    rows = [each for each in rows if not each.elsewhere]
    for service, beside in groupby(sorted(rows, key=lambda each: each.beside), lambda each: each.beside):
        if service:
            yield in_turn(list(beside))
        else:
            yield from beside


PLAYED = {each.name: each for each in sorted(played(), key=lambda each: each.name not in LONGEST_FIRST)}


@pytest.fixture(scope="module")
def results() -> dict[str, Future[Result]]:
    """All rows, played to their end: pytest changes the environment between two tests, and a program that another thread
    starts in that moment fails with "Bad address"."""
    pool = ThreadPoolExecutor(LANES)
    try:
        results = {name: pool.submit(drill, row, SHORT) for name, row in PLAYED.items() if playable(row)}
        wait(results.values())
    finally:
        pool.shutdown(cancel_futures=True)
    return results


@pytest.mark.timeout(3600 if IN_FULL else 900)
@pytest.mark.parametrize("name", PLAYED)
def test_no_price_is_wrong_and_no_request_fails(name: str, results: dict[str, Future[Result]]) -> None:
    for program in PLAYED[name].programs:
        require_program(program)
    result = results[name].result()
    assert result.passed, "\n".join([*result.problems, *result.log])
