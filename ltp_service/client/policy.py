"""Which prices a client may be told, and how an answer's items are read. No I/O, no clock."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ltp_service.client.events import Gap, Price, Trade
from ltp_service.client.fields import fields_of, read_amount, read_integer, read_moment, read_text, seconds

SILENCE = 10.0
"""Seconds without an event after which a line is dead, and what it has told is not current."""

TRUSTED = frozenset({"live", "quiet", "fallback", "substitute", "halted"})
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
            reason = f"{self.pair}: the last evidence is {age:.1f} s old, max_age is {max_age:g} s; wait, or raise max_age"
            return "old", reason
        if now - self.told_at > SILENCE:
            return "old", f"{self.pair}: told {now - self.told_at:.1f} s ago, and not confirmed since"
        return None


def read_price(item: Any, arrived: float) -> Told:
    """An item of `detail=true`. Raises ValueError for what is none."""
    fields = fields_of(item)
    amount = read_amount(fields["amount"]) if fields["amount"] is not None else None
    text, age = fields["price"], fields["age_ms"]
    if amount is not None and read_amount(text) != amount:
        raise ValueError("amount and price differ")
    if age is None:
        if amount is not None and fields["state"] in TRUSTED:
            raise ValueError("a price without an age")
        age = 0
    return Told(
        pair=read_text(fields["pair"]),
        state=read_text(fields["state"]),
        amount=amount,
        price=text or "",
        source=fields.get("source") or "",
        traded_at=read_moment(fields.get("traded_at")),
        trade_id=read_integer(fields.get("trade_id")),
        evidence_at=arrived - seconds(age),
        told_at=arrived,
    )


def read_trade(data: Any) -> Trade:
    """Raises ValueError for what is none."""
    fields = fields_of(data)
    traded_at, trade_id = read_moment(fields["traded_at"]), read_integer(fields["trade_id"])
    if traded_at is None or trade_id is None or fields["side"] not in ("buy", "sell"):
        raise ValueError("a trade lacks its time, id or side")
    pair, price, quantity = (
        read_text(fields["pair"]),
        read_amount(fields["price"]),
        read_amount(fields["quantity"]),
    )
    return Trade(pair, price, quantity, fields["side"], traded_at, trade_id)


def read_gap(data: Any) -> Gap:
    """Raises ValueError for what is none."""
    fields = fields_of(data)
    after, before = read_integer(fields["after_trade_id"]), read_integer(fields["before_trade_id"])
    return Gap(
        read_text(fields["pair"]),
        after,
        before,
        read_moment(fields.get("from")),
        read_moment(fields.get("to")),
    )
