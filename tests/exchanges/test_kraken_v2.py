"""ltp_service.exchanges.kraken_v2"""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.kraken_v2 import is_live, parse, ping, symbol_of, trades_of, write
from ltp_service.feed.messages import Acknowledged, Ended, Invalid, LastTrade, MarketChanged, Refused, Request

MOMENT = "2026-09-25T17:48:26.844359Z"
UNIX = 1790358506.844359


def ticker(last: str, *, kind: str = "update", time: str = f'"{MOMENT}"') -> str:
    return (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"BTC/USD","bid":1.5,"ask":2.5,"last":{last},'
        f'"vwap":3.5,"timestamp":{time}}}]}}'
    )


def trade(symbol: str, price: str, number: int) -> str:
    return (
        f'{{"symbol":"{symbol}","side":"buy","price":{price},"qty":0.1,"ord_type":"limit",'
        f'"trade_id":{number},"timestamp":"{MOMENT}"}}'
    )


def trades(*rows: str, kind: str = "update") -> str:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


def test_a_ticker_tells_its_last_trade_and_its_own_time_which_is_none_of_a_trade() -> None:
    parsed = parse(ticker("83744.3"))

    assert parsed.kind == "ticker"
    assert list(parsed.events) == [LastTrade("BTC/USD", "83744.3", Decimal("83744.3"), told_at=UNIX)]


@pytest.mark.parametrize("last", ["0.00000012", "123456789.123456789", "115643.00000", "1.2e-7", "63250"])
def test_the_digits_of_a_bare_number_are_those_on_the_wire(last: str) -> None:
    (event,) = parse(ticker(last)).events

    assert isinstance(event, LastTrade)
    assert event.price == last
    assert event.amount == Decimal(last)


def test_a_snapshot_says_that_it_is_one() -> None:
    assert [event.snapshot for event in parse(ticker("1", kind="snapshot")).events] == [True]  # type: ignore[union-attr]
    assert [event.snapshot for event in parse(ticker("1")).events] == [False]  # type: ignore[union-attr]


@pytest.mark.parametrize("time", ["null", '"1970-01-01T00:00:00.000000Z"'])
def test_a_ticker_without_a_believable_time_has_none(time: str) -> None:
    (event,) = parse(ticker("1.5", time=time)).events

    assert isinstance(event, LastTrade)
    assert event.told_at is None


def test_a_time_without_a_zone_is_refused() -> None:
    (event,) = parse(ticker("1.5", time='"2026-09-25T17:48:26.844359"')).events

    assert isinstance(event, Invalid)
    assert (event.reason, event.symbol) == ("time", "BTC/USD")


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2009-12-31T23:59:59Z"])
def test_a_trade_of_before_there_was_an_exchange_is_refused(time: str) -> None:
    (event,) = parse(trades(trade("BTC/USD", "1.5", 7).replace(MOMENT, time))).events

    assert isinstance(event, Invalid)
    assert (event.reason, event.symbol) == ("time", "BTC/USD")


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (trade("BTC/USD", "1", 7).replace(":7,", ":null,"), "BTC/USD"),
        (trade("BTC/USD", '"1"', 7), "BTC/USD"),
        (trade("BTC/USD", "1", 7).replace(MOMENT, "soon"), "BTC/USD"),
        (
            trade("BTC/USD", "1", 7).replace("symbol", "pair"),
            trade("BTC/USD", "1", 7).replace("symbol", "pair"),
        ),
        ('"BTC/USD"', '"BTC/USD"'),
        ("null", "null"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_row_that_cannot_be_used_costs_itself_alone(row: str, named: str, first: bool) -> None:
    good = trade("BTC/USD", "1.1", 8)
    last_trade, invalid = parse(trades(*((row, good) if first else (good, row)))).events

    assert isinstance(last_trade, LastTrade)
    assert last_trade.trade_id == 8
    assert isinstance(invalid, Invalid)
    assert invalid.symbol == named


def test_a_ticker_row_that_cannot_be_used_costs_itself_alone() -> None:
    rows = '[{"symbol":17,"last":1},{"symbol":"ETH/USD","last":2.0}]'
    last_trade, invalid = parse(f'{{"channel":"ticker","type":"update","data":{rows}}}').events

    assert isinstance(last_trade, LastTrade)
    assert isinstance(invalid, Invalid)


def test_of_a_sweep_the_last_trade_counts_with_its_number() -> None:
    parsed = parse(trades(trade("BTC/USD", "1.0", 7), trade("BTC/USD", "1.1", 8)))
    earlier = LastTrade("BTC/USD", "1.0", Decimal("1.0"), UNIX, 7)

    assert parsed.kind == "trade"
    assert list(parsed.events) == [LastTrade("BTC/USD", "1.1", Decimal("1.1"), UNIX, 8, others=(earlier,))]


def test_a_frame_of_several_symbols_keeps_them_apart() -> None:
    rows = (trade("BTC/USD", "1.0", 7), trade("ETH/USD", "2.0", 3), trade("BTC/USD", "1.1", 8))
    events = parse(trades(*rows, kind="snapshot")).events

    assert {(event.symbol, event.price) for event in events if isinstance(event, LastTrade)} == {
        ("BTC/USD", "1.1"),
        ("ETH/USD", "2.0"),
    }


def test_one_unbelievable_price_takes_no_other_down() -> None:
    events = parse(trades(trade("BTC/USD", "0", 7), trade("ETH/USD", "2.0", 3))).events

    assert [type(event) for event in events] == [LastTrade, Invalid]


def test_an_earlier_trade_of_the_frame_that_cannot_be_read_costs_the_newest_nothing() -> None:
    later = trade("BTC/USD", "1.1", 9).replace("844359Z", "844360Z")
    rows = (trade("BTC/USD", "-1", 7), trade("BTC/USD", "1.0", 8), later)
    event, invalid = parse(trades(*rows)).events

    assert isinstance(invalid, Invalid)
    assert isinstance(event, LastTrade)
    assert (event.price, event.trade_id, event.earlier()) == ("1.1", 9, (Decimal("1.0"),))


def test_a_pair_without_a_last_trade_takes_no_other_down() -> None:
    rows = '[{"symbol":"BTC/USD","bid":1},{"symbol":"ETH/USD","last":2.0}]'
    events = parse(f'{{"channel":"ticker","type":"snapshot","data":{rows}}}').events

    assert [type(event) for event in events] == [Invalid, LastTrade]


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("0", "not_positive"),
        ("-1", "not_positive"),
        ('"NaN"', "not_a_number"),
        ('"5"', "not_a_number"),
        ("null", "not_a_number"),
        ("1e400", "out_of_range"),
        ("1e99999999", "out_of_range"),
        ("7" * 5000, "out_of_range"),
        ("[]", "not_a_number"),
    ],
)
def test_a_price_that_cannot_be_believed_is_told_with_its_reason(last: str, reason: str) -> None:
    (event,) = parse(ticker(last)).events

    assert isinstance(event, Invalid)
    assert event.reason == reason


def test_an_acknowledgement_names_channel_symbol_and_the_exchanges_time() -> None:
    parsed = parse(
        '{"method":"subscribe","req_id":1,"result":{"channel":"ticker","event_trigger":"trades","snapshot":true,'
        f'"symbol":"BTC/USD"}},"success":true,"time_in":"{MOMENT}","time_out":"{MOMENT}"}}'
    )

    assert (parsed.kind, list(parsed.events)) == (
        "acknowledgement",
        [Acknowledged("ticker", "BTC/USD", UNIX)],
    )


def test_an_unsubscription_is_no_acknowledgement() -> None:
    parsed = parse(
        '{"method":"unsubscribe","result":{"channel":"ticker","symbol":"BTC/USD"},"success":true,'
        f'"time_in":"{MOMENT}","time_out":"{MOMENT}"}}'
    )

    assert list(parsed.events) == [Ended("ticker", "BTC/USD")]


@pytest.mark.parametrize(
    ("frame", "refused"),
    [
        (
            '{"error":"Currency pair not supported X/USD","method":"subscribe","success":false,"symbol":"X/USD"}',
            Refused("Currency pair not supported X/USD", None, "X/USD"),
        ),
        (
            '{"error":"Subscription depth not supported","method":"subscribe","success":false}',
            Refused("Subscription depth not supported"),
        ),
        ('{"error":"Exceeded msg rate"}', Refused("Exceeded msg rate")),
        ('{"Error":"Exceeded msg rate"}', Refused("Exceeded msg rate")),
        ('{"method":"subscribe","success":false}', Refused("no reason given")),
    ],
)
def test_a_refusal_is_told_in_the_exchanges_words(frame: str, refused: Refused) -> None:
    parsed = parse(frame)

    assert (parsed.kind, list(parsed.events)) == ("refusal", [refused])


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        ('[{"system":"online","connection_id":18125794168470749634}]', ["online"]),
        ('[{"system":"post_only"}]', ["post_only"]),
        ('[{"system":"something_new"}]', []),
        ('[{"connection_id":1}]', []),
        ('[{"system":null}]', []),
        ("[]", []),
    ],
)
def test_the_system_status_is_told_in_known_words(data: str, statuses: list[str]) -> None:
    parsed = parse(f'{{"channel":"status","type":"update","data":{data}}}')

    assert parsed.kind == "status"
    assert [event.status for event in parsed.events if isinstance(event, MarketChanged)] == statuses


def test_one_request_asks_for_all_symbols_of_a_channel_and_their_present_state() -> None:
    assert json.loads(write(Request("subscribe", "trade", ("BTC/USD", "ETH/USD")), 7)) == {
        "method": "subscribe",
        "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"], "snapshot": True},
        "req_id": 7,
    }
    assert json.loads(write(Request("unsubscribe", "trade", ("BTC/USD",)), 8))["method"] == "unsubscribe"
    assert json.loads(ping(9)) == {"method": "ping", "req_id": 9}
    assert symbol_of(Pair("BTC", "USD")) == "BTC/USD"


def test_the_tape_gets_a_trade_with_its_own_digits(recorded: Callable[[str], Path]) -> None:
    path = recorded("kraken/v2_ticker_trade_status_verbatim_2025-2026.jsonl")
    frames = [json.loads(line)["raw"] for line in path.read_text().splitlines()]
    (told,) = [trade for frame in frames for trade in trades_of(frame, 7.0)]

    assert told == Trade(
        exchange="kraken",
        symbol="BTC/USD",
        side="buy",
        price=Decimal("83744.3"),
        quantity=Decimal("0.00044780"),
        timestamp=1790358506.844359,
        trade_id="109116693",
        received_at=7.0,
        raw=told.raw,
    )
    assert str(told.quantity) == "0.00044780"
    assert told.raw.startswith('{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,')


def test_a_row_that_cannot_be_read_is_missing_alone_from_the_tape() -> None:
    good = '{"symbol":"BTC/USD","side":"sell","price":0.10,"qty":5E-8,"trade_id":%d,"timestamp":"2026-01-01T00:00:00Z"}'
    rows = [good % 1, (good % 2).replace("0.10", "null"), (good % 3).replace("sell", "lend"), good % 4]
    rows.append((good % 5).replace("2026", "1970"))

    told = trades_of(f'{{"channel":"trade","type":"update","data":[{",".join(rows)}]}}', 7.0)
    assert [(trade.trade_id, str(trade.price)) for trade in told] == [("1", "0.10"), ("4", "0.10")]
    assert trades_of('{"channel":"ticker","data":[{"trade":"trade"}]}', 7.0) == []
    assert trades_of('no JSON, but "trade"', 7.0) == []


def test_the_state_at_the_beginning_of_a_subscription_is_not_live() -> None:
    frames = [f'{{"channel":"trade","type":"{kind}","data":[]}}' for kind in ("update", "snapshot", "other")]
    assert list(map(is_live, frames)) == [True, False, False]
    assert is_live(frames[0].replace('"type":"update"', '"type" : "update"')), "blanks mean nothing in JSON"
