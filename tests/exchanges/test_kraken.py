"""ltp_service.exchanges.kraken: Kraken's frames into the store."""

import json
import logging
from collections.abc import Callable

import pytest

from ltp_service.domain.errors import BadFrame
from ltp_service.domain.exchange_clock import CLOCK_TOLERANCE_SECONDS
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.tick import REST
from ltp_service.exchanges.kraken import CONFIRMED_PER_SECOND
from ltp_service.exchanges.kraken_tickers import OTHER_CHANNEL_WITHIN_SECONDS
from ltp_service.feed.loop import TEND_EVERY_SECONDS
from ltp_service.feed.requests import REST_SECONDS
from ltp_service.meters import TRADES_HELD
from ltp_service.prices.freshness import judge
from ltp_service.prices.quarantine import Quarantine
from tests.exchanges.kraken_frames import (
    BEAT,
    V1,
    V1_BEAT,
    V2,
    Fed,
    Step,
    ack,
    beats,
    ticker,
    trade,
    v1_ack,
    v1_ticker,
    v1_trade,
)
from tests.fakes import BTC, ETH, NOON, tick


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
def test_the_url_decides_the_protocol_and_each_channel_is_one_request(url: str, symbols: list[str]) -> None:
    fed = Fed(url, [])
    requests = [json.loads(text) for text in fed.script.sent if "instrument" not in text]

    asked = [(request.get("params") or request) for request in requests]
    assert [request.get("symbol") or request.get("pair") for request in asked] == [symbols, symbols]
    channels = [request.get("channel") or request["subscription"]["name"] for request in asked]
    assert channels == ["ticker", "trade"]


@pytest.mark.parametrize("price", ["0.00000012", "123456789.123456789", "115643.00000"])
@pytest.mark.parametrize(("url", "frame"), [(V1, v1_ticker), (V1, v1_trade), (V2, ticker), (V2, trade)])
def test_every_digit_of_the_wire_is_held(url: str, frame: object, price: str) -> None:
    assert callable(frame)
    fed = Fed(url, [frame(price), OTHER_CHANNEL_WITHIN_SECONDS, None])

    assert fed.price == price


# Each reason once; which frames have it, the tests of the dialects say.
HOSTILE: list[tuple[Step, str]] = [
    ("{", "malformed"),
    ('{"channel":"ticker","data":' + "[" * 20_000 + "]" * 20_000 + "}", "malformed"),
    ('{"channel":"ticker","data":"no list"}', "malformed"),
    (ticker("NaN"), "malformed"),
    (ticker('"NaN"'), "not_a_number"),
    (ticker("0"), "not_positive"),
    (ticker("1e400"), "out_of_range"),
    (ticker("7" * 5000), "out_of_range"),
    (ticker("5", symbol="LTC/USD"), "unknown_pair"),
    (ticker("5", symbol="XBT/USD"), "unknown_pair"),
    (trade("5", 0, -100), "older"),
    (trade("5", 9, CLOCK_TOLERANCE_SECONDS + 1), "future"),
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
    (v1_ticker("1e400"), "out_of_range"),
    (v1_ticker("7" * 5000), "out_of_range"),
    (v1_ticker("5", "LTC/USD"), "unknown_pair"),
    (v1_ticker("5", "BTC/USD"), "unknown_pair"),
    (v1_trade("5", -100), "older"),
    (v1_trade("5", CLOCK_TOLERANCE_SECONDS + 1), "future"),
]


@pytest.mark.parametrize(("frame", "reason"), HOSTILE)
def test_a_hostile_frame_is_counted_by_reason_not_served_and_not_fatal(frame: Step, reason: str) -> None:
    before: list[str] = []
    steps: list[Step] = [ack(), trade("100.10"), frame, lambda fed: before.append(fed.price)]
    fed = Fed(V2, [*steps, trade("101.20", 2, 1.0)])

    assert (before, fed.price) == (["100.10"], "101.20")
    assert set(fed.store.all()) == {BTC}
    assert fed.refused == {reason: 1}
    assert len(fed.script.made) == 1


@pytest.mark.parametrize(("frame", "reason"), HOSTILE_V1)
def test_a_hostile_v1_frame_is_counted_by_reason_and_not_served(frame: Step, reason: str) -> None:
    first: list[Step] = [v1_ack(), v1_trade("99.90", -1.0), v1_trade("100.10"), frame]
    fed = Fed(V1, first, [v1_ack(), v1_trade("101.20", 1.0)])

    assert fed.price == "101.20"
    assert set(fed.store.all()) == {BTC}
    assert fed.refused == {reason: 1}


def test_an_older_trade_after_a_reconnect_never_replaces_a_newer_one() -> None:
    fed = Fed(V2, [ack(), trade("100", 5)], [ack(), trade("90", 3, -5, kind="snapshot")])

    assert fed.price == "100"


def test_after_a_reconnect_nothing_is_confirmed_until_the_new_connection_is_in_step() -> None:
    fed = Fed(
        V2,
        [ack(), trade("100", 5), 1.0, BEAT, TEND_EVERY_SECONDS, None],
        [ack(), 3.0, BEAT, 3.0, BEAT, TEND_EVERY_SECONDS, None],
    )

    assert fed.confirmed_at == pytest.approx(1.0)
    assert fed.script.clock.monotonic() > 1006.0


def test_heartbeats_confirm_a_pair_in_step_and_no_other() -> None:
    told = [ack(), trade("100"), trade("7", symbol="ETH/USD")]
    fed = Fed(V2, [*told, 5.0, BEAT, TEND_EVERY_SECONDS, None])

    assert fed.confirmed_at == pytest.approx(5.0)
    assert fed.store.all()[ETH].confirmed_at == pytest.approx(1000.0)


def test_the_exchanges_status_reaches_the_store() -> None:
    fed = Fed(V2, ['{"channel":"status","type":"update","data":[{"system":"cancel_only"}]}'])

    assert fed.store.market() == "cancel_only"


def test_a_live_trade_happens_as_it_is_told_whatever_the_machines_clock_shows() -> None:
    yesterday = -86_400.0
    frames: list[Step] = [
        ack(seconds=yesterday),
        trade("100", 5, yesterday),
        5.0,
        trade("101", 6, yesterday + 5),
    ]
    fed = Fed(V2, frames)

    assert fed.store.all()[BTC].tick.happened_at == pytest.approx(1005.0)
    assert fed.refused == {}


def test_a_snapshot_is_as_old_as_the_exchange_says() -> None:
    fed = Fed(V2, [ack(), trade("100", 5, -300, kind="snapshot")])
    price = fed.store.all()[BTC]

    assert price.tick.happened_at == pytest.approx(700.0)
    assert judge(price, 1000.0, 30.0, "online").state == "quiet"


def test_a_v1_ticker_at_subscription_pretends_to_be_neither_a_trade_of_now_nor_an_old_one() -> None:
    fed = Fed(V1, [v1_ack(), v1_ticker("100.0")])
    price = fed.store.all()[BTC]

    assert price.tick.happened_at is None
    assert judge(price, 1000.0, 30.0, "online").state == "fallback"


def test_a_tick_says_where_it_came_from() -> None:
    fed = Fed(V2, [trade("100.0", 5, -1)])
    tick = fed.store.all()[BTC].tick

    assert (tick.pair, tick.source, tick.trade_id) == (BTC, "kraken:websocket", 5)
    assert tick.traded_at == pytest.approx(NOON - 1)


def test_operators_find_the_established_connection_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Fed(V2, [ack(), trade("100", 5), 1.0, trade("101", 6), 1.0, None])

    line = "WebSocket connection established and subscribed to ticker data"
    assert [record.message for record in caplog.records].count(line) == 1


def test_symbols_of_look_alikes_stay_apart() -> None:
    pairs = tuple(map(read_pair, ("BTC/USD", "AIXBT/USD", "TBTC/USD")))
    for url, bitcoin in ((V1, "XBT/USD"), (V2, "BTC/USD")):
        frame: Callable[..., str] = v1_ticker if url == V1 else ticker
        spelled = (bitcoin, "AIXBT/USD", "TBTC/USD")
        told = [frame(str(number), symbol=symbol) for number, symbol in enumerate(spelled, 1)]
        fed = Fed(url, [*told, OTHER_CHANNEL_WITHIN_SECONDS, None], pairs=pairs)

        assert [fed.store.all()[pair].tick.price for pair in pairs] == ["1", "2", "3"]


def test_a_feed_that_lags_confirms_no_more_than_the_past_that_it_shows() -> None:
    late = trade("101", 9, 1.0)
    fed = Fed(V2, [ack(), ticker("100"), 9.0, late, 0.2, BEAT, TEND_EVERY_SECONDS, None])

    assert fed.price == "101"
    assert fed.confirmed_at == pytest.approx(1.2, abs=0.01)


def test_an_acknowledgement_that_waited_in_a_queue_does_not_set_the_exchanges_clock_back() -> None:
    pauses: list[Step] = [9.0, BEAT, 9.0, BEAT, 9.0]
    waited = ack(seconds=1)
    fed = Fed(V2, [ack(), ticker("100"), *pauses, waited, trade("101", 9, 27)])

    assert fed.price == "101"
    assert fed.refused["future"] == 0


def test_a_first_acknowledgement_that_waited_makes_no_trade_one_of_the_future() -> None:
    waited, waited_less = ack(seconds=0.1), ack(seconds=6.0)
    fed = Fed(V2, [7.0, waited, ticker("100"), trade("101", 9, 7.0)])

    assert fed.price == "101"
    assert fed.refused["future"] == 0
    for acknowledged in ([waited], [waited, waited_less]):
        fed = Fed(V2, [7.0, *acknowledged, trade("100", 8, 0.0), trade("101", 9, 12.2)])
        assert (fed.price, fed.refused["future"]) == ("100", 1)


def test_a_print_that_rest_has_told_meanwhile_lets_no_other_pass() -> None:
    def rest_tells(fed: Fed) -> None:
        fed.store.put(tick("120", source=REST, received_at=fed.script.clock.monotonic()))

    steps: list[Step] = [
        ack(),
        trade("100"),
        2.0,
        trade("120", 2, 2.0),
        0.1,
        rest_tells,
        trade("150", 3, 2.2),
    ]
    assert Fed(V2, steps, quarantine=Quarantine(0.05, lambda _: ())).price == "120"


def test_a_sweep_that_comes_in_two_frames_is_one_print() -> None:
    steps: list[Step] = [ack(), trade("100"), 2.0, trade("120", 2, 2.0), trade("119", 3, 2.0)]
    assert Fed(V2, steps, quarantine=Quarantine(0.05, lambda _: ())).price == "100"


def test_the_ticker_of_a_print_that_is_held_back_raises_no_doubt() -> None:
    far: list[Step] = [2.0, trade("120", 2, 2.0), 0.01, ticker("120")]
    waiting: list[Step] = [step for _ in range(15) for step in (0.1, BEAT)]
    fed = Fed(V2, [ack(), trade("100"), *far, *waiting], quarantine=Quarantine(0.05, lambda _: ()))

    assert (fed.price, fed.reason) == ("100", None)
    assert fed.script.meters.told(TRADES_HELD) == [("BTC/USD",)]


def test_a_late_trade_of_one_pair_shows_that_nothing_was_known_of_the_others_either() -> None:
    acks: list[Step] = [ack(), ack().replace("BTC", "ETH")]
    trades: list[Step] = [trade("100"), trade("7", symbol="ETH/USD")]
    beats: list[Step] = [step for _ in range(8) for step in (1.0, BEAT)]
    for late, confirmed_at in ((1.0, 1001.0), (-60.0, 1007.0)):
        fed = Fed(V2, [*acks, *trades, *beats, trade("101", 2, late)])

        assert fed.store.all()[ETH].confirmed_at == pytest.approx(confirmed_at, abs=0.01)


def test_very_many_pairs_are_confirmed_twice_a_second_and_all_at_once() -> None:
    many = [Pair(f"C{number:03}", "USD") for number in range(CONFIRMED_PER_SECOND // 2)]
    fed = Fed(V2, [], pairs=many)
    clock, ages = fed.script.clock, []
    for pair in many:
        fed.store.put(tick("1", pair, received_at=clock.monotonic()))
    for _ in range(10):
        clock.advance(TEND_EVERY_SECONDS)
        fed.collector.confirm(list(map(str, many)), clock.monotonic())
        ages.append({round(clock.monotonic() - price.confirmed_at, 3) for price in fed.store.all().values()})

    assert ages == [{0.0}, {0.1}, {0.2}, {0.3}, {0.4}] * 2


@pytest.mark.parametrize(
    ("url", "begun", "refused", "beat"),
    [
        (
            V1,
            [v1_ack("ticker"), v1_ticker("100")],
            (
                '{"errorMessage":"Exceeded msg rate","event":"subscriptionStatus","pair":"XBT/USD","status":"error",'
                '"subscription":{"name":"trade"}}'
            ),
            V1_BEAT,
        ),
        (
            V2,
            [ack("ticker"), ticker("100")],
            '{"error":"Exceeded msg rate","method":"subscribe","success":false,"symbol":"BTC/USD"}',
            BEAT,
        ),
    ],
    ids=["v1", "v2"],
)
def test_too_many_messages_are_no_refusal_of_the_pair_that_is_named(
    url: str, begun: list[Step], refused: str, beat: str
) -> None:
    def again(fed: Fed) -> list[str]:
        """What was asked about BTC/USD alone."""
        about = [text for text in fed.script.sent if "/USD" in text and "ETH/USD" not in text]
        return [channel for text in about for channel in ("ticker", "trade") if f'"{channel}"' in text]

    resting: list[Step] = [*begun, refused, *beats(int(REST_SECONDS) - 1, beat)]
    fed = Fed(url, resting)
    assert again(fed) == []
    assert fed.confirmed_at == pytest.approx(REST_SECONDS - 1.0, abs=0.3)

    fed = Fed(url, [*resting, *beats(2, beat)])
    assert again(fed) == ["trade"]
