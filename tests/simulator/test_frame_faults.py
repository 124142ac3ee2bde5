"""Each fault of single frames against its name."""

import json
import re
import time
from datetime import datetime
from typing import Any

import pytest

from tests.deadline import DEADLINE
from tests.simulator.client import Simulator
from tests.simulator.clients import (
    Client,
    is_ack,
    is_channel,
    is_data,
    is_event,
    is_method,
    is_trade,
    joined,
    joined_to,
    rest,
    result,
    subscribed_v1,
    subscribed_v2,
    trades_of,
)


def trade_row(client: Client) -> Any:
    return client.find(is_channel("trade", "update"))["data"][0]


def test_silence_acknowledges_and_then_only_answers_protocol_pings(simulator: Simulator, v2: Client) -> None:
    simulator.fault("silence")
    v2.subscribe_v2("BTC/USD")
    v2.find(is_method("subscribe", "ticker"))
    simulator.trade("BTC/USD", "1.5")
    assert v2.hears_nothing()
    assert v2.socket.ping().wait(DEADLINE)


def test_heartbeats_only_sends_no_data(lively: Simulator) -> None:
    lively.fault("heartbeats_only")
    with joined(lively.v2_url) as client:
        client.subscribe_v2("BTC/USD")
        client.find(is_method("subscribe", "ticker"))
        lively.trade("BTC/USD", "1.5")
        assert [client.text() for _ in range(2)] == ['{"channel":"heartbeat"}'] * 2


def test_no_heartbeats_sends_data_only(lively: Simulator) -> None:
    lively.fault("no_heartbeats")
    with joined(lively.v1_url) as client:
        client.subscribe_v1("XBT/USD")
        client.find(is_data("ticker"))
        assert client.hears_nothing()
        lively.trade("BTC/USD", "1.5")
        assert client.find(is_data("ticker"))


def test_a_deaf_pair_is_acknowledged_and_moves_in_rest_only(simulator: Simulator, v1: Client) -> None:
    simulator.fault("deaf_pair", pair="BTC/USD")
    v1.subscribe_v1("XBT/USD", "ETH/USD")
    assert [v1.find(is_event("subscriptionStatus"))["status"] for _ in range(2)] == ["subscribed"] * 2
    simulator.trade("BTC/USD", "77.7")
    simulator.trade("ETH/USD", "88.8")
    pairs = [v1.find(is_data("ticker"))[-1] for _ in range(2)]
    assert pairs == ["ETH/USD", "ETH/USD"]
    assert result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0] == "77.7"


def test_a_deaf_pair_is_acknowledged_and_its_neighbour_flows(simulator: Simulator, spot: Client) -> None:
    simulator.fault("deaf_pair", pair="BTCUSDT", exchange=spot.exchange)
    spot.subscribe(*(trades_of(spot.exchange, symbol) for symbol in ("BTCUSDT", "ETHUSDT")))
    assert is_ack(spot.read())
    for symbol in ("BTCUSDT", "ETHUSDT"):
        simulator.exchange_trade(spot.exchange, symbol, "1.5")
    assert "ETH" in json.dumps(spot.read()).upper()
    assert simulator.exchange_trades(spot.exchange, "BTCUSDT")["count"] > 0


def test_a_deaf_channel_is_silent_while_the_other_goes_on(simulator: Simulator, v2: Client) -> None:
    simulator.fault("deaf_channel", channel="trade", pair="BTC/USD")
    for channel in ("trade", "ticker"):
        subscribed_v2(v2, "BTC/USD", channel=channel)
    simulator.trade("BTC/USD", "118000.0")
    assert json.loads(v2.text())["channel"] == "ticker"


def test_a_deaf_book_is_silent_while_another_moves(simulator: Simulator, spot: Client) -> None:
    books = {
        symbol: f"orderbook.50.{symbol}" if spot.exchange == "bybit" else f"{symbol.lower()}@depth@100ms"
        for symbol in ("BTCUSDT", "ETHUSDT")
    }
    simulator.fault("deaf_channel", channel="book", pair="BTCUSDT")
    spot.subscribe(*books.values())
    spot.find(is_ack)
    for symbol in books:
        simulator.change_book(spot.exchange, symbol, updates=5)
    assert books["ETHUSDT"] in spot.text()


def test_lost_trades_leave_holes_in_the_ids(simulator: Simulator, binance: Client) -> None:
    binance.take_trades()
    simulator.fault("lost_trades", every=3)
    sent = [simulator.exchange_trade("binance", "BTCUSDT", "118000")["trade_id"] for _ in range(6)]
    got = [binance.trade_ids()[0] for _ in range(4)]
    assert set(got) < set(sent)
    assert simulator.exchange_trades("binance", "BTCUSDT")["last"] == sent[-1]


def test_newest_first_turns_a_snapshot_round_and_equal_times_levels_it(simulator: Simulator) -> None:
    for _ in range(3):
        simulator.trade("BTC/USD", "118000.0")
    simulator.fault("newest_first")
    simulator.fault("equal_times")
    with joined(simulator.v2_url) as client:
        client.subscribe_v2("BTC/USD", channel="trade", snapshot=True)
        rows = client.find(is_channel("trade", "snapshot"))["data"]
    numbers = [row["trade_id"] for row in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert len({row["timestamp"] for row in rows}) == 1


def test_a_trade_stamped_ahead_keeps_its_true_time_in_rest(simulator: Simulator, v2: Client) -> None:
    subscribed_v2(v2, "BTC/USD")
    simulator.fault("stamped_ahead", seconds=4.5)
    trade = simulator.trade("BTC/USD", "118000.0")
    told = datetime.fromisoformat(trade_row(v2)["timestamp"]).timestamp()
    assert told - trade["time"] == pytest.approx(4.5, abs=0.001)
    assert float(result(simulator, "Trades?pair=XBTUSD")["XXBTZUSD"][-1][2]) == pytest.approx(trade["time"])


def test_a_wrong_type_quotes_v2s_prices_and_bares_v1s(simulator: Simulator, v1: Client, v2: Client) -> None:
    simulator.fault("wrong_type", pair="BTC/USD", channel="trade")
    subscribed_v2(v2, "BTC/USD", "ETH/USD")
    subscribed_v1(v1, "XBT/USD")
    simulator.trade("BTC/USD", "118000.0")
    simulator.trade("ETH/USD", "4100.5")
    assert v2.reads('"price":"118000.0"')
    assert v2.reads('"price":4100.5')
    assert v1.reads("[[118000.0,")


def test_a_wrong_type_of_a_pair_leaves_its_neighbour_in_a_snapshot(simulator: Simulator, v2: Client) -> None:
    simulator.fault("wrong_type", pair="ETH/USD")
    subscribed_v2(v2, "BTC/USD", "ETH/USD", snapshot=True)
    types = {row["symbol"]: type(row["price"]) for row in v2.find(is_channel("trade", "snapshot"))["data"]}
    assert types == {"BTC/USD": float, "ETH/USD": str}


def test_wrong_names_are_those_of_the_other_protocol(simulator: Simulator, v1: Client, v2: Client) -> None:
    simulator.fault("wrong_names", pair="BTC/USD")
    subscribed_v1(v1, "XBT/USD")
    subscribed_v2(v2, "BTC/USD")
    simulator.trade("BTC/USD", "118000.0")
    assert v1.find(is_data("trade"))[-1] == "BTC/USD"
    assert trade_row(v2)["symbol"] == "XBT/USD"


def test_a_null_row_follows_the_good_one(simulator: Simulator, v1: Client, v2: Client) -> None:
    simulator.fault("null_row")
    subscribed_v1(v1, "XBT/USD")
    subscribed_v2(v2, "BTC/USD")
    number = simulator.trade("BTC/USD", "118000.0")["trade_id"]
    assert [row["trade_id"] for row in v2.find(is_channel("trade", "update"))["data"]] == [number, None]
    assert [row[0] for row in v1.find(is_data("trade"))[1]] == ["118000.0", None]


def test_a_null_row_follows_each_good_trade(simulator: Simulator, spot: Client) -> None:
    spot.take_trades()
    simulator.fault("null_row", exchange=spot.exchange)
    number = simulator.exchange_trade(spot.exchange, "BTCUSDT", "118000")["trade_id"]
    texts = spot.text() + (spot.text() if spot.exchange == "binance" else "")
    told = re.findall(r'"(?:i|t)":"?(\w+)', texts)
    assert told == [str(number), "null"]


@pytest.mark.parametrize("exchange", ["coinbase", "bitstamp"])
def test_a_null_row_of_a_price_source_is_a_message_of_its_own(simulator: Simulator, exchange: str) -> None:
    simulator.fault("null_row", exchange=exchange)
    with joined_to(simulator, exchange) as client:
        client.send({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]})
        client.send({"event": "bts:subscribe", "data": {"channel": "live_trades_btcusd"}})
        simulator.wait(exchange=exchange, subscriptions=1)
        number = simulator.exchange_trade(exchange, "BTCUSD", "118000.0")["trade_id"]
        trades = [client.find(lambda frame: "118000.0" in json.dumps(frame)) for _ in range(2)]
        told = [frame.get("trade_id", frame.get("data", {}).get("id")) for frame in trades]
        assert told == [number, None]


def test_a_liar_tells_other_prices_everywhere_and_the_market_has_the_true_ones(simulator: Simulator) -> None:
    simulator.fault("lie", percent=20, exchange="bitstamp")
    with joined_to(simulator, "bitstamp") as client:
        client.send({"event": "bts:subscribe", "data": {"channel": "live_trades_btcusd"}})
        simulator.wait(exchange="bitstamp", subscriptions=1)
        simulator.exchange_trade("bitstamp", "BTCUSD", "100.10")
        assert client.find(lambda frame: frame["event"] == "trade")["data"]["price_str"] == "120.12"
    path = "/api/v2/transactions/btcusd/?time=minute"
    assert rest(simulator, path)[1][0]["price"] == "120.12"
    simulator.fault("lie", on=False)
    assert rest(simulator, path)[1][0]["price"] == "100.10"


def test_acks_behind_tell_an_earlier_time(simulator: Simulator, v2: Client) -> None:
    simulator.fault("acks_behind", seconds=3600)
    v2.subscribe_v2("BTC/USD")
    told = datetime.fromisoformat(v2.find(is_method("subscribe", "ticker"))["time_out"])
    assert 3590 < time.time() - told.timestamp() < 3660


def test_a_ticker_stamped_now_shows_a_trade_of_half_an_hour_ago(simulator: Simulator, v2: Client) -> None:
    simulator.restart("BTC/USD", age=1800)
    simulator.fault("ticker_stamped_now", pair="BTC/USD")
    v2.subscribe_v2("BTC/USD")
    ticker = v2.find(is_channel("ticker", "snapshot"))["data"][0]
    subscribed_v2(v2, "BTC/USD", snapshot=True)
    trade = v2.find(is_channel("trade", "snapshot"))["data"][0]
    apart = datetime.fromisoformat(ticker["timestamp"]) - datetime.fromisoformat(trade["timestamp"])
    assert apart.total_seconds() >= 1800


def test_microseconds_have_three_digits_more(simulator: Simulator, binance: Client) -> None:
    binance.take_trades()
    simulator.fault("microseconds", exchange="binance")
    trade = simulator.exchange_trade("binance", "BTCUSDT", "118000")
    assert binance.find(is_trade)["data"]["T"] == round(trade["time"] * 1000) * 1000


def test_duplicates_come_again_and_count_once(simulator: Simulator, client: Client) -> None:
    pair = "ETH/USD" if client.exchange == "kraken" else "TWICEUSDT"
    simulator.fault("duplicates", times=2, exchange=client.exchange)
    client.take_trades(pair)
    number = simulator.exchange_trade(client.exchange, pair, "1.5")["trade_id"]
    assert [client.trade_ids() for _ in range(3)] == [[number]] * 3
    if client.exchange != "kraken":
        assert simulator.exchange_trades(client.exchange, pair)["count"] == 1


def test_disorder_lets_younger_data_overtake(simulator: Simulator, client: Client) -> None:
    simulator.fault("disorder", seconds=0.2, exchange=client.exchange)
    client.take_trades()
    sent = [simulator.exchange_trade(client.exchange, client.pair, "1.5")["trade_id"] for _ in range(20)]
    heard = [number for _ in sent for number in client.trade_ids()]
    assert heard != sent
    assert sorted(heard) == sent


def test_late_data_comes_late_in_order_between_punctual_heartbeats(lively: Simulator) -> None:
    with joined(lively.v1_url) as client:
        subscribed_v1(client, "XBT/USD")
        lively.fault("late_data", seconds=0.3, pair="BTC/USD")
        started = time.monotonic()
        lively.trade("BTC/USD", "118000.0")
        lively.trade("BTC/USD", "118001.0")
        assert is_event("heartbeat")(json.loads(client.text()))
        prices = [client.find(is_data("trade"))[1][0][0] for _ in range(2)]
        assert time.monotonic() - started >= 0.3
        assert prices == ["118000.0", "118001.0"]
