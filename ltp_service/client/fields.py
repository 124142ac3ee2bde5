"""The values in the service's answers. No I/O."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any


def seconds(milliseconds: Any) -> float:
    """Of an age. Raises ValueError for what is none."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | Decimal) or milliseconds < 0:
        raise ValueError("an age is no number")
    return float(milliseconds) / 1000


class Fields(dict[str, Any]):
    """A JSON object. To ask for a field that is missing raises ValueError."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"{name} is missing")


def fields_of(value: Any) -> Fields:
    """The fields of a JSON object; one that is missing raises ValueError. So does another value."""
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return Fields(value)


def read_text(value: Any) -> str:
    """A text that is not empty. Raises ValueError for what is none."""
    if not isinstance(value, str) or not value:
        raise ValueError("a text is missing")
    return value


def read_amount(value: Any) -> Decimal:
    """A number above zero. Raises ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("no number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite() or number <= 0:
        raise ValueError(f"{value!r} is no positive number")
    return number


def read_integer(value: Any) -> int | None:
    """A whole number, or None. Raises ValueError for what is neither."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("no whole number")
    return value


def read_moment(value: Any) -> datetime | None:
    """A moment with its zone, or None. Raises ValueError for what is neither."""
    if value is None:
        return None
    moment = datetime.fromisoformat(read_text(value))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment
