"""Whether an exchange matches orders, in all or of one pair; Kraken's words, the same on v1, v2 and REST.

Source: docs.kraken.com/api/docs/websocket-v2/status and …/instrument
"""

from typing import Literal, get_args

MarketStatus = Literal[
    "online",
    "maintenance",
    "cancel_only",
    "post_only",
    "limit_only",
    "reduce_only",
    "work_in_progress",
    "delisted",
    "unknown",
]

DELISTED: MarketStatus = "delisted"
"""The exchange does not list the pair any more, and its last trade is history."""

HALTED: frozenset[MarketStatus] = frozenset({"maintenance", "cancel_only", "post_only", "work_in_progress"})
"""No trade can happen: the last one stays the last one."""

_KNOWN: dict[str, MarketStatus] = {status: status for status in get_args(MarketStatus)}


def market_status(text: str | None) -> MarketStatus:
    """One of the known words, or `unknown`: the list will grow."""
    return _KNOWN.get(text or "", "unknown")


def prevailing(system: MarketStatus, own: MarketStatus) -> MarketStatus:
    """What counts for a pair that has a status of its `own` beside the system's."""
    if own == DELISTED or (own in HALTED and system not in HALTED):
        return own
    return system
