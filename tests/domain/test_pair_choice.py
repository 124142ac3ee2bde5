"""Wildcards of SUPPORTED_PAIRS."""

import pytest

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pair_choice import Wildcard, pairs_of, plain_pairs, read_choice
from ltp_service.domain.pairs import Pair

LISTED = [Pair(*name.split("/")) for name in "XRP/USD BTC/USD ETH/EUR BTC/EUR ETH/USD".split()]


def names(*chosen: str) -> list[str]:
    return [str(pair) for pair in pairs_of([read_choice(each) for each in chosen], LISTED)]


def test_pairs_keep_the_order_of_the_setting_and_those_of_a_wildcard_are_alphabetical() -> None:
    assert names("ETH/USD", "*/USD", "DOGE/USD", "BTC/*") == [
        *("ETH/USD", "BTC/USD", "XRP/USD"),
        "DOGE/USD",
        "BTC/EUR",
    ]
    assert names("*") == ["BTC/EUR", "BTC/USD", "ETH/EUR", "ETH/USD", "XRP/USD"]


def test_a_plain_pair_is_meant_whether_or_not_it_is_listed() -> None:
    assert plain_pairs([read_choice(each) for each in ("*/USD", "xbt-eur")]) == (Pair("BTC", "EUR"),)


def test_currencies_of_a_wildcard_are_read_in_any_usual_spelling() -> None:
    assert read_choice(" xbt/* ") == Wildcard("BTC", "*")
    assert str(read_choice("*-zusd")) == "*/USD"
    assert str(read_choice("*/*")) == "*"


@pytest.mark.parametrize("text", ["B*/USD", "*USD", "**", "*/", "BTC/US*", "*/USD/EUR"])
def test_a_wildcard_for_a_part_of_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="replaces a whole currency"):
        read_choice(text)
