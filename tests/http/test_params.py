"""ltp_service.http.params"""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers, MultiDict

from ltp_service.domain.errors import InvalidParameter
from ltp_service.http import params
from ltp_service.prices.freshness import Bound
from ltp_service.runtime.moments import rfc3339_exact
from tests.fakes import BTC, ETH, XRP


def query(*pairs: tuple[str, str]) -> MultiDict[str, str]:
    return MultiDict(pairs)


def test_both_names_and_repetitions_are_read_in_order_without_duplicates() -> None:
    arguments = query(("pair", "XRP/USD, BTC/USD"), ("pairs", "ETH/USD,xbtusd"), ("pair", "BTC-USD"))

    assert params.pairs(arguments, ()).pairs == (XRP, BTC, ETH)


def test_nothing_named_is_everything() -> None:
    asked = params.pairs(query(("pair", " , ,")), (BTC, ETH))

    assert (asked.pairs, asked.everything) == ((BTC, ETH), True)
    assert not params.pairs(query(("pair", "BTC/USD")), (BTC, ETH)).everything


def test_more_than_a_hundred_pairs_are_refused() -> None:
    hundred = ",".join(f"A{number}/USD" for number in range(100))

    assert len(params.pairs(query(("pair", hundred)), ()).pairs) == 100
    with pytest.raises(InvalidParameter):
        params.pairs(query(("pair", f"{hundred},BTC/USD")), ())


def test_a_query_of_unreasonable_length_is_refused_before_it_is_read() -> None:
    with pytest.raises(InvalidParameter):
        params.pairs(query(("pair", "BTC/USD," * 1000)), ())


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("2.5", 2.5), (" 3 ", 3.0), ("1e3", 1000.0)])
def test_max_age_is_in_seconds(text: str, expected: float) -> None:
    assert params.bound(query(("max_age", text)), Headers()) == Bound(expected)


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "1e999", "1s", "1_0", "\u0663"])
def test_a_max_age_that_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        params.bound(query(("max_age", text)), Headers())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *((header, 5.0) for header in ("max-age=5", "no-cache, Max-Age=5")),
        *((header, None) for header in ("no-cache", "max-age=soon", "max-age=-5", "max-age")),
        *((header, None) for header in ("max-age=\u00b2", "s-maxage=5", "")),
        *((header, None) for header in ("max-age=0", "max-age=00")),  # of a browser's reload
    ],
)
def test_a_header_that_cannot_be_read_is_no_reason_to_refuse(header: str, expected: float | None) -> None:
    assert params.bound(query(), Headers({"Cache-Control": header})).max_age == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *((header, 5.0) for header in ("wait=5", "respond-async, wait=5", "Wait = 5; x=y", 'wait="5"')),
        ("wait=600", params.LONGEST_WAIT_SECONDS),
        *((header, 0.0) for header in ("wait=soon", "wait=-5", 'wait="5', "await=5", "")),
    ],
)
def test_a_change_is_waited_for_as_long_as_preferred_and_bearable(header: str, expected: float) -> None:
    assert params.wait(header) == expected


def test_the_query_beats_the_header() -> None:
    headers = Headers({"Cache-Control": "max-age=5"})

    assert params.bound(query(("max_age", "7"), ("allow_stale", "yes")), headers) == Bound(7.0, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("no", False), ("", False)],
)
def test_a_switch_has_two_positions(text: str, expected: bool) -> None:
    assert params.flag(query(("detail", text)), "detail") is expected


def test_a_switch_is_off_unless_given_and_refuses_anything_else() -> None:
    assert params.flag(query(), "detail") is False
    with pytest.raises(InvalidParameter):
        params.flag(query(("detail", "perhaps")), "detail")


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_read_or_is_an_invalid_parameter(pair: str, max_age: str, header: str) -> None:
    arguments = query(("pair", pair), ("max_age", max_age))
    with suppress(InvalidParameter):
        params.pairs(arguments, (BTC,))
    with suppress(InvalidParameter):
        params.bound(arguments, Headers())
    single_line = header.replace("\n", "").replace("\r", "")
    params.bound(query(), Headers({"Cache-Control": single_line}))


@given(st.text())
def test_what_is_read_as_a_symbol_or_a_number_is_one(text: str) -> None:
    with suppress(InvalidParameter):
        symbol = params.read_symbol(text)
        assert symbol.isascii()
        assert symbol.isalnum()
        assert symbol == text.upper()
    with suppress(InvalidParameter):
        assert str(params.whole(query(("limit", text)), "limit", 50, (1, 100))) == text.lstrip("0")


def test_a_whole_number_has_its_default_and_both_its_bounds() -> None:
    assert params.whole(query(), "limit", 50, (1, 100)) == 50
    assert [params.whole(query(("limit", text)), "limit", 50, (1, 100)) for text in ("1", "100")] == [1, 100]
    for text in ("0", "101"):
        with pytest.raises(InvalidParameter, match=r"limit is .* from 1 to 100"):
            params.whole(query(("limit", text)), "limit", 50, (1, 100))


LAST_SECOND = "9999-12-31T23:59:59"


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        (f"{LAST_SECOND}.999999999Z", True),
        (f"{LAST_SECOND}+14:00", True),
        ("99999999999.999999999", True),
        (f"{LAST_SECOND}-00:01", False),
        (f"{LAST_SECOND}-23:59", False),
        ("9999-12-31T23:59:60Z", False),
        ("1970-01-01T00:00:00+00:01", False),
        ("0001-01-01T00:00:00+23:59", False),
    ],
)
def test_each_moment_that_is_read_can_be_written(text: str, is_read: bool) -> None:
    if not is_read:
        with pytest.raises(InvalidParameter):
            params.moment(query(("time", text)), "time")
        return
    moment = params.moment(query(("time", text)), "time")
    assert moment is not None
    assert rfc3339_exact(moment).endswith("Z")
