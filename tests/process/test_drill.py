"""Every fault of the fire drill in its short form, a few of them at the same time."""

from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.drill.row import SHORT
from tests.drill.rows import ROWS
from tests.drill.run import Result, drill, playable
from tests.programs import require_program

LANES = 5
"""Rows at the same time: they wait more than they work."""

LONGEST_FIRST = ("deaf_all", "deaf_pair", "dns_slow", "dark_websocket", "cut")

NAMES = [
    *LONGEST_FIRST,
    *(each.name for each in ROWS.values() if not each.long and each.name not in LONGEST_FIRST),
]


@pytest.fixture(scope="module")
def results() -> dict[str, Future[Result]]:
    """All rows, played to their end: pytest changes the environment between two tests, and a program that another thread
    starts in that moment fails with "Bad address"."""
    pool = ThreadPoolExecutor(LANES)
    try:
        played = {name: pool.submit(drill, ROWS[name], SHORT) for name in NAMES if playable(ROWS[name])}
        wait(played.values())
    finally:
        pool.shutdown(cancel_futures=True)
    return played


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_no_price_is_wrong_and_no_request_fails_that_need_not(
    name: str, results: dict[str, Future[Result]]
) -> None:
    if program := ROWS[name].program:
        require_program(program)
    result = results[name].result()
    assert result.passed, "\n".join([*result.problems, *result.log])
