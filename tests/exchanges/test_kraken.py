"""ltp_service.exchanges.kraken: Kraken's frames into the store."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from ltp_service.domain.errors import BadFrame
from ltp_service.domain.exchange_clock import CLOCK_TOLERANCE_SECONDS
from ltp_service.domain.pairs import read_pair
from ltp_service.domain.tick import REST
from ltp_service.feed.loop import TEND_EVERY_SECONDS
from ltp_service.meters import TRADES_HELD
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.freshness import judge
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.store import Store
from tests.fakes import BTC, ETH, NOON, FakeClock, Script, Step, kraken_collector, memory_store, tick

V1, V2 = "ws://127.0.0.1:9/", "ws://127.0.0.1:9/v2"


def at(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def v2_ack(time: float = NOON) -> str:
    return json.dumps(
        {
            "method": "subscribe",
            "success": True,
            "result": {"channel": "trade", "symbol": "BTC/USD"},
            "time_out": at(time),
        }
    )


def v2_trade(
    price: str, time: float = NOON, number: int = 1, *, kind: str = "update", symbol: str = "BTC/USD"
) -> str:
    return (
        f'{{"channel":"trade","type":"{kind}","data":[{{"symbol":"{symbol}","price":{price},"qty":1,'
        f'"side":"buy","ord_type":"limit","trade_id":{number},"timestamp":"{at(time)}"}}]}}'
    )


def v2_ticker(price: str, symbol: str = "BTC/USD") -> str:
    return f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","last":{price}}}]}}'


def v1_ack() -> str:
    return (
        '{"event":"subscriptionStatus","pair":"XBT/USD","status":"subscribed",'
        '"subscription":{"name":"ticker"}}'
    )


def v1_ticker(price: str, symbol: str = "XBT/USD") -> str:
    return f'[1,{{"c":["{price}","1"]}},"ticker","{symbol}"]'


def v1_trade(price: str, time: float = NOON) -> str:
    return f'[1,[["{price}","1","{time:.6f}","b","m",""]],"trade","XBT/USD"]'


def play(url: str, *connections: Sequence[Step] | Exception) -> tuple[Store, Script]:
    script = Script(*connections)
    store = memory_store(script.clock)
    script.play(kraken_collector(url, (BTC, ETH), store, script.equipment))
    return store, script


def price_of(store: Store) -> str:
    return store.all()[BTC].tick.price


@pytest.mark.parametrize(
    ("url", "symbols"),
    [
        ("wss://ws.kraken.com", ["XBT/USD", "ETH/USD"]),
        ("wss://ws.kraken.com/", ["XBT/USD", "ETH/USD"]),
        ("wss://ws.kraken.com/v1", ["XBT/USD", "ETH/USD"]),
        ("wss://ws.kraken.com/v2", ["BTC/USD", "ETH/USD"]),
        ("wss://proxy.example/kraken/v2/", ["BTC/USD", "ETH/USD"]),
    ],
)
def test_the_urls_path_decides_the_protocol_and_each_channel_is_one_request(
    url: str, symbols: list[str]
) -> None:
    _, script = play(url, [])
    requests = [json.loads(text) for text in script.sent if "instrument" not in text]

    asked = [(request.get("params") or request) for request in requests]
    assert [request.get("symbol") or request.get("pair") for request in asked] == [symbols, symbols]
    channels = [request.get("channel") or request["subscription"]["name"] for request in asked]
    assert channels == ["ticker", "trade"]


@pytest.mark.parametrize("price", ["0.00000012", "123456789.123456789", "115643.00000"])
@pytest.mark.parametrize(("url", "frame"), [(V1, v1_ticker), (V1, v1_trade), (V2, v2_ticker), (V2, v2_trade)])
def test_every_digit_of_the_wire_is_held(url: str, frame: object, price: str) -> None:
    assert callable(frame)
    store, _ = play(url, [frame(price)])

    assert price_of(store) == price


HOSTILE: list[tuple[Step, str]] = [
    ("{", "malformed"),
    ("", "malformed"),
    ("[" * 20_000 + "]" * 20_000, "malformed"),
    ('{"channel":' * 20_000, "malformed"),
    ('{"channel":"ticker","data":' + "[" * 20_000 + "]" * 20_000 + "}", "malformed"),
    ('{"channel":"ticker","data":[{"symbol":17,"last":1}]}', "malformed"),
    ('{"channel":"ticker","data":"no list"}', "malformed"),
    (v2_ticker("NaN"), "malformed"),
    (v2_ticker('"NaN"'), "not_a_number"),
    (v2_ticker("0"), "not_positive"),
    (v2_ticker("-1"), "not_positive"),
    (v2_ticker("1e400"), "out_of_range"),
    (v2_ticker("1e99999999"), "out_of_range"),
    (v2_ticker("7" * 5000), "out_of_range"),
    (v2_ticker("5", "LTC/USD"), "unknown_pair"),
    (v2_ticker("5", "XBT/USD"), "unknown_pair"),
    (v2_trade("5", NOON - 100, 0), "older"),
    (v2_trade("5", NOON + CLOCK_TOLERANCE_SECONDS + 1, 9), "future"),
    (BadFrame("a binary message", reason="binary"), "binary"),
    (BadFrame("text that is not UTF-8", reason="encoding"), "encoding"),
]

HOSTILE_V1: list[tuple[Step, str]] = [
    ("{", "malformed"),
    ("[" * 20_000 + "]" * 20_000, "malformed"),
    ('[1,{"c":' + "[" * 20_000 + "]" * 20_000 + '},"ticker","XBT/USD"]', "malformed"),
    ('[1,{"c":[5,"1"]},"ticker","XBT/USD"]', "malformed"),
    ("[]", "shape"),
    (v1_ticker("NaN"), "not_finite"),
    (v1_ticker("0"), "not_positive"),
    (v1_ticker("-1"), "not_positive"),
    (v1_ticker("1e400"), "out_of_range"),
    (v1_ticker("1e99999999"), "out_of_range"),
    (v1_ticker("7" * 5000), "out_of_range"),
    (v1_ticker("5", "LTC/USD"), "unknown_pair"),
    (v1_ticker("5", "BTC/USD"), "unknown_pair"),
    (v1_trade("5", NOON - 100), "older"),
    (v1_trade("5", NOON + CLOCK_TOLERANCE_SECONDS + 1), "future"),
]


@pytest.mark.parametrize(("frame", "reason"), HOSTILE)
def test_a_hostile_frame_is_counted_with_its_reason_and_neither_published_nor_fatal(
    frame: Step, reason: str
) -> None:
    before: list[str] = []
    store: Store = memory_store(FakeClock())

    def look() -> None:
        before.append(price_of(store))

    script = Script([v2_ack(), v2_trade("100.10", NOON, 1), frame, look, v2_trade("101.20", NOON + 1, 2)])
    store = memory_store(script.clock)
    script.play(kraken_collector(V2, (BTC, ETH), store, script.equipment))

    assert before == ["100.10"]
    assert price_of(store) == "101.20"
    assert set(store.all()) == {BTC}
    assert script.meters.refused == {reason: 1}
    assert len(script.made) == 1


@pytest.mark.parametrize(("frame", "reason"), HOSTILE_V1)
def test_a_hostile_v1_frame_is_counted_with_its_reason_and_neither_published_nor_fatal(
    frame: Step, reason: str
) -> None:
    store, script = play(
        V1,
        [v1_ack(), v1_trade("99.90", NOON - 1), v1_trade("100.10", NOON), frame],
        [v1_ack(), v1_trade("101.20", NOON + 1)],
    )

    assert price_of(store) == "101.20"
    assert set(store.all()) == {BTC}
    assert script.meters.refused == {reason: 1}


def test_an_older_trade_after_a_reconnect_never_replaces_a_newer_one() -> None:
    store, _ = play(
        V2, [v2_ack(), v2_trade("100", NOON, 5)], [v2_ack(), v2_trade("90", NOON - 5, 3, kind="snapshot")]
    )

    assert price_of(store) == "100"


def test_after_a_reconnect_nothing_is_confirmed_until_the_new_connection_is_in_step() -> None:
    store, script = play(
        V2,
        [v2_ack(), v2_trade("100", NOON, 5), 1.0, '{"channel":"heartbeat"}', TEND_EVERY_SECONDS, None],
        [v2_ack(), 3.0, '{"channel":"heartbeat"}', 3.0, '{"channel":"heartbeat"}', TEND_EVERY_SECONDS, None],
    )

    assert store.all()[BTC].confirmed_at == pytest.approx(1001.0)
    assert script.clock.monotonic() > 1006.0


def test_heartbeats_confirm_a_pair_in_step_and_no_other() -> None:
    store, _ = play(
        V2,
        [
            v2_ack(),
            v2_trade("100", NOON, 5),
            v2_trade("7", NOON, 5, symbol="ETH/USD"),
            5.0,
            '{"channel":"heartbeat"}',
            TEND_EVERY_SECONDS,
            None,
        ],
    )

    assert store.all()[BTC].confirmed_at == pytest.approx(1005.0)
    assert store.all()[ETH].confirmed_at == pytest.approx(1000.0)


def test_the_exchanges_status_reaches_the_store() -> None:
    store, _ = play(V2, ['{"channel":"status","type":"update","data":[{"system":"cancel_only"}]}'])

    assert store.market() == "cancel_only"


def test_a_live_trade_happens_as_it_is_told_whatever_the_machines_clock_shows() -> None:
    yesterday = NOON - 86_400
    frames: list[Step] = [
        v2_ack(time=yesterday),
        v2_trade("100", yesterday, 5),
        5.0,
        v2_trade("101", yesterday + 5, 6),
    ]
    store, script = play(V2, frames)

    assert store.all()[BTC].tick.happened_at == pytest.approx(1005.0)
    assert script.meters.refused == {}


def test_a_snapshot_is_as_old_as_the_exchange_says() -> None:
    store, _ = play(V2, [v2_ack(), v2_trade("100", NOON - 300, 5, kind="snapshot")])
    price = store.all()[BTC]

    assert price.tick.happened_at == pytest.approx(700.0)
    assert judge(price, 1000.0, 30.0, "online").state == "quiet"


def test_a_v1_ticker_at_subscription_pretends_to_be_neither_a_trade_of_now_nor_an_old_one() -> None:
    store, _ = play(V1, [v1_ack(), v1_ticker("100.0")])
    price = store.all()[BTC]

    assert price.tick.happened_at is None
    assert judge(price, 1000.0, 30.0, "online").state == "fallback"


def test_a_tick_says_where_it_came_from() -> None:
    store, _ = play(V2, [v2_trade("100.0", NOON - 1, 5)])
    tick = store.all()[BTC].tick

    assert (tick.pair, tick.source, tick.trade_id) == (BTC, "kraken:websocket", 5)
    assert tick.traded_at == pytest.approx(NOON - 1)


def test_operators_find_the_established_connection_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        play(V2, [v2_ack(), v2_trade("100", NOON, 5), 1.0, v2_trade("101", NOON, 6), 1.0, None])

    line = "WebSocket connection established and subscribed to ticker data"
    assert [record.message for record in caplog.records].count(line) == 1


def test_symbols_of_look_alikes_stay_apart() -> None:
    pairs = tuple(map(read_pair, ("BTC/USD", "AIXBT/USD", "TBTC/USD")))
    for url, spelled in (
        (V1, ("XBT/USD", "AIXBT/USD", "TBTC/USD")),
        (V2, ("BTC/USD", "AIXBT/USD", "TBTC/USD")),
    ):
        frame = v1_ticker if url == V1 else v2_ticker
        script = Script([frame(str(number), symbol) for number, symbol in enumerate(spelled, 1)])
        store = memory_store(script.clock)
        script.play(kraken_collector(url, pairs, store, script.equipment))

        assert [store.all()[pair].tick.price for pair in pairs] == ["1", "2", "3"]


BEAT = '{"channel":"heartbeat"}'


def test_a_feed_that_lags_confirms_no_more_than_the_past_that_it_shows() -> None:
    late = v2_trade("101", NOON + 1.0, 9)
    store, _ = play(V2, [v2_ack(), v2_ticker("100"), 9.0, late, 0.2, BEAT, TEND_EVERY_SECONDS, None])

    assert price_of(store) == "101"
    assert store.all()[BTC].confirmed_at == pytest.approx(1001.2, abs=0.01)


def test_an_acknowledgement_that_waited_in_a_queue_does_not_set_the_exchanges_clock_back() -> None:
    pauses: list[Step] = [9.0, BEAT, 9.0, BEAT, 9.0]
    waited = v2_ack(time=NOON + 1)
    store, script = play(V2, [v2_ack(), v2_ticker("100"), *pauses, waited, v2_trade("101", NOON + 27, 9)])

    assert price_of(store) == "101"
    assert script.meters.refused["future"] == 0


def test_a_first_acknowledgement_that_waited_makes_no_trade_one_of_the_future() -> None:
    waited, waited_less = v2_ack(time=NOON + 0.1), v2_ack(time=NOON + 6.0)
    store, script = play(V2, [7.0, waited, v2_ticker("100"), v2_trade("101", NOON + 7.0, 9)])

    assert price_of(store) == "101"
    assert script.meters.refused["future"] == 0
    for acknowledged in ([waited], [waited, waited_less]):
        store, script = play(V2, [7.0, *acknowledged, v2_ticker("100"), v2_trade("101", NOON + 12.2, 9)])
        assert (price_of(store), script.meters.refused["future"]) == ("100", 1)


def test_a_print_that_rest_has_told_meanwhile_lets_no_other_pass() -> None:
    def rest_tells() -> None:
        store.put(tick("120", source=REST, received_at=script.clock.monotonic()))

    far = v2_trade("150", NOON + 2.2, 3)
    steps: list[Step] = [
        v2_ack(),
        v2_trade("100", NOON, 1),
        2.0,
        v2_trade("120", NOON + 2, 2),
        0.1,
        rest_tells,
        far,
    ]
    script = Script(steps)
    store = memory_store(script.clock)
    quarantine = Quarantine(0.05, lambda _: ())
    script.play(kraken_collector(V2, (BTC,), store, script.equipment, quarantine))

    assert price_of(store) == "120"


def test_the_ticker_of_a_print_that_is_held_back_raises_no_doubt() -> None:
    far: list[Step] = [v2_trade("120", NOON + 2, 2), 0.01, v2_ticker("120")]
    beats: list[Step] = [step for _ in range(15) for step in (0.1, BEAT)]
    script = Script([v2_ack(), v2_trade("100", NOON, 1), 2.0, *far, *beats])
    store, doubts = memory_store(script.clock), Doubts()
    quarantine = Quarantine(0.05, lambda _: ())
    script.play(kraken_collector(V2, (BTC,), store, script.equipment, quarantine, doubts))

    assert price_of(store) == "100"
    assert BTC not in doubts
    assert script.meters.told(TRADES_HELD) == [("BTC/USD",)]


def test_a_late_trade_of_one_pair_shows_that_nothing_was_known_of_the_others_either() -> None:
    acks: list[Step] = [v2_ack(), v2_ack().replace("BTC", "ETH")]
    trades: list[Step] = [v2_trade("100", NOON, 1), v2_trade("7", NOON, 1, symbol="ETH/USD")]
    beats: list[Step] = [step for _ in range(8) for step in (1.0, BEAT)]
    for late, confirmed_at in ((NOON + 1, 1001.0), (NOON - 60.0, 1007.0)):
        store, _ = play(V2, [*acks, *trades, *beats, v2_trade("101", late, 2)])

        assert store.all()[ETH].confirmed_at == pytest.approx(confirmed_at, abs=0.01)
