"""The simulated Bybit and Binance against the recordings of the real ones, and each fault against its name."""

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ltp_service.simulator.faults import TABLE
from ltp_service.simulator.switches import KRAKEN
from tests.conftest import NOT_AT_HAND
from tests.deadline import DEADLINE
from tests.simulator.client import PROJECT, Simulator, SimulatorError
from tests.simulator.reader import Reader

RECORDED = PROJECT.parent / "shared" / "recorded"
BOTH = ("bybit", "binance")

needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(),
    reason=f"{NOT_AT_HAND}: no {RECORDED}",
)

Frame = dict[str, Any]


class Client(Reader):
    """A client of one exchange."""

    def __init__(self, exchange: str, connection: ClientConnection) -> None:
        super().__init__(connection)
        self.exchange = exchange

    def subscribe(self, *topics: str, number: int = 1) -> None:
        if self.exchange == "bybit":
            self.send({"op": "subscribe", "req_id": number, "args": list(topics)})
        else:
            self.send({"method": "SUBSCRIBE", "params": list(topics), "id": number})

    def subscribe_to_trades(self, symbol: str = "BTCUSDT") -> None:
        self.subscribe(trades_of(self.exchange, symbol))

    def read(self, timeout: float = DEADLINE) -> Frame:
        frame = json.loads(self.text(timeout))
        assert isinstance(frame, dict)
        return frame

    def trade_ids(self) -> list[int]:
        """Of the next message with trades."""
        return ids(self.find(is_trade))


def url_of(simulator: Simulator, exchange: str) -> str:
    return simulator.bybit_url if exchange == "bybit" else simulator.binance_url


def trades_of(exchange: str, symbol: str) -> str:
    return f"publicTrade.{symbol}" if exchange == "bybit" else f"{symbol.lower()}@trade"


def is_ack(frame: Frame) -> bool:
    return "success" in frame or "result" in frame


def is_trade(frame: Frame) -> bool:
    return "publicTrade" in frame.get("topic", "") or "@trade" in frame.get("stream", "")


def is_type(name: str) -> Callable[[Frame], bool]:
    return lambda frame: "orderbook" in frame.get("topic", "") and frame["type"] == name


def is_event(name: str) -> Callable[[Frame], bool]:
    return lambda frame: "stream" in frame and frame["data"]["e"] == name


def ids(frame: Frame) -> list[int]:
    if "topic" in frame:
        return [int(row["i"]) for row in frame["data"]]
    return [frame["data"]["t"]]


def shape(content: Any) -> Any:
    """Keys and types without the values; a list is as its first element."""
    match content:
        case dict():
            return {key: shape(value) for key, value in content.items()}
        case list():
            return [shape(value) for value in content[:1]]
        case _:
            return type(content).__name__


def recorded(file: str, wanted: Callable[[Frame], bool]) -> Frame:
    records = map(json.loads, (RECORDED / file).read_text().splitlines())
    frames = (json.loads(record["raw"]) for record in records if record["dir"] in ("in", "http"))
    return next(frame for frame in frames if wanted(frame))


@contextmanager
def joined(simulator: Simulator, exchange: str, query: str = "") -> Iterator[Client]:
    with connect(
        url_of(simulator, exchange) + query,
        compression=None,
        ping_interval=None,
        open_timeout=DEADLINE,
        close_timeout=0.1,
        max_size=None,
    ) as connection:
        yield Client(exchange, connection)


def rest(simulator: Simulator, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=DEADLINE)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def process() -> Iterator[Simulator]:
    with Simulator.start() as running:
        yield running


@pytest.fixture
def simulator(process: Simulator) -> Iterator[Simulator]:
    yield process
    process.clear()
    process.cut()


@pytest.fixture
def bybit(simulator: Simulator) -> Iterator[Client]:
    with joined(simulator, "bybit") as client:
        yield client


@pytest.fixture
def binance(simulator: Simulator) -> Iterator[Client]:
    with joined(simulator, "binance") as client:
        yield client


@pytest.fixture(params=BOTH)
def client(request: pytest.FixtureRequest, simulator: Simulator) -> Iterator[Client]:
    with joined(simulator, request.param) as client:
        yield client


BYBIT = "bybit/v5_spot_ccxt_2026-08.jsonl"
BYBIT_2023 = "bybit/v5_spot_tardis_2023-04-05.jsonl"


@needs_recordings
@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        pytest.param("publicTrade.BTCUSDT", is_ack, id="ack"),
        pytest.param("publicTrade.BTCUSDT", is_trade, id="trade"),
        pytest.param("orderbook.1.BTCUSDT", is_type("snapshot"), id="book"),
    ],
)
def test_bybit_frames_have_the_shape_of_the_recorded_ones(
    simulator: Simulator, bybit: Client, topic: str, wanted: Callable[[Frame], bool]
) -> None:
    bybit.subscribe(topic)
    simulator.wait(exchange="bybit", subscriptions=1)
    simulator.exchange_trade("bybit", "BTCUSDT", "64103.9")
    assert shape(bybit.find(wanted)) == shape(recorded(BYBIT, wanted))


@needs_recordings
def test_a_bybit_delta_has_the_shape_of_the_recorded_one_and_the_engines_time(
    simulator: Simulator, bybit: Client
) -> None:
    bybit.subscribe("orderbook.50.BTCUSDT")
    bybit.find(is_type("snapshot"))
    simulator.change_book("bybit", "BTCUSDT", 20)
    delta = bybit.find(is_full)
    assert shape(delta) == shape(recorded(BYBIT_2023, is_full)) | {"cts": "int"}


@needs_recordings
def test_a_binance_acknowledgement_has_the_shape_of_the_recorded_one(binance: Client) -> None:
    binance.subscribe("btcusdt@trade")
    assert shape(binance.read()) == shape(recorded("binance/spot_ccxt_2026-08-12.jsonl", is_ack))


@needs_recordings
def test_a_binance_trade_has_the_recorded_shape_less_the_order_ids_of_old(
    simulator: Simulator, binance: Client
) -> None:
    binance.subscribe("btcusdt@trade")
    simulator.wait(exchange="binance", subscriptions=1)
    simulator.exchange_trade("binance", "BTCUSDT", "64103.9", side="sell")
    trade = binance.find(is_trade)
    assert (trade["data"]["p"], trade["data"]["m"]) == ("64103.90000000", True)
    expected = shape(recorded("binance/tardis_tests_2019.jsonl", is_trade))
    assert shape(trade) == {**expected, "data": {k: v for k, v in expected["data"].items() if k not in "ab"}}


@needs_recordings
def test_binance_depth_has_the_shape_of_the_recorded_updates_and_snapshots(
    simulator: Simulator, binance: Client
) -> None:
    binance.subscribe("btcusdt@depth@100ms")
    simulator.wait(exchange="binance", subscriptions=1)
    simulator.change_book("binance", "BTCUSDT", 20)
    update = binance.find(is_full)
    assert shape(update) == shape(recorded("binance/spot_combined_stream_2021-10-12.jsonl", is_full))
    status, snapshot = rest(simulator, "/api/v3/depth?symbol=BTCUSDT&limit=1000")
    assert status == 200
    assert shape(snapshot) == shape(
        recorded("binance/spot_rest_depth1000_2021-10-12.jsonl", lambda frame: "lastUpdateId" in frame)
    )


def is_full(frame: Frame) -> bool:
    """A change of a book on both sides."""
    is_change = is_event("depthUpdate")(frame) or is_type("delta")(frame)
    return is_change and bool(frame["data"]["b"] and frame["data"]["a"])


def test_bybit_answers_its_ping_with_op_ping(bybit: Client) -> None:
    bybit.send({"req_id": "p1", "op": "ping"})
    answer = bybit.read()
    assert answer == {"success": True, "ret_msg": "pong", "conn_id": answer["conn_id"], "op": "ping"}


def test_bybit_refuses_eleven_topics_and_a_request_with_one_unknown_symbol(
    simulator: Simulator, bybit: Client
) -> None:
    bybit.subscribe(*(f"publicTrade.A{number}USDT" for number in range(11)))
    assert (bybit.read()["ret_msg"], simulator.counters("bybit")["subscriptions"]) == ("args size >10", {})
    bybit.subscribe("publicTrade.BTCUSDT", "publicTrade.NOPEUSDT", number=7)
    refusal = bybit.read()
    assert (refusal["success"], refusal["req_id"]) == (False, "7")
    assert refusal["ret_msg"] == "Invalid symbol :[publicTrade.NOPEUSDT]"
    bybit.subscribe("publicTrade.BTCUSDT", "orderbook.7.BTCUSDT")
    assert bybit.read()["ret_msg"] == "error:handler not found,topic:orderbook.7.BTCUSDT"
    assert simulator.counters("bybit")["subscriptions"] == {}


def test_an_unsubscribed_topic_sends_no_more(simulator: Simulator, bybit: Client, binance: Client) -> None:
    for client in (bybit, binance):
        client.subscribe_to_trades()
        client.find(is_ack)
    bybit.send({"op": "unsubscribe", "req_id": "9", "args": ["publicTrade.BTCUSDT"]})
    binance.send({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 9})
    for client in (bybit, binance):
        assert is_ack(client.read())
        simulator.exchange_trade(client.exchange, "BTCUSDT", "64103.9")
        assert client.hears_nothing()


def test_streams_in_the_url_flow_without_an_acknowledgement(simulator: Simulator) -> None:
    with joined(simulator, "binance", "?streams=btcusdt@trade/ethusdt@trade") as client:
        simulator.wait(exchange="binance", subscriptions=2)
        simulator.exchange_trade("binance", "ETHUSDT", "4215.5")
        assert client.read()["stream"] == "ethusdt@trade"
        client.send({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert client.read() == {"result": ["btcusdt@trade", "ethusdt@trade"], "id": 3}


def test_binance_takes_a_misspelt_stream_in_silence_and_names_what_it_cannot_read(binance: Client) -> None:
    binance.subscribe("btcusdt@depth@100mss", "nopeusdt@trade")
    assert binance.read() == {"result": None, "id": 1}
    binance.socket.send("{")
    assert binance.read() == {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}
    binance.send({})
    assert "missing field `method`" in binance.read()["msg"]


def test_one_match_event_shares_its_sequence_and_ids_follow_each_other(
    simulator: Simulator, client: Client
) -> None:
    client.subscribe_to_trades()
    client.find(is_ack)
    sent = simulator.exchange_flood(client.exchange, "BTCUSDT", rate=2000, seconds=0.05)
    frames: list[Frame] = []
    while sum(len(ids(frame)) for frame in frames) < (sent or 0):
        frames.append(client.find(is_trade))
    heard = [number for frame in frames for number in ids(frame)]
    assert heard == list(range(heard[0], heard[0] + len(heard)))
    if client.exchange == "bybit":
        assert all(len({row["seq"] for row in frame["data"]}) == 1 for frame in frames)
        assert max(len(frame["data"]) for frame in frames) > 1
        sequences = [frame["data"][0]["seq"] for frame in frames]
        assert sequences == sorted(set(sequences))


def test_every_trade_of_a_flood_is_sent_and_accounted_for(simulator: Simulator, client: Client) -> None:
    symbols = ("FLOODUSDT", "STREAMUSDT")
    client.subscribe(*(trades_of(client.exchange, symbol) for symbol in symbols))
    client.find(is_ack)
    simulator.exchange_flood(client.exchange, *symbols, rate=20_000, seconds=0.2, background=True)
    heard: list[int] = []
    while len(heard) < 4000:
        heard += client.trade_ids()
    accounts = [simulator.exchange_trades(client.exchange, symbol) for symbol in symbols]
    assert sum(account["count"] for account in accounts) == 4000
    assert sorted(heard) == sorted(n for account in accounts for n in numbers(account["ranges"]))


def numbers(ranges: list[list[int]]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


def test_price_text_id_and_time_reach_bybit_verbatim(simulator: Simulator, bybit: Client) -> None:
    bybit.subscribe_to_trades()
    bybit.find(is_ack)
    simulator.exchange_trade("bybit", "BTCUSDT", "NaN", volume="1e9", id=77, time=1.5)
    row = bybit.find(is_trade)["data"][0]
    assert (row["p"], row["v"], row["i"], row["T"], row["S"]) == ("NaN", "1e9", "77", 1500, "Buy")


class Book:
    """What a client holds, best first."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] = {"b": {}, "a": {}}

    def replace(self, bids: Any, asks: Any) -> None:
        self.sides = {"b": dict(bids), "a": dict(asks)}

    def apply(self, frame: Frame) -> None:
        for side, levels in self.sides.items():
            for price, quantity in frame["data"][side]:
                if Decimal(quantity):
                    levels[price] = quantity
                else:
                    levels.pop(price, None)

    def top(self, depth: int) -> list[list[tuple[Decimal, Decimal]]]:
        exact = [[(Decimal(p), Decimal(q)) for p, q in levels.items()] for levels in self.sides.values()]
        return [sorted(exact[0], reverse=True)[:depth], sorted(exact[1])[:depth]]


def truth(simulator: Simulator, exchange: str, depth: int) -> list[list[tuple[Decimal, Decimal]]]:
    book = simulator.book(exchange, "BTCUSDT", depth)
    return [[(Decimal(p), Decimal(q)) for p, q in book[side]] for side in ("bids", "asks")]


@pytest.mark.parametrize("depth", [50, 200])
def test_a_bybit_book_kept_from_its_deltas_is_the_true_one(
    simulator: Simulator, bybit: Client, depth: int
) -> None:
    bybit.subscribe(f"orderbook.{depth}.BTCUSDT")
    simulator.wait(exchange="bybit", subscriptions=1)
    simulator.change_book("bybit", "BTCUSDT", 300)
    simulator.change_book("bybit", "BTCUSDT", restart=True)
    book, restarted = Book(), Book()
    numbers_seen: list[int] = []
    while not numbers_seen or numbers_seen[-1] != 1:
        frame = bybit.find(lambda frame: "topic" in frame)
        numbers_seen.append(frame["data"]["u"])
        if frame["type"] == "delta":
            book.apply(frame)
        elif len(numbers_seen) == 1:
            book.replace(frame["data"]["b"], frame["data"]["a"])
        else:
            restarted.replace(frame["data"]["b"], frame["data"]["a"])
    contiguous = numbers_seen[:-1]
    assert len(contiguous) > 100
    assert contiguous == list(range(contiguous[0], contiguous[0] + len(contiguous)))
    assert book.top(depth) == restarted.top(depth) == truth(simulator, "bybit", depth)


def test_depth_one_repeats_the_whole_best_with_the_next_number(simulator: Simulator, bybit: Client) -> None:
    bybit.subscribe("orderbook.1.BTCUSDT")
    first = bybit.find(is_type("snapshot"))
    simulator.change_book("bybit", "BTCUSDT", 500)
    second = bybit.find(is_type("snapshot"))
    assert second["data"]["u"] == first["data"]["u"] + 1
    assert (len(second["data"]["b"]), len(second["data"]["a"])) == (1, 1)


def test_a_binance_book_kept_from_snapshot_and_updates_is_the_true_one(
    simulator: Simulator, binance: Client
) -> None:
    binance.subscribe("btcusdt@depth")
    simulator.wait(exchange="binance", subscriptions=1)
    simulator.change_book("binance", "BTCUSDT", 50)
    _, snapshot = rest(simulator, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
    simulator.change_book("binance", "BTCUSDT", 250)
    updates = [binance.find(is_event("depthUpdate")) for _ in range(300)]
    spans = [(update["data"]["U"], update["data"]["u"]) for update in updates]
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))
    book = Book()
    book.replace(snapshot["bids"], snapshot["asks"])
    later = [update for update in updates if update["data"]["u"] > snapshot["lastUpdateId"]]
    assert len(later) == 250
    assert later[0]["data"]["U"] == snapshot["lastUpdateId"] + 1
    for update in later:
        book.apply(update)
    assert book.top(50) == truth(simulator, "binance", 50)


def test_binance_rest_knows_limits_and_refuses_what_is_not_listed(simulator: Simulator) -> None:
    assert len(rest(simulator, "/api/v3/depth?symbol=BTCUSDT&limit=5")[1]["bids"]) == 5
    assert rest(simulator, "/api/v3/depth?symbol=NOPEUSDT") == (
        400,
        {"code": -1121, "msg": "Invalid symbol."},
    )
    assert rest(simulator, "/api/v3/depth")[1]["code"] == -1102
    listed = {entry["symbol"] for entry in rest(simulator, "/api/v3/exchangeInfo")[1]["symbols"]}
    assert {"BTCUSDT", "ETHUSDT", "SOLUSDT"} <= listed


def test_rest_shows_the_latest_trades(simulator: Simulator) -> None:
    for exchange in BOTH:
        simulator.exchange_trade(exchange, "BTCUSDT", "64103.9")
    last = rest(simulator, "/api/v3/trades?symbol=BTCUSDT&limit=1")[1][-1]
    assert (last["price"], last["id"]) == (
        "64103.90000000",
        simulator.exchange_trades("binance", "BTCUSDT")["last"],
    )
    answer = rest(simulator, "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=2")[1]
    assert (answer["retCode"], answer["result"]["list"][0]["price"]) == (0, "64103.9")
    refused = rest(simulator, "/v5/market/recent-trade?category=spot&symbol=NOPEUSDT")[1]
    assert refused["retCode"] == 10001


def test_the_sixth_message_within_a_second_closes_with_1008(binance: Client) -> None:
    for number in range(6):
        binance.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert binance.close_code() == 1008


def test_pings_come_and_a_missing_pong_ends_the_connection() -> None:
    settings = ("--binance-ping", "0.05", "--binance-pong", "0.2")
    with Simulator.start(*settings) as simulator:
        with joined(simulator, "binance") as client:
            assert simulator.wait(exchange="binance", pongs=3)["connections_open"] == 1
            client.socket.protocol.data_to_send = list  # type: ignore[method-assign]
            assert client.close_code() == 1006
        simulator.wait(exchange="binance", open=0)


def test_the_lifetime_of_a_connection_ends_with_a_close_frame() -> None:
    with Simulator.start("--binance-lifetime", "0.1") as simulator, joined(simulator, "binance") as client:
        assert client.close_code() == 1001


def test_a_cut_of_one_exchange_leaves_the_others_and_counts_apart(
    simulator: Simulator, bybit: Client, binance: Client
) -> None:
    before = simulator.counters()
    for exchange in BOTH:
        simulator.wait(exchange=exchange, open=1)
    bybit.send({"op": "ping"})
    bybit.subscribe_to_trades()
    assert simulator.wait(exchange="bybit", subscriptions=1)["subscriptions"] == {
        "publicTrade": {"BTCUSDT": 1}
    }
    assert simulator.cut(exchange="bybit") == 1
    assert bybit.close_code() == 1006
    assert simulator.counters("bybit")["connections_open"] == 0
    assert simulator.counters("binance")["connections_open"] == 1
    assert simulator.counters() == before
    with pytest.raises(SimulatorError, match="no exchange 'coinbase'"):
        simulator.cut(exchange="coinbase")


def test_late_ack_answers_late_and_data_follows(simulator: Simulator, client: Client) -> None:
    simulator.fault("late_ack", seconds=0.15, exchange=client.exchange)
    client.subscribe_to_trades()
    simulator.exchange_trade(client.exchange, "BTCUSDT", "1.5")
    assert client.hears_nothing()
    assert is_ack(client.read())


def test_data_before_ack_sends_the_acknowledgement_second(simulator: Simulator, client: Client) -> None:
    simulator.fault("data_before_ack", exchange=client.exchange)
    client.subscribe_to_trades()
    simulator.wait(exchange=client.exchange, subscriptions=1)
    simulator.exchange_trade(client.exchange, "BTCUSDT", "1.5")
    assert is_trade(client.read())
    assert is_ack(client.read())


def test_data_before_ack_acknowledges_at_last_without_any_data(simulator: Simulator, client: Client) -> None:
    simulator.fault("data_before_ack", seconds=0.05)
    client.subscribe_to_trades()
    assert is_ack(client.read())


def test_a_deaf_pair_is_acknowledged_and_its_neighbour_flows(simulator: Simulator, client: Client) -> None:
    simulator.fault("deaf_pair", pair="BTCUSDT", exchange=client.exchange)
    client.subscribe(*(trades_of(client.exchange, symbol) for symbol in ("BTCUSDT", "ETHUSDT")))
    assert is_ack(client.read())
    for symbol in ("BTCUSDT", "ETHUSDT"):
        simulator.exchange_trade(client.exchange, symbol, "1.5")
    assert "ETH" in json.dumps(client.read()).upper()
    assert simulator.exchange_trades(client.exchange, "BTCUSDT")["count"] > 0


def test_cut_after_ends_each_new_connection(simulator: Simulator) -> None:
    simulator.fault("cut_after", seconds=0.05, how="clean", exchange="binance")
    with joined(simulator, "binance") as client:
        assert client.close_code() == 1001


def test_ignore_pings_leaves_bybits_ping_unanswered(simulator: Simulator, bybit: Client) -> None:
    simulator.fault("ignore_pings")
    before = simulator.counters("bybit")["pings_received"]
    bybit.send({"op": "ping"})
    simulator.wait(exchange="bybit", pings=before + 1)
    assert bybit.hears_nothing()


def test_restricted_answers_451_to_one_exchange_and_its_rest(simulator: Simulator) -> None:
    simulator.fault("restricted", exchange="binance")
    with pytest.raises(InvalidStatus) as refused:
        joined(simulator, "binance").__enter__()
    assert refused.value.response.status_code == 451
    status, body = rest(simulator, "/api/v3/depth?symbol=BTCUSDT")
    assert (status, body["code"]) == (451, 0)
    with joined(simulator, "bybit"):
        simulator.wait(exchange="bybit", open=1)


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
    spans = [binance.find(is_event("depthUpdate"))["data"] for _ in range(2)]
    assert spans[0]["U"] > last + 1
    assert spans[1]["U"] == spans[0]["u"] + 1


def test_gaps_of_a_churn_lose_that_many_updates(simulator: Simulator, binance: Client) -> None:
    binance.subscribe("btcusdt@depth")
    binance.find(is_ack)
    simulator.change_book("binance", "BTCUSDT", 100, gaps=7)
    spans = [binance.find(is_event("depthUpdate"))["data"] for _ in range(93)]
    assert binance.hears_nothing()
    assert any(later["U"] != earlier["u"] + 1 for earlier, later in pairwise(spans))


def test_block_trades_come_between_the_others_and_are_accounted_apart(
    simulator: Simulator, bybit: Client
) -> None:
    simulator.fault("block_trades", pair="BLOCKUSDT")
    bybit.subscribe_to_trades("BLOCKUSDT")
    bybit.find(is_ack)
    simulator.exchange_trade("bybit", "BLOCKUSDT", "100.0")
    trade, block = (bybit.find(is_trade)["data"][0] for _ in range(2))
    assert (trade["BT"], block["BT"], float(block["p"])) == (False, True, 1000.0)
    account = simulator.exchange_trades("bybit", "BLOCKUSDT")
    assert (account["ranges"], account["blocks"]) == ([[int(trade["i"])] * 2], [[int(block["i"])] * 2])


def test_server_shutdown_is_announced_by_binance_only(
    simulator: Simulator, bybit: Client, binance: Client
) -> None:
    for exchange in BOTH:
        simulator.wait(exchange=exchange, open=1)
    simulator.fault("server_shutdown")
    announcement = binance.read()
    assert (announcement["stream"], announcement["data"]["e"]) == ("!serverShutdown", "serverShutdown")
    assert bybit.hears_nothing()


def test_duplicates_come_twice_and_count_once(simulator: Simulator, client: Client) -> None:
    simulator.fault("duplicates")
    client.subscribe_to_trades("TWICEUSDT")
    client.find(is_ack)
    simulator.exchange_trade(client.exchange, "TWICEUSDT", "1.5")
    assert client.trade_ids() == client.trade_ids()
    assert simulator.exchange_trades(client.exchange, "TWICEUSDT")["count"] == 1


def test_disorder_lets_younger_ones_overtake(simulator: Simulator, client: Client) -> None:
    simulator.fault("disorder", seconds=0.2)
    client.subscribe_to_trades()
    client.find(is_ack)
    sent = [simulator.exchange_trade(client.exchange, "BTCUSDT", "1.5")["trade_id"] for _ in range(20)]
    heard = [number for _ in range(20) for number in client.trade_ids()]
    assert heard != sent
    assert sorted(heard) == sent


def test_an_unlisted_symbol_is_refused_by_bybit_and_silent_on_binance(
    simulator: Simulator, bybit: Client, binance: Client
) -> None:
    simulator.fault("unlisted", pair="SOLUSDT")
    bybit.subscribe_to_trades("SOLUSDT")
    assert bybit.read()["success"] is False
    binance.subscribe_to_trades("SOLUSDT")
    assert is_ack(binance.read())
    simulator.exchange_trade("binance", "SOLUSDT", "1.5")
    assert binance.hears_nothing()
    assert rest(simulator, "/api/v3/depth?symbol=SOLUSDT")[0] == 400


def test_freeze_holds_everything_and_loses_nothing(simulator: Simulator, client: Client) -> None:
    client.subscribe_to_trades()
    client.find(is_ack)
    simulator.fault("freeze", exchange=client.exchange)
    simulator.exchange_trade(client.exchange, "BTCUSDT", "1.5")
    assert client.hears_nothing()
    simulator.fault("freeze", on=False, exchange=client.exchange)
    assert client.trade_ids()


def test_snapshot_status_and_rest_slow_do_what_their_names_say(simulator: Simulator) -> None:
    simulator.fault("snapshot_status", status=418)
    assert rest(simulator, "/api/v3/depth?symbol=BTCUSDT")[0] == 418
    simulator.fault("snapshot_status", on=False)
    simulator.fault("rest_slow", seconds=0.1)
    started = time.monotonic()
    assert rest(simulator, "/api/v3/depth?symbol=BTCUSDT")[0] == 200
    assert time.monotonic() - started >= 0.1


def test_a_fault_of_one_exchange_is_shown_with_its_name_and_ends_alone(simulator: Simulator) -> None:
    simulator.fault("ignore_pings")
    on = simulator.fault("ignore_pings", on=False, exchange="binance")["on"]
    assert on == [{"name": "ignore_pings", "exchange": "bybit"}]
    with pytest.raises(SimulatorError, match="no exchange 'coinbase'"):
        simulator.fault("ignore_pings", exchange="coinbase")


def test_the_walk_trades_and_moves_books_on_both_exchanges() -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    with (
        Simulator.start("--walk", "200", "--fault", "block_trades=BTCUSDT") as simulator,
        joined(simulator, "bybit") as bybit,
        joined(simulator, "binance") as binance,
    ):
        bybit.subscribe(*(f"publicTrade.{symbol}" for symbol in symbols), "orderbook.50.BTCUSDT")
        binance.subscribe(*(f"{symbol.lower()}@{what}" for symbol in symbols for what in ("trade", "depth")))
        assert bybit.find(lambda frame: is_trade(frame) and frame["data"][0]["BT"])
        assert bybit.find(is_type("delta"))
        assert binance.find(is_trade)
        assert binance.find(is_event("depthUpdate"))


def test_run_gives_the_child_the_addresses_of_all_exchanges() -> None:
    names = ("KRAKEN_WEBSOCKET_URL", "BYBIT_WEBSOCKET_URL", "BINANCE_WEBSOCKET_URL")
    child = f"import os; print(*(os.environ[name] for name in {names}))"
    command = [sys.executable, "-m", "ltp_service.simulator", "--run", sys.executable, "-c", child]
    lines = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    addresses = json.loads(lines[0])
    assert lines[1].split() == [addresses[key] for key in ("kraken_v2", "bybit", "binance")]
    assert urlsplit(addresses["bybit"]).path == "/v5/public/spot"
    assert urlsplit(addresses["binance"]).path == "/stream"


def test_waiting_ends_when_the_exchanges_number_is_reached(simulator: Simulator) -> None:
    calls = sum(simulator.counters("binance")["rest_calls"].values())
    timer = threading.Timer(0.02, rest, (simulator, "/api/v3/depth?symbol=BTCUSDT"))
    timer.start()
    assert simulator.wait(exchange="binance", rest_calls=calls + 1)["rest_calls"]["depth"] >= 1
    timer.join()


@pytest.mark.parametrize("exchange", BOTH)
def test_a_null_row_follows_each_good_trade(simulator: Simulator, exchange: str) -> None:
    with joined(simulator, exchange) as client:
        client.subscribe_to_trades()
        client.find(is_ack)
        simulator.fault("null_row", exchange=exchange)
        number = simulator.exchange_trade(exchange, "BTCUSDT", "118000")["trade_id"]
        texts = client.text() + (client.text() if exchange == "binance" else "")
    told = re.findall(r'"(?:i|t)":"?(\w+)', texts)
    assert told == [str(number), "null"]


def test_microseconds_have_three_digits_more(simulator: Simulator, binance: Client) -> None:
    binance.subscribe_to_trades()
    binance.find(is_ack)
    simulator.fault("microseconds", exchange="binance")
    trade = simulator.exchange_trade("binance", "BTCUSDT", "118000")
    assert binance.find(is_trade)["data"]["T"] == round(trade["time"] * 1000) * 1000


def test_lost_trades_leave_holes_in_the_ids(simulator: Simulator, binance: Client) -> None:
    binance.subscribe_to_trades()
    binance.find(is_ack)
    simulator.fault("lost_trades", every=3)
    sent = [simulator.exchange_trade("binance", "BTCUSDT", "118000")["trade_id"] for _ in range(6)]
    got = [binance.trade_ids()[0] for _ in range(4)]
    assert set(got) < set(sent)
    assert simulator.exchange_trades("binance", "BTCUSDT")["last"] == sent[-1]


@pytest.mark.parametrize("exchange", BOTH)
def test_a_deaf_book_is_silent_while_another_moves(simulator: Simulator, exchange: str) -> None:
    books = {
        symbol: f"orderbook.50.{symbol}" if exchange == "bybit" else f"{symbol.lower()}@depth@100ms"
        for symbol in ("BTCUSDT", "ETHUSDT")
    }
    with joined(simulator, exchange) as client:
        simulator.fault("deaf_channel", channel="book", pair="BTCUSDT")
        client.subscribe(*books.values())
        client.find(is_ack)
        for symbol in books:
            simulator.change_book(exchange, symbol, updates=5)
        text = client.text()
        assert books["ETHUSDT"] in text


def test_every_fault_of_these_exchanges_has_a_test_that_names_it() -> None:
    text = Path(__file__).read_text()
    theirs = [name for name, fault in TABLE.items() if fault.family != KRAKEN]
    assert [name for name in theirs if f'fault("{name}"' not in text] == []
