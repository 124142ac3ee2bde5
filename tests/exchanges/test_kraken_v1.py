"""ltp_service.exchanges.kraken_v1"""

import json
from decimal import Decimal

import pytest

from ltp_service.domain.errors import BadFrame
from ltp_service.domain.pairs import Pair
from ltp_service.exchanges.kraken_v1 import parse, ping, symbol_of, write
from ltp_service.feed.messages import Acknowledged, Ended, Invalid, LastTrade, MarketChanged, Refused, Request
from tests.fakes import fails

TICKER = (
    '[340,{"a":["29938.60000",12,"12.41074632"],"b":["29938.50000",0,"0.08410000"],"c":["29938.70000","0.10146338"],'
    '"v":["735.06931643","5243.60824494"],"p":["29812.62518","30272.79057"],"t":[6120,30832],'
    '"l":["29581.10000","29328.60000"],"h":["30085.80000","31869.30000"],"o":["29790.00000","31614.50000"]},'
    '"ticker","XBT/USD"]'
)
TRADES = (
    '[993,[["354.04000000","0.28245396","1618678150.826417","s","m",""],'
    '["353.81000000","1.71754604","1618678150.827816","s","m",""]],"trade","XMR/USD"]'
)


def test_a_ticker_tells_its_last_trade_and_not_the_bid_the_ask_or_the_average() -> None:
    parsed = parse(TICKER)

    assert parsed.kind == "ticker"
    (trade,) = parsed.events
    assert isinstance(trade, LastTrade)
    assert (trade.symbol, trade.price, trade.amount) == ("XBT/USD", "29938.70000", Decimal("29938.7"))


def test_a_ticker_has_no_time_and_none_is_invented() -> None:
    (trade,) = parse(TICKER).events

    assert isinstance(trade, LastTrade)
    assert trade.traded_at is None
    assert trade.trade_id is None


def test_of_several_trades_in_one_frame_the_newest_counts_with_its_time() -> None:
    parsed = parse(TRADES)
    earlier = LastTrade("XMR/USD", "354.04000000", Decimal("354.04"), traded_at=1618678150.826417)

    assert parsed.kind == "trade"
    assert list(parsed.events) == [
        LastTrade(
            "XMR/USD", "353.81000000", Decimal("353.81"), traded_at=1618678150.827816, others=(earlier,)
        )
    ]


def test_the_trades_of_all_payloads_of_a_frame_count() -> None:
    rows = json.loads(TRADES)[1]
    split = json.dumps([993, [rows[0]], [rows[1]], "trade", "XMR/USD"])
    assert list(parse(split).events) == list(parse(TRADES).events)

    (trade, invalid) = parse(split.replace('"354.04000000"', '"NaN"')).events
    assert isinstance(trade, LastTrade)
    assert isinstance(invalid, Invalid)


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        ("0.00000012", "0.00000012"),
        ("123456789.123456789", "123456789.123456789"),
        ("115643.00000", "115643.00000"),
    ],
)
def test_every_digit_survives(price: str, amount: str) -> None:
    (trade,) = parse(f'[1,{{"c":["{price}","1"]}},"ticker","XBT/USD"]').events

    assert isinstance(trade, LastTrade)
    assert (trade.price, str(trade.amount.normalize() + 0)) == (price, str(Decimal(amount).normalize() + 0))


def test_an_acknowledgement_names_channel_and_pair() -> None:
    parsed = parse(
        '{"channelID":993,"channelName":"trade","event":"subscriptionStatus","pair":"XMR/USD",'
        '"status":"subscribed","subscription":{"name":"trade"}}'
    )

    assert (parsed.kind, list(parsed.events)) == ("acknowledgement", [Acknowledged("trade", "XMR/USD")])


def test_a_refusal_names_the_pair_that_was_refused() -> None:
    parsed = parse(
        '{"errorMessage":"Currency pair not supported LSK/XBT","event":"subscriptionStatus","pair":"LSK/XBT",'
        '"status":"error","subscription":{"name":"ticker"}}'
    )

    assert list(parsed.events) == [Refused("Currency pair not supported LSK/XBT", "ticker", "LSK/XBT")]


@pytest.mark.parametrize(
    ("frame", "request_id"),
    [
        ('{"errorMessage":"Exceeded msg rate","event":"error","reqid":42}', 42),
        ('{"errorMessage":"Exceeded msg rate","event":"subscriptionStatus","status":"error"}', None),
    ],
)
def test_a_refusal_may_name_no_more_than_its_request(frame: str, request_id: int | None) -> None:
    parsed = parse(frame)

    refused = Refused("Exceeded msg rate", request_id=request_id)
    assert (parsed.kind, list(parsed.events)) == ("refusal", [refused])


def test_a_subscription_that_the_exchange_ends_is_told() -> None:
    parsed = parse(
        '{"channelID":1,"channelName":"ticker","event":"subscriptionStatus","pair":"XBT/USD",'
        '"status":"unsubscribed","subscription":{"name":"ticker"}}'
    )

    assert list(parsed.events) == [Ended("ticker", "XBT/USD")]


@pytest.mark.parametrize(
    ("status", "known"),
    [
        (',"status":"online"', ["online"]),
        (',"status":"cancel_only"', ["cancel_only"]),
        (',"status":"on_fire"', []),
        (',"status":null', []),
        ("", []),
    ],
)
def test_the_system_status_is_told_in_known_words_alone(status: str, known: list[str]) -> None:
    parsed = parse(f'{{"connectionID":18239578009413566319,"event":"systemStatus"{status}}}')

    assert parsed.kind == "status"
    assert [event.status for event in parsed.events if isinstance(event, MarketChanged)] == known


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"c":["0","1"]}', "not_positive"),
        ('{"c":["-1","1"]}', "not_positive"),
        ('{"c":["NaN","1"]}', "not_finite"),
        ('{"c":["1e400","1"]}', "out_of_range"),
        ('{"c":["1e99999999","1"]}', "out_of_range"),
        (f'{{"c":["{"7" * 5000}","1"]}}', "out_of_range"),
        ('{"c":["","1"]}', "not_a_number"),
        ('{"c":[]}', "shape"),
    ],
)
def test_a_price_that_cannot_be_believed_is_refused_with_its_reason(payload: str, reason: str) -> None:
    with fails(reason, kind=BadFrame):
        parse(f'[340,{payload},"ticker","XBT/USD"]')


@pytest.mark.parametrize("frame", ['[1,{"c":["1","1"]},"ticker"]', '[{"c":["1","1"]},"ticker","XBT/USD"]'])
def test_a_data_frame_of_three_elements_is_refused_for_its_shape(frame: str) -> None:
    with fails("shape", kind=BadFrame):
        parse(frame)


@pytest.mark.parametrize("frame", ["[]", '[1,"ticker"]', '[1,[],"trade","XBT/USD"]'])
def test_a_frame_of_the_wrong_shape_is_refused(frame: str) -> None:
    with pytest.raises(BadFrame):
        parse(frame)


@pytest.mark.parametrize(
    "time", ["nan", "inf", "-inf", "1e999", "-5", "0", "1e30", "soon", "253402300800", "1.5", "1262304000"]
)
def test_a_trade_time_that_is_no_moment_is_refused(time: str) -> None:
    (event,) = parse(f'[1,[["1","2","{time}"]],"trade","XBT/USD"]').events

    assert isinstance(event, Invalid)
    assert (event.reason, event.symbol) == ("time", "XBT/USD")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('["1","2"]', "shape"),
        ('[1,"2","1618678157.9"]', "malformed"),
        ("{}", "malformed"),
        ("null", "malformed"),
        ('["NaN","2","1618678157.9"]', "not_finite"),
        ('["1","2",null]', "malformed"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_row_that_cannot_be_used_costs_itself_alone(row: str, reason: str, first: bool) -> None:
    good = '["354.04","0.2","1618678150.8","s","m",""]'
    rows = [row, good] if first else [good, row]
    trade, invalid = parse(f'[1,[{",".join(rows)}],"trade","XBT/USD"]').events

    assert isinstance(trade, LastTrade)
    assert trade.price == "354.04"
    assert isinstance(invalid, Invalid)
    assert (invalid.reason, invalid.symbol) == (reason, "XBT/USD")


def test_one_request_asks_for_all_symbols_of_a_channel() -> None:
    assert json.loads(write(Request("subscribe", "ticker", ("XBT/USD", "ETH/USD")), 7)) == {
        "event": "subscribe",
        "reqid": 7,
        "pair": ["XBT/USD", "ETH/USD"],
        "subscription": {"name": "ticker"},
    }
    assert json.loads(write(Request("unsubscribe", "trade", ("XBT/USD",)), 8))["event"] == "unsubscribe"
    assert json.loads(ping(9)) == {"event": "ping", "reqid": 9}
    assert symbol_of(Pair("BTC", "USD")) == "XBT/USD"
