"""What was said about a price, and what a judge found out; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

By = Literal["stream", "heartbeat", "answer", "304"]
"""Where a price was said: in an event, by the evidence of a heartbeat, in an answer, or by an answer that the one before
still holds."""

KINDS = {
    "invented": "no trade had this price or this id",
    "sentinel": "0 or 1 in the place of an error",
    "digits": "digits were changed",
    "wrong-id": "the trade id belongs to another price",
    "wrong-time": "the trade was at another time",
    "backwards": "an older price after a newer one",
    "replaced": "a price was confirmed that another trade had replaced before",
    "missing": "a trade was neither told nor in a gap",
    "twice": "a trade was told twice",
    "out-of-order": "a trade was told after a later one",
    "late": "a trade was told too late",
    "gap-told": "a gap names a trade that was told",
    "heartbeat": "a heartbeat came too late",
    "disagree": "stream and answers disagree about the state",
    "hidden": "304 or an ETag hides a change",
    "cacheable": "the headers allow a cache to hide a change",
    "no-price": "status 200 without a price",
    "unnamed": "a substitute does not name the other exchange that it is from",
    "stale-served": "a stale price was served without being asked for",
    "unreadable": "what came cannot be read",
}
"""Each kind of finding, and what it means."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that an honest service may take."""

    late: float = 2.0
    """How long after a trade the price before it may still be confirmed."""
    told_within: float = 12.0
    """From a trade to its event. A hole is filled from REST within ten seconds."""
    lost: float = 30.0
    """How long after a trade it counts as missing when no later trade was told. Before that it may still come late."""
    heartbeat: float = 6.0
    """The longest pause between two heartbeats: five seconds, and one for the way."""
    follows: float = 0.3
    """From a change of state in the answers to the same change on the stream, or the other way round."""
    pace: float = 1.0
    """The pause between two questions."""
    rest_lag: float = 5.0
    """How far the exchange's REST may be behind its feed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between what was told and what is true."""

    kind: str
    """A key of KINDS."""
    at: float
    pair: str | None
    said: str
    true: str


Report = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Said:
    """A price that was said to be the last one."""

    by: By
    since: float
    at: float
    pair: str
    price: Decimal
    state: str | None = None
    """This field and the next ones are None in an answer without detail."""
    trade_id: int | None = None
    traded_at: float | None = None
    """Unix seconds."""
    source: str | None = None
    confirmed: float | None = None
    """The moment of the last evidence, as it was said."""
    line: int = 0
    """The number of the stream's connection."""

    def __str__(self) -> str:
        number = "" if self.trade_id is None else f" (trade {self.trade_id})"
        state = f" {self.state}" if self.state else ""
        age = (
            ""
            if self.confirmed is None
            else f", confirmed {max(0.0, self.since - self.confirmed):.1f} s before"
        )
        place = {"stream": "stream", "heartbeat": "heartbeat", "answer": "answer", "304": "304"}[self.by]
        return f"{place}: {self.price:f}{number}{state}{age}"


def number(value: Any) -> Decimal | None:
    """The number in a JSON number or in a text; None when there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def whole(value: Any) -> int | None:
    """The value, if it is a whole JSON number; else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def unix(value: Any) -> float | None:
    """Unix seconds of a time with a zone; None for any other value."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def moment(seconds: float) -> str:
    """The text of a moment in unix seconds, for people."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(item: Mapping[str, Any], name: str) -> str | None:
    """The field, if it is a text; else None."""
    value = item.get(name)
    return value if isinstance(value, str) else None
