"""A client of the service: prices that can be trusted now, and a line that says when it is dead.

It imports nothing else of this package, and only the standard library.
"""

from ltp_service.client.asynchronous import AsyncPrices
from ltp_service.client.blocking import Prices
from ltp_service.client.errors import (
    HistoryGap,
    HistoryUnknown,
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
from ltp_service.client.events import (
    Candle,
    Disconnected,
    Edge,
    Event,
    Gap,
    PastPrice,
    Price,
    Trade,
    Unavailable,
)

__all__ = [
    "AsyncPrices",
    "Candle",
    "Disconnected",
    "Edge",
    "Event",
    "Gap",
    "HistoryGap",
    "HistoryUnknown",
    "KeyRefused",
    "NotServed",
    "PastPrice",
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
