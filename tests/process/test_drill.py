"""Every fault of the fire drill in its short form, a few of them at the same time."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

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
def results() -> Iterator[dict[str, Future[Result]]]:
    """All rows under way."""
    pool = ThreadPoolExecutor(LANES)
    yield {name: pool.submit(drill, ROWS[name], SHORT) for name in NAMES if playable(ROWS[name])}
    pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(170)
@pytest.mark.parametrize("name", NAMES)
def test_no_price_is_wrong_and_no_request_fails_that_need_not(
    name: str, results: dict[str, Future[Result]]
) -> None:
    if program := ROWS[name].program:
        require_program(program)
    result = results[name].result()
    assert result.passed, "\n".join([*result.problems, *result.log])
