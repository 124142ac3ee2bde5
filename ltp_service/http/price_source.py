"""X-Price-Source: which prices of an answer are another exchange's, because Kraken is silent."""

from collections.abc import Iterable

from ltp_service.domain.tick import KRAKENS_SOURCES, Tick

MOST_NAMED = 50
"""Pairs that X-Price-Source names; then it says how many more. A proxy refuses longer heads, often from 4 KiB on."""


def substitutes_among(ticks: Iterable[Tick]) -> list[Tick]:
    """The prices that are another exchange's."""
    return [tick for tick in ticks if tick.source not in KRAKENS_SOURCES]


def names_of(substitutes: Iterable[Tick]) -> str:
    """A comma list of pairs and sources: `BTC/USD=coinbase:websocket`; empty without one."""
    return ", ".join(f"{tick.pair}={tick.source}" for tick in substitutes)


def source_headers(named: str) -> list[tuple[str, str]]:
    """X-Price-Source, from `names_of` of at least one."""
    pairs = named.split(", ")
    more = [f"+{len(pairs) - MOST_NAMED}"] if len(pairs) > MOST_NAMED else []
    return [("X-Price-Source", ", ".join(pairs[:MOST_NAMED] + more))]
