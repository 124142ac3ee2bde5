"""X-Price-Source: which prices of an answer are another exchange's, because Kraken is silent."""

from collections.abc import Iterable

from ltp_service.domain.tick import KRAKEN, Tick, exchange_of

MOST_NAMED = 50
"""Pairs that X-Price-Source names; then it says how many more. A proxy refuses longer heads, often from 4 KiB on."""


def substitutes_among(ticks: Iterable[Tick]) -> list[Tick]:
    """Those that are another exchange's."""
    return [tick for tick in ticks if exchange_of(tick.source) != KRAKEN]


def names_of(substitutes: Iterable[Tick]) -> str:
    """A comma list of pairs and sources: `BTC/USD=coinbase:websocket`; empty without one."""
    return ", ".join(f"{tick.pair}={tick.source}" for tick in substitutes)


def source_headers(named: str) -> list[tuple[str, str]]:
    """X-Price-Source, from `names_of`; none where every price is Kraken's."""
    if not named:
        return []
    pairs = named.split(", ")
    more = [f"+{len(pairs) - MOST_NAMED}"] if len(pairs) > MOST_NAMED else []
    return [("X-Price-Source", ", ".join(pairs[:MOST_NAMED] + more))]
