"""Prices between wire text and `Decimal`, with every digit kept."""

import re
from decimal import Decimal, InvalidOperation

from ltp_service.domain.errors import BadFrame

MAX_DIGITS = 40
"""Digits of the longest coefficient accepted; the longest that Kraken sent has fewer than 20 (recorded)."""

MIN_EXPONENT, MAX_EXPONENT = -18, 15
"""Lowest and highest power of ten of the leading digit of an accepted price."""

# "1e99999999" is a Decimal of one digit and 100 MB in plain notation, so the text is bounded first.
_MAX_TEXT = 64

# Decimal also accepts underscores, surrounding blanks and the digits of every script. No exchange sends those.
_WIRE_NUMBER = re.compile(r"[0-9.eE+-]+")

_USUAL = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,18})?")
"""Nearly every text. It is within all bounds unless it is 0, so that the longer checks are spared: a flood has 40,000 a second."""


def read_price(text: str) -> Decimal:
    """The exact value of an exchange's price text.

    Raises BadFrame with reason `not_a_number`, `not_finite`, `not_positive` or `out_of_range`.
    """
    if _USUAL.fullmatch(text) and (usual := Decimal(text)):
        return usual
    if len(text) > _MAX_TEXT:
        raise BadFrame(f"price of {len(text)} characters", reason="out_of_range")
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise BadFrame(f"price {text!r} is not a number", reason="not_a_number") from None
    if not price.is_finite():
        raise BadFrame(f"price {text!r} is not finite", reason="not_finite")
    if not _WIRE_NUMBER.fullmatch(text):
        raise BadFrame(f"price {text!r} is not a number", reason="not_a_number")
    if price <= 0:
        raise BadFrame(f"price {text!r} is not positive", reason="not_positive")
    if not MIN_EXPONENT <= price.adjusted() <= MAX_EXPONENT or len(price.as_tuple().digits) > MAX_DIGITS:
        raise BadFrame(f"price {text!r} is out of range", reason="out_of_range")
    return price


def plain(value: Decimal) -> str:
    """Plain notation without an exponent or trailing zeros: `115643`, `0.0000001234`."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
