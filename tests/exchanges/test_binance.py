"""Binance: every recorded frame, the recorded books, and a connection from its beginning to its end."""

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from ltp_service.collected.books import BookStore
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.book import BookChange, BookSnapshot, BookView, Level
from ltp_service.domain.errors import BadFrame, Rejected, Unreachable
from ltp_service.exchanges.binance import BinanceBooks, BinanceTrades, Dialect, read_depth
from ltp_service.feed.contract import Equipment
from ltp_service.feed.messages import Answered, Event, Invalid, Leaving, Request, Traded
from tests.exchanges.feeds import Feed, Find, Step, frames, in_sync, labels, problem, quiet, records
from tests.fakes import NOON, Script

COMBINED = "binance/spot_combined_stream_2021-10-12.jsonl"
DEPTH = "binance/spot_rest_depth1000_2021-10-12.jsonl"
SINGLE = "binance/spot_ccxt_2026-08-12.jsonl"
OLD = "binance/tardis_tests_2019.jsonl"
SYMBOLS = ("NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")


def events(file: Path) -> list[Event]:
    return [event for frame in frames(file) for event in Dialect().parse(frame).events]


def depth_answers(file: Path) -> dict[str, str]:
    """Symbol → the recorded REST answer."""
    return {parse_qs(urlsplit(record["url"]).query)["symbol"][0]: record["raw"] for record in records(file)}


def trade_frame(number: int, symbol: str = "BTCUSDT", extra: dict[str, object] | None = None) -> str:
    """Synthetic, as no trade stream of 2026 was recorded."""
    moment = int(NOON * 1000)
    trade = {"e": "trade", "E": moment, "s": symbol, "t": number, "p": "64103.90000000", "q": "0.50000000"}
    trade |= {"T": moment, "m": True, "M": True} | (extra or {})
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": trade})


def depth_frame(first: int, last: int, bid: str = "99 1", symbol: str = "BTCUSDT") -> str:
    """Synthetic."""
    change = {"e": "depthUpdate", "E": 1000, "s": symbol, "U": first, "u": last, "b": [bid.split()], "a": []}
    return json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": change})


# The dialect.


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        (COMBINED, {"depth": 177, "book_ticker": 84, "trade": 2, "kline": 2}),
        (SINGLE, {"acknowledgement": 2, "mini_ticker": 2, "book_ticker": 2, "kline": 1}),
        (OLD, {"trade": 2, "book_ticker": 1, "ticker": 1, "depth": 4, "partial_depth": 2}),
    ],
)
def test_each_recorded_frame_has_a_known_kind(recorded: Find, file: str, kinds: dict[str, int]) -> None:
    assert Counter(Dialect().parse(frame).kind for frame in frames(recorded(file))) == kinds


@pytest.mark.parametrize(("file", "identity"), [(COMBINED, "a"), (OLD, "t")])
def test_every_recorded_trade_is_read_with_its_digits(recorded: Find, file: str, identity: str) -> None:
    path = recorded(file)
    told = [json.loads(frame)["data"] for frame in frames(path)]
    told = [payload for payload in told if payload.get("e") in {"trade", "aggTrade"}]
    trades = [event for event in events(path) if isinstance(event, Traded)]
    assert len(trades) == len(told) == 2
    for trade, row in zip(trades, told, strict=True):
        assert (trade.symbol, trade.trade_id) == (row["s"], str(row[identity]))
        assert (str(trade.price), str(trade.quantity)) == (row["p"], row["q"])
        assert trade.side == ("sell" if row["m"] else "buy")
        assert trade.traded_at == row["T"] / 1000
        assert json.loads(trade.raw) == row


def test_every_recorded_depth_change_is_read_with_all_its_digits(recorded: Find) -> None:
    path = recorded(COMBINED)
    told = [json.loads(frame)["data"] for frame in frames(path)]
    told = [payload for payload in told if payload.get("e") == "depthUpdate"]
    changes = [event for event in events(path) if isinstance(event, BookChange)]
    for change, row in zip(changes, told, strict=True):
        assert (change.symbol, change.first_id, change.last_id) == (row["s"], row["U"], row["u"])
        for ours, theirs in ((change.bids, row["b"]), (change.asks, row["a"])):
            assert [(price, size) for price, size in ours] == [(Decimal(p), Decimal(q)) for p, q in theirs]
            assert [f"{price:f}" for price, _ in ours] == [price for price, _ in theirs]
    assert len(changes) == 177


def test_every_recorded_depth_snapshot_is_read(recorded: Find) -> None:
    answers = depth_answers(recorded(DEPTH))
    assert tuple(answers) == SYMBOLS
    for symbol, body in answers.items():
        snapshot = read_depth(symbol, body.encode())
        told = json.loads(body)
        assert (snapshot.symbol, snapshot.update_id) == (symbol, told["lastUpdateId"])
        assert [(f"{p:f}", f"{q:f}") for p, q in snapshot.bids] == list(map(tuple, told["bids"]))
        assert len(snapshot.asks) == len(told["asks"])


def test_the_taker_sold_when_the_buyer_is_the_maker() -> None:
    [sold] = Dialect().parse(trade_frame(1, extra={"m": True})).events
    [bought] = Dialect().parse(trade_frame(1, extra={"m": False})).events
    assert isinstance(sold, Traded)
    assert isinstance(bought, Traded)
    assert (sold.side, bought.side) == ("sell", "buy")


def test_a_bare_payload_is_read_like_one_of_a_combined_stream() -> None:
    bare = json.dumps(json.loads(trade_frame(1))["data"])
    assert Dialect().parse(bare) == Dialect().parse(trade_frame(1))


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ('{"result":null,"id":1}', Answered(1)),
        (
            '{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 73"}',
            Answered(None, "Invalid request: missing field `method` at line 1 column 73 (2)"),
        ),
        ('{"code":3,"msg":"Invalid JSON","id":4}', Answered(4, "Invalid JSON (3)")),
        ('{"error":{"code":1,"msg":"Invalid value type"},"id":5}', Answered(5, "Invalid value type (1)")),
        ('{"result":null,"id":"abc"}', Answered(None)),
        ('{"e":"serverShutdown","E":1770123456789}', Leaving()),
        ('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}', Leaving()),
    ],
)
def test_control_messages_are_understood(frame: str, event: Event) -> None:
    assert tuple(Dialect().parse(frame).events) == (event,)


def test_the_list_of_streams_is_a_pong() -> None:
    assert Dialect().parse('{"result":["btcusdt@bookTicker"],"id":3}').kind == "pong"


@pytest.mark.parametrize(
    ("field", "value"), [("p", "0"), ("p", "NaN"), ("q", "-1"), ("q", "0.00000000"), ("p", "")]
)
def test_an_impossible_number_is_refused(field: str, value: str) -> None:
    [event] = Dialect().parse(trade_frame(1, extra={field: value})).events
    assert isinstance(event, Invalid)


@pytest.mark.parametrize(
    "frame", ["", "[]", "<html>", '{"stream":"x@trade","data":{"e":"trade"}}', '{"stream":"x"}']
)
def test_a_frame_of_another_shape_is_an_error(frame: str) -> None:
    with pytest.raises((msgspec.MsgspecError, BadFrame)):
        Dialect().parse(frame)


def test_a_trade_without_an_id_is_an_error() -> None:
    with pytest.raises(BadFrame, match="without an id"):
        Dialect().parse(trade_frame(1, extra={"t": None}))


@pytest.mark.parametrize("body", ["", "<html>", "{}", '{"lastUpdateId":1,"bids":[["x","1"]],"asks":[]}'])
def test_a_depth_answer_that_is_none_is_refused(body: str) -> None:
    with pytest.raises(BadFrame):
        read_depth("BTCUSDT", body)


def test_unknown_payloads_are_of_the_unknown_kind() -> None:
    assert Dialect().parse('{"e":"somethingNew","s":"BTCUSDT"}').kind == "unknown"
    assert Dialect().parse('{"e":"blockTrade","s":"BTCUSDT"}').kind == "block_trade"


# The trades.


def test_replaying_the_combined_session_stores_both_aggregates_once(recorded: Find) -> None:
    told: list[Step] = [*frames(recorded(COMBINED))]
    # Only trades are this collector's; depth belongs to the other.
    told = [frame for frame in told if "depthUpdate" not in str(frame)]
    feed = Feed(BinanceTrades, told, told, symbols=SYMBOLS, wall=1633998543.0).play()
    stored = feed.trades.recent()
    assert len(stored) == 2
    assert len({(trade.symbol, trade.trade_id) for trade in stored}) == 2
    statistics = feed.trades.statistics()
    assert (statistics.total_trades_received, statistics.trades_discarded) == (4, 2)
    assert {trade.exchange for trade in stored} == {"binance"}


@pytest.mark.parametrize("wrong", [0.0, 70.0, -70.0, 600.0, -600.0])
def test_whatever_this_machines_clock_shows_trades_are_stored(wrong: float) -> None:
    feed = Feed(BinanceTrades, [trade_frame(1), trade_frame(2)], wall=NOON + wrong).play()
    assert feed.ids() == ["2", "1"]
    assert feed.script.meters.refused == {}


def test_a_stream_of_microseconds_is_understood() -> None:
    """`timeUnit=MICROSECOND` in the URL makes all times so."""
    told: dict[str, object] = {"E": 1_790_000_000_123_789, "T": 1_790_000_000_123_456}
    feed = Feed(BinanceTrades, [trade_frame(1, extra=told), trade_frame(2)]).play()
    stored = feed.trades.recent()
    assert {trade.trade_id: trade.timestamp for trade in stored} == {"1": NOON + 0.123456, "2": NOON}

    depth = json.loads(depth_frame(1, 2))
    depth["data"]["E"] = told["E"]
    (change,) = Dialect().parse(json.dumps(depth)).events
    assert isinstance(change, BookChange)
    assert change.changed_at == NOON + 0.123789


def test_a_hole_in_the_numbers_of_the_trades_is_told_and_none_where_there_is_none() -> None:
    feed = Feed(BinanceTrades, [trade_frame(1), trade_frame(2), trade_frame(7), trade_frame(8)]).play()
    assert [gap.missing for gap in (feed.collector.link().gaps or ()) if gap.symbol == "BTCUSDT"] == [4]
    assert feed.script.meters.missed == {"binance": 4}


@pytest.mark.parametrize("wrong", [{"t": None}, {"p": None}, {"p": 5}, {"T": "soon"}, {"m": None}], ids=str)
def test_a_trade_with_a_wrong_field_costs_itself_alone(wrong: dict[str, object]) -> None:
    feed = Feed(BinanceTrades, [trade_frame(1), trade_frame(2, extra=wrong), trade_frame(3)]).play()
    assert feed.ids() == ["3", "1"]
    assert sum(feed.script.meters.refused.values()) == 1


def test_all_streams_are_asked_for_in_lower_case_with_an_id() -> None:
    assert Feed(BinanceTrades, [], symbols=("BTCUSDT", "ETHUSDT")).play().requests == [
        {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@trade"], "id": 1}
    ]


def test_never_more_than_five_messages_leave_within_a_second() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(1200))
    script = Script([0.1] * 60)
    moments: list[float] = []

    class Stopwatch(Dialect):
        def write(self, request: Request, request_id: int) -> str:
            assert len(request.symbols) <= 100
            moments.append(script.clock.monotonic())
            return super().write(request, request_id)

    class Timed(BinanceTrades):
        dialect = Stopwatch()

    script.play(Timed(symbols, TradeStore(script.equipment.runtime), script.equipment))
    asked = [stream for text in script.sent for stream in json.loads(text)["params"]]
    assert sorted(asked) == sorted(f"{symbol.lower()}@trade" for symbol in symbols)
    assert all(moments[at + 5] - moments[at] >= 1.0 for at in range(len(moments) - 5))
    assert moments[-1] - moments[0] <= 3.0


def test_a_misspelt_stream_is_called_silent_after_ten_seconds_and_not_asked_for_in_a_loop() -> None:
    told: list[Step] = ['{"result":null,"id":1}', trade_frame(1), labels, *quiet(10.5), labels]
    told += [trade_frame(2, "BTCUSDX"), labels]
    feed = Feed(BinanceTrades, told, symbols=("BTCUSDT", "BTCUSDX")).play()
    assert feed.seen == [
        {"BTCUSDT": "active", "BTCUSDX": "acknowledged"},
        {"BTCUSDT": "active", "BTCUSDX": "silent"},
        {"BTCUSDT": "active", "BTCUSDX": "active"},
    ]
    assert [request["method"] for request in feed.requests] == ["SUBSCRIBE"]


def test_the_connection_is_replaced_before_the_exchange_ends_it() -> None:
    answered: list[Step] = [15.0, '{"result":[],"id":9}']
    day = answered * 4 * 60 * 24
    feed = Feed(BinanceTrades, ['{"result":null,"id":1}', trade_frame(1), *day], [], wall=NOON)
    began = feed.script.clock.monotonic()
    feed.play()
    assert 22 * 3600 < feed.script.clock.monotonic() - began < 24 * 3600
    assert feed.script.meters.failures == ["closed", "script_over"]  # of the second connection
    assert len(feed.script.made) == 2
    assert feed.script.made[0].closed


def test_an_announced_shutdown_is_followed_by_a_new_connection_at_once() -> None:
    leaving = '{"e":"serverShutdown","E":1770123456789}'
    feed = Feed(BinanceTrades, [leaving, trade_frame(1)], [trade_frame(2)]).play()
    assert feed.ids() == ["2"]
    assert feed.script.stop.waits[0] <= 1.0


def test_a_restricted_location_disables_the_collector_and_is_said() -> None:
    refusal = Rejected("HTTP 451: not available from this location", reason="restricted_location")
    feed = Feed(BinanceTrades, refusal, refusal, [trade_frame(1), problem])
    states: list[tuple[str, str | None]] = []
    wait = feed.script.stop.wait

    def look(timeout: float | None = None) -> bool:
        link = feed.collector.link()
        states.append((link.state, link.problem))
        return wait(timeout)

    feed.script.stop.wait = look  # type: ignore[method-assign]
    feed.play()
    assert states[0] == states[1] == ("error", "HTTP 451: not available from this location")
    assert feed.script.stop.waits[:2] == [3600.0, 3600.0]
    assert feed.seen == [None]


def test_other_refused_handshakes_keep_their_usual_pace() -> None:
    feed = Feed(BinanceTrades, Unreachable("HTTP 503", reason="handshake_status"), []).play()
    assert feed.script.stop.waits[0] <= 1.0


def test_symbols_change_on_the_living_connection() -> None:
    told: list[Step] = ['{"result":null,"id":1}', lambda feed: feed.collector.want(["ETHUSDT", "SOLUSDT"])]
    told += [0.5, trade_frame(1, "SOLUSDT"), trade_frame(1, "BTCUSDT")]
    feed = Feed(BinanceTrades, told, symbols=("BTCUSDT", "ETHUSDT")).play()
    assert [(request["method"], request["params"]) for request in feed.requests] == [
        ("SUBSCRIBE", ["btcusdt@trade", "ethusdt@trade"]),
        ("UNSUBSCRIBE", ["btcusdt@trade"]),
        ("SUBSCRIBE", ["solusdt@trade"]),
    ]
    assert [trade.symbol for trade in feed.trades.recent()] == ["SOLUSDT"]
    assert feed.script.meters.refused["unknown_symbol"] == 1


# The books.


def snapshot(update_id: int, symbol: str = "BTCUSDT") -> BookSnapshot:
    return BookSnapshot(symbol, update_id, [(Decimal(90), Decimal(1))], [(Decimal(101), Decimal(1))])


def test_books_need_a_sink_and_a_way_to_get_snapshots() -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match="needs a sink"):
        BinanceBooks(["BTCUSDT"], nothing, Script().equipment)
    with pytest.raises(TypeError, match=r"Equipment\.depth"):
        BinanceBooks(["BTCUSDT"], BookStore(), Script().equipment)


def test_the_recorded_books_join_their_snapshots_and_stay_in_sync(recorded: Find) -> None:
    bodies = depth_answers(recorded(DEPTH))
    told = [frame for frame in frames(recorded(COMBINED)) if "depthUpdate" in frame]
    store = BookStore()
    views: list[BookView | None] = []
    # All changes are kept first; then the snapshots come, which were taken in between.
    script = Script(
        [*told, *[0.5] * 20, lambda: views.extend(store.view(one, "binance", 50) for one in SYMBOLS)]
    )
    equipment = msgspec.structs.replace(script.equipment, depth=lambda one: read_depth(one, bodies[one]))
    script.play(BinanceBooks(SYMBOLS, store, equipment))
    assert script.meters.frames["depth"] == 177
    for symbol, view in zip(SYMBOLS, views, strict=True):
        assert view is not None
        assert view.in_sync
        assert (view.bids, view.asks) == naive_sides(symbol, bodies[symbol], recorded(COMBINED))


def naive_sides(symbol: str, body: str, stream: Path) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """The best 50 levels of each side after everything that follows the snapshot."""
    told = json.loads(body)
    bids = {Decimal(price): Decimal(size) for price, size in told["bids"]}
    asks = {Decimal(price): Decimal(size) for price, size in told["asks"]}
    for event in events(stream):
        if isinstance(event, BookChange) and event.symbol == symbol and event.last_id > told["lastUpdateId"]:
            bids.update(event.bids)
            asks.update(event.asks)
    best_bids = sorted(((price, size) for price, size in bids.items() if size), reverse=True)
    best_asks = sorted((price, size) for price, size in asks.items() if size)
    return tuple(best_bids[:50]), tuple(best_asks[:50])


def test_the_recorded_best_prices_agree_with_every_recorded_book_ticker(recorded: Find) -> None:
    told = [json.loads(frame)["data"] for frame in frames(recorded(COMBINED))]
    tickers = [payload for payload in told if "A" in payload]
    store = BookStore()
    for symbol, body in depth_answers(recorded(DEPTH)).items():
        store.replace("binance", read_depth(symbol, body), 0.0)
    compared = 0
    for change in events(recorded(COMBINED)):
        if not isinstance(change, BookChange) or store.change("binance", change, 0.0) != "applied":
            continue
        before = [one for one in tickers if one["s"] == change.symbol and one["u"] <= change.last_id]
        if before:
            compared += 1
            view, ticker = store.view(change.symbol, "binance", 1), before[-1]
            assert view is not None
            assert view.bids[0] == (Decimal(ticker["b"]), Decimal(ticker["B"]))
            assert view.asks[0] == (Decimal(ticker["a"]), Decimal(ticker["A"]))
    assert compared == 159


def test_changes_before_the_snapshot_are_kept_and_follow_it() -> None:
    feed = Feed(
        BinanceBooks,
        [depth_frame(8, 9, "91 1"), depth_frame(10, 12, "92 1"), 0.5, depth_frame(13, 13, "93 1")],
        answers=[snapshot(10)],
    ).play()
    view = feed.view()
    assert [price for price, _ in view.bids] == [93, 92, 90]
    assert view.update_id == 13


def test_a_snapshot_older_than_the_stream_is_asked_for_again() -> None:
    feed = Feed(
        BinanceBooks, [depth_frame(8, 9), *quiet(2), in_sync, None], answers=[snapshot(6), snapshot(9)]
    ).play()
    assert feed.asked == ["BTCUSDT"] * 2
    assert feed.books.taken == [9]
    assert feed.seen == [True]


def test_no_snapshot_is_joined_across_a_hole_in_the_changes_kept() -> None:
    told: list[Step] = [depth_frame(8, 9), depth_frame(12, 13), *quiet(5), in_sync]
    feed = Feed(
        BinanceBooks, told, answers=[Unreachable("HTTP 503", reason="timeout"), snapshot(9), snapshot(13)]
    ).play()
    assert feed.books.taken == [13]
    assert feed.seen == [True]


def test_a_snapshot_that_ends_just_before_the_stream_joins_it() -> None:
    feed = Feed(BinanceBooks, [depth_frame(8, 9), 0.5, in_sync], answers=[snapshot(7)]).play()
    assert feed.seen == [True]


def test_a_gap_is_never_served_as_in_sync_until_a_new_snapshot_joins() -> None:
    gap: list[Step] = [depth_frame(8, 9), 0.5, in_sync, *quiet(1), depth_frame(12, 13, "95 1"), in_sync]
    joined: list[Step] = [depth_frame(14, 14, "96 1"), 0.5, in_sync]
    feed = Feed(BinanceBooks, [*gap, *joined], answers=[snapshot(8), snapshot(13)]).play()
    assert feed.seen == [True, False, True]
    view = feed.view()
    assert [price for price, _ in view.bids] == [96, 90]


def test_a_failing_snapshot_is_tried_again_slower_and_slower() -> None:
    failure = Unreachable("HTTP 503", reason="timeout")
    alive: list[Step] = [0.5, depth_frame(10, 10)]
    feed = Feed(
        BinanceBooks, [depth_frame(8, 9), *alive * 60, in_sync], answers=[*[failure] * 4, snapshot(9)]
    ).play()
    assert len(feed.asked) == 5
    assert feed.seen == [True]
    assert feed.script.meters.refused["timeout"] == 4


def test_an_exchange_that_asks_for_a_pause_gets_it() -> None:
    failure = Unreachable("HTTP 429", reason="rate_limited", retry_after=25.0)
    feed = Feed(
        BinanceBooks,
        [depth_frame(8, 9), *quiet(20), lambda feed: feed.seen.append(len(feed.asked)), *quiet(10)],
        answers=[failure, snapshot(9)],
    )
    feed.play()
    assert feed.seen == [1]
    assert len(feed.asked) == 2


def test_a_pair_without_changes_gets_its_book_all_the_same() -> None:
    feed = Feed(BinanceBooks, [*quiet(3), in_sync], answers=[snapshot(8)]).play()
    assert feed.seen == [True]


def test_snapshots_of_many_symbols_are_spread() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(4))
    moments: list[float] = []
    script = Script([*(depth_frame(8, 9, symbol=symbol) for symbol in symbols), *[0.1] * 40])

    def depth(symbol: str) -> BookSnapshot:
        moments.append(script.clock.monotonic())
        return snapshot(9, symbol)

    equipment: Equipment = msgspec.structs.replace(script.equipment, depth=depth)
    script.play(BinanceBooks(symbols, BookStore(), equipment))
    assert len(moments) == 4
    assert all(later - earlier >= 0.75 for earlier, later in pairwise(moments))


def test_the_books_are_out_of_sync_as_soon_as_the_connection_is_lost() -> None:
    feed = Feed(BinanceBooks, [depth_frame(8, 9), 0.5, in_sync], answers=[snapshot(9)]).play()
    in_sync(feed)
    assert feed.seen == [True, False]


def test_a_removed_symbol_loses_its_book_and_a_new_one_gets_one() -> None:
    feed = Feed(
        BinanceBooks,
        [depth_frame(8, 9), 0.5, lambda feed: feed.collector.want(["ETHUSDT"]), *quiet(3)],
        answers=[snapshot(9), snapshot(5, "ETHUSDT")],
    ).play()
    assert feed.books.view("BTCUSDT", "binance", 1) is None
    assert feed.asked == ["BTCUSDT", "ETHUSDT"]


BOTH = ("BTCUSDT", "ETHUSDT")


def changing(*symbols: str, first: int, seconds: float) -> list[Step]:
    """Each book changes twice a second."""
    steps: list[Step] = []
    for number in range(first, first + int(2 * seconds)):
        steps += [depth_frame(number, number, symbol=symbol) for symbol in symbols]
        steps.append(0.5)
    return steps


def deafness(*steps: Step, answers: list[BookSnapshot | Exception]) -> Feed:
    """Two books that change twice a second for a minute; then only the other one goes on."""
    both = changing(*BOTH, first=9, seconds=60)
    all_answers = [snapshot(9), snapshot(9, "ETHUSDT"), *answers]
    return Feed(BinanceBooks, [*both, *steps], answers=all_answers, symbols=BOTH).play()


def others(seconds: float) -> list[Step]:
    return changing("ETHUSDT", first=129, seconds=seconds)


def test_a_book_that_is_silent_while_others_move_is_deaf_when_the_exchange_has_newer_changes() -> None:
    feed = deafness(in_sync, *others(8), in_sync, answers=[snapshot(500)])

    assert feed.seen == [True, False]
    assert feed.asked == [*BOTH, "BTCUSDT"]
    assert feed.script.meters.deaf == {"binance": 1}
    methods = [request["method"] for request in feed.requests]
    assert methods.count("UNSUBSCRIBE") == 1


def test_a_deaf_book_is_in_sync_again_with_the_first_change_and_a_snapshot() -> None:
    back: list[Step] = [depth_frame(501, 502), 0.5, 0.5, 0.5]
    feed = deafness(*others(8), in_sync, *back, in_sync, answers=[snapshot(500), snapshot(501)])

    assert feed.seen == [False, True]


def test_a_book_that_is_silent_because_nothing_changes_is_in_sync_after_the_question() -> None:
    last = 9 + 119
    feed = deafness(*others(8), in_sync, answers=[snapshot(last)])

    assert feed.seen == [True]
    assert feed.script.meters.deaf == {}


def test_a_doubt_that_cannot_be_settled_never_becomes_trust() -> None:
    failure = Unreachable("HTTP 503", reason="timeout")
    feed = deafness(*others(60), in_sync, answers=[failure] * 40)

    assert feed.seen == [False]


@pytest.mark.parametrize(
    "wrong", [{"b": [["x", "1"]]}, {"b": [[None, "1"]]}, {"u": None}, {"E": "soon"}], ids=str
)
def test_a_change_that_cannot_be_used_puts_its_own_book_out_of_sync_at_once(wrong: dict[str, object]) -> None:
    bad = json.loads(depth_frame(10, 10))
    bad["data"] |= wrong
    feed = Feed(
        BinanceBooks,
        [depth_frame(9, 9), 0.5, in_sync, json.dumps(bad), in_sync, *quiet(3), in_sync],
        answers=[snapshot(9), snapshot(10)],
    ).play()

    assert feed.seen == [True, False, True]
