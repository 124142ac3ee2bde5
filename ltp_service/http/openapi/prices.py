"""Routes that give prices, and the one that says why."""

from msgspec import json

from ltp_service.http import shapes
from ltp_service.http.openapi.operation import Answer, Area, Operation, query, request_header
from ltp_service.http.openapi.schemas import Node
from ltp_service.http.problems import OF_A_PAIR

_EXAMPLE = json.decode('{"ltp":[{"pair":"BTC/USD","amount":115643.1}]}')
_DETAILED = json.decode(
    '{"ltp":[{"pair":"BTC/USD","amount":115643.1,"price":"115643.10","state":"live","source":"kraken:websocket",'
    '"traded_at":"2026-11-21T01:00:03.218000Z","confirmed_at":"2026-11-21T01:00:03.402113Z","age_ms":12,"trade_id":4711}]}'
)
_REFRESHED = json.decode('{"message":"Prices refreshed successfully","pairs":["BTC/USD"]}')
_FAILED = json.decode(
    '{"errors":[{"pair":"DOGE/USD","error":"Failed to fetch price","code":"UNSUPPORTED_PAIR",'
    '"message":"Unsupported trading pair"}]}'
)

_CACHED = ("ETag", "Cache-Control", "X-Price-Source")
_UNCHANGED = Answer("Nothing has changed", headers=_CACHED)

_PAIR_LIST: Node = {"type": "string", "maxLength": 2000, "examples": ["BTC/USD,ETH/USD"]}
_SWITCH: Node = {"type": "boolean", "default": False}
_ONE_PAIR: Node = _PAIR_LIST | {"examples": ["BTC/USD"]}
_ASKING = [
    query(
        "pair",
        _PAIR_LIST,
        "Comma list of at most 100 pairs in any usual spelling (BTC/USD, btc-usd, XXBTZUSD); may repeat, also"
        " as `pair[]`; absent or empty means all",
    ),
    query("pairs", _PAIR_LIST, "The same as `pair`"),
    query(
        "max_age",
        {"type": "number", "minimum": 0},
        "The greatest age of a price in seconds since `confirmed_at`. An older price is PRICE_STALE",
    ),
    query("allow_stale", _SWITCH, "Serve prices that were not confirmed for too long, too"),
    query("detail", _SWITCH, "Say where each number comes from and how sure it is; see DetailedPrice"),
    request_header("Cache-Control", "`max-age=S` means the same as max_age, which takes precedence"),
    request_header("If-None-Match", "ETags already held: 304 while nothing has changed"),
]
_WAIT = "`wait=S` with If-None-Match: the answer comes when it is another one, at the latest after 30 s"
_TO_REFRESH = "Comma list of at most 100 pairs; needed here, as `pair` or in the body"
_EXPLAINED = "Exactly one pair in any usual spelling; needed, here or as `pairs`"

PRICES = Area(
    "prices",
    "The last traded price of a pair",
    {
        "GET /api/v1/ltp": Operation(
            "getPrices",
            "The last traded price of the asked pairs, or of all",
            "200 when every asked pair has a price, 206 when some do; then `errors` says why the others have"
            " none. A price that was not confirmed for too long is an error, unless `allow_stale` is true. Where"
            " SUBSTITUTE_SOURCES names exchanges, another exchange's last trade may be answered in its place; then the"
            " header X-Price-Source names the pair and the exchange.",
            {
                200: Answer(
                    "Every asked pair",
                    shapes.Prices,
                    {"One pair": _EXAMPLE, "With detail=true": _DETAILED},
                    _CACHED,
                ),
                206: Answer(
                    "Some of the asked pairs",
                    shapes.SomePrices,
                    {"One of two pairs": _EXAMPLE | _FAILED},
                    ("Cache-Control", "X-Price-Source"),
                ),
                304: _UNCHANGED,
            },
            parameters=[*_ASKING, request_header("Prefer", _WAIT)],
            problems=["ALL_PRICES_FAILED", "TOO_MANY_WAITING", *OF_A_PAIR],
        ),
        "GET /api/v1/ltp/cached": Operation(
            "getCachedPrices",
            "Only what is in memory now; no exchange is asked",
            "A pair without a price that may be served is left out. Before Kraken's list of pairs is known, a named pair of a"
            " wildcard is refused with 503.",
            {
                200: Answer(
                    "What can be served from memory, perhaps nothing",
                    shapes.Prices,
                    {"One pair": _EXAMPLE, "Nothing in memory": {"ltp": []}},
                    _CACHED,
                ),
                304: _UNCHANGED,
            },
            parameters=_ASKING,
            problems=["UNSUPPORTED_PAIR", "ALL_PRICES_FAILED"],
        ),
        "POST /api/v1/ltp/refresh": Operation(
            "refreshPrices",
            "Ask the exchange over REST now",
            "Needs a write key, or a program on the same machine that asks it by a loopback address and Host"
            " (`localhost`): without a proxy between, not from a web page, and while TRUSTED_PROXIES is 0. At most one call"
            " per second goes out; requests that come meanwhile share it.",
            {
                200: Answer("Every asked pair", shapes.Refreshed, {"One pair": _REFRESHED}),
                206: Answer(
                    "Some of the asked pairs",
                    shapes.SomeRefreshed,
                    {"One of two pairs": _REFRESHED | _FAILED},
                ),
            },
            parameters=[
                query("pairs", _PAIR_LIST, _TO_REFRESH),
                query("pair", _PAIR_LIST, "The same as `pairs`"),
            ],
            problems=["UNSUPPORTED_PAIR", "ALL_PRICES_FAILED", "PRICE_FETCH_ERROR"],
            body=Answer(
                f"In place of the query, which is then empty; at most {shapes.MAX_BODY_BYTES} bytes",
                shapes.ToRefresh,
                {"A list": {"pairs": ["BTC/USD", "ETH/USD"]}, "A text": {"pairs": "BTC/USD,ETH/USD"}},
            ),
        ),
        "GET /api/v1/pairs": Operation(
            "getPairs",
            "The pairs served, in the order of the configuration",
            "In BASE/QUOTE, as prices are told; questions may spell them otherwise.",
            {200: Answer("All pairs, with Kraken's name for each", shapes.Pairs)},
        ),
    },
)

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
                query("pair", _ONE_PAIR, _EXPLAINED),
                query("pairs", _ONE_PAIR, "The same as `pair`"),
            ],
            problems=["UNSUPPORTED_PAIR", "ALL_PRICES_FAILED"],
        )
    },
)
