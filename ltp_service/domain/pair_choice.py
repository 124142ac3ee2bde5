"""Which pairs an operator chose: plain ones, and wildcards that stand for all listed pairs of a currency; pure."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair, canonical_code, read_pair

ANY = "*"

_WILDCARD = re.compile(r"(\*|[A-Za-z0-9.]{1,12})[/_-](\*|[A-Za-z0-9]{1,12})", re.ASCII)


class Wildcard(msgspec.Struct, frozen=True):
    """All listed pairs with this base, this quote currency, or any: `*/USD`, `BTC/*`, `*`. ANY stands for all codes."""

    base: str
    quote: str

    def __str__(self) -> str:
        return ANY if self.base == self.quote == ANY else f"{self.base}/{self.quote}"

    def matches(self, pair: Pair) -> bool:
        """Whether `pair` is one of those meant."""
        return self.base in (ANY, pair.base) and self.quote in (ANY, pair.quote)


Choice = Pair | Wildcard


def read_choice(text: str) -> Choice:
    """A pair in any usual spelling, or a wildcard. Raises InvalidParameter.

    `*` replaces a whole currency and never a part of its name: `B*/USD` is refused, because a new listing would then be
    served by the likeness of its letters.
    """
    text = text.strip()
    if ANY not in text:
        return read_pair(text)
    if text == ANY:
        return Wildcard(ANY, ANY)
    parts = _WILDCARD.fullmatch(text)
    if parts is None:
        raise InvalidParameter(
            f"{text[:40]!r} is no wildcard; `*` replaces a whole currency, as in */USD, BTC/* or * for all pairs"
        )
    return Wildcard(*(part if part == ANY else canonical_code(part) for part in parts.groups()))


def plain_pairs(chosen: Iterable[Choice]) -> tuple[Pair, ...]:
    """The pairs that are served even when the exchange does not list them, in order."""
    return tuple(each for each in chosen if isinstance(each, Pair))


def pairs_to_try(chosen: Sequence[Choice]) -> tuple[Pair, ...]:
    """The pairs for a test question to the exchange: the plain ones, or one pair that is certainly listed."""
    return plain_pairs(chosen) or (Pair("BTC", "USD"),)


def wildcards(chosen: Iterable[Choice]) -> tuple[Wildcard, ...]:
    """The wildcards, in order. Only the exchange's list says which pairs they mean."""
    return tuple(each for each in chosen if isinstance(each, Wildcard))


def pairs_of(chosen: Sequence[Choice], listed: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs meant, in the order of `chosen`; those of a wildcard in alphabetical order. Each pair has its first place,
    and a plain one is in even if it is not listed."""
    in_order = sorted(listed, key=str)
    found: dict[Pair, None] = {}
    for each in chosen:
        if isinstance(each, Pair):
            found[each] = None
        else:
            found.update(dict.fromkeys(filter(each.matches, in_order)))
    return tuple(found)
