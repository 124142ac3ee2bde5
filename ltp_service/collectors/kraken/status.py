"""What Kraken says about itself, the same words on v1, v2 and REST."""

from typing import get_args

from ltp_service.stores.base import MarketStatus

_KNOWN: dict[str, MarketStatus] = {status: status for status in get_args(MarketStatus)}


def market_status(text: str | None) -> MarketStatus:
    """One of the known words, or `unknown`: the list will grow."""
    return _KNOWN.get(text or "", "unknown")
