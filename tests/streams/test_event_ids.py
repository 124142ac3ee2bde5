"""The ids of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.streams.event_ids import (
    hash_of,
    moment_id,
    positions_id,
    read_moment,
    read_positions,
    read_texts,
    texts_id,
)

OURS, OTHERS = hash_of(["BTC/USD", "ETH/USD"]), hash_of(["BTC/USD"])


def test_the_order_of_pairs_does_not_matter() -> None:
    assert hash_of(["ETH/USD", "BTC/USD"]) == OURS != OTHERS


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=200))
def test_positions_come_back(positions: list[int]) -> None:
    text = positions_id(OURS, positions)

    assert read_positions(text, OURS, len(positions)) == tuple(positions)
    assert read_positions(text, OTHERS, len(positions)) is None
    assert read_positions(text, OURS, len(positions) + 1) is None


def test_an_id_of_two_hundred_pairs_fits_into_a_header() -> None:
    assert len(positions_id(OURS, [2**35] * 200)) < 2000


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_trade_ids_that_are_texts_come_back(texts: list[str]) -> None:
    assert read_texts(texts_id(OURS, texts), OURS, len(texts)) == tuple(texts)


@pytest.mark.parametrize("kind", ["p1", "b1"])
def test_a_moment_comes_back(kind: str) -> None:
    assert read_moment(moment_id(kind, OURS, 1_790_000_000.25), OURS) == 1_790_000_000.25
    assert read_moment(moment_id(kind, OURS, 1.0), OTHERS) is None


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda rest: f"t1.{OURS}.{rest}"))
def test_garbage_is_no_id(text: str) -> None:
    found = read_positions(text, OURS, 2)
    assert found is None or positions_id(OURS, found) == text


@pytest.mark.parametrize(
    "text",
    [
        f"p1.{OURS}.",
        f"p1.{OURS}.-5",
        f"p1.{OURS}.²",
        f"p1.{OURS}.{'9' * 40}",
        f"p1.{OURS}.{'9' * 15}",  # year 33658, which no date can be
        f"c1.{OURS}.é",
        f"c1.{OURS}.AA",
    ],
)
def test_a_broken_end_is_no_id(text: str) -> None:
    assert read_moment(text, OURS) is None
    assert read_texts(text, OURS, 1) is None
