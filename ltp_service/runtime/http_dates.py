"""The moments in an HTTP answer's headers, in unix seconds; pure.

Source: RFC 9110 sections 5.6.7 and 10.2.3
"""

from datetime import UTC
from email.utils import parsedate_to_datetime


def read_moment(text: str | None) -> float | None:
    """An HTTP date; None for another text."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def read_retry_after(text: str | None, date: float | None, wall: float) -> float | None:
    """Seconds to wait, from either form of Retry-After; None where it does not say.

    A date is compared with the answer's own `date`, and with `wall` only where it has none: this machine's clock may be
    wrong by hours.
    """
    text = (text or "").strip()
    if text.isdecimal():
        return float(text)
    until = read_moment(text)
    return None if until is None else max(0.0, until - (wall if date is None else date))
