"""Routes that give what was: prices at a moment, candles, trades."""

from msgspec import json

from ltp_service.http import shapes
from ltp_service.http.openapi.operation import Answer, Area, Operation, query, request_header
from ltp_service.http.openapi.schemas import Node

_EXACT = json.decode(
    '{"pair":"BTC/USD","amount":115643.1,"price":"115643.10","traded_at":"2026-11-21T00:46:18.402113Z","trade_id":4711,'
    '"proof":"exact","next_trade_id":4712,"evidence_until":"2026-11-21T00:46:23.018442Z"}'
)
_OBSERVED = _EXACT | {
    "traded_at": None,
    "trade_id": None,
    "proof": "observed",
    "next_trade_id": None,
}
_TIME = "2026-11-21T00:46:21.000000Z"
_GAP = json.decode(
    '{"pair":"ETH/USD","error":"Failed to fetch price","code":"HISTORY_GAP","message":"Trades are missing around that'
    ' moment, or may be, so its price is not known; before and after are the known trades next to it",'
    '"before":{"trade_id":815,"traded_at":"2026-11-21T00:40:02.113902Z","price":"4128.07"},'
    '"after":{"trade_id":931,"traded_at":"2026-11-21T00:52:44.870011Z","price":"4131.50"}}'
)
_PRICES_CSV = (
    "pair,time,amount,price,traded_at,trade_id,proof,next_trade_id,evidence_until,error,before_trade_id,before_traded_at,"
    "after_trade_id,after_traded_at\r\n"
    "BTC/USD,2026-11-21T00:46:21.000000Z,115643.1,115643.10,2026-11-21T00:46:18.402113Z,4711,exact,4712,"
    "2026-11-21T00:46:23.018442Z,,,,,\r\n"
)
_PRICES_GAP_CSV = (
    f"{_PRICES_CSV}ETH/USD,2026-11-21T00:46:21.000000Z,,,,,,,,HISTORY_GAP,815,2026-11-21T00:40:02.113902Z,931,"
    "2026-11-21T00:52:44.870011Z\r\n"
)
_CANDLES = json.decode(
    '{"pair":"BTC/USD","interval":"1m","candles":['
    '{"start":"2026-11-21T00:46:00.000000Z","open":"115640.00","high":"115643.10","low":"115640.00","close":"115643.10",'
    '"volume":"0.04200000","vwap":"115641.2208","trades":3,"first_trade_id":4709,"last_trade_id":4711,"coverage":"complete"},'
    '{"start":"2026-11-21T00:47:00.000000Z","open":null,"high":null,"low":null,"close":null,'
    '"volume":"0","vwap":null,"trades":0,"first_trade_id":null,"last_trade_id":null,"coverage":"empty"},'
    '{"start":"2026-11-21T00:48:00.000000Z","open":"115650.00","high":"115650.00","low":"115650.00","close":"115650.00",'
    '"volume":"0.10000000","vwap":"115650.0000","trades":1,"first_trade_id":4712,"last_trade_id":4712,"coverage":"partial",'
    '"open_ended":true}]}'
)
_CANDLES_CSV = (
    "pair,interval,start,open,high,low,close,volume,vwap,trades,first_trade_id,last_trade_id,coverage,open_ended\r\n"
    "BTC/USD,1m,2026-11-21T00:46:00.000000Z,115640.00,115643.10,115640.00,115643.10,0.04200000,115641.2208,3,4709,4711,"
    "complete,\r\n"
    "BTC/USD,1m,2026-11-21T00:47:00.000000Z,,,,,0,,0,,,empty,\r\n"
)
_TRADES = json.decode(
    '{"pair":"BTC/USD","trades":[{"trade_id":4711,"traded_at":"2026-11-21T00:46:18.402113Z","price":"115643.10",'
    '"quantity":"0.00120000","side":"buy"},{"gap":{"after_trade_id":4711,"before_trade_id":4720,'
    '"from":"2026-11-21T00:46:18.402113Z","to":"2026-11-21T00:47:01.991002Z"}},{"trade_id":4720,'
    '"traded_at":"2026-11-21T00:47:01.991002Z","price":"115650.00","quantity":"0.10000000","side":"sell"}],'
    '"evidence_until":"2026-11-21T00:47:03.000000Z"}'
)
_TRADES_CSV = (
    "pair,kind,trade_id,traded_at,price,quantity,side,after_trade_id,before_trade_id,from,to\r\n"
    "BTC/USD,trade,4711,2026-11-21T00:46:18.402113Z,115643.10,0.00120000,buy,,,,\r\n"
    "BTC/USD,gap,,,,,,4711,4720,2026-11-21T00:46:18.402113Z,2026-11-21T00:47:01.991002Z\r\n"
)

_PAIR_LIST: Node = {"type": "string", "maxLength": 2000, "examples": ["BTC/USD,ETH/USD"]}
_ONE_PAIR: Node = _PAIR_LIST | {"examples": ["BTC/USD"]}
_MOMENT: Node = {"type": "string", "examples": ["2026-11-21T00:46:21Z", "1795221981.25"]}
_MOMENT_RULE = "RFC 3339 with a zone, or unix seconds, also with a fraction"
_MOST: Node = {"type": "integer", "minimum": 1, "maximum": 1000}
_PAIR = (
    query("pair", _ONE_PAIR, "Exactly one pair in any usual spelling; needed, here or as `pairs`"),
    query("pairs", _ONE_PAIR, "The same as `pair`"),
)
_FORMAT = query(
    "format",
    {"type": "string", "enum": ["json", "csv"]},
    "The form of the answer. It takes precedence over Accept; without either it is JSON",
)
_HEADERS = (
    request_header("Accept", "`text/csv` for CSV"),
    request_header("If-None-Match", "ETags already held: 304 while nothing has changed"),
)
_CACHED = ("ETag", "Cache-Control", "Vary")
_PAGED = (*_CACHED, "Link")
_UNCHANGED = Answer("Nothing has changed", headers=_CACHED)
_PROBLEMS = [
    "UNSUPPORTED_PAIR",
    "ALL_PRICES_FAILED",
    "NOT_SUPPORTED",
    "HISTORY_ELSEWHERE",
    "HISTORY_UNAVAILABLE",
]

PAST = Area(
    "history",
    "What was, with its proof",
    {
        "GET /api/v1/ltp/at": Operation(
            "getPricesAt",
            "The last traded price of the asked pairs, or of all, at a moment",
            "200 when every asked pair has a price, 206 when some do. When none has, 409 HISTORY_GAP where trades are missing"
            " around the moment, else 404 HISTORY_UNKNOWN. The price nearest to the moment is never told in its place."
            " The last seconds before now are not known yet: 409 HISTORY_GAP with `after` null and `Retry-After: 1`.",
            {
                200: Answer(
                    "Every asked pair",
                    shapes.PastPrices,
                    {
                        "Proven by two consecutive ids": {"time": _TIME, "ltp": [_EXACT]},
                        "Told by REST": {"time": _TIME, "ltp": [_OBSERVED]},
                    },
                    _CACHED,
                    csv=_PRICES_CSV,
                ),
                206: Answer(
                    "Some of the asked pairs",
                    shapes.SomePastPrices,
                    {"One of two pairs": {"time": _TIME, "ltp": [_EXACT], "errors": [_GAP]}},
                    ("Cache-Control", "Vary"),
                    csv=_PRICES_GAP_CSV,
                ),
                304: _UNCHANGED,
            },
            parameters=[
                query(
                    "pair",
                    _PAIR_LIST,
                    "Comma list of at most 100 pairs in any usual spelling; may repeat. Absent or empty means all",
                ),
                query("pairs", _PAIR_LIST, "The same as `pair`"),
                query(
                    "time",
                    _MOMENT,
                    f"The moment, not in the future by the exchange's clock: {_MOMENT_RULE}",
                    required=True,
                ),
                _FORMAT,
                *_HEADERS,
            ],
            problems=["HISTORY_UNKNOWN", "HISTORY_GAP", *_PROBLEMS],
        ),
        "GET /api/v1/candles": Operation(
            "getCandles",
            "Candles of one pair, with what is known of each interval",
            "Every interval from `start` to `end` appears, also one without a trade, and none is filled from the one before."
            " `coverage` says whether all of its trades are known. Intervals begin at full minutes, hours or days in UTC.",
            {
                200: Answer(
                    "The candles, oldest first",
                    shapes.Candles,
                    {"Three minutes, the last one not over yet": _CANDLES},
                    _PAGED,
                    csv=_CANDLES_CSV,
                ),
                304: Answer("Nothing has changed", headers=_PAGED),
            },
            parameters=[
                *_PAIR,
                query(
                    "interval",
                    {"type": "string", "enum": ["1m", "5m", "15m", "1h", "4h", "1d"], "default": "1m"},
                    "The length of each interval",
                ),
                query(
                    "start",
                    _MOMENT,
                    f"A moment in the first interval: {_MOMENT_RULE}. Absent: the last intervals before `end`",
                ),
                query(
                    "end", _MOMENT, f"Intervals that begin before this moment: {_MOMENT_RULE}. Absent: now"
                ),
                query(
                    "limit",
                    _MOST,
                    "The greatest number of candles: 1000 unless given, and 60 where `start` is absent, too",
                ),
                _FORMAT,
                *_HEADERS,
            ],
            problems=_PROBLEMS,
        ),
        "GET /api/v1/trades": Operation(
            "getPastTrades",
            "Pages of one pair's trades, with gaps told in place",
            "In the order of time and id. A row with `gap` stands where trades are missing, also before the first one and after"
            " the last one. The link `next` leads to the next page while there is one. Without `end` the newest trades may"
            " be under way; what is missing at the end is then a gap once it is older than CACHE_TTL.",
            {
                200: Answer(
                    "The trades, oldest first",
                    shapes.PastTrades,
                    {"Two trades and what is missing between them": _TRADES},
                    _PAGED,
                    csv=_TRADES_CSV,
                ),
                304: Answer("Nothing has changed", headers=_PAGED),
            },
            parameters=[
                *_PAIR,
                query(
                    "start", _MOMENT, f"From this moment on: {_MOMENT_RULE}. Absent: from the first known one"
                ),
                query("end", _MOMENT, f"Before this moment: {_MOMENT_RULE}. Absent: up to the newest one"),
                query(
                    "after_trade_id",
                    {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1},
                    "The trades that follow this one, known or not. Where the exchange has begun a new numbering since, `start` must be"
                    " the time of that trade",
                ),
                query("limit", _MOST | {"default": 1000}, "The greatest number of trades"),
                _FORMAT,
                *_HEADERS,
            ],
            problems=_PROBLEMS,
        ),
    },
)
