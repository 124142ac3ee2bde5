"""The simulated exchange against the recordings of the real one, and each fault against its name."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from ltp_service.simulator.faults import TABLE
from ltp_service.simulator.market import STANDARD_PAIRS
from ltp_service.simulator.switches import SPOT
from tests.conftest import NOT_AT_HAND
from tests.deadline import DEADLINE
from tests.simulator.client import PROJECT, Simulator, SimulatorError
from tests.simulator.reader import SILENCE, Reader

RECORDED = PROJECT.parent / "shared" / "recorded" / "kraken"

needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(),
    reason=f"{NOT_AT_HAND}: no {RECORDED}",
)


class Client(Reader):
    """A client on one of Kraken's paths."""

    def subscribe_v1(self, *pairs: str, channel: str = "ticker") -> None:
        self.send({"event": "subscribe", "pair": list(pairs), "subscription": {"name": channel}})

    def subscribe_v2(self, *symbols: str, channel: str = "ticker", **more: Any) -> None:
        params = {"channel": channel, "symbol": list(symbols), **more}
        self.send({"method": "subscribe", "params": params, "req_id": 5})

    def reads(self, part: str) -> bool:
        """Whether one of the next frames contains that text."""
        end = time.monotonic() + DEADLINE
        while part not in (text := self.text(end - time.monotonic())):
            assert text
        return True


@contextmanager
def joined(url: str) -> Iterator[Client]:
    with connect(
        url, compression=None, ping_interval=None, open_timeout=DEADLINE, close_timeout=0.1
    ) as connection:
        yield Client(connection)


@pytest.fixture(scope="module")
def process() -> Iterator[Simulator]:
    with Simulator.start("--pair", "AAPLx/USD") as running:
        yield running


@pytest.fixture
def simulator(process: Simulator) -> Iterator[Simulator]:
    yield process
    process.clear()
    process.cut()


@pytest.fixture(scope="module")
def lively_process() -> Iterator[Simulator]:
    with Simulator.start("--heartbeat", "0.05") as running:
        yield running


@pytest.fixture
def lively(lively_process: Simulator) -> Iterator[Simulator]:
    """A simulator whose heartbeats are 0.05 s apart."""
    yield lively_process
    lively_process.clear()
    lively_process.cut()


@pytest.fixture
def v1(simulator: Simulator) -> Iterator[Client]:
    with joined(simulator.v1_url) as client:
        yield client


@pytest.fixture
def v2(simulator: Simulator) -> Iterator[Client]:
    with joined(simulator.v2_url) as client:
        yield client


def rest(simulator: Simulator, question: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=DEADLINE)
    try:
        connection.request("GET", f"{urlsplit(simulator.rest_url).path}/{question}")
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def result(simulator: Simulator, question: str) -> Any:
    _, body = rest(simulator, question)
    answer = json.loads(body, parse_float=str)
    assert answer["error"] == []
    return answer["result"]


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


def recorded(file: str, wanted: Callable[[Any], bool]) -> Any:
    records = map(json.loads, (RECORDED / file).read_text().splitlines())
    frames = (json.loads(record["raw"]) for record in records if record["dir"] == "in")
    return next(frame for frame in frames if wanted(frame))


def is_event(name: str) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, dict) and frame.get("event") == name


def is_data(channel: str) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, list) and frame[-2] == channel


def is_channel(name: str, type_: str | None = None) -> Callable[[Any], bool]:
    return lambda frame: frame.get("channel") == name and frame.get("type") == type_


def is_method(name: str, channel: str | None = None, *, success: bool | None = True) -> Callable[[Any], bool]:
    return lambda frame: (
        frame.get("method") == name
        and frame.get("success") is success
        and frame.get("result", {}).get("channel") == channel
    )


@needs_recordings
@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        pytest.param("v1_ticker_10pairs_2021-04-17.jsonl", is_event("systemStatus"), id="status"),
        pytest.param("v1_ticker_10pairs_2021-04-17.jsonl", is_event("subscriptionStatus"), id="ack"),
        pytest.param("v1_ticker_10pairs_2021-04-17.jsonl", is_data("ticker"), id="ticker"),
        pytest.param("v1_trade_10pairs_2021-04-17.jsonl", is_data("trade"), id="trade"),
        pytest.param("v1_book10_xbtusd_2023-08-30.jsonl", is_event("pong"), id="pong"),
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


SESSION = "v2_ticker_session_ccxt_2026-08-12.jsonl"
VERBATIM = "v2_ticker_trade_status_verbatim_2025-2026.jsonl"
ERRORS = "v2_errors_and_acks_verbatim_2026.jsonl"


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
    known = json.loads((RECORDED / "rest_assetpairs_2021-04-17.json").read_text())["result"]
    ours = result(simulator, "AssetPairs")
    assert set(ours) & set(known) == set(ours) - {"AAPLxUSD"}
    for key in set(ours) & set(known):
        for field in ("altname", "wsname", "base", "quote"):
            assert ours[key][field] == known[key][field]


@needs_recordings
def test_a_rest_ticker_has_the_shape_of_the_recorded_one(simulator: Simulator) -> None:
    expected = json.loads((RECORDED / "rest_nautilus_ticker.json").read_text())["result"]["XBTUSDT"]
    assert shape(result(simulator, "Ticker?pair=XBTUSDT")["XBTUSDT"]) == shape(expected)


def test_rest_answers_with_its_own_keys_and_fails_as_a_whole(simulator: Simulator) -> None:
    assert set(result(simulator, "Ticker?pair=XBTUSD,ETHUSD,XBTUSDT,XDGUSD")) == {
        "XXBTZUSD",
        "XETHZUSD",
        "XBTUSDT",
        "XDGUSD",
    }
    for question in ("Ticker?pair=XBTUSD,NOPE", "Ticker?pair=XBT/USD"):
        assert json.loads(rest(simulator, question)[1]) == {"error": ["EQuery:Unknown asset pair"]}


def test_rest_trades_end_with_the_last_trade_and_its_nanoseconds(simulator: Simulator) -> None:
    trade = simulator.trade("BTC/USD", "115643.20000", volume="0.25000000", side="sell")
    answer = result(simulator, "Trades?pair=XBTUSD&count=2")
    row = answer["XXBTZUSD"][-1]
    assert row[:2] + row[3:4] + row[5:] == ["115643.20000", "0.25000000", "s", "", trade["trade_id"]]
    assert answer["last"] == f"{round(trade['time'] * 1e6)}000"
    assert result(simulator, f"Trades?pair=XBTUSD&since={answer['last']}")["XXBTZUSD"] == []


def test_price_text_reaches_both_protocols_verbatim(simulator: Simulator, v1: Client, v2: Client) -> None:
    v1.subscribe_v1("XBT/USD")
    v2.subscribe_v2("BTC/USD", snapshot=False)
    simulator.wait(subscriptions=2)
    for text in ("0.00000012", "123456789.123456789", "115643.00000", "1e400", "NaN"):
        simulator.trade("BTC/USD", text)
        assert v1.reads(f'"c":["{text}",')
        assert v2.reads(f'"last":{text},')


def test_a_price_that_cannot_be_one_and_an_older_trade_do_not_move_the_market(simulator: Simulator) -> None:
    good = simulator.trade("BTC/USD", "115000.1")
    for bad in ("NaN", "-1", "0", "1e400", "9" * 5000):
        simulator.trade("BTC/USD", bad)
    simulator.trade("BTC/USD", "114000.0", time=good["time"] - 10)
    assert simulator.market("BTC/USD")["BTC/USD"]["price"] == "115000.1"


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


def test_a_silent_trade_moves_the_market_and_no_socket(simulator: Simulator, v2: Client) -> None:
    v2.subscribe_v2("BTC/USD", snapshot=False)
    v2.find(is_method("subscribe", "ticker"))
    simulator.trade("BTC/USD", "99000.5", silent=True)
    assert v2.hears_nothing()
    assert result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0] == "99000.5"


def test_the_same_seed_gives_the_same_walk() -> None:
    def history(seed: str) -> list[str]:
        with Simulator.start("--seed", seed) as simulator:
            simulator.walk(rate=2000)
            until(lambda: len(simulator.market("BTC/USD")["BTC/USD"]["history"]) > 10)
            return [price for _, price in simulator.market("BTC/USD")["BTC/USD"]["history"]][:10]

    assert history("7") == history("7") != history("8")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end


def test_a_flood_ends_at_the_market_s_last_price(simulator: Simulator, v1: Client, v2: Client) -> None:
    v1.subscribe_v1("XBT/USD")
    v2.subscribe_v2("BTC/USD")
    simulator.wait(subscriptions=2)
    frames = simulator.flood("BTC/USD", rate=20_000, seconds=0.1)
    assert frames is not None
    assert frames > 1_000
    last = simulator.market("BTC/USD")["BTC/USD"]
    tickers = [v2.find(lambda frame: frame.get("channel") == "ticker") for _ in range(frames + 1)]
    assert f"{tickers[-1]['data'][0]['last']:.1f}" == f"{float(last['price']):.1f}"
    stamps = [ticker["data"][0]["timestamp"] for ticker in tickers]
    assert stamps == sorted(stamps)
    assert [v1.find(is_data("ticker"))[1]["c"][0] for _ in range(frames + 1)][-1] == last["price"]


@pytest.mark.parametrize(
    ("how", "code", "seen"),
    [("abrupt", 1000, 1006), ("reset", 1000, 1006), ("clean", 1001, 1001), ("clean", 1012, 1012)],
)
def test_a_cut_ends_every_connection_with_its_code(
    simulator: Simulator, v1: Client, v2: Client, how: str, code: int, seen: int
) -> None:
    simulator.wait(open=2)
    assert simulator.cut(how, code) == 2
    assert simulator.counters()["connections_open"] == 0
    assert v1.close_code() == v2.close_code() == seen


def test_raw_text_binary_and_bytes_arrive_as_sent(simulator: Simulator, v1: Client) -> None:
    simulator.wait(open=1)
    v1.text()
    simulator.send_text("{broken")
    assert v1.text() == "{broken"
    simulator.send_text("x", repeat=300_000, fragments=1000)
    assert v1.text() == "x" * 300_000
    simulator.send_binary(b"\x00\xff")
    assert v1.socket.recv(DEADLINE) == b"\x00\xff"
    simulator.send_bytes(b"\x81\x02\xff\xff")
    with pytest.raises(ConnectionClosed):
        v1.text()


def test_a_hundred_connections_hear_the_same_trade(simulator: Simulator) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(joined(simulator.v2_url)) for _ in range(100)]
        for client in clients:
            client.subscribe_v2("BTC/USD", snapshot=False)
        simulator.wait(subscriptions=100)
        simulator.trade("BTC/USD", "101.5")
        for client in clients:
            assert client.find(is_channel("ticker", "update"))["data"][0]["last"] == 101.5
        simulator.cut()


def test_a_client_that_does_not_read_delays_no_other(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port)) as deaf:
        deaf.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        simulator.wait(open=1)
        simulator.send_text("x", repeat=50_000_000)
        with joined(simulator.v2_url) as client:
            client.subscribe_v2("BTC/USD", snapshot=False)
            client.find(is_method("subscribe", "ticker"))
            simulator.trade("BTC/USD", "115000.1")
            assert client.find(is_channel("ticker", "update"))["data"][0]["last"] == 115000.1


def test_refuse_closes_or_answers_the_handshake(simulator: Simulator) -> None:
    simulator.fault("refuse")
    with pytest.raises((InvalidMessage, ConnectionClosed, EOFError)):
        joined(simulator.v1_url).__enter__()
    simulator.fault("refuse", status=429, retry_after=7)
    with pytest.raises(InvalidStatus) as refused:
        joined(simulator.v1_url).__enter__()
    assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "7")


def test_cut_after_drops_each_new_connection(simulator: Simulator) -> None:
    simulator.fault("cut_after", seconds=0.05)
    for _ in range(2):
        with joined(simulator.v1_url) as client:
            assert client.close_code() == 1006


def test_silence_acknowledges_and_then_only_answers_protocol_pings(simulator: Simulator, v2: Client) -> None:
    simulator.fault("silence")
    v2.subscribe_v2("BTC/USD")
    v2.find(is_method("subscribe", "ticker"))
    simulator.trade("BTC/USD", "1.5")
    assert v2.hears_nothing()
    assert v2.socket.ping().wait(DEADLINE)


def test_freeze_holds_everything_and_loses_nothing(simulator: Simulator, v2: Client) -> None:
    v2.subscribe_v2("BTC/USD", snapshot=False)
    v2.find(is_method("subscribe", "ticker"))
    simulator.fault("freeze")
    pong = v2.socket.ping()
    simulator.trade("BTC/USD", "1.5")
    assert v2.hears_nothing()
    assert not pong.is_set()
    with pytest.raises(TimeoutError):
        connect(simulator.v1_url, open_timeout=SILENCE).__enter__()
    simulator.fault("freeze", on=False)
    assert v2.find(is_channel("ticker", "update"))["data"][0]["last"] == 1.5
    assert pong.wait(DEADLINE)


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


def test_heartbeats_come_by_themselves_from_the_first_subscription_on(lively: Simulator) -> None:
    with joined(lively.v1_url) as client:
        assert client.find(is_event("systemStatus"))
        assert client.hears_nothing()
        client.subscribe_v1("XBT/USD")
        client.find(is_data("ticker"))
        assert [client.text() for _ in range(2)] == ['{"event":"heartbeat"}'] * 2


def test_a_deaf_pair_is_acknowledged_and_moves_in_rest_only(simulator: Simulator, v1: Client) -> None:
    simulator.fault("deaf_pair", pair="BTC/USD")
    v1.subscribe_v1("XBT/USD", "ETH/USD")
    assert [v1.find(is_event("subscriptionStatus"))["status"] for _ in range(2)] == ["subscribed"] * 2
    simulator.trade("BTC/USD", "77.7")
    simulator.trade("ETH/USD", "88.8")
    pairs = [v1.find(is_data("ticker"))[-1] for _ in range(2)]
    assert pairs == ["ETH/USD", "ETH/USD"]
    assert result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0] == "77.7"


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


def test_late_ack_answers_late_and_pongs_meanwhile(simulator: Simulator, v2: Client) -> None:
    simulator.fault("late_ack", seconds=0.1)
    v2.subscribe_v2("BTC/USD")
    v2.send({"method": "ping"})
    assert v2.find(lambda frame: "method" in frame)["method"] == "pong"
    assert v2.find(is_method("subscribe", "ticker"))


def test_status_is_pushed_and_shown_until_it_is_over(simulator: Simulator, v1: Client) -> None:
    simulator.wait(open=1)
    assert v1.find(is_event("systemStatus"))["status"] == "online"
    simulator.fault("status", system="cancel_only")
    assert v1.find(is_event("systemStatus"))["status"] == "cancel_only"
    assert result(simulator, "SystemStatus")["status"] == "cancel_only"
    simulator.clear()
    assert v1.find(is_event("systemStatus"))["status"] == "online"


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


def test_each_rest_fault_does_what_its_name_says(simulator: Simulator) -> None:
    simulator.fault("rest_status", status=302, location="http://127.0.0.1:9/")
    assert rest(simulator, "Ticker")[0] == 302
    simulator.clear()
    simulator.fault("rest_html", status=502)
    assert rest(simulator, "Ticker") == (502, rest(simulator, "Time")[1])
    simulator.clear()
    simulator.fault("rest_garbage")
    with pytest.raises(ValueError, match="decode"):
        json.loads(rest(simulator, "Ticker")[1])
    simulator.clear()
    simulator.fault("rest_error", only="Ticker")
    assert rest(simulator, "Ticker") == (200, b'{"error":["EGeneral:Too many requests"]}')
    assert rest(simulator, "Time")[1].startswith(b'{"error":[],')
    simulator.clear()
    simulator.fault("rest_huge", bytes=3_000_000)
    assert len(rest(simulator, "Ticker")[1]) == 3_000_000
    simulator.clear()
    simulator.fault("rest_refuse")
    with pytest.raises(http.client.RemoteDisconnected):
        rest(simulator, "Ticker")


def test_slow_and_dripping_answers_take_their_time(simulator: Simulator) -> None:
    simulator.fault("rest_slow", seconds=0.1)
    started = time.monotonic()
    assert rest(simulator, "Time")[0] == 200
    assert time.monotonic() - started >= 0.1
    simulator.clear()
    simulator.fault("rest_drip", interval=0.02, length=5)
    started = time.monotonic()
    assert rest(simulator, "Time") == (200, b'{"err')
    assert time.monotonic() - started >= 4 * 0.02


def test_rest_stale_shows_an_older_price_of_one_pair(simulator: Simulator) -> None:
    simulator.trade("BTC/USD", "115000.1")
    simulator.fault("rest_stale", pair="BTC/USD", price="99.0")
    assert result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0] == "99.0"
    assert result(simulator, "Trades?pair=XBTUSD")["XXBTZUSD"][-1][0] == "99.0"
    assert simulator.market("BTC/USD")["BTC/USD"]["price"] == "115000.1"


def test_an_unlisted_pair_fails_the_whole_request(simulator: Simulator) -> None:
    simulator.fault("unlisted", pair="BTC/USD")
    assert json.loads(rest(simulator, "Ticker?pair=ETHUSD,XBTUSD")[1]) == {
        "error": ["EQuery:Unknown asset pair"]
    }
    assert "XXBTZUSD" not in result(simulator, "AssetPairs")


def test_an_unknown_fault_or_argument_is_refused_by_name(simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match="silence"):
        simulator.fault("quiet")
    with pytest.raises(SimulatorError, match="does not take pear; it takes pair"):
        simulator.fault("deaf_pair", pear="BTC/USD")
    with pytest.raises(SimulatorError, match="needs pair"):
        simulator.fault("deaf_pair")


def trade_row(client: Client) -> Any:
    return client.find(is_channel("trade", "update"))["data"][0]


def subscribed_v2(client: Client, *symbols: str, channel: str = "trade", snapshot: bool = False) -> None:
    client.subscribe_v2(*symbols, channel=channel, snapshot=snapshot)
    for _ in symbols:
        client.find(is_method("subscribe", channel))


def subscribed_v1(client: Client, *pairs: str, channel: str = "trade") -> None:
    client.subscribe_v1(*pairs, channel=channel)
    for _ in pairs:
        client.find(is_event("subscriptionStatus"))


def test_a_wrong_type_quotes_v2_prices_and_bares_those_of_v1(
    simulator: Simulator, v1: Client, v2: Client
) -> None:
    simulator.fault("wrong_type", pair="BTC/USD", channel="trade")
    subscribed_v2(v2, "BTC/USD", "ETH/USD")
    subscribed_v1(v1, "XBT/USD")
    simulator.trade("BTC/USD", "118000.0")
    simulator.trade("ETH/USD", "4100.5")
    assert v2.reads('"price":"118000.0"')
    assert v2.reads('"price":4100.5')
    assert v1.reads("[[118000.0,")


def test_a_wrong_type_of_one_pair_leaves_its_neighbour_in_the_same_snapshot(
    simulator: Simulator, v2: Client
) -> None:
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
    trade = simulator.trade("BTC/USD", "118000.0")
    assert [row["trade_id"] for row in v2.find(is_channel("trade", "update"))["data"]] == [
        trade["trade_id"],
        None,
    ]
    assert [row[0] for row in v1.find(is_data("trade"))[1]] == ["118000.0", None]


def test_acks_behind_tell_an_earlier_time(simulator: Simulator, v2: Client) -> None:
    simulator.fault("acks_behind", seconds=3600)
    v2.subscribe_v2("BTC/USD")
    told = datetime.fromisoformat(v2.find(is_method("subscribe", "ticker"))["time_out"])
    assert 3590 < time.time() - told.timestamp() < 3660


def test_late_data_comes_late_in_order_between_punctual_heartbeats(lively: Simulator) -> None:
    with joined(lively.v1_url) as client:
        subscribed_v1(client, "XBT/USD")
        lively.fault("late_data", seconds=0.3, pair="BTC/USD")
        started = time.monotonic()
        lively.trade("BTC/USD", "118000.0")
        lively.trade("BTC/USD", "118001.0")
        frames = [json.loads(client.text()) for _ in range(4)]
        assert [is_event("heartbeat")(frame) for frame in frames] == [True] * 4
        prices = [client.find(is_data("trade"))[1][0][0] for _ in range(2)]
        assert time.monotonic() - started >= 0.3
        assert prices == ["118000.0", "118001.0"]


def test_disorder_lets_younger_data_overtake(simulator: Simulator, v2: Client) -> None:
    simulator.fault("disorder", seconds=0.2)
    subscribed_v2(v2, "BTC/USD")
    sent = [simulator.trade("BTC/USD", "118000.0")["trade_id"] for _ in range(20)]
    got = [trade_row(v2)["trade_id"] for _ in sent]
    assert sorted(got) == sent
    assert got != sent


def test_duplicates_come_again(simulator: Simulator, v2: Client) -> None:
    simulator.fault("duplicates", times=2)
    subscribed_v2(v2, "BTC/USD")
    number = simulator.trade("BTC/USD", "118000.0")["trade_id"]
    assert [trade_row(v2)["trade_id"] for _ in range(3)] == [number] * 3


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


def test_a_deaf_channel_is_silent_while_the_other_goes_on(simulator: Simulator, v2: Client) -> None:
    simulator.fault("deaf_channel", channel="trade", pair="BTC/USD")
    for channel in ("trade", "ticker"):
        subscribed_v2(v2, "BTC/USD", channel=channel)
    simulator.trade("BTC/USD", "118000.0")
    assert json.loads(v2.text())["channel"] == "ticker"


def test_a_ticker_stamped_now_shows_a_trade_of_half_an_hour_ago(simulator: Simulator, v2: Client) -> None:
    simulator.restart("BTC/USD", age=1800)
    simulator.fault("ticker_stamped_now", pair="BTC/USD")
    v2.subscribe_v2("BTC/USD")
    ticker = v2.find(is_channel("ticker", "snapshot"))["data"][0]
    subscribed_v2(v2, "BTC/USD", snapshot=True)
    trade = v2.find(is_channel("trade", "snapshot"))["data"][0]
    apart = datetime.fromisoformat(ticker["timestamp"]) - datetime.fromisoformat(trade["timestamp"])
    assert apart.total_seconds() >= 1800


def test_a_pair_s_status_is_pushed_on_the_instrument_channel_and_told_by_asset_pairs(
    simulator: Simulator, v2: Client
) -> None:
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
    assert json.loads(rest(simulator, "Ticker?pair=XBTUSD")[1])["error"] == ["EQuery:Unknown asset pair"]
    v2.subscribe_v2("BTC/USD")
    assert v2.find(is_method("subscribe", success=False))["error"] == "Currency pair not supported BTC/USD"


def test_an_odd_status_says_nothing_of_the_true_state(simulator: Simulator, v1: Client, v2: Client) -> None:
    simulator.fault("odd_status")
    status = v2.find(lambda frame: frame["channel"] == "status" and "system" not in frame["data"][0])
    assert status["data"][0]["api_version"] == "v2"
    simulator.fault("odd_status", system="napping")
    assert v1.find(lambda frame: frame.get("status") == "napping")["event"] == "systemStatus"


def test_a_renamed_pair_is_known_by_its_new_altname_alone(simulator: Simulator) -> None:
    simulator.fault("renamed", pair="BTC/USD", altname="BTCUSD")
    assert json.loads(rest(simulator, "Ticker?pair=XBTUSD")[1])["error"] == ["EQuery:Unknown asset pair"]
    assert list(result(simulator, "Ticker?pair=BTCUSD")) == ["XXBTZUSD"]
    assert result(simulator, "AssetPairs")["XXBTZUSD"]["altname"] == "BTCUSD"


def test_rest_cached_answers_the_same_again_from_edges_of_different_ages(simulator: Simulator) -> None:
    def price() -> str:
        return str(result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0])

    simulator.trade("BTC/USD", "118000.0")
    simulator.fault("rest_cached", seconds=0.6, edges=2)
    assert price() == "118000.0"
    simulator.trade("BTC/USD", "118001.0")
    end = time.monotonic() + DEADLINE
    while len({price(), price()}) == 1:
        assert time.monotonic() < end
    while {price(), price()} != {"118001.0"}:
        assert time.monotonic() < end
    simulator.clear()
    simulator.trade("BTC/USD", "118002.0")
    assert price() == "118002.0"


def test_cookies_are_in_the_handshake_s_answer(simulator: Simulator) -> None:
    simulator.fault("cookies", header="a,b=1")
    with joined(simulator.v2_url) as client:
        assert client.socket.response is not None
        assert client.socket.response.headers["Set-Cookie"] == "a,b=1"


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


def test_the_exchanges_clock_is_ahead_of_ours_on_request() -> None:
    with Simulator.start("--clock-ahead", "600") as running:
        ahead = running.trade("BTC/USD", "118000.0")["time"] - time.time()
        assert 590 < ahead < 610
        assert int(result(running, "Time")["unixtime"]) - time.time() > 590
        assert running.exchange_trade("binance", "BTCUSDT", "118000")["time"] - time.time() > 590


def test_every_fault_of_kraken_has_a_test_that_names_it() -> None:
    text = Path(__file__).read_text()
    ours = [name for name, fault in TABLE.items() if fault.family != SPOT]
    assert [name for name in ours if f'fault("{name}"' not in text] == []


def test_waiting_in_vain_says_what_was_reached(simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match=r"not reached within 0.05 s: .*connections_open"):
        simulator.wait(timeout=0.05, open=17)


def test_waiting_ends_when_the_number_is_reached(simulator: Simulator) -> None:
    calls = sum(simulator.counters()["rest_calls"].values())
    timer = threading.Timer(0.05, rest, (simulator, "Time"))
    timer.start()
    assert simulator.wait(rest_calls=calls + 1)["rest_calls"]["Time"] >= 1
    timer.join()


@needs_recordings
@pytest.mark.parametrize("channel", ["ticker", "trade"])
def test_a_replay_plays_the_recorded_texts_and_the_market_follows(channel: str) -> None:
    path = RECORDED / f"v1_{channel}_10pairs_2021-04-17.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    frames = [record["raw"] for record in records if record["dir"] == "in"]
    request = next(record["raw"] for record in records if record["dir"] == "out")
    with Simulator.start("--replay", str(path), "--speed", "100") as simulator:
        with joined(simulator.v1_url) as client:
            client.socket.send(request)
            assert [client.text() for _ in frames] == frames
        market = simulator.market()
    last = {frame[-1]: frame[1] for frame in map(json.loads, frames) if isinstance(frame, list)}
    for wsname, payload in last.items():
        price = payload["c"][0] if channel == "ticker" else payload[-1][0]
        assert market[wsname.replace("XBT", "BTC")]["price"] == price


def test_faults_and_pairs_are_taken_from_the_command_line() -> None:
    faults = ("--fault", "refuse_pair=BTC/USD", "--fault", 'rest_status={"status":503}')
    with Simulator.start("--pair", "SOL/USD", *faults) as simulator:
        assert rest(simulator, "Time")[0] == 503
        with joined(simulator.v2_url) as client:
            client.subscribe_v2("BTC/USD", "SOL/USD")
            assert client.find(is_method("subscribe", success=False))["symbol"] == "BTC/USD"
            assert client.find(is_channel("ticker", "snapshot"))["data"][0]["symbol"] == "SOL/USD"


def test_run_gives_the_child_its_addresses_passes_signals_on_and_returns_its_code() -> None:
    child = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print(os.environ['KRAKEN_WEBSOCKET_URL'], os.environ['KRAKEN_REST_URL'], flush=True)\n"
        "signal.pause()"
    )
    command = [sys.executable, "-m", "ltp_service.simulator", "--walk", "--run", sys.executable, "-c", child]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert process.stdout.readline().split() == [addresses["kraken_v2"], addresses["kraken_rest"]]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 7


def test_the_default_pairs_of_the_service_are_listed() -> None:
    defaults = {"BTC/USD", "BTC/EUR", "BTC/CHF", "BTC/CAD", "ETH/USD", "LTC/USD", "XRP/USD"}
    assert defaults <= {pair.name for pair in STANDARD_PAIRS}
