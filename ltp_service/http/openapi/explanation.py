"""The route that says why a price is what it is."""

from typing import get_args

from ltp_service.domain.market import MarketStatus
from ltp_service.http.openapi.pieces import (
    COUNT,
    FLAG,
    MILLISECONDS,
    MOMENT,
    OPEN_ROUTE,
    PAIR,
    SECONDS,
    TEXT,
    TRADE_ID,
    TRADED_AT,
    Area,
    Node,
    listing,
    mapping,
    maybe,
    one_of,
    operation,
    query,
    record,
    schema,
    success,
)
from ltp_service.http.openapi.problems import error_answers, too_long
from ltp_service.prices.doubts import Reason


def explanation() -> Area:
    """`/api/v1/ltp/explain`, and the schemas that it shares with `/api/v1/status`."""
    return Area("explanation", "Why this number", {"/api/v1/ltp/explain": {"get": _explain()}}, _schemas())


def _explain() -> Node:
    pair: Node = {"type": "string", "maxLength": 2000, "examples": ["BTC/USD"]}
    return operation(
        "explainPrice",
        "The served price of one pair, both sources, the subscription, the breaker and the last decisions",
        success("All that is known", schema("Explanation")) | too_long() | error_answers("UNSUPPORTED_PAIR"),
        description="Needs a read key, or to be asked from the same machine, without a proxy between, while TRUSTED_PROXIES is 0.",
        parameters=[
            query("pair", pair, "Exactly one pair in any usual spelling; needed, here or as `pairs`"),
            query("pairs", pair, "The same as `pair`"),
        ],
        security=OPEN_ROUTE,
    )


def _schemas() -> dict[str, Node]:
    return {
        "Explanation": record(_explained()),
        "Decision": record(_decision()),
        "SourceDecision": record(_decision() | {"served": FLAG}),
        "Subscription": record(
            {
                "state": TEXT,
                "acknowledged_at": mapping(MOMENT, "By channel"),
                "delivered_at": maybe(MOMENT, "before the first frame about this pair"),
                "generation": COUNT | {"description": "Connections made so far"},
            }
        ),
        "Breaker": record(
            {"state": one_of("closed", "open", "half_open"), "failures": COUNT, "retry_in_s": SECONDS}
        ),
        "Witness": record(
            {
                "exchange": TEXT,
                "price": schema("Amount"),
                "age_ms": MILLISECONDS | {"description": "Since it arrived"},
                "divergence_bps": maybe(
                    {"type": "number", "description": "Basis points above our price"},
                    "when the pair was never seen",
                ),
            }
        ),
        "Divergence": record({"websocket": TEXT, "rest": TEXT, "at": MOMENT, "count": COUNT}),
        "Market": one_of(*get_args(MarketStatus)),
    }


def _explained() -> dict[str, Node]:
    fallback = {"active": FLAG, "last_error": maybe(TEXT, "when there was none"), "unknown_to_rest": FLAG}
    return {
        "pair": PAIR,
        "served": maybe(schema("DetailedPrice"), "when the pair was never seen"),
        "state": schema("State"),
        "servable": FLAG,
        "market": schema("Market"),
        "doubt": maybe(
            record(
                {
                    "reason": one_of(*get_args(Reason)),
                    "since": MOMENT,
                    "rest_asked_at": maybe(MOMENT, "before the first question about it"),
                }
            ),
            "unless the price may be wrong, so that nothing that the feed sends is evidence for it",
        ),
        "sources": mapping(schema("SourceDecision"), "The newest tick of each source"),
        "subscription": maybe(schema("Subscription"), "when the feed is switched off"),
        "witnesses": listing(schema("Witness"), description="What other exchanges last traded the pair at"),
        "quarantined": maybe(
            record({"price": TEXT, "traded_at": TRADED_AT, "held_since": MOMENT}),
            "unless a lone trade far from all others is held back, for 2 s or until a second one",
        ),
        "breaker": schema("Breaker"),
        "fallback": record(fallback),
        "divergence": maybe(schema("Divergence"), "when the sources have never disagreed"),
        "decisions": listing(schema("Decision"), description="Newest first"),
        "settings": mapping({"type": ["number", "boolean"]}, "The limits that decide; durations in seconds"),
    }


def _decision() -> dict[str, Node]:
    return {
        "source": schema("Source"),
        "price": TEXT,
        "traded_at": TRADED_AT,
        "trade_id": TRADE_ID,
        "received_at": MOMENT,
        "outcome": TEXT,
        "reason": TEXT,
    }
