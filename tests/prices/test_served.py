"""The list of pairs that are served, as it follows the exchange's."""

from collections.abc import Sequence

from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pair_choice import read_choice
from ltp_service.domain.pairs import Pair
from ltp_service.prices.served import KEEP_UNLISTED_SECONDS, ServedPairs
from tests.fakes import online

BTC, ETH, NEW = Pair("BTC", "USD"), Pair("ETH", "USD"), Pair("ADA", "USD")


def served(*chosen: str) -> tuple[ServedPairs, list[Sequence[Pair]]]:
    pairs = ServedPairs([read_choice(each) for each in chosen])
    told: list[Sequence[Pair]] = []
    pairs.on_change(told.append)
    return pairs, told


def test_before_the_first_list_the_plain_pairs_are_served_and_others_may_come() -> None:
    pairs, _ = served("ETH/USD", "*/USD")
    assert list(pairs) == [ETH]
    assert pairs.may_come(BTC)
    assert not pairs.may_come(Pair("BTC", "EUR"))
    pairs.listed(online(BTC, ETH), 0.0, complete=True)
    assert list(pairs) == [ETH, BTC]
    assert BTC in pairs
    assert not pairs.may_come(NEW)


def test_a_new_listing_is_followed_and_told_once() -> None:
    pairs, told = served("*")
    pairs.listed(online(BTC, ETH), 0.0, complete=True)
    pairs.listed(online(NEW), 1.0, complete=False)
    pairs.listed(online(BTC, ETH, NEW), 2.0, complete=True)
    assert told == [(BTC, ETH), (NEW, BTC, ETH)]
    assert pairs.counts() == {"*": 3}


def test_an_unlisted_pair_is_served_for_a_day_so_that_it_can_be_told_as_stale() -> None:
    pairs, _ = served("*/USD")
    pairs.listed(online(BTC, ETH), 0.0, complete=True)
    pairs.listed(online(BTC), 10.0, complete=True)
    pairs.listed(online(BTC), 9.0 + KEEP_UNLISTED_SECONDS, complete=True)
    assert ETH in pairs
    pairs.listed(online(BTC), 10.0 + KEEP_UNLISTED_SECONDS, complete=True)
    assert list(pairs) == [BTC]


def test_a_pair_that_is_listed_as_delisted_is_not_listed() -> None:
    pairs, _ = served("*/USD")
    pairs.listed(online(BTC, ETH), 0.0, complete=True)
    listed: dict[Pair, MarketStatus] = {BTC: "online", ETH: "delisted", NEW: "delisted"}
    pairs.listed(listed, 10.0, complete=True)
    assert list(pairs) == [BTC, ETH]
    pairs.listed(listed, 10.0 + KEEP_UNLISTED_SECONDS, complete=True)
    pairs.listed({ETH: "delisted", NEW: "delisted"}, 11.0 + KEEP_UNLISTED_SECONDS, complete=False)
    assert list(pairs) == [BTC]


def test_an_empty_list_is_no_list() -> None:
    pairs, told = served("*")
    pairs.listed({}, 0.0, complete=True)
    assert not pairs.has_list
    assert not told
