"""tests.drill.looks: what judges the page is shown pages that mislead people."""

from decimal import Decimal

import pytest

from tests.drill.clients import Reading, Served
from tests.drill.heard import lagging
from tests.drill.looks import (
    Look,
    Shown,
    alive_too_long,
    live_against,
    open_lines,
    other_digits,
    seconds,
    shown_as_answers,
)
from tests.drill.truth import never_waited

PAIR = "BTC/USD"
DETAIL = 200
"""A reader of the load who asks with detail."""


def look(at: float, state: str = "live", line: str = "live", price: str = "100.10", age: str = "0 s") -> Look:
    return Look(at, line, False, line, [Shown(PAIR, price, state, age, "kraken websocket")])


def answer(at: float, state: str) -> Reading:
    return Reading(DETAIL, at, at, at, None, 200, None, [Served(PAIR, "100.1", state, None, "0", "1")])


def silent(*looks: Look, arrivals: tuple[float, ...] = (0.0, 5.0)) -> list[str]:
    return [one.why for one in alive_too_long(looks, arrivals, looks[-1].moment, 0.0, never_waited)]


def test_a_page_that_hears_nothing_says_so_in_time() -> None:
    dead = [look(at, "unconfirmed", "dead") for at in (15.5, 20.0, 25.0)]
    assert not silent(look(5.0), *dead)
    assert not silent(look(5.0), look(15.9))
    assert len(silent(look(5.0), look(15.5), *dead[1:])) == 1
    assert len(silent(look(5.0), *dead[:2], look(24.0), *dead[2:])) == 1
    assert not silent(look(5.0), *dead[:2], look(24.0), look(25.0), arrivals=(0.0, 5.0, 23.9))


def test_a_page_whose_style_sheet_says_so_counts_as_dead() -> None:
    assert not silent(look(5.0), look(15.9)._replace(covered=True), look(20.0)._replace(covered=True))


def test_no_price_is_good_on_a_page_that_is_not_live() -> None:
    assert len(silent(look(5.0), look(6.0, "live", "dead"))) == 1
    assert not silent(look(5.0), look(6.0, "stale", "dead"))


def test_the_states_of_an_open_page_are_those_of_the_answers() -> None:
    answers = [answer(0.0, "live"), answer(1.0, "live"), answer(2.0, "stale"), answer(8.0, "stale")]
    good = [look(0.1), look(1.9), look(2.2, "stale"), look(3.5, "stale"), look(5.0, "stale")]
    bad = [*good[:2], look(2.2), look(3.5), look(5.0)]
    assert not lagging(open_lines(good), answers, 0.0, never_waited)
    assert len(lagging(open_lines(bad), answers, 0.0, never_waited)) == 1
    assert live_against(good, answers) == 0.0
    assert live_against(bad, answers) == pytest.approx(3.0)


def test_a_line_that_is_lost_or_a_tab_that_sleeps_is_not_open() -> None:
    looks = [look(0.0), look(1.0, line="lost"), look(2.0), look(3.0), look(60.0), look(61.0)]
    assert [(line.opened, line.closed) for line in open_lines(looks)] == [
        (0.0, 1.0),
        (2.0, 3.0),
        (60.0, 61.0),
    ]


def test_every_digit_is_the_services() -> None:
    texts = {(PAIR, Decimal("100.1")): {"100.10", "100.1"}}
    assert not other_digits([look(0.0), look(1.0, price="100.1"), look(2.0, price="7")], texts)
    assert len(other_digits([look(0.0, price="100.100")], texts)) == 1


def test_what_is_shown_is_as_old_as_the_page_says() -> None:
    (reading,) = shown_as_answers([look(0.0, age="2 min 13 s")])
    assert reading.served == [Served(PAIR, "100.10", "live", None, "135000", None)]
    assert [seconds(text) for text in ("7 s", "1 h 5 min", "3 d 4 h", "never", "")] == [
        7.0,
        3900.0,
        273600.0,
        None,
        None,
    ]
