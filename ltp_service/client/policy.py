"""Which prices a client may be told, and how an answer's items are read. No I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ltp_service.client.events import Gap, Price, Trade

SILENCE = 10.0
"""Seconds without an event after which a line is dead, and what it has told is not current."""

TRUSTED = frozenset({"live", "quiet", "fallback", "halted"})
"""The states of a price that may be told. One that this client does not know is no reason to trust."""


@dataclass(slots=True)
class Told:
    """What the service said of a pair."""

    pair: str
    state: str
    amount: Decimal | None
    price: str
    source: str
    traded_at: datetime | None
    trade_id: int | None
    evidence_at: float
    """No later than the last evidence, on the client's own clock."""
    told_at: float
    """No later than when the service said that this is its newest."""

    def as_price(self, now: float) -> Price:
        assert self.amount is not None  # noqa: S101 - the policy has been asked
        age = max(0.0, now - self.evidence_at)
        return Price(
            self.pair, self.amount, self.price, self.state, self.source, age, self.traded_at, self.trade_id
        )

    def objection(self, max_age: float | None, now: float) -> tuple[str, str] | None:
        """Why the policy forbids the price: a word for the kind, and the reason. None when it may be told."""
        if self.state not in TRUSTED:
            return self.state, f"{self.pair}: the service says {self.state}; wait, or look at /api/v1/status"
        if self.amount is None:
            return "no amount", f"{self.pair}: the service says {self.state}, but gives no price"
        age = now - self.evidence_at
        if max_age is not None and age > max_age:
            reason = f"{self.pair}: the last evidence is {age:.1f} s old, max_age is {max_age:g} s; wait, or allow more"
            return "old", reason
        if now - self.told_at > SILENCE:
            return "old", f"{self.pair}: told {now - self.told_at:.1f} s ago, and not confirmed since"
        return None


def read_price(item: Any, arrived: float) -> Told:
    """An item of `detail=true`. Raises ValueError for what is none."""
    fields = _fields(item)
    amount = _decimal(fields["amount"]) if fields["amount"] is not None else None
    text, age = fields["price"], fields["age_ms"]
    if amount is not None and _decimal(text) != amount:
        raise ValueError("amount and price differ")
    if age is None:
        if amount is not None and fields["state"] in TRUSTED:
            raise ValueError("a price without an age")
        age = 0
    return Told(
        pair=_text(fields["pair"]),
        state=_text(fields["state"]),
        amount=amount,
        price=text or "",
        source=fields.get("source") or "",
        traded_at=_moment(fields.get("traded_at")),
        trade_id=_integer(fields.get("trade_id")),
        evidence_at=arrived - seconds(age),
        told_at=arrived,
    )


def read_trade(data: Any) -> Trade:
    """Raises ValueError for what is none."""
    fields = _fields(data)
    traded_at, trade_id = _moment(fields["traded_at"]), _integer(fields["trade_id"])
    if traded_at is None or trade_id is None or fields["side"] not in ("buy", "sell"):
        raise ValueError("a trade lacks its time, id or side")
    pair, price, quantity = _text(fields["pair"]), _decimal(fields["price"]), _decimal(fields["quantity"])
    return Trade(pair, price, quantity, fields["side"], traded_at, trade_id)


def read_gap(data: Any) -> Gap:
    """Raises ValueError for what is none."""
    fields = _fields(data)
    after, before = _integer(fields["after_trade_id"]), _integer(fields["before_trade_id"])
    return Gap(_text(fields["pair"]), after, before, _moment(fields.get("from")), _moment(fields.get("to")))


def seconds(milliseconds: Any) -> float:
    """Of an age. Raises ValueError for what is none."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | Decimal) or milliseconds < 0:
        raise ValueError("an age is no number")
    return float(milliseconds) / 1000


class _Fields(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        raise ValueError(f"{name} is missing")


def _fields(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return _Fields(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text is missing")
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("no number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite() or number <= 0:
        raise ValueError(f"{value!r} is no positive number")
    return number


def _integer(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("no whole number")
    return value


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment
