"""The settings of LastPrices: its own names alone, by keyword before the environment."""

from typing import get_type_hints

import pytest

from ltp_service.domain.errors import ConfigError
from ltp_service.last_prices import PriceSettings
from ltp_service.settings.config import Config
from ltp_service.settings.prices import PRICE_FIELDS, load_price_config

OF_A_HOST = {
    "PORT": "tcp://10.0.0.1:80",
    "LOG_LEVEL": "TRACE",
    "ENVIRONMENT": "prod",
    "WEB_CONCURRENCY": "many",
    "SUPPORTED_PAIRS": "none",
    "HISTORY_URL": "nonsense",
}


def test_what_a_host_program_calls_its_own_is_not_read() -> None:
    assert load_price_config(OF_A_HOST, {}) == Config()


def test_the_environment_sets_what_concerns_prices_and_a_keyword_beats_it() -> None:
    environ = {"CACHE_TTL": "5s", "STALE_AFTER": "7s", "PRICE_DIVERGENCE_LIMIT": "0.1", "REDIS_DB": ""}
    config = load_price_config(environ, {"stale_after": 9, "kraken_websocket_enabled": False})
    assert (config.cache_ttl, config.stale_after, config.price_divergence_limit) == (5.0, 9.0, 0.1)
    assert config.kraken_websocket_enabled is False


def test_a_refusal_names_the_variable_or_the_keyword() -> None:
    with pytest.raises(ConfigError, match="CACHE_TTL: 'soon' refused"):
        load_price_config({"CACHE_TTL": "soon"}, {})
    with pytest.raises(ConfigError, match="cache_ttl: '0' refused"):
        load_price_config({"CACHE_TTL": "5s"}, {"cache_ttl": 0})


def test_a_name_that_is_no_setting_of_prices_is_a_type_error_with_advice() -> None:
    with pytest.raises(TypeError, match="no setting 'cache_tll'; the nearest one is cache_ttl"):
        load_price_config({}, {"cache_tll": 5})
    with pytest.raises(TypeError, match="no setting 'port'"):
        load_price_config({}, {"port": 8080})


def test_each_of_them_is_a_typed_keyword() -> None:
    assert set(get_type_hints(PriceSettings)) == set(PRICE_FIELDS)
