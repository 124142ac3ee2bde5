"""The route that says why a price is what it is."""

from ltp_service.http import shapes
from ltp_service.http.openapi.operation import Answer, Area, Operation, query
from ltp_service.http.openapi.schemas import Node

_PAIR: Node = {"type": "string", "maxLength": 2000, "examples": ["BTC/USD"]}

EXPLANATION = Area(
    "explanation",
    "Why this number",
    {
        "GET /api/v1/ltp/explain": Operation(
            "explainPrice",
            "The served price of one pair, both sources, the subscription, the breaker and the last decisions",
            "Needs a read key, or to be asked from the same machine, without a proxy between, while TRUSTED_PROXIES is 0.",
            {200: Answer("All that is known", shapes.Explanation)},
            parameters=[
                query("pair", _PAIR, "Exactly one pair in any usual spelling; needed, here or as `pairs`"),
                query("pairs", _PAIR, "The same as `pair`"),
            ],
            problems=["UNSUPPORTED_PAIR"],
        )
    },
)
