"""Each fault of connections, subscriptions and markets against its name."""

import json
import re
import socket
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from ltp_service.simulator.faults import TABLE
from tests.deadline import DEADLINE
from tests.simulator.client import Simulator, SimulatorError
from tests.simulator.clients import (
    SILENCE,
    SPOT,
    Client,
    is_ack,
    is_channel,
    is_data,
    is_event,
    is_method,
    is_stream,
    is_trade,
    is_type,
    joined,
    joined_to,
    kraken_rest,
    rest,
    result,
    url_of,
)


def test_refuse_closes_or_answers_the_handshake(simulator: Simulator) -> None:
    simulator.fault("refuse")
    with pytest.raises((InvalidMessage, ConnectionClosed, EOFError)):
        joined(simulator.v1_url).__enter__()
    simulator.fault("refuse", status=429, retry_after=7)
    with pytest.raises(InvalidStatus) as refused:
        joined(simulator.v1_url).__enter__()
    assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "7")


def test_a_refusal_may_have_a_date_and_a_body_that_ends_early(simulator: Simulator) -> None:
    simulator.fault("refuse", status=429, retry_after=60, as_date=True, short_body=True)
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=DEADLINE) as peer:
        peer.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n")
        reply = b"".join(iter(lambda: peer.recv(65536), b""))
    head, _, body = reply.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 429")
    assert re.search(rb"Retry-After: \w{3}, .* GMT", head)
    assert length is not None
    assert len(body) < int(length[1])


def test_restricted_answers_451_to_one_exchange_and_its_rest(simulator: Simulator) -> None:
    simulator.fault("restricted", exchange="binance")
    with pytest.raises(InvalidStatus) as refused:
        joined_to(simulator, "binance").__enter__()
    assert refused.value.response.status_code == 451
    status, body = rest(simulator, "/api/v3/depth?symbol=BTCUSDT")
    assert (status, body["code"]) == (451, 0)
    with joined_to(simulator, "bybit"):
        simulator.wait(exchange="bybit", open=1)


def test_cookies_are_in_the_handshake_s_answer(simulator: Simulator) -> None:
    simulator.fault("cookies", header="a,b=1")
    with joined(simulator.v2_url) as client:
        assert client.socket.response is not None
        assert client.socket.response.headers["Set-Cookie"] == "a,b=1"


def test_cut_after_drops_each_new_connection(simulator: Simulator) -> None:
    simulator.fault("cut_after", seconds=0.05)
    for _ in range(2):
        with joined(simulator.v1_url) as client:
            assert client.close_code() == 1006


def test_cut_after_ends_each_new_connection(simulator: Simulator) -> None:
    simulator.fault("cut_after", seconds=0.05, how="clean", exchange="binance")
    with joined_to(simulator, "binance") as client:
        assert client.close_code() == 1001


def test_pings_only_sends_no_text(lively: Simulator) -> None:
    lively.fault("pings_only", interval=0.01)
    with joined(lively.v2_url) as client:
        client.find(is_channel("status", "update"))
        client.subscribe_v2("BTC/USD")
        assert lively.wait(pongs=3)["subscribe_requests"] >= 1
        assert client.hears_nothing()


def test_drip_frame_sends_one_frame_a_byte_at_a_time(simulator: Simulator) -> None:
    simulator.fault("drip_frame", interval=0.01, length=20)
    with joined(simulator.v2_url) as client:
        client.find(is_channel("status", "update"))
        started = time.monotonic()
        assert client.text() == " " * 20
        assert time.monotonic() - started >= 0.1


def test_freeze_holds_everything_and_loses_nothing(simulator: Simulator, client: Client) -> None:
    client.take_trades()
    simulator.fault("freeze", exchange=client.exchange)
    pong = client.socket.ping()
    simulator.exchange_trade(client.exchange, client.pair, "1.5")
    assert client.hears_nothing()
    assert not pong.is_set()
    with pytest.raises(TimeoutError):
        connect(url_of(simulator, client.exchange), open_timeout=SILENCE).__enter__()
    simulator.fault("freeze", on=False, exchange=client.exchange)
    assert client.trade_ids()
    assert pong.wait(DEADLINE)


def test_late_ack_answers_late_and_data_follows(simulator: Simulator, client: Client) -> None:
    simulator.fault("late_ack", seconds=1, exchange=client.exchange)
    client.subscribe_to_trades()
    simulator.exchange_trade(client.exchange, client.pair, "1.5")
    assert client.hears_nothing()
    assert is_ack(client.read())


def test_late_ack_answers_late_and_pongs_meanwhile(simulator: Simulator, v2: Client) -> None:
    simulator.fault("late_ack", seconds=0.1)
    v2.subscribe_v2("BTC/USD")
    v2.send({"method": "ping"})
    assert v2.find(lambda frame: "method" in frame)["method"] == "pong"
    assert v2.find(is_method("subscribe", "ticker"))


def test_data_before_ack_sends_the_acknowledgement_second(simulator: Simulator, spot: Client) -> None:
    simulator.fault("data_before_ack", exchange=spot.exchange)
    spot.subscribe_to_trades()
    simulator.wait(exchange=spot.exchange, subscriptions=1)
    simulator.exchange_trade(spot.exchange, "BTCUSDT", "1.5")
    assert is_trade(spot.read())
    assert is_ack(spot.read())


def test_data_before_ack_acknowledges_at_last_without_any_data(simulator: Simulator, spot: Client) -> None:
    simulator.fault("data_before_ack", seconds=0.05)
    spot.subscribe_to_trades()
    assert is_ack(spot.read())


def test_no_ack_loses_one_pair_s_subscription(simulator: Simulator, v1: Client) -> None:
    simulator.fault("no_ack", pair="BTC/USD")
    v1.subscribe_v1("XBT/USD", "ETH/USD")
    assert v1.find(is_event("subscriptionStatus"))["pair"] == "ETH/USD"
    assert simulator.wait(subscriptions=1)["subscriptions"] == {"ticker": {"ETH/USD": 1}}


def test_refuse_pair_answers_with_its_error(simulator: Simulator, v1: Client, v2: Client) -> None:
    simulator.fault("refuse_pair", pair="BTC/USD", error="Exceeded msg rate")
    v1.subscribe_v1("XBT/USD")
    assert v1.find(is_event("subscriptionStatus"))["errorMessage"] == "Exceeded msg rate"
    simulator.fault("refuse_pair", pair="BTC/USD")
    v2.subscribe_v2("BTC/USD")
    assert v2.find(is_method("subscribe", success=False))["error"] == "Currency pair not supported BTC/USD"


def test_refuse_batch_refuses_a_whole_request_and_names_no_pair(
    simulator: Simulator, v1: Client, v2: Client
) -> None:
    simulator.fault("refuse_batch", most=1, error="too many")
    v1.subscribe_v1("XBT/USD", "ETH/USD")
    assert v1.find(is_event("error"))["errorMessage"] == "too many"
    v2.subscribe_v2("BTC/USD", "ETH/USD")
    refusal = v2.find(is_method("subscribe", success=False))
    assert (refusal["error"], "symbol" in refusal) == ("too many", False)
    v2.subscribe_v2("ETH/USD")
    assert v2.find(is_method("subscribe", "ticker"))["result"]["symbol"] == "ETH/USD"


def test_symbol_limit_holds_for_each_channel_of_a_connection(simulator: Simulator, v2: Client) -> None:
    simulator.fault("symbol_limit", most=2)
    for channel in ("ticker", "trade"):
        v2.subscribe_v2("BTC/USD", "ETH/USD", "LTC/USD", channel=channel)
        assert v2.find(is_method("subscribe", success=False))["symbol"] == "LTC/USD"
    assert simulator.wait(subscriptions=4)["subscriptions"]["trade"] == {"BTC/USD": 1, "ETH/USD": 1}


def test_status_is_pushed_and_shown_until_it_is_over(simulator: Simulator, v1: Client) -> None:
    simulator.wait(open=1)
    assert v1.find(is_event("systemStatus"))["status"] == "online"
    simulator.fault("status", system="cancel_only")
    assert v1.find(is_event("systemStatus"))["status"] == "cancel_only"
    assert result(simulator, "SystemStatus")["status"] == "cancel_only"
    simulator.clear()
    assert v1.find(is_event("systemStatus"))["status"] == "online"


def test_an_odd_status_says_nothing_of_the_true_state(simulator: Simulator, v1: Client, v2: Client) -> None:
    simulator.fault("odd_status")
    status = v2.find(lambda frame: frame["channel"] == "status" and "system" not in frame["data"][0])
    assert status["data"][0]["api_version"] == "v2"
    simulator.fault("odd_status", system="napping")
    assert v1.find(lambda frame: frame.get("status") == "napping")["event"] == "systemStatus"


def test_a_pairs_status_is_pushed_as_instrument_and_told_by_rest(simulator: Simulator, v2: Client) -> None:
    v2.send({"method": "subscribe", "params": {"channel": "instrument", "snapshot": True}})
    states = {
        pair["symbol"]: pair["status"]
        for pair in v2.find(is_channel("instrument", "snapshot"))["data"]["pairs"]
    }
    assert states["BTC/USD"] == "online"
    simulator.fault("pair_status", pair="BTC/USD", status="cancel_only")
    changed = v2.find(is_channel("instrument", "update"))["data"]["pairs"]
    assert [(pair["symbol"], pair["status"]) for pair in changed] == [("BTC/USD", "cancel_only")]
    assert result(simulator, "AssetPairs?pair=XBTUSD")["XXBTZUSD"]["status"] == "cancel_only"
    simulator.fault("pair_status", on=False, pair="BTC/USD")
    assert v2.find(is_channel("instrument", "update"))["data"]["pairs"][0]["status"] == "online"


def test_a_delisted_pair_is_refused_everywhere(simulator: Simulator, v2: Client) -> None:
    simulator.fault("pair_status", pair="BTC/USD", status="delisted")
    assert "XXBTZUSD" not in result(simulator, "AssetPairs")
    assert json.loads(kraken_rest(simulator, "Ticker?pair=XBTUSD")[1])["error"] == [
        "EQuery:Unknown asset pair"
    ]
    v2.subscribe_v2("BTC/USD")
    assert v2.find(is_method("subscribe", success=False))["error"] == "Currency pair not supported BTC/USD"


def test_old_snapshot_shows_an_earlier_trade_than_the_last(simulator: Simulator, v2: Client) -> None:
    simulator.trade("BTC/USD", "115000.0")
    last = simulator.trade("BTC/USD", "116000.0")
    simulator.fault("old_snapshot")
    v2.subscribe_v2("BTC/USD")
    entry = v2.find(is_channel("ticker", "snapshot"))["data"][0]
    assert entry["last"] != 116000.0
    assert entry["timestamp"] < time.strftime("%Y-%m-%dT%H:%M:%S.999999Z", time.gmtime(last["time"]))


def test_trade_snapshot_shows_history_on_v1(simulator: Simulator, v1: Client) -> None:
    simulator.fault("trade_snapshot")
    simulator.trade("BTC/USD", "115000.0")
    v1.subscribe_v1("XBT/USD", channel="trade")
    assert v1.find(is_data("trade"))[1][-1][0] == "115000.0"


def test_an_unlisted_pair_fails_the_whole_request(simulator: Simulator) -> None:
    simulator.fault("unlisted", pair="BTC/USD")
    assert json.loads(kraken_rest(simulator, "Ticker?pair=ETHUSD,XBTUSD")[1]) == {
        "error": ["EQuery:Unknown asset pair"]
    }
    assert "XXBTZUSD" not in result(simulator, "AssetPairs")


def test_an_unlisted_pair_is_refused_or_silent(simulator: Simulator, bybit: Client, binance: Client) -> None:
    simulator.fault("unlisted", pair="SOLUSDT")
    bybit.subscribe_to_trades("SOLUSDT")
    assert bybit.read()["success"] is False
    binance.subscribe_to_trades("SOLUSDT")
    assert is_ack(binance.read())
    simulator.exchange_trade("binance", "SOLUSDT", "1.5")
    assert binance.hears_nothing()
    assert rest(simulator, "/api/v3/depth?symbol=SOLUSDT")[0] == 400


def test_ignore_pings_leaves_bybits_ping_unanswered(simulator: Simulator, bybit: Client) -> None:
    simulator.fault("ignore_pings")
    before = simulator.counters("bybit")["pings_received"]
    bybit.send({"op": "ping"})
    simulator.wait(exchange="bybit", pings=before + 1)
    assert bybit.hears_nothing()


def test_a_sequence_gap_skips_one_update(simulator: Simulator, bybit: Client, binance: Client) -> None:
    bybit.subscribe("orderbook.200.BTCUSDT")
    first = bybit.find(is_type("snapshot"))["data"]["u"]
    simulator.fault("sequence_gap", exchange="bybit", pair="BTCUSDT")
    simulator.change_book("bybit", "BTCUSDT", 10)
    assert [bybit.find(is_type("delta"))["data"]["u"] - first for _ in range(3)] == [2, 3, 4]
    binance.subscribe("btcusdt@depth")
    simulator.wait(exchange="binance", subscriptions=1)
    last = rest(simulator, "/api/v3/depth?symbol=BTCUSDT&limit=1")[1]["lastUpdateId"]
    simulator.fault("sequence_gap", exchange="binance", pair="BTCUSDT")
    simulator.change_book("binance", "BTCUSDT", 3)
    spans = [binance.find(is_stream("depthUpdate"))["data"] for _ in range(2)]
    assert spans[0]["U"] > last + 1
    assert spans[1]["U"] == spans[0]["u"] + 1


def test_block_trades_come_between_others_and_are_counted_apart(simulator: Simulator, bybit: Client) -> None:
    simulator.fault("block_trades", pair="BLOCKUSDT")
    bybit.take_trades("BLOCKUSDT")
    simulator.exchange_trade("bybit", "BLOCKUSDT", "100.0")
    trade, block = (bybit.find(is_trade)["data"][0] for _ in range(2))
    assert (trade["BT"], block["BT"], float(block["p"])) == (False, True, 1000.0)
    account = simulator.exchange_trades("bybit", "BLOCKUSDT")
    assert (account["ranges"], account["blocks"]) == ([[int(trade["i"])] * 2], [[int(block["i"])] * 2])


def test_only_binance_announces_its_shutdown(simulator: Simulator, bybit: Client, binance: Client) -> None:
    for exchange in SPOT:
        simulator.wait(exchange=exchange, open=1)
    simulator.fault("server_shutdown")
    announcement = binance.read()
    assert (announcement["stream"], announcement["data"]["e"]) == ("!serverShutdown", "serverShutdown")
    assert bybit.hears_nothing()


def test_an_unknown_fault_or_argument_is_refused_by_name(simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match="silence"):
        simulator.fault("quiet")
    with pytest.raises(SimulatorError, match="does not take pear; it takes pair"):
        simulator.fault("deaf_pair", pear="BTC/USD")
    with pytest.raises(SimulatorError, match="needs pair"):
        simulator.fault("deaf_pair")


def test_a_fault_of_one_exchange_is_shown_with_its_name_and_ends_alone(simulator: Simulator) -> None:
    simulator.fault("ignore_pings")
    on = simulator.fault("ignore_pings", on=False, exchange="binance")["on"]
    others = ("bybit", "coinbase", "bitstamp")
    assert on == [{"name": "ignore_pings", "exchange": exchange} for exchange in others]
    with pytest.raises(SimulatorError, match="no exchange 'okx'"):
        simulator.fault("ignore_pings", exchange="okx")


def test_every_fault_has_a_test_that_names_it() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*faults.py"))
    assert [name for name in TABLE if f'fault("{name}"' not in text] == []
