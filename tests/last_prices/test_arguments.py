"""What LastPrices is told: what is understood, and what is refused with a sentence."""

import re

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


def test_what_is_no_text_is_no_pair_in_a_question_either() -> None:
    prices = LastPrices("BTC/USD")
    for given in (None, ["BTC/USD"]):
        for ask in (prices.get, prices.get_current_price):
            with pytest.raises(TypeError, match="a pair is a text such as 'BTC/USD', not "):
                ask(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"use_websocket": "no"}, "use_websocket is True or False, not 'no'"),
        ({"config": {"cache_ttl": 5}}, "config is a Config, not {'cache_ttl': 5}"),
        ({"cache_ttl": None}, "cache_ttl is a number or a text, not None"),
        ({"cache_backend": 5}, "cache_backend is a text, not 5"),
        ({"kraken_max_retries": True}, "kraken_max_retries is a whole number or a text, not True"),
        ({"kraken_max_retries": 1.5}, "kraken_max_retries is a whole number or a text, not 1.5"),
        ({"kraken_websocket_enabled": 1}, "kraken_websocket_enabled is True or False or a text, not 1"),
        ({"redis_sentinels": (5,)}, "redis_sentinels is a text or a tuple of texts, not (5,)"),
        ({"redis_password": b"secret"}, "redis_password is a text, not bytes"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_its_name(given: dict[str, object], refusal: str) -> None:
    with pytest.raises(TypeError, match=re.escape(refusal)):
        LastPrices("BTC/USD", **given)  # type: ignore[arg-type]


def test_arguments_of_the_documented_types_are_taken() -> None:
    sentinels = ("one:26379", "two:26379")
    LastPrices("BTC/USD", use_websocket=False, cache_ttl=5, kraken_timeout="4s", redis_db="1")
    LastPrices("BTC/USD", kraken_websocket_enabled="no", redis_sentinels=sentinels, cache_backend="memory")
