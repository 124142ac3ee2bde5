"""What a program may say to `LastPrices`, and how it is read."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict, get_args, get_origin, get_type_hints

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair, read_pair

Duration = float | str
"""Seconds, or a text such as 30s, 500ms or 2m."""


class PriceSettings(TypedDict, total=False):
    """The settings by keyword; docs/settings.md says what each means, under its name in upper case."""

    cache_backend: Literal["memory", "redis"]
    cache_ttl: Duration
    stale_after: Duration
    redis_addr: str
    redis_username: str
    redis_password: str
    redis_db: int | str
    redis_sentinels: str | tuple[str, ...]
    redis_master: str
    price_divergence_limit: float | str
    kraken_websocket_enabled: bool | str
    kraken_websocket_url: str
    kraken_websocket_timeout: Duration
    kraken_idle_timeout: Duration
    kraken_reconnect_delay: Duration
    kraken_max_reconnect_tries: int | str
    kraken_rest_url: str
    kraken_timeout: Duration
    kraken_request_timeout: Duration
    kraken_fallback_timeout: Duration
    kraken_max_retries: int | str


def pair_of(text: object) -> Pair:
    """The pair of any usual spelling. Raises InvalidParameter, and TypeError for what is no text."""
    if isinstance(text, str):
        return read_pair(text)
    raise TypeError(f"a pair is a text such as 'BTC/USD', not {text!r:.60}")


def check_settings(settings: Mapping[str, object]) -> None:
    """Raises TypeError for a value of a kind that PriceSettings does not name. Names that it lacks are not looked at."""
    hints = get_type_hints(PriceSettings)
    for name, value in settings.items():
        kinds = _kinds(hints.get(name, object))
        if not any(_is_of(kind, value) for kind in kinds):
            shown = type(value).__name__ if name == "redis_password" else f"{value!r:.60}"
            raise TypeError(f"{name} is {' or '.join(map(_WORDS.__getitem__, kinds))}, not {shown}")


_WORDS = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    tuple: "a tuple of texts",
}


def _kinds(hint: object) -> list[type]:
    """The types that a hint allows."""
    if isinstance(hint, type):
        return [hint]
    if get_origin(hint) is Literal:
        return [str]
    return [get_origin(each) or each for each in get_args(hint)]


def _is_of(kind: type, value: object) -> bool:
    if isinstance(value, bool):  # which is an int in Python
        return kind in (bool, object)
    if kind is tuple:
        return isinstance(value, tuple | list) and all(isinstance(each, str) for each in value)
    return isinstance(value, (int, float) if kind is float else kind)


def pairs_of(given: object) -> tuple[Pair, ...]:
    """The pairs of a list of spellings, or of one text with commas, each once. Raises as `pair_of` does."""
    if isinstance(given, str):
        given = [text for text in given.split(",") if text.strip()]
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise TypeError(f"pairs are texts such as ['BTC/USD', 'ETH/USD'], not {given!r:.60}")
    pairs = tuple(dict.fromkeys(map(pair_of, given)))
    if not pairs:
        raise InvalidParameter("no pair is named; name one, for example BTC/USD")
    return pairs
