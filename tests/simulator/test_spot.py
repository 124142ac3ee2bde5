"""The simulated Bybit and Binance against the recordings of the real ones."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tests.simulator.client import Simulator
from tests.simulator.clients import (
    SPOT,
    Client,
    Frame,
    ids,
    is_ack,
    is_stream,
    is_trade,
    is_type,
    joined_to,
    needs_recordings,
    recorded,
    rest,
)


def shape(content: Any) -> Any:
    """Keys and types without the values; a list is as its first element."""
    match content:
        case dict():
            return {key: shape(value) for key, value in content.items()}
        case list():
            return [shape(value) for value in content[:1]]
        case _:
            return type(content).__name__


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
def test_a_bybit_delta_has_the_recorded_shape_and_one_time_more(simulator: Simulator, bybit: Client) -> None:
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
def test_a_binance_trade_has_the_recorded_shape_less_order_ids(simulator: Simulator, binance: Client) -> None:
    binance.subscribe("btcusdt@trade")
    simulator.wait(exchange="binance", subscriptions=1)
    simulator.exchange_trade("binance", "BTCUSDT", "64103.9", side="sell")
    trade = binance.find(is_trade)
    assert (trade["data"]["p"], trade["data"]["m"]) == ("64103.90000000", True)
    expected = shape(recorded("binance/tardis_tests_2019.jsonl", is_trade))
    assert shape(trade) == {**expected, "data": {k: v for k, v in expected["data"].items() if k not in "ab"}}


@needs_recordings
def test_binance_depth_has_the_shape_of_the_recorded_one(simulator: Simulator, binance: Client) -> None:
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
    is_change = is_stream("depthUpdate")(frame) or is_type("delta")(frame)
    return is_change and bool(frame["data"]["b"] and frame["data"]["a"])


def test_bybit_answers_its_ping_with_op_ping(bybit: Client) -> None:
    bybit.send({"req_id": "p1", "op": "ping"})
    answer = bybit.read()
    assert answer == {"success": True, "ret_msg": "pong", "conn_id": answer["conn_id"], "op": "ping"}


def test_bybit_refuses_eleven_topics_and_one_unknown_symbol(simulator: Simulator, bybit: Client) -> None:
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
        client.take_trades()
    bybit.send({"op": "unsubscribe", "req_id": "9", "args": ["publicTrade.BTCUSDT"]})
    binance.send({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 9})
    for client in (bybit, binance):
        assert is_ack(client.read())
        simulator.exchange_trade(client.exchange, "BTCUSDT", "64103.9")
        assert client.hears_nothing()


def test_streams_in_the_url_flow_without_an_acknowledgement(simulator: Simulator) -> None:
    with joined_to(simulator, "binance", "?streams=btcusdt@trade/ethusdt@trade") as client:
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


def test_one_match_event_shares_its_sequence_and_ids_are_in_order(simulator: Simulator, spot: Client) -> None:
    spot.take_trades()
    sent = simulator.exchange_flood(spot.exchange, "BTCUSDT", rate=2000, seconds=0.05)
    frames: list[Frame] = []
    while sum(len(ids(frame)) for frame in frames) < (sent or 0):
        frames.append(spot.find(is_trade))
    heard = [number for frame in frames for number in ids(frame)]
    assert heard == list(range(heard[0], heard[0] + len(heard)))
    if spot.exchange == "bybit":
        assert all(len({row["seq"] for row in frame["data"]}) == 1 for frame in frames)
        assert max(len(frame["data"]) for frame in frames) > 1
        sequences = [frame["data"][0]["seq"] for frame in frames]
        assert sequences == sorted(set(sequences))


def test_price_text_id_and_time_reach_bybit_verbatim(simulator: Simulator, bybit: Client) -> None:
    bybit.take_trades()
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
def test_a_bybit_book_kept_from_its_deltas_is_true(simulator: Simulator, bybit: Client, depth: int) -> None:
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


def test_a_binance_book_kept_from_snapshot_and_updates_is_true(simulator: Simulator, binance: Client) -> None:
    binance.subscribe("btcusdt@depth")
    simulator.wait(exchange="binance", subscriptions=1)
    simulator.change_book("binance", "BTCUSDT", 50)
    _, snapshot = rest(simulator, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
    simulator.change_book("binance", "BTCUSDT", 250)
    updates = [binance.find(is_stream("depthUpdate")) for _ in range(300)]
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
    for exchange in SPOT:
        simulator.exchange_trade(exchange, "BTCUSDT", "64103.9")
    last = rest(simulator, "/api/v3/trades?symbol=BTCUSDT&limit=1")[1][-1]
    newest = simulator.exchange_trades("binance", "BTCUSDT")["last"]
    assert (last["price"], last["id"]) == ("64103.90000000", newest)
    answer = rest(simulator, "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=2")[1]
    assert (answer["retCode"], answer["result"]["list"][0]["price"]) == (0, "64103.9")
    refused = rest(simulator, "/v5/market/recent-trade?category=spot&symbol=NOPEUSDT")[1]
    assert refused["retCode"] == 10001
