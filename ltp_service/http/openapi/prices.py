"""Routes that give prices."""

from ltp_service.http.openapi.pieces import (
    FLAG,
    LIMIT_HEADERS,
    MILLISECONDS,
    MOMENT,
    OPEN_ROUTE,
    PAIR,
    TRADE_ID,
    TRADED_AT,
    Area,
    Node,
    answer,
    json_content,
    listing,
    one_of,
    operation,
    query,
    record,
    request_header,
    schema,
    success,
)
from ltp_service.http.openapi.problems import OF_A_PAIR, error_answers, too_long
from ltp_service.http.pairs_body import MAX_BODY_BYTES

_CACHED = (*LIMIT_HEADERS, "ETag", "Cache-Control")
_EXAMPLE = {"ltp": [{"pair": "BTC/USD", "amount": 115643.1}]}
_DETAILED = {
    "ltp": [
        {
            "pair": "BTC/USD",
            "amount": 115643.1,
            "price": "115643.10",
            "state": "live",
            "source": "kraken:websocket",
            "traded_at": "2026-11-21T01:00:03.218000Z",
            "confirmed_at": "2026-11-21T01:00:03.402113Z",
            "age_ms": 12,
            "trade_id": 4711,
        }
    ]
}
_FAILED = {
    "pair": "DOGE/USD",
    "error": "Failed to fetch price",
    "code": "UNSUPPORTED_PAIR",
    "message": "Unsupported trading pair",
}


def prices() -> Area:
    """`/api/v1/ltp` and what is below it, but for `explain`; `/api/v1/pairs`."""
    return Area(
        "prices",
        "The last traded price of a pair",
        {
            "/api/v1/ltp": {"get": _ltp()},
            "/api/v1/ltp/cached": {"get": _cached()},
            "/api/v1/ltp/refresh": {"post": _refresh()},
            "/api/v1/pairs": {"get": _pairs()},
        },
        _schemas(),
    )


def _ltp() -> Node:
    answers = {
        "200": answer(
            "Every asked pair",
            json_content(schema("Prices"), {"One pair": _EXAMPLE, "With detail=true": _DETAILED}),
            _CACHED,
        ),
        "206": answer(
            "Some of the asked pairs",
            json_content(schema("SomePrices"), {"One of two pairs": _EXAMPLE | {"errors": [_FAILED]}}),
            (*LIMIT_HEADERS, "Cache-Control"),
        ),
        "304": answer("Nothing has changed", headers=_CACHED),
    }
    wait = "`wait=S` with If-None-Match: the answer comes when it is another one, at the latest after 30 s"
    return operation(
        "getPrices",
        "The last traded price of the asked pairs, or of all",
        answers | too_long() | error_answers("ALL_PRICES_FAILED", "TOO_MANY_WAITING", *OF_A_PAIR),
        description="200 when every asked pair has a price, 206 when some do; then `errors` says why the others have"
        " none. A price that was not confirmed for too long is an error, unless `allow_stale` is true.",
        parameters=[*_asking(), request_header("Prefer", {"type": "string"}, wait)],
        security=OPEN_ROUTE,
    )


def _cached() -> Node:
    answers = {
        "200": answer(
            "What can be served from memory, perhaps nothing",
            json_content(schema("Prices"), {"One pair": _EXAMPLE, "Nothing in memory": {"ltp": []}}),
            _CACHED,
        ),
        "304": answer("Nothing has changed", headers=_CACHED),
    }
    return operation(
        "getCachedPrices",
        "Only what is in memory now; nobody is asked",
        answers | too_long() | error_answers("UNSUPPORTED_PAIR"),
        description="A pair without a price that may be served is left out.",
        parameters=_asking(),
        security=OPEN_ROUTE,
    )


def _refresh() -> Node:
    done = {"message": "Prices refreshed successfully", "pairs": ["BTC/USD"]}
    answers = {
        "200": answer(
            "Every asked pair", json_content(schema("Refreshed"), {"One pair": done}), LIMIT_HEADERS
        ),
        "206": answer(
            "Some of the asked pairs",
            json_content(schema("SomeRefreshed"), {"One of two pairs": done | {"errors": [_FAILED]}}),
            LIMIT_HEADERS,
        ),
    }
    codes = ("UNSUPPORTED_PAIR", "ALL_PRICES_FAILED", "PRICE_FETCH_ERROR")
    return operation(
        "refreshPrices",
        "Ask the exchange over REST now",
        answers | too_long() | error_answers(*codes),
        description="Needs a write key, or a program on the same machine that asks it by a loopback address and Host"
        " (`localhost`): without a proxy between, not from a web page, and while TRUSTED_PROXIES is 0. At most one call"
        " per second goes out; requests that come meanwhile share it.",
        parameters=[
            query(
                "pairs", _PAIR_LIST, "Comma list of at most 100 pairs; needed here, as `pair` or in the body"
            ),
            query("pair", _PAIR_LIST, "The same as `pairs`"),
        ],
        requestBody={
            "description": f"In place of the query, which is then empty; at most {MAX_BODY_BYTES} bytes",
            "required": False,
            "content": json_content(
                schema("ToRefresh"),
                {"A list": {"pairs": ["BTC/USD", "ETH/USD"]}, "A text": {"pairs": "BTC/USD,ETH/USD"}},
            ),
        },
        security=OPEN_ROUTE,
    )


def _pairs() -> Node:
    return operation(
        "getPairs",
        "The pairs served, in the order of the configuration",
        success("All pairs, with Kraken's name for each", schema("Pairs")) | error_answers(),
        description="In BASE/QUOTE, as prices are told; questions may spell them otherwise.",
        security=OPEN_ROUTE,
    )


_PAIR_LIST: Node = {"type": "string", "maxLength": 2000, "examples": ["BTC/USD,ETH/USD"]}


def _asking() -> list[Node]:
    switch = FLAG | {"default": False}
    return [
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
            "Seconds since `confirmed_at` that a price may be old; PRICE_STALE where it is older",
        ),
        query("allow_stale", switch, "Serve also what nobody has confirmed for too long"),
        query(
            "detail",
            switch,
            "Say where each number comes from and how sure it is: each price is a DetailedPrice",
        ),
        request_header("Cache-Control", {"type": "string"}, "`max-age=S` is max_age, which goes before it"),
        request_header(
            "If-None-Match", {"type": "string"}, "ETags already held: 304 while nothing has changed"
        ),
    ]


def _schemas() -> dict[str, Node]:
    message: Node = {"const": "Prices refreshed successfully"}
    # Generated clients try one after the other, and every DetailedPrice has what a Price has.
    price = {"anyOf": [schema("DetailedPrice"), schema("Price")]}
    failed = listing(schema("PairError"), minItems=1)
    return {
        "Prices": record({"ltp": listing(price)}),
        "SomePrices": record({"ltp": listing(price, minItems=1), "errors": failed}),
        "Price": record({"pair": PAIR, "amount": schema("Amount")}),
        "DetailedPrice": record(
            _detail()
            | {
                "witnesses": listing(
                    schema("Witness"),
                    minItems=1,
                    description="What other exchanges last traded the pair at; absent where none is collected",
                )
            },
            required=list(_detail()),
        ),
        "Amount": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Quote currency per base unit, with the exchange's own digits; read it as a decimal, for"
            " a binary float may not hold it",
        },
        "State": one_of(
            *("live", "quiet", "fallback", "halted", "stale", "unknown"),
            description="live: the feed is proven alive, the last trade at most 60 s old; quiet: the last trade is"
            " older; fallback: confirmed by REST; halted: the exchange matches no orders now; stale: nobody has"
            " confirmed it for too long; unknown: never seen",
        ),
        "Source": one_of("kraken:websocket", "kraken:rest"),
        "ToRefresh": record(
            {
                "pairs": {
                    "anyOf": [
                        listing({"type": "string", "examples": ["BTC/USD"]}, minItems=1),
                        _PAIR_LIST | {"minLength": 1},
                    ],
                    "description": "At most 100 pairs in any usual spelling: a list, or one comma list",
                }
            }
        ),
        "Refreshed": record({"message": message, "pairs": listing(PAIR, minItems=1)}),
        "SomeRefreshed": record({"message": message, "pairs": listing(PAIR, minItems=1), "errors": failed}),
        "Pairs": record({"pairs": listing(record({"pair": PAIR, "kraken": PAIR}))}),
    }


def _detail() -> dict[str, Node]:
    return {
        "pair": PAIR,
        "amount": schema("Amount"),
        "price": {"type": "string", "description": "The exchange's text, every digit"},
        "state": schema("State"),
        "source": schema("Source"),
        "traded_at": TRADED_AT,
        "confirmed_at": MOMENT | {"description": "The last evidence that this still is the last trade"},
        "age_ms": MILLISECONDS | {"description": "Since `confirmed_at`"},
        "trade_id": TRADE_ID,
    }
