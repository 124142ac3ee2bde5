"""What the tools take and give. The schemas that agents read are made from these, so each field says what it means.

Nothing here is a JSON number that stands for money: prices are texts.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ltp_service.domain.market import MarketStatus
from ltp_service.domain.tick import Source
from ltp_service.history.answers import Proof
from ltp_service.http import shapes
from ltp_service.prices.freshness import PriceState

Moment = Annotated[str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})]
Reason = Annotated[str, Meta(description="Why the price may be trusted, or why there is none")]
Text = Annotated[
    str | None,
    Meta(
        description="Quote currency per base unit, the exchange's own digits. Null where no price is served"
    ),
]

# What they take.


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing."""


class OnePair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pair."""

    pair: Annotated[
        str,
        Meta(description="One pair in any usual spelling: BTC/USD, btc-usd, XXBTZUSD", examples=["BTC/USD"]),
    ]


class PairAndTime(OnePair, frozen=True, forbid_unknown_fields=True):
    """A pair and a moment."""

    time: Annotated[
        str | int | float,
        Meta(description="RFC 3339 with a zone, or unix seconds", examples=["2026-11-21T00:46:21Z"]),
    ]


# What they give.


class PriceNow(msgspec.Struct, frozen=True):
    """The last traded price of a pair."""

    pair: str
    price: Text
    trustworthy: Annotated[bool, Meta(description="False where no price is served")]
    state: Annotated[
        PriceState,
        Meta(
            description="live: the last trade is at most 60 s old; quiet: it is older, and there was none since; fallback:"
            " confirmed by REST; substitute: Kraken is silent, and this is the last trade on the exchange that `source`"
            " names, which is another market; halted: the exchange matches no orders now; stale and unknown: no price is"
            " served"
        ),
    ]
    age_ms: Annotated[
        int | None,
        Meta(
            description="Since the last evidence that this is the last trade. Null when the pair was never seen"
        ),
    ]
    reason: Reason
    source: Annotated[Source | None, Meta(description="Who confirmed the price last")] = None
    traded_at: Annotated[Moment | None, Meta(description="Null where the exchange does not tell it")] = None
    trade_id: Annotated[int | None, Meta(description="Null where the exchange does not tell it")] = None
    deviating: Annotated[
        bool | None,
        Meta(
            description="Whether the price is far from the median of at least two other exchanges. Null where fewer tell one"
        ),
    ] = None


class Witness(msgspec.Struct, frozen=True):
    """What another exchange last traded the pair at."""

    exchange: str
    price: str
    age_ms: int
    divergence_bps: Annotated[str | None, Meta(description="Basis points above our price")]


class Decision(msgspec.Struct, frozen=True):
    """What was decided about one message of the exchange."""

    source: Source
    reason: str
    traded_at: Moment | None
    trade_id: int | None
    received_at: Moment


class ExplainedPrice(PriceNow, frozen=True, kw_only=True):
    """The last traded price of a pair, and what decides about it."""

    market: Annotated[MarketStatus, Meta(description="Whether the exchange matches orders of this pair")]
    doubt: Annotated[shapes.Doubt | None, Meta(description="Why the price may be wrong")]
    held_back_since: Annotated[
        Moment | None,
        Meta(description="A lone trade far from all others waits for a second one, for 2 s at most"),
    ]
    subscription: Annotated[
        shapes.Subscription | None, Meta(description="Null when the feed is switched off")
    ]
    fallback: shapes.Fallback
    breaker: shapes.Breaker
    witnesses: Annotated[list[Witness], Meta(description="Empty where no price is served")]
    decisions: Annotated[list[Decision], Meta(description="Newest first")]


class PriceThen(msgspec.Struct, frozen=True):
    """The last traded price of a pair at a moment."""

    pair: str
    time: Moment
    price: Text
    trustworthy: Annotated[bool, Meta(description="True where it is proven that no trade is missing")]
    reason: Reason
    proof: Annotated[
        Proof | None,
        Meta(
            description="exact: no trade is missing; observed: told without an id. Null where no price is known"
        ),
    ] = None
    traded_at: Moment | None = None
    trade_id: int | None = None
    evidence_until: Annotated[
        Moment | None, Meta(description="Until when it is known to have been the last price")
    ] = None
    missing_after: Annotated[
        Moment | None, Meta(description="Trades are missing, or not known yet, after this one")
    ] = None
    missing_before: Annotated[Moment | None, Meta(description="And before this one")] = None


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a shape, complete in itself; clients of 2025 need `type` at its top."""
    told = msgspec.json.schema(kind)
    definitions = told["$defs"]
    top: dict[str, Any] = definitions.pop(kind.__name__)
    return top | ({"$defs": definitions} if definitions else {})
