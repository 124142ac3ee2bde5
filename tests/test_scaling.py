"""The reckoning behind docs/SCALING.md, and that the page shows it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scaling import BUSY, Figures, cached, direct, most_workers, redis_busy, streamed, table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "SCALING.md"


def test_the_page_shows_what_is_reckoned() -> None:
    found = re.search(r"<!-- table -->\n(.*)\n<!-- /table -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert found[1] == "\n".join(table(Figures())), "put the output of python -m benchmarks.scaling there"


@pytest.mark.parametrize("readers", [1, 10, 5_000, 100_000])
def test_no_worker_is_planned_to_be_too_busy_and_none_is_idle(readers: int) -> None:
    plan = direct(readers, Figures())
    assert plan.worker <= BUSY
    assert plan.workers == 1 or readers * Figures().request / (plan.workers - 1) > BUSY - Figures().hearing


def test_twice_the_cost_of_a_read_needs_twice_the_workers() -> None:
    dear = replace(Figures(), request=2 * Figures().request)
    assert direct(100_000, dear).workers == pytest.approx(2 * direct(100_000, Figures()).workers, abs=1)


def test_behind_nginx_workers_answer_only_what_its_cache_asks() -> None:
    assert cached(100_000, Figures()).workers == cached(1_000, Figures()).workers == 1
    assert cached(100_000, Figures()).nginx > cached(1_000, Figures()).nginx


def test_redis_is_just_not_too_busy_with_the_most_workers() -> None:
    most = most_workers(Figures())
    assert redis_busy(most, Figures()) <= BUSY < redis_busy(most + 1, Figures())


@pytest.mark.parametrize("clients", [1, 5_000, 5_001, 100_000])
def test_no_worker_is_planned_to_have_too_many_streams(clients: int) -> None:
    plan = streamed(clients, Figures())
    assert plan.worker <= BUSY
    assert clients <= plan.workers * Figures().streams < clients + Figures().streams


def test_where_a_worker_may_have_any_number_of_streams_its_processor_is_the_bound() -> None:
    plan = streamed(100_000, replace(Figures(), streams=100_000))
    assert plan.worker <= BUSY < plan.worker * plan.workers / (plan.workers - 1)
