"""The simulated Kraken against the recordings of the real one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.client import Simulator
from tests.simulator.clients import (
    RECORDED,
    Client,
    is_channel,
    is_data,
    is_event,
    is_method,
    joined,
    kraken_rest,
    needs_recordings,
    recorded,
    result,
)


def shape(content: Any) -> Any:
    """Keys and types without the values; a bare number is a number, whole or not."""
    match content:
        case dict():
            return {key: shape(value) for key, value in content.items()}
        case list():
            return [shape(value) for value in content]
        case bool() | str() | None:
            return type(content).__name__
        case _:
            return "number"


@needs_recordings
@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        pytest.param("kraken/v1_ticker_10pairs_2021-04-17.jsonl", is_event("systemStatus"), id="status"),
        pytest.param("kraken/v1_ticker_10pairs_2021-04-17.jsonl", is_event("subscriptionStatus"), id="ack"),
        pytest.param("kraken/v1_ticker_10pairs_2021-04-17.jsonl", is_data("ticker"), id="ticker"),
        pytest.param("kraken/v1_trade_10pairs_2021-04-17.jsonl", is_data("trade"), id="trade"),
        pytest.param("kraken/v1_book10_xbtusd_2023-08-30.jsonl", is_event("pong"), id="pong"),
    ],
)
def test_v1_frames_have_the_shape_of_the_recorded_ones(
    simulator: Simulator, v1: Client, file: str, wanted: Callable[[Any], bool]
) -> None:
    v1.send({"event": "ping", "reqid": 42})
    v1.subscribe_v1("XBT/USD")
    v1.subscribe_v1("XBT/USD", channel="trade")
    simulator.wait(subscriptions=2)
    simulator.trade("BTC/USD", "115643.10000")
    assert shape(v1.find(wanted)) == shape(recorded(file, wanted))


SESSION = "kraken/v2_ticker_session_ccxt_2026-08-12.jsonl"
VERBATIM = "kraken/v2_ticker_trade_status_verbatim_2025-2026.jsonl"
ERRORS = "kraken/v2_errors_and_acks_verbatim_2026.jsonl"


@needs_recordings
@pytest.mark.parametrize(
    ("file", "wanted", "echoes_request"),
    [
        pytest.param(VERBATIM, is_channel("status", "update"), False, id="status"),
        pytest.param(SESSION, is_method("subscribe", "ticker"), False, id="ticker-ack"),
        pytest.param(VERBATIM, is_method("subscribe", "trade"), True, id="trade-ack"),
        pytest.param(SESSION, is_channel("ticker", "snapshot"), False, id="snapshot"),
        pytest.param(VERBATIM, is_channel("ticker", "update"), False, id="ticker"),
        pytest.param(VERBATIM, is_channel("trade", "update"), False, id="trade"),
        pytest.param(ERRORS, is_method("subscribe", success=False), True, id="refusal"),
        pytest.param(ERRORS, is_method("pong", success=None), False, id="pong"),
    ],
)
def test_v2_frames_have_the_shape_of_the_recorded_ones(
    simulator: Simulator, v2: Client, file: str, wanted: Callable[[Any], bool], echoes_request: bool
) -> None:
    v2.send({"method": "ping", "req_id": 42})
    v2.subscribe_v2("BTC/USD", "NOPE/USD")
    v2.subscribe_v2("BTC/USD", channel="trade")
    simulator.wait(subscriptions=2)
    simulator.trade("BTC/USD", "115643.1")
    expected = shape(recorded(file, wanted))
    if echoes_request:
        expected["req_id"] = "number"
    assert shape(v2.find(wanted)) == expected


@needs_recordings
def test_the_rest_keys_are_those_of_the_recorded_asset_pairs(simulator: Simulator) -> None:
    known = json.loads((RECORDED / "kraken" / "rest_assetpairs_2021-04-17.json").read_text())["result"]
    ours = result(simulator, "AssetPairs")
    assert set(ours) & set(known) == set(ours) - {"AAPLxUSD"}
    for key in set(ours) & set(known):
        for field in ("altname", "wsname", "base", "quote"):
            assert ours[key][field] == known[key][field]


@needs_recordings
def test_a_rest_ticker_has_the_shape_of_the_recorded_one(simulator: Simulator) -> None:
    expected = json.loads((RECORDED / "kraken" / "rest_nautilus_ticker.json").read_text())["result"][
        "XBTUSDT"
    ]
    assert shape(result(simulator, "Ticker?pair=XBTUSDT")["XBTUSDT"]) == shape(expected)


def test_rest_answers_with_its_own_keys_and_fails_as_a_whole(simulator: Simulator) -> None:
    assert set(result(simulator, "Ticker?pair=XBTUSD,ETHUSD,XBTUSDT,XDGUSD")) == {
        "XXBTZUSD",
        "XETHZUSD",
        "XBTUSDT",
        "XDGUSD",
    }
    for question in ("Ticker?pair=XBTUSD,NOPE", "Ticker?pair=XBT/USD"):
        assert json.loads(kraken_rest(simulator, question)[1]) == {"error": ["EQuery:Unknown asset pair"]}


def test_rest_trades_end_with_the_last_trade_and_its_nanoseconds(simulator: Simulator) -> None:
    trade = simulator.trade("BTC/USD", "115643.20000", volume="0.25000000", side="sell")
    answer = result(simulator, "Trades?pair=XBTUSD&count=2")
    row = answer["XXBTZUSD"][-1]
    assert row[:2] + row[3:4] + row[5:] == ["115643.20000", "0.25000000", "s", "", trade["trade_id"]]
    assert answer["last"] == f"{round(trade['time'] * 1e6)}000"
    assert result(simulator, f"Trades?pair=XBTUSD&since={int(answer['last']) + 1000}")["XXBTZUSD"] == []


def test_pages_of_rest_trades_have_a_thousand_rows_and_overlap_by_one(simulator: Simulator) -> None:
    began = simulator.trade("BTC/USD", "115000.1")
    ids = [simulator.trade("BTC/USD", "115000.2")["trade_id"] for _ in range(1100)]
    assert ids == list(range(began["trade_id"] + 1, began["trade_id"] + 1101))

    newest = result(simulator, "Trades?pair=XBTUSD&count=5000")["XXBTZUSD"]
    assert [row[-1] for row in newest] == ids[-1000:]
    first = result(simulator, f"Trades?pair=XBTUSD&since={round(began['time'] * 1e6)}000")
    second = result(simulator, f"Trades?pair=XBTUSD&since={first['last']}")
    pages = [[row[-1] for row in page["XXBTZUSD"]] for page in (first, second)]
    assert pages == [[began["trade_id"], *ids[:999]], ids[998:]]


def test_the_tape_tells_all_that_ever_happened(simulator: Simulator) -> None:
    before = simulator.kraken_trades("BTC/USD")
    sold = simulator.trade("BTC/USD", "115643.20000", volume="0.25000000", side="sell", silent=True)
    bought = simulator.trade("BTC/USD", "115643.30000", volume="0.5", side="buy", id=sold["trade_id"] + 3)

    after = simulator.kraken_trades("BTC/USD", before["last"])
    assert after["rows"] == [
        [sold["trade_id"], "115643.20000", "0.25000000", "sell", sold["time"]],
        [bought["trade_id"], "115643.30000", "0.5", "buy", bought["time"]],
    ]
    assert after["count"] == before["count"] + 2
    assert after["ranges"][-2:] == [[before["first"], sold["trade_id"]], [bought["trade_id"]] * 2]


def test_price_text_reaches_both_protocols_verbatim(simulator: Simulator, v1: Client, v2: Client) -> None:
    v1.subscribe_v1("XBT/USD")
    v2.subscribe_v2("BTC/USD", snapshot=False)
    simulator.wait(subscriptions=2)
    for text in ("0.00000012", "123456789.123456789", "115643.00000", "1e400", "NaN"):
        simulator.trade("BTC/USD", text)
        assert v1.reads(f'"c":["{text}",')
        assert v2.reads(f'"last":{text},')


def test_v2_refuses_the_names_of_v1_and_a_private_channel(v2: Client) -> None:
    v2.subscribe_v2("XBT/USD", "btc/usd", "BTCUSD")
    errors = [v2.find(is_method("subscribe", success=False))["error"] for _ in range(3)]
    assert errors == [
        "Currency pair not supported XBT/USD",
        "Currency pair not supported btc/usd",
        "Currency pair not in ISO 4217-A3 format BTCUSD",
    ]
    v2.subscribe_v2("BTC/USD", channel="executions")
    assert "Private data" in v2.find(is_method("subscribe", success=False))["error"]


def test_a_refused_pair_leaves_its_neighbours_subscribed(simulator: Simulator, v1: Client) -> None:
    v1.subscribe_v1("LSK/XBT", "XBT/USD")
    assert v1.find(is_event("subscriptionStatus"))["errorMessage"] == "Currency pair not supported LSK/XBT"
    assert v1.find(is_event("subscriptionStatus"))["status"] == "subscribed"
    assert v1.find(is_data("ticker"))[-1] == "XBT/USD"


def test_an_unsubscribed_pair_sends_no_more(simulator: Simulator, v1: Client) -> None:
    v1.subscribe_v1("XBT/USD")
    v1.find(is_data("ticker"))
    v1.send({"event": "unsubscribe", "pair": ["XBT/USD"], "subscription": {"name": "ticker"}})
    assert v1.find(is_event("subscriptionStatus"))["status"] == "unsubscribed"
    simulator.trade("BTC/USD", "115000.0")
    assert v1.hears_nothing()
    assert simulator.counters()["subscriptions"] == {}


def test_a_v2_trade_snapshot_shows_several_symbols_in_one_frame(simulator: Simulator, v2: Client) -> None:
    v2.subscribe_v2("BTC/USD", "ETH/USD", channel="trade", snapshot=True)
    snapshot = v2.find(is_channel("trade", "snapshot"))
    assert {entry["symbol"] for entry in snapshot["data"]} == {"BTC/USD", "ETH/USD"}


def test_connection_ids_exceed_63_bits(v1: Client, v2: Client) -> None:
    assert json.loads(v1.text())["connectionID"] > 2**63
    assert json.loads(v2.text())["data"][0]["connection_id"] > 2**63


def test_heartbeats_come_by_themselves_from_the_first_subscription_on(lively: Simulator) -> None:
    with joined(lively.v1_url) as client:
        assert client.find(is_event("systemStatus"))
        assert client.hears_nothing()
        client.subscribe_v1("XBT/USD")
        client.find(is_data("ticker"))
        assert [client.text() for _ in range(2)] == ['{"event":"heartbeat"}'] * 2
