"""Reads the query parameters into typed values for the views."""

import math
import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from werkzeug.datastructures import Headers, MultiDict

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.trade import SYMBOL_RULE, is_symbol
from ltp_service.prices.freshness import Bound
from ltp_service.runtime.moments import MOMENT_RULE, read_moment

PAIR_NAMES = ("pair", "pair[]", "pairs", "pairs[]")
"""Two names of the same list, also with the `[]` that axios, jQuery and PHP add."""

MAX_PAIRS = 100
"""Most pairs in one request."""

MAX_TEXT = 2000
"""Most characters of all pair parameters together: a hundred long names with commas."""

LARGEST_ID = (1 << 63) - 1
"""Of a trade, as databases keep it."""

LONGEST_WAIT_SECONDS = 30.0
"""Most seconds that a request waits for a change."""

_WAIT = re.compile(r"""(?i)(?:^|[,;])\s*wait\s*=\s*("?)([0-9]{1,4})\1\s*(?:$|[,;])""")

_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})


Word = TypeVar("Word", bound=str)


class Asked(msgspec.Struct, frozen=True):
    """The pairs of a request, in the order asked and without duplicates."""

    pairs: tuple[Pair, ...]
    everything: bool
    """True when the request names no pair, which means all."""


def pairs(arguments: MultiDict[str, str], supported: tuple[Pair, ...]) -> Asked:
    """`pair` and `pairs`, comma lists that may repeat. Raises InvalidParameter."""
    asked = listed([text for name in PAIR_NAMES for text in arguments.getlist(name)])
    return Asked(asked or supported, everything=not asked)


def listed(texts: Sequence[str]) -> tuple[Pair, ...]:
    """The pairs of comma lists, in their order and without duplicates. Raises InvalidParameter."""
    if sum(map(len, texts)) > MAX_TEXT:
        raise InvalidParameter(f"the pairs are longer than {MAX_TEXT} characters together")
    words = [word for text in texts for word in text.split(",") if word.strip()]
    named = tuple(dict.fromkeys(map(read_pair, words)))
    if len(named) > MAX_PAIRS:
        raise InvalidParameter(f"{len(named)} pairs asked; at most {MAX_PAIRS} in one request")
    return named


def bound(arguments: MultiDict[str, str], headers: Headers) -> Bound:
    """`max_age` (query, else the request's Cache-Control) and `allow_stale`. Raises InvalidParameter."""
    allow_stale = flag(arguments, "allow_stale")
    if "max_age" in arguments:
        return Bound(_seconds(arguments["max_age"], "max_age"), allow_stale)
    return Bound(_header_max_age(headers.get("Cache-Control", "")), allow_stale)


def wait(prefer: str) -> float:
    """Seconds to wait for a change, from `Prefer: wait=S` (RFC 7240); 0 unless asked."""
    found = _WAIT.search(prefer)
    return min(LONGEST_WAIT_SECONDS, float(found[2])) if found else 0.0


def flag(arguments: MultiDict[str, str], name: str) -> bool:
    """A switch that is off unless given. Raises InvalidParameter."""
    text = arguments.get(name, "").strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidParameter(f"{name} is {text[:40]!r}; write true or false")


def word(arguments: MultiDict[str, str], name: str, known: Sequence[Word]) -> Word:
    """One of some words; the first one unless given. Raises InvalidParameter."""
    text = arguments.get(name, "").strip().lower() or known[0]
    for each in known:
        if text == each:
            return each
    raise InvalidParameter(f"{name} is {text[:40]!r}; write {', '.join(known[:-1])} or {known[-1]}")


def symbol(arguments: MultiDict[str, str], *, may_be_pair: bool = False) -> str | None:
    """`symbol`; None unless given. A pair is read without its slash where it may be one. Raises InvalidParameter."""
    text = arguments.get("symbol", "")
    if may_be_pair and re.fullmatch("[A-Za-z0-9]{1,10}/[A-Za-z0-9]{1,10}", text):
        text = text.replace("/", "")
    return read_symbol(text) if text else None


def read_symbol(text: str) -> str:
    """A symbol in the exchanges' spelling, BTCUSDT, from upper or lower case. Raises InvalidParameter."""
    if not text.isascii() or not is_symbol(text.upper()):
        raise InvalidParameter(f"symbol is {text[:40]!r}; write {SYMBOL_RULE}")
    return text.upper()


def needed_symbol(arguments: MultiDict[str, str], *, may_be_pair: bool = False) -> str:
    """`symbol`, which the route needs; a pair as `symbol` reads it. Raises InvalidParameter."""
    asked = symbol(arguments, may_be_pair=may_be_pair)
    if asked is None:
        raise InvalidParameter("symbol is missing; for example symbol=BTCUSDT")
    return asked


def whole(arguments: MultiDict[str, str], name: str, default: int, bounds: tuple[int, int]) -> int:
    """A whole number between two bounds, both included. Raises InvalidParameter."""
    text = arguments.get(name, str(default))
    low, high = bounds
    # int() also accepts signs, underscores and the digits of every script.
    if not re.fullmatch("[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise InvalidParameter(f"{name} is {text[:40]!r}; write a whole number from {low} to {high}")
    return int(text)


def moment(arguments: MultiDict[str, str], name: str) -> int | None:
    """A moment in unix microseconds; None unless given. Raises InvalidParameter."""
    text = arguments.get(name, "").strip()
    return read_moment(name, text) if text else None


def needed_moment(arguments: MultiDict[str, str], name: str) -> int:
    """The same, where the route needs it. Raises InvalidParameter."""
    asked = moment(arguments, name)
    if asked is None:
        raise InvalidParameter(f"{name} is missing; {MOMENT_RULE}")
    return asked


def one_pair(arguments: MultiDict[str, str]) -> Pair:
    """The one pair that the route needs. Raises InvalidParameter."""
    asked = pairs(arguments, ()).pairs
    if len(asked) != 1:
        raise InvalidParameter(f"{len(asked)} pairs are named; name exactly one, for example pair=BTC/USD")
    return asked[0]


def _header_max_age(header: str) -> float | None:
    for directive in header.split(","):
        name, _, value = directive.strip().partition("=")
        # A browser's reload sends max-age=0, which means "ask the origin". As an age it would refuse every price,
        # so it is ignored, as is a header that cannot be read.
        if name.lower() == "max-age" and re.fullmatch("0*[1-9][0-9]*", value.strip()):
            return float(value)
    return None


def _seconds(text: str, name: str) -> float:
    try:
        # float() also accepts underscores and the digits of every script.
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InvalidParameter(f"{name} is {text[:40]!r}; write seconds, 0 or more")
    return value
