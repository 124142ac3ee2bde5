"""A client of the service: prices that can be trusted now, and a line that says when it is dead.

It imports nothing else of this package, and only the standard library.
"""

from ltp_service.client.asynchronous import AsyncPrices
from ltp_service.client.blocking import Prices
from ltp_service.client.errors import (
    KeyRefused,
    NotServed,
    PricesError,
    PriceStale,
    PriceUnavailable,
    RateLimited,
    Refused,
    SomeUnavailable,
    UnknownPair,
    Unreachable,
)
from ltp_service.client.events import Disconnected, Event, Gap, Price, Trade, Unavailable

__all__ = [
    "AsyncPrices",
    "Disconnected",
    "Event",
    "Gap",
    "KeyRefused",
    "NotServed",
    "Price",
    "PriceStale",
    "PriceUnavailable",
    "Prices",
    "PricesError",
    "RateLimited",
    "Refused",
    "SomeUnavailable",
    "Trade",
    "Unavailable",
    "UnknownPair",
    "Unreachable",
]
