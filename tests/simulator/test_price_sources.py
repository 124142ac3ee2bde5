"""The simulated Coinbase and Bitstamp against the recordings of the real ones, and their own faults."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.simulator.client import Simulator
from tests.simulator.clients import Client, Frame, joined_to, needs_recordings, recorded, rest
from tests.simulator.test_spot import shape

COINBASE = "coinbase/exchange_matches_ticker_2021-04-17.jsonl"
BITSTAMP = "bitstamp/live_trades_session_2022-01-05.jsonl"


@pytest.fixture
def coinbase(lively: Simulator) -> Iterator[Client]:
    with joined_to(lively, "coinbase") as client:
        yield client


@pytest.fixture
def bitstamp(lively: Simulator) -> Iterator[Client]:
    with joined_to(lively, "bitstamp") as client:
        yield client


def coinbase_asks(client: Client, *channels: str, product: str = "BTC-USD") -> None:
    client.send({"type": "subscribe", "product_ids": [product], "channels": channels})


def bitstamp_asks(client: Client, symbol: str = "btcusd") -> None:
    client.send({"event": "bts:subscribe", "data": {"channel": f"live_trades_{symbol}"}})


def of_type(name: str) -> Callable[[Any], bool]:
    return lambda frame: frame.get("type") == name


def of_event(name: str) -> Callable[[Any], bool]:
    return lambda frame: frame.get("event") == name


@needs_recordings
def test_coinbase_frames_have_the_shape_of_the_recorded_ones(lively: Simulator, coinbase: Client) -> None:
    coinbase_asks(coinbase, "matches")
    for kind in ("subscriptions", "last_match"):
        assert shape(coinbase.find(of_type(kind))) == shape(recorded(COINBASE, of_type(kind)))
    lively.exchange_trade("coinbase", "BTCUSD", "64103.9")
    assert shape(coinbase.find(of_type("match"))) == shape(recorded(COINBASE, of_type("match")))


@needs_recordings
def test_bitstamp_frames_have_the_shape_of_the_recorded_ones(lively: Simulator, bitstamp: Client) -> None:
    bitstamp_asks(bitstamp)
    accepted = "bts:subscription_succeeded"
    assert shape(bitstamp.find(of_event(accepted))) == shape(recorded(BITSTAMP, of_event(accepted)))
    lively.exchange_trade("bitstamp", "BTCUSD", "64103.9")
    assert shape(bitstamp.find(of_event("trade"))) == shape(recorded(BITSTAMP, of_event("trade")))


def test_each_second_coinbase_tells_the_id_of_the_last_trade_that_of_a_lost_one_too(
    lively: Simulator, coinbase: Client
) -> None:
    coinbase_asks(coinbase, "matches", "heartbeat")
    first = coinbase.find(of_type("last_match"))["trade_id"]
    assert coinbase.find(of_type("heartbeat"))["last_trade_id"] == first
    lost = lively.exchange_trade("coinbase", "BTCUSD", "64103.9", silent=True)["trade_id"]

    def tells_the_lost_one(frame: Frame) -> bool:
        return bool(frame.get("last_trade_id") == lost)

    assert coinbase.find(tells_the_lost_one)["product_id"] == "BTC-USD"


def test_an_unknown_pair_is_refused(coinbase: Client, bitstamp: Client) -> None:
    coinbase_asks(coinbase, "matches", product="BTC-CHF")
    assert coinbase.read()["reason"] == "BTC-CHF is not a valid product"
    bitstamp_asks(bitstamp, "btcchf")
    assert bitstamp.read()["data"]["message"] == "Bad subscription string."


def test_bitstamp_answers_heartbeats_asks_to_reconnect_and_tells_the_last_minute_over_rest(
    lively: Simulator, bitstamp: Client
) -> None:
    bitstamp.send({"event": "bts:heartbeat"})
    assert bitstamp.read()["data"] == {"status": "success"}
    lively.fault("server_shutdown", exchange="bitstamp")
    assert bitstamp.read()["event"] == "bts:request_reconnect"
    told = [lively.exchange_trade("bitstamp", "ETHEUR", price)["trade_id"] for price in ("10.5", "11.5")]
    status, rows = rest(lively, "/api/v2/transactions/etheur/?time=minute")
    assert (status, [row["price"] for row in rows]) == (200, ["11.5", "10.5"])
    assert [int(row["tid"]) for row in rows] == told[::-1]
