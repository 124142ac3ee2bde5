"""Which route a path that no route has was most likely meant for."""

import re
from collections.abc import Collection
from difflib import get_close_matches

LONGEST = 64
"""Characters of a path that is compared at all: longer than every route, and a comparison takes time."""

_WORDS = {
    "/api/v1/ltp": "price prices ticker tickers quote quotes last",
    "/api/v1/candles": "candle candlesticks ohlc ohlcv klines kline bars",
    "/api/v1/pairs": "symbols markets instruments",
    "/health": "live livez alive healthcheck ping",
    "/docs": "doc documentation redoc api help",
    "/openapi.json": "openapi.yaml openapi.yml swagger.json swagger.yaml spec",
}
"""What others call the end of a route's path."""

_MEANT = {word: route for route, words in _WORDS.items() for word in words.split()}


def nearest_route(path: str, routes: Collection[str]) -> str | None:
    """One of `routes`, as the document spells them; None where nothing is alike."""
    path = re.sub("/v[0-9]+/", "/v1/", path.lower())
    if len(path) > LONGEST:
        return None
    ends_alike = [route for route in routes if len(path) > 1 and route.endswith(path)]
    if ends_alike:
        return min(ends_alike, key=len)
    close = get_close_matches(path, routes, 1, cutoff=0.8)
    meant = _MEANT.get(path.rpartition("/")[2])
    if not close and meant in routes:
        return meant
    close = close or get_close_matches(path, routes, 1)
    return close[0] if close else None
