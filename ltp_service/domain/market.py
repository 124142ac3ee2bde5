"""Whether an exchange matches orders, of all pairs or of one; Kraken's words, the same on v1, v2 and REST.

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
"""The exchange does not list the pair any more, so its last trade is not a current price."""

HALTED: frozenset[MarketStatus] = frozenset({"maintenance", "cancel_only", "post_only", "work_in_progress"})
"""No orders are matched, so the last trade stays the last one."""

_KNOWN: dict[str, MarketStatus] = {status: status for status in get_args(MarketStatus)}


def market_status(text: str | None) -> MarketStatus:
    """One of the known words, else `unknown`, because Kraken may add others."""
    return _KNOWN.get(text or "", "unknown")


def prevailing(system: MarketStatus, own: MarketStatus) -> MarketStatus:
    """The status that counts for a pair with an `own` status beside the system's."""
    if own == DELISTED or (own in HALTED and system not in HALTED):
        return own
    return system
