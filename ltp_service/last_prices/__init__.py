"""Last traded prices inside a Python program, without gunicorn and Flask; with greenlets, threads and forks.

It loads little at its import: what runs is loaded with the first `LastPrices`.
"""

from ltp_service.client.events import Price
from ltp_service.domain.errors import (
    ConfigError,
    InvalidParameter,
    LtpError,
    PriceStale,
    PriceUnavailable,
    UnknownPair,
)
from ltp_service.last_prices.arguments import PriceSettings
from ltp_service.last_prices.errors import SomeUnavailable
from ltp_service.last_prices.in_process import LastPrices

__all__ = [
    "ConfigError",
    "InvalidParameter",
    "LastPrices",
    "LtpError",
    "Price",
    "PriceSettings",
    "PriceStale",
    "PriceUnavailable",
    "SomeUnavailable",
    "UnknownPair",
]
