"""What LastPrices is told: what is understood, and what is refused with a sentence."""

import pytest

from ltp_service.domain.errors import InvalidParameter
from ltp_service.last_prices import LastPrices
from ltp_service.last_prices.arguments import pairs_of
from tests.fakes import BTC, ETH


def test_one_text_names_one_pair_or_several() -> None:
    assert pairs_of("BTC/USD") == (BTC,)
    assert pairs_of("btc-usd, XETHZUSD,") == (BTC, ETH)
    assert pairs_of(["BTC/USD", "XBTUSD", "ETH/USD"]) == (BTC, ETH)


@pytest.mark.parametrize("given", [[], "", " , "])
def test_no_pair_is_refused(given: object) -> None:
    with pytest.raises(InvalidParameter, match="no pair is named"):
        pairs_of(given)


@pytest.mark.parametrize("given", [[None], 5, [b"BTC/USD"]])
def test_what_is_no_text_is_a_type_error_with_a_sentence(given: object) -> None:
    with pytest.raises(TypeError, match=r"texts? such as"):
        pairs_of(given)


def test_none_is_no_pair() -> None:
    prices = LastPrices("BTC/USD")
    for ask in (prices.get, prices.get_current_price):
        with pytest.raises(TypeError, match="a pair is a text such as 'BTC/USD', not None"):
            ask(None)  # type: ignore[arg-type]
