"""Bybit: every recorded frame, and a connection from its beginning to its end."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ltp_service.collected.books import BookStore
from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.bybit import BybitBooks, BybitTrades, Dialect
from ltp_service.feed.messages import Answered, Event, Invalid, Skipped, Traded
from tests.exchanges.feeds import Feed, Find, Step, both_in_sync, frames, in_sync, labels, problem, quiet
from tests.fakes import NOON, Script

SPOT = "bybit/v5_spot_ccxt_2026-08.jsonl"
SPOT_2023 = "bybit/v5_spot_tardis_2023-04-05.jsonl"
LINEAR = "bybit/v5_linear_ack_after_data_ccxt_2026-08-12.jsonl"


def events(file: Path) -> list[Event]:
    return [event for frame in frames(file) for event in Dialect().parse(frame).events]


def acknowledgement(request_id: int) -> str:
    return f'{{"success":true,"ret_msg":"subscribe","conn_id":"c","req_id":"{request_id}","op":"subscribe"}}'


def refusal(request_id: int | None, message: str) -> str:
    echo = "" if request_id is None else f'"req_id":"{request_id}",'
    return f'{{"success":false,"ret_msg":"{message}","conn_id":"c",{echo}"op":"subscribe"}}'


PONG = '{"success":true,"ret_msg":"pong","conn_id":"0970e817","op":"ping"}'


def trade_frame(*numbers: int, **extra: object) -> str:
    """Synthetic: trades of one moment."""
    row = {"T": int(NOON * 1000), "p": "64103.9", "v": "0.5", "S": "Buy", "s": "BTCUSDT", "BT": False}
    rows = [{"i": str(number), **row, **extra} for number in numbers]
    return json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": rows})


def book_frame(kind: str, update: int, bids: str = "99 1", asks: str = "101 1") -> str:
    """Synthetic."""
    b, a = ([side.split()] if side else [] for side in (bids, asks))
    book = {"s": "BTCUSDT", "b": b, "a": a, "u": update, "seq": 7}
    return json.dumps({"topic": "orderbook.50.BTCUSDT", "type": kind, "ts": 1000, "data": book})


# The dialect.


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        (SPOT, {"acknowledgement": 3, "ticker": 2, "trade": 2, "book": 4}),
        (SPOT_2023, {"trade": 2, "book": 4}),
        (LINEAR, {"kline": 2, "acknowledgement": 1}),
    ],
)
def test_each_recorded_frame_has_a_known_kind(recorded: Find, file: str, kinds: dict[str, int]) -> None:
    assert Counter(Dialect().parse(frame).kind for frame in frames(recorded(file))) == kinds


@pytest.mark.parametrize(("file", "count"), [(SPOT, 11), (SPOT_2023, 5)])
def test_every_recorded_trade_is_read_with_its_digits(recorded: Find, file: str, count: int) -> None:
    path = recorded(file)
    rows: list[dict[str, Any]] = [
        row
        for frame in frames(path)
        if "publicTrade" in (message := json.loads(frame)).get("topic", "")
        for row in message["data"]
    ]
    trades = [event for event in events(path) if isinstance(event, Traded)]
    assert len(trades) == len(rows) == count
    for trade, row in zip(trades, rows, strict=True):
        assert (trade.symbol, trade.trade_id, trade.side) == (row["s"], row["i"], row["S"].lower())
        assert (str(trade.price), str(trade.quantity)) == (row["p"], row["v"])
        assert trade.traded_at == row["T"] / 1000
        assert json.loads(trade.raw) == row


def test_every_recorded_book_frame_is_read_with_all_its_digits(recorded: Find) -> None:
    snapshots = [event for event in events(recorded(SPOT)) if isinstance(event, BookSnapshot)]
    assert len(snapshots) == 4
    assert snapshots[0] == BookSnapshot(
        "BTCUSDT",
        72212457,
        [(Decimal("63705.3"), Decimal("2.045546"))],
        [(Decimal("63705.4"), Decimal("2.334566"))],
        1786613159.748,
    )
    older = [event for event in events(recorded(SPOT_2023)) if isinstance(event, BookSnapshot | BookChange)]
    assert [type(event) for event in older] == [BookSnapshot, BookChange, BookSnapshot, BookChange]
    assert older[3] == BookChange(
        "BTCUSDT",
        59438061,
        59438061,
        [(Decimal("28161.04"), Decimal("0.177474")), (Decimal("28145.71"), Decimal(0))],
        [(Decimal("28184.33"), Decimal(0))],
        1680652808.085,
    )


def test_the_recorded_deltas_join_their_snapshots(recorded: Find) -> None:
    store = BookStore()
    for event in events(recorded(SPOT_2023)):
        if isinstance(event, BookSnapshot):
            store.replace("bybit", event, 0.0)
        elif isinstance(event, BookChange):
            assert store.change("bybit", event, 0.0) == "applied"


def test_an_answer_names_its_request() -> None:
    assert Dialect().parse(acknowledgement(7)).events == (Answered(7),)
    assert Dialect().parse(refusal(7, "args size >10")).events == (Answered(7, "args size >10"),)
    assert Dialect().parse(refusal(None, "error:handler not found,topic:tickers.XYZ")).events == (
        Answered(None, "error:handler not found,topic:tickers.XYZ"),
    )


@pytest.mark.parametrize("op", ["ping", "pong"])
def test_the_answer_to_a_ping_is_a_pong_whatever_it_is_called(op: str) -> None:
    assert Dialect().parse(f'{{"success":true,"ret_msg":"pong","conn_id":"x","op":"{op}"}}').kind == "pong"


def test_a_block_trade_is_skipped_and_the_trades_beside_it_stand() -> None:
    block = json.loads(trade_frame(1, BT=True))
    block["data"] += json.loads(trade_frame(2))["data"]
    skipped, traded = Dialect().parse(json.dumps(block)).events
    assert skipped == Skipped("block_trade")
    assert isinstance(traded, Traded)


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "1e999", "", "x"])
def test_a_trade_of_an_impossible_price_is_refused_and_the_one_beside_it_stands(price: str) -> None:
    frame = json.loads(trade_frame(1, p=price))
    frame["data"] += json.loads(trade_frame(2))["data"]
    first, second = Dialect().parse(json.dumps(frame)).events
    assert isinstance(first, Invalid)
    assert isinstance(second, Traded)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"i": None}, {"T": None}, {"T": "soon"}, {"p": 64103.9}, {"p": None}, {"v": []}, {"S": "Hold"}),
        *({"s": 5}, {"BT": "no"}),
    ],
    ids=str,
)
def test_a_row_with_a_wrong_field_costs_itself_alone(wrong: dict[str, object]) -> None:
    frame = json.loads(trade_frame(1, 2, 3))
    frame["data"][1] |= wrong
    first, second, third = Dialect().parse(json.dumps(frame)).events
    assert isinstance(second, Invalid)
    assert [isinstance(each, Traded) for each in (first, third)] == [True, True]


@pytest.mark.parametrize("stamp", [None, "now", 1.5, [], 0])
def test_what_stands_beside_the_rows_does_not_matter_to_them(stamp: object) -> None:
    frame = json.loads(trade_frame(1)) | {"ts": stamp, "cts": stamp}
    assert isinstance(Dialect().parse(json.dumps(frame)).events[0], Traded)


def test_a_row_that_is_no_object_costs_itself_alone() -> None:
    frame = json.loads(trade_frame(1))
    frame["data"] += [None, 5, "x"]
    kinds = [type(each) for each in Dialect().parse(json.dumps(frame)).events]
    assert kinds == [Traded, Invalid, Invalid, Invalid]


@pytest.mark.parametrize(
    "frame", ["", "[]", "null", "<html>", '{"topic":1}', '{"topic":"publicTrade.X","data":5}']
)
def test_a_frame_of_another_shape_is_an_error(frame: str) -> None:
    with pytest.raises((msgspec.MsgspecError, BadFrame)):
        Dialect().parse(frame)


def test_unknown_topics_and_messages_are_of_the_unknown_kind() -> None:
    assert Dialect().parse('{"topic":"liquidation.BTCUSDT","data":[]}').kind == "unknown"
    assert Dialect().parse('{"op":"auth"}').kind == "unknown"


def test_update_one_is_a_restart_and_replaces_the_book() -> None:
    [event] = Dialect().parse(book_frame("delta", 1)).events
    assert isinstance(event, BookSnapshot)


# The collectors.


@pytest.mark.parametrize("collector", [BybitTrades, BybitBooks])
def test_a_collector_cannot_be_built_without_a_sink(collector: Any) -> None:
    with pytest.raises(TypeError, match="needs a sink"):
        collector(["BTCUSDT"], None, Script().equipment)


def test_trades_reach_the_store_complete() -> None:
    feed = Feed(BybitTrades, [acknowledgement(1), trade_frame(1)]).play()
    [stored] = feed.trades.recent()
    raw = json.dumps(json.loads(trade_frame(1))["data"][0])
    assert stored == Trade(
        "bybit", "BTCUSDT", "buy", Decimal("64103.9"), Decimal("0.5"), NOON, "1", NOON, raw
    )


def test_the_recorded_trades_are_stored_once_though_told_twice(recorded: Find) -> None:
    told: list[Step] = [frame for frame in frames(recorded(SPOT)) if "publicTrade" in frame]
    feed = Feed(BybitTrades, [*told, *told], told, wall=1786538701.0).play()
    assert len(feed.trades.recent()) == 11
    assert feed.trades.statistics().trades_discarded == 22


def test_at_most_ten_symbols_are_asked_for_in_one_request() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(23))
    feed = Feed(BybitTrades, [], symbols=symbols).play()
    assert [len(request["args"]) for request in feed.requests] == [10, 10, 3]
    assert [request["req_id"] for request in feed.requests] == ["1", "2", "3"]
    assert feed.requests[0]["op"] == "subscribe"
    assert feed.requests[2]["args"] == ["publicTrade.S20USDT", "publicTrade.S21USDT", "publicTrade.S22USDT"]


def test_data_before_the_acknowledgement_is_taken_and_proves_the_subscription() -> None:
    feed = Feed(BybitTrades, [trade_frame(1), 0.5, labels]).play()
    assert feed.seen == [{"BTCUSDT": "active"}]
    assert len(feed.trades.recent()) == 1


def test_an_acknowledgement_covers_all_symbols_of_its_request() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(11))
    feed = Feed(BybitTrades, [acknowledgement(2), labels], symbols=symbols).play()
    assert feed.seen[0] == {**dict.fromkeys(symbols[:10], "asked"), "S10USDT": "acknowledged"}


def test_a_missing_acknowledgement_is_asked_for_again_after_ten_seconds() -> None:
    feed = Feed(BybitTrades, [PONG, *quiet(9)])
    assert len(feed.play().requests) == 1
    feed = Feed(BybitTrades, [PONG, *quiet(10.5)])
    assert [request["args"] for request in feed.play().requests] == [["publicTrade.BTCUSDT"]] * 2


@pytest.mark.parametrize("echoed", [True, False])
def test_a_refused_request_is_asked_again_one_by_one_and_only_the_culprit_stays_refused(echoed: bool) -> None:
    feed = Feed(
        BybitTrades,
        [
            refusal(1 if echoed else None, "Invalid symbol :[publicTrade.NOPEUSDT]"),
            0.5,
            acknowledgement(2),
            refusal(3 if echoed else None, "Invalid symbol :[publicTrade.NOPEUSDT]"),
            labels,
        ],
        symbols=("BTCUSDT", "NOPEUSDT"),
    ).play()
    assert [one["args"] for one in feed.requests[1:]] == [["publicTrade.BTCUSDT"], ["publicTrade.NOPEUSDT"]]
    assert feed.seen[0]["BTCUSDT"] == "acknowledged"
    assert feed.seen[0]["NOPEUSDT"].startswith("refused: Invalid symbol")
    assert "Invalid symbol" in str(feed.collector.link().last_error) or feed.script.meters.failures


def test_a_refusal_of_what_already_flows_changes_nothing() -> None:
    feed = Feed(BybitTrades, [trade_frame(1), refusal(1, "error:already subscribed"), labels]).play()
    assert feed.seen[0] == {"BTCUSDT": "active"}


def test_a_ping_goes_out_every_twenty_seconds_and_its_answer_keeps_a_quiet_connection() -> None:
    feed = Feed(BybitTrades, [acknowledgement(1), *quiet(20), PONG, *quiet(20), PONG, *quiet(9)]).play()
    assert [json.loads(text)["op"] for text in feed.script.sent] == ["subscribe", "ping", "ping"]
    assert feed.script.meters.failures == ["closed", "script_over"]
    assert feed.script.meters.frames["pong"] == 2


def test_a_ping_without_an_answer_for_ten_seconds_ends_the_connection() -> None:
    feed = Feed(BybitTrades, [acknowledgement(1), *quiet(29)]).play()
    assert feed.script.meters.failures[0] == "closed"
    feed = Feed(BybitTrades, [acknowledgement(1), *quiet(31)]).play()
    assert feed.script.meters.failures[0] == "silent"
    unanswered = [acknowledgement(1), *quiet(18), PONG, *quiet(13)]  # the ping at 20 s
    feed = Feed(BybitTrades, unanswered).play()
    assert feed.script.meters.failures[0] == "silent"


def test_a_block_trade_is_counted_and_not_stored() -> None:
    feed = Feed(BybitTrades, [trade_frame(1, BT=True)]).play()
    assert feed.script.meters.frames["block_trade"] == 1
    assert feed.trades.statistics().total_trades_received == 0


def test_a_gap_in_the_book_is_never_served_as_in_sync_and_asks_for_a_new_snapshot() -> None:
    feed = Feed(
        BybitBooks,
        [
            acknowledgement(1),
            book_frame("snapshot", 10),
            book_frame("delta", 11, "99.5 2", ""),
            in_sync,
            book_frame("delta", 13, "99 0", ""),
            in_sync,
            0.5,
            book_frame("delta", 14, "98 1", ""),
            in_sync,
            book_frame("snapshot", 20, "97 1", "103 1"),
            in_sync,
        ],
    ).play()
    assert feed.seen == [True, False, False, True]
    assert [request["op"] for request in feed.requests] == ["subscribe", "unsubscribe", "subscribe"]
    assert feed.requests[0]["args"] == feed.requests[1]["args"] == ["orderbook.50.BTCUSDT"]
    view = feed.view()
    assert view.bids == ((Decimal(97), Decimal(1)),)
    assert not view.in_sync  # the connection is over


def test_a_subscription_that_brings_no_snapshot_is_made_anew() -> None:
    feed = Feed(BybitBooks, [acknowledgement(1), *quiet(10.5)]).play()
    assert [request["op"] for request in feed.requests] == ["subscribe", "unsubscribe", "subscribe"]


def test_a_book_that_was_never_acknowledged_is_asked_for_once_more_and_not_twice() -> None:
    feed = Feed(BybitBooks, [PONG, *quiet(10.5)]).play()
    assert [request["op"] for request in feed.requests] == ["subscribe", "subscribe"]


def test_a_book_out_of_sync_for_ten_seconds_is_a_problem() -> None:
    gap: list[Step] = [book_frame("snapshot", 10), book_frame("delta", 12), problem, *quiet(10.5), problem]
    feed = Feed(BybitBooks, [*gap, book_frame("snapshot", 20), problem]).play()
    assert feed.seen == [None, "1 order book(s) out of sync for 10 s: BTCUSDT", None]


def deafness(*steps: Step) -> Feed:
    """A connection with two books."""
    both = [book_of("ETHUSDT", "snapshot", 1), book_of("BTCUSDT", "snapshot", 1)]
    return Feed(BybitBooks, [acknowledgement(1), *both, *steps], symbols=("BTCUSDT", "ETHUSDT")).play()


def book_of(symbol: str, kind: str, update: int) -> str:
    return book_frame(kind, update).replace("BTCUSDT", symbol)


def changing(*symbols: str, seconds: float, first: int = 2) -> list[Step]:
    """Each book changes twice a second."""
    steps: list[Step] = []
    for number in range(first, first + int(seconds * 2)):
        steps += [book_of(symbol, "delta", number) for symbol in symbols]
        steps.append(0.5)
    return steps


BOTH = ("BTCUSDT", "ETHUSDT")


def after_a_minute(*steps: Step) -> Feed:
    """Both books have changed twice a second for a minute; the updates 2 to 121."""
    return deafness(*changing(*BOTH, seconds=60), *steps)


def others(first: int, seconds: float) -> list[Step]:
    return changing("ETHUSDT", seconds=seconds, first=first)


def test_a_book_silent_for_longer_than_its_habit_while_others_move_is_asked_for_anew() -> None:
    told = book_of("BTCUSDT", "snapshot", 500)
    silent: list[Step] = [*others(122, 4), both_in_sync, *others(130, 2), both_in_sync]
    feed = after_a_minute(both_in_sync, *silent, told, both_in_sync)

    assert feed.seen == [(True, True), (True, True), (False, True), (True, True)]
    assert [(request["op"], request["args"]) for request in feed.requests[1:]] == [
        ("unsubscribe", ["orderbook.50.BTCUSDT"]),
        ("subscribe", ["orderbook.50.BTCUSDT"]),
    ]
    assert feed.script.meters.deaf == {"bybit": 1}


def test_a_book_that_is_as_quiet_as_ever_stays_in_sync() -> None:
    slow: list[Step] = []
    for number in range(30):
        slow += [book_of("BTCUSDT", "delta", 2 + number), *others(2 + 40 * number, 20), in_sync]
    feed = deafness(*slow)

    assert feed.seen == [True] * 30
    assert feed.script.meters.deaf == {}


def test_a_book_that_turns_out_to_be_still_is_asked_about_more_and_more_rarely() -> None:
    answer = book_of("BTCUSDT", "snapshot", 121)
    feed = after_a_minute(*others(122, 6), answer, *others(134, 20), answer, *others(174, 50))

    assert [request["op"] for request in feed.requests].count("unsubscribe") == 2
    assert feed.script.meters.deaf == {}


def kept(_: Feed) -> None:
    pytest.fail("the connection was kept")


def test_a_book_that_is_deaf_twice_within_a_minute_condemns_the_connection() -> None:
    first, second = (book_of("BTCUSDT", "snapshot", update) for update in (500, 900))
    feed = after_a_minute(*others(122, 6), first, *others(134, 30), second, *[0.5] * 4, kept)

    assert feed.script.meters.deaf == {"bybit": 2}


def test_a_deaf_book_that_no_subscription_brings_back_condemns_the_connection() -> None:
    feed = after_a_minute(*others(122, 40), kept)

    assert [request["op"] for request in feed.requests].count("unsubscribe") >= 2


def test_silence_while_this_process_stood_still_says_nothing() -> None:
    feed = after_a_minute(9.0, book_of("ETHUSDT", "delta", 122), 0.2, in_sync)

    assert feed.seen == [True]


@pytest.mark.parametrize(
    "wrong", [{"b": [["x", "1"]]}, {"b": [["99", None]]}, {"u": None}, {"a": 5}], ids=str
)
def test_a_change_that_cannot_be_used_puts_its_own_book_out_of_sync_at_once(wrong: dict[str, object]) -> None:
    bad = json.loads(book_of("BTCUSDT", "delta", 2))
    bad["data"] |= wrong
    feed = deafness(json.dumps(bad), both_in_sync, 0.5)

    assert feed.seen == [(False, True)]
    assert [request["op"] for request in feed.requests] == ["subscribe", "unsubscribe", "subscribe"]
