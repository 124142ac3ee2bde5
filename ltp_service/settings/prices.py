"""The settings of `LastPrices`: those that concern prices, from keywords and from the environment.

A program that uses it has a PORT, a LOG_LEVEL and files of its own, which say nothing about prices.
"""

from collections.abc import Mapping

from ltp_service.settings.config import Config, config_of
from ltp_service.settings.layers import Layer
from ltp_service.settings.names import advice

PRICE_FIELDS = tuple(
    field
    for field in Config.model_fields
    if field.startswith(("kraken_", "cache_", "redis_")) or field in {"stale_after", "price_divergence_limit"}
)
"""The fields of Config that a program may set."""


def load_price_config(environ: Mapping[str, str], given: Mapping[str, object]) -> Config:
    """`given`, by field, beats `environ`, of which only the variables of PRICE_FIELDS are read. No file is read.

    Raises ConfigError for a value that is refused, and TypeError for a name that is none of PRICE_FIELDS.
    """
    for name in given:
        if name not in PRICE_FIELDS:
            raise TypeError(f"LastPrices has no setting {name!r}; {advice(name, PRICE_FIELDS)}")
    texts = {field: environ[field.upper()].strip() for field in PRICE_FIELDS if field.upper() in environ}
    return config_of((Layer(Config, given, str), Layer(Config, texts, str.upper)))
