"""The ids of events: opaque texts from which any worker knows what a client was told.

    p1.<subjects>.<unix milliseconds>     prices
    b1.<subjects>.<unix milliseconds>     order books
    t1.<subjects>.<positions>             Kraken's trades: the id of the last trade told of each pair, 0 for none
    c1.<subjects>.<trade ids>             trades of other exchanges: likewise, of each exchange, as texts

`<subjects>` is a hash of the pairs or exchanges, whose order does not matter.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

LONGEST_ID = 6_000
"""Most characters of an id that is read: 200 positions take 2,700."""

_OF_NO_QUESTION = "-"
"""An id that cannot be honoured."""

_LONGEST_POSITION = 10
"""Most bytes of one position: 64 bits."""

_decode_texts = msgspec.json.Decoder(list[str]).decode


def hash_of(subjects: Iterable[str]) -> str:
    """The same for the same subjects in any order."""
    return blake2b(",".join(sorted(subjects)).encode(), digest_size=4).hexdigest()


def moment_id(kind: str, subjects: str, unix_seconds: float) -> str:
    """The id of an event of which only the newest counts."""
    return f"{kind}.{subjects}.{int(unix_seconds * 1000)}"


def positions_id(subjects: str, positions: Iterable[int]) -> str:
    """The id after trades with these ids."""
    return f"t1.{subjects}.{_text(b''.join(map(_varint, positions)))}"


def texts_id(subjects: str, texts: Sequence[str]) -> str:
    """The id after trades with these ids, of exchanges whose ids are texts."""
    return f"c1.{subjects}.{_text(msgspec.json.encode(texts))}"


def told_again(text: str) -> str:
    """The id that a client named, as an event can carry it. One that cannot be carried could not be honoured either."""
    is_id = text.isascii() and text.isprintable() and len(text) <= LONGEST_ID
    return text if is_id else _OF_NO_QUESTION


def read_moment(text: str, subjects: str) -> float | None:
    """Unix seconds of an id of these subjects that has a moment; None for any other text."""
    kind, rest = _parts(text, subjects)
    is_moment = kind in ("p1", "b1") and rest.isascii() and rest.isdecimal() and len(rest) <= 14
    return int(rest) / 1000 if is_moment else None


def read_positions(text: str, subjects: str, count: int) -> tuple[int, ...] | None:
    """The `count` positions of an id of these subjects; None for any other text."""
    kind, rest = _parts(text, subjects)
    positions = _varints(_bytes(rest)) if kind == "t1" else None
    return positions if positions is not None and len(positions) == count else None


def read_texts(text: str, subjects: str, count: int) -> tuple[str, ...] | None:
    """The `count` trade ids of an id of these subjects; None for any other text."""
    kind, rest = _parts(text, subjects)
    if kind != "c1":
        return None
    try:
        texts = _decode_texts(_bytes(rest) or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return tuple(texts) if len(texts) == count else None


def _parts(text: str, subjects: str) -> tuple[str, str]:
    """Kind and rest; empty for an id of other subjects."""
    kind, _, rest = text[: LONGEST_ID + 1].partition(".")
    theirs, _, rest = rest.partition(".")
    return (kind, rest) if theirs == subjects and len(text) <= LONGEST_ID else ("", "")


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # binascii.Error, or a character beyond ASCII
        return None
    return content if _text(content) == text else None


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the highest bit says that more follow."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _varints(content: bytes | None) -> tuple[int, ...] | None:
    numbers, number, shift = [], 0, 0
    if not content:
        return None
    for byte in content:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
        elif shift >= 7 * _LONGEST_POSITION:
            return None
    return None if shift else tuple(numbers)
