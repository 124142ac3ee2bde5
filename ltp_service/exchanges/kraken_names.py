"""What may be the names of pairs in a frame of Kraken that cannot be read; pure."""

import re
from collections.abc import Iterable

MOST_TEXT = 65536
"""Characters of an unreadable frame in which every spelling of a pair is looked for; beyond that, the exchange's own."""

_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")
_QUOTED = re.compile(r'"([A-Za-z0-9/_.-]{4,25})"')


def names_in(frame: str, symbols: Iterable[str]) -> Iterable[str]:
    """Each text of the frame that may name a pair, once. `symbols` are the exchange's own names."""
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), frame.replace("\\/", "/"))
    if len(text) > MOST_TEXT:
        return [symbol for symbol in symbols if symbol in text]
    return dict.fromkeys(_QUOTED.findall(text))
