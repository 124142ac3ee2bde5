"""ltp_service.domain.pairs"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import (
    Pair,
    canonical_code,
    joined_symbol,
    kraken_rest_symbol,
    kraken_v1_symbol,
    kraken_v2_symbol,
    read_pair,
)

BTC_USD = Pair("BTC", "USD")

NOT_CUT = {"ETH2.S/ETH", "KSM/DOT"}
"""Spellings without a separator that would need a list of all assets; with one they are read."""

codes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=10).map(canonical_code)
pairs = st.builds(Pair, codes, codes).filter(lambda pair: pair.base != pair.quote)


@pytest.mark.parametrize(
    "text",
    [
        *"BTC/USD btc-usd BTC_USD BTCUSD btcusd XBT/USD XBTUSD XXBTZUSD xxbtzusd XXBT/ZUSD".split(),
        " BTC/USD ",
    ],
)
def test_every_usual_spelling_means_the_same_pair(text: str) -> None:
    assert read_pair(text) == BTC_USD


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        spelling.split("=")
        for spelling in (
            "XDGUSD=DOGE/USD XXDGZUSD=DOGE/USD DOGE/USD=DOGE/USD XETHXXBT=ETH/BTC ETHXBT=ETH/BTC XXRPZEUR=XRP/EUR"
            " ETHCHF=ETH/CHF BTCUSDT=BTC/USDT BTC/USDT=BTC/USDT ETHUSDC=ETH/USDC AIXBTUSD=AIXBT/USD"
            " AIXBT/USD=AIXBT/USD TBTCUSD=TBTC/USD TBTC/EUR=TBTC/EUR XTZUSD=XTZ/USD ZRX/USD=ZRX/USD"
            " ZECUSD=ZEC/USD SC/EUR=SC/EUR 1INCHUSD=1INCH/USD ZUSDZCAD=USD/CAD USDTZUSD=USDT/USD"
            " TRXXBT=TRX/BTC SNXETH=SNX/ETH"
        ).split()
    ],
)
def test_asset_codes_are_mapped_whole_and_never_by_substring(text: str, pair: str) -> None:
    assert str(read_pair(text)) == pair


@pytest.mark.parametrize(
    "text",
    [
        *"/ BTC BTC/ /USD BTC//USD BTC/USD/EUR BTC/US$ \u0392TC/USD ABCDEFGH USD BTC/XBT USD/ZUSD".split(),
        *("", "BTC USD", "BTC/USD\n/", "A" * 5000, "BTC/" + "A" * 13, "<script>/USD", "BTC\x00/USD"),
    ],
)
def test_what_is_no_pair_is_refused_with_a_short_message(text: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        read_pair(text)

    assert len(str(refusal.value)) < 200


@given(pairs)
def test_a_pair_reads_back_from_its_own_text(pair: Pair) -> None:
    assert read_pair(str(pair)) == pair


@given(pairs, st.sampled_from([kraken_v1_symbol, kraken_v2_symbol]))
def test_a_pair_reads_back_from_each_exchanges_spelling(pair: Pair, spell: Callable[[Pair], str]) -> None:
    assert read_pair(spell(pair)) == pair


def test_a_pair_reads_back_from_each_exchanges_joined_spelling() -> None:
    for quote in ["USD", "EUR", "CHF", "CAD", "USDT", "USDC"]:
        for base in ["BTC", "DOGE", "ETH", "AIXBT", "TBTC", "XTZ", "XRP", "SC"]:
            pair = Pair(base, quote)

            assert read_pair(kraken_rest_symbol(pair)) == pair
            assert read_pair(joined_symbol(pair)) == pair


def test_each_exchange_gets_its_own_spelling() -> None:
    assert kraken_v2_symbol(BTC_USD) == "BTC/USD"
    assert kraken_v1_symbol(BTC_USD) == "XBT/USD"
    assert kraken_v1_symbol(Pair("DOGE", "BTC")) == "XDG/XBT"
    assert kraken_rest_symbol(BTC_USD) == "XBTUSD"
    assert joined_symbol(Pair("BTC", "USDT")) == "BTCUSDT"
    assert kraken_v1_symbol(Pair("AIXBT", "USD")) == "AIXBT/USD"


def test_every_name_that_kraken_gives_a_pair_means_that_pair(recorded: Callable[[str], Path]) -> None:
    answer = json.loads(recorded("kraken/rest_assetpairs_2021-04-17.json").read_text())["result"]
    listed = {key: pair for key, pair in answer.items() if "wsname" in pair and pair["wsname"] not in NOT_CUT}
    for key, pair in listed.items():
        expected = read_pair(pair["wsname"])
        assert (read_pair(key), read_pair(pair["altname"])) == (expected, expected)
    assert len(listed) > 280


@given(st.text(max_size=60))
def test_any_text_is_a_pair_or_an_invalid_parameter(text: str) -> None:
    try:
        pair = read_pair(text)
    except InvalidParameter:
        return
    assert read_pair(str(pair)) == pair
