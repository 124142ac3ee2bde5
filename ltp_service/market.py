"""Whether an exchange matches orders at all; Kraken's words, the same on v1, v2 and REST.

Source: docs.kraken.com/api/docs/websocket-v2/status
"""

from typing import Literal, get_args

MarketStatus = Literal["online", "maintenance", "cancel_only", "post_only", "limit_only", "unknown"]

HALTED: frozenset[MarketStatus] = frozenset({"maintenance", "cancel_only", "post_only"})
"""No trade can happen: the last one stays the last one."""

_KNOWN: dict[str, MarketStatus] = {status: status for status in get_args(MarketStatus)}


def market_status(text: str | None) -> MarketStatus:
    """One of the known words, or `unknown`: the list will grow."""
    return _KNOWN.get(text or "", "unknown")
