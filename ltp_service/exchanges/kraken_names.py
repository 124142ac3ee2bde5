"""What may be the names of pairs in a frame of Kraken that cannot be used; pure."""

import re
from collections.abc import Iterable

from ltp_service.domain.pairs import read_pair_or_none

MOST_TEXT = 65536
"""Characters of an unreadable frame in which every spelling of a pair is looked for; beyond that, the exchange's own."""

_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")
_QUOTED = re.compile(r'"([A-Za-z0-9/_.-]{4,25})"')
_SLASHED = re.compile(r'"[A-Za-z0-9.]{1,12}/[A-Za-z0-9]{1,12}"')
# No underscore, because Kraken has it in words and not in pairs; no key, because those are words, too.
_OTHERWISE = re.compile(r'"([A-Za-z0-9]{4,24}|[A-Za-z0-9.]{1,12}-[A-Za-z0-9]{1,12})"(?!\s*:)')


def names_in(frame: str, symbols: Iterable[str]) -> Iterable[str]:
    """Each text of the frame that may name a pair, once. `symbols` are the exchange's own names."""
    text = _unescaped(frame)
    if len(text) > MOST_TEXT:
        return [symbol for symbol in symbols if symbol in text]
    return dict.fromkeys(_QUOTED.findall(text))


def may_name_a_pair(frame: str) -> bool:
    """Whether a frame that is not understood may be about a pair, served or not. True for one of more than MOST_TEXT."""
    text = _unescaped(frame)
    if len(text) > MOST_TEXT or _SLASHED.search(text):
        return True
    return any(read_pair_or_none(name) for name in _OTHERWISE.findall(text))


def _unescaped(frame: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), frame.replace("\\/", "/"))
