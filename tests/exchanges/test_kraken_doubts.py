"""ltp_service.exchanges.kraken: what a frame that cannot be used does to the price that it may have replaced."""

import json

import pytest

from ltp_service.domain.errors import NoText
from ltp_service.domain.exchange_clock import CLOCK_TOLERANCE_SECONDS, NEGLIGIBLE_DELAY_SECONDS
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST
from ltp_service.feed.loop import TEND_EVERY_SECONDS
from ltp_service.prices.quarantine import Quarantine
from tests.exchanges.kraken_frames import (
    BEAT,
    BEGUN,
    V1,
    V1_ACKS,
    V1_BEAT,
    V2,
    V2_ACKS,
    Fed,
    Step,
    ack,
    at,
    beats,
    end,
    refusal,
    row,
    ticker,
    trade,
    trades,
    v1_end,
    v1_ticker,
    v1_trade,
    v1_trades,
)
from tests.fakes import BTC, ETH, NOON, FakeClock, memory_store, tick


def renewed(fed: Fed) -> None:
    """BTC/USD is subscribed to anew."""
    fed.collector.renew(BTC)


IN_STEP = [*V2_ACKS, trade("100", 1, 0.0)]
V1_IN_STEP = [*V1_ACKS, v1_trade("99", -1.0), v1_trade("100", 0.0)]

UNUSABLE = [
    trade('"101"', 2, 1.0),
    trade("101", 2, 1.0).replace(':2,"', ':null,"'),
    trade("101", 2, 1.0).replace("BTC/USD", "XBT/USD"),
    trade("101", 2, 1.0).replace("BTC/USD", "XBTUSD"),
    trade("101", 2, 1.0).replace("BTC/USD", "btc-usd"),
    trade("101", 2, CLOCK_TOLERANCE_SECONDS + 2.0),
    trade("101", 2, 1.0)[:-9],
    trade("101", 2, 1.0).replace('"symbol"', '"pair"'),
    trade("101", 2, 1.0).replace("BTC/USD", "BTC\\/USD")[:-9],
    trade("101", 2, 1.0).replace("BTC/USD", "BTC\\u002FUSD")[:-9],
    trade("101", 2, 1.0).replace("BTC/USD", "\\u0042TC\\u002fUSD")[:-9],
    trade("101", 2, 1.0).replace('"trade"', '"trades"'),
    '{"channel":"Trade","symbol":"BTC/USD","price":101}',
    ticker('"101"', 1.0),
    ticker("null", 1.0),
    ticker("0", 1.0),
    ticker("101", CLOCK_TOLERANCE_SECONDS + 2.0),
    '{"channel":"ticker","type":"update","data":{"symbol":"BTC/USD","last":101}}',
    '{"type":"update","data":[{"symbol":"BTC/USD","last":101}]}',
    trade("101", 2, 1.0).replace('"data"', '"rows"'),
    trade("101", 2, 1.0, "snapshot").replace('"data"', '"rows"'),
    trade("101", 2, 1.0).replace('"data"', '"data":[],"rows"'),
    trade("101", 2, 1.0).replace('"data"', '"rows"').replace('"trade"', '"trades"'),
    trade("101", 2, 1.0)
    .replace('"data"', '"rows"')
    .replace("BTC/USD", "XBTUSD")
    .replace('"trade"', '"trades"'),
    trade("101", 2, 1.0).replace('"symbol":"BTC/USD",', "").replace('"data"', '"symbol":"BTC/USD","data"'),
    '{"channel":"trade","type":"update","symbol":"BTC/USD","price":101}',
    '{"channel":"trades","type":"update","rows":[{"symbol":"BTC\\/USD"}]}',
    '{"channel":"prices","rows":{"BTC/USD":101}}',
    '{"type":"update","symbol":"BTC/USD","price":101}',
    '{"type":"update","rows":[{"symbol":"BTC/USD","price":101}]}',
    '{"method":"trade","symbol":"BTC/USD","price":101}',
    ticker("101", 1.0).replace('"data"', '"rows"'),
    '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":1}]}',
]

V1_UNUSABLE = [
    v1_ticker("NaN"),
    v1_ticker("101").replace('"101"', "101"),
    v1_ticker("101").replace("XBT", "BTC"),
    v1_trade("101", CLOCK_TOLERANCE_SECONDS + 2.0),
    v1_trade("101", 1.0).replace("XBT/USD", "BTC/USD"),
    v1_trade("101", 1.0).replace("XBT/USD", "XXBTZUSD"),
    '[1,[["101","1","soon"]],"trade","XBT/USD"]',
    '[1,[["101","1","1.5","b","m",""]],"trade","XBT/USD"]',
    '["trade","XBT/USD"]',
    '[1,[],"trade","XBT/USD"]',
    '[1,{"c":[]},"ticker","XBT\\/USD"]',
    v1_trade("101", 1.0).replace('"trade"', '"trades"'),
    v1_ticker("101").replace('{"c"', '{"c":["100","1"]},{"c"'),
    v1_trade("101", 1.0).replace(',"trade"', ',{},"trade"'),
    '{"event":"trade","pair":"XBT/USD","price":"101"}',
    '{"event":"trade","pair":"XBTUSD","price":"101"}',
    '{"event":"trade","rows":[{"pair":"XBT\\/USD","price":"101"}]}',
    '{"pair":"XBT/USD","price":"101"}',
]


@pytest.mark.parametrize("frame", UNUSABLE)
def test_a_frame_that_names_the_pair_and_cannot_be_used_ends_its_evidence(frame: str) -> None:
    fed = Fed(V2, [*IN_STEP, 1.0, frame, *beats(5, BEAT)])

    assert (fed.price, fed.reason) == ("100", "unusable")
    assert fed.confirmed_at < 1.0


@pytest.mark.parametrize("frame", V1_UNUSABLE)
def test_it_is_the_same_on_v1(frame: str) -> None:
    fed = Fed(V1, [*V1_IN_STEP, 1.0, frame, *beats(5, V1_BEAT)])

    assert (fed.price, fed.reason) == ("100", "unusable")
    assert fed.confirmed_at < 1.0


@pytest.mark.parametrize(
    "frame",
    [
        trade("7", 2, 1.0).replace("BTC/USD", "LTC/USD"),
        trade('"7"', 2, 1.0).replace("BTC/USD", "AIXBT/USD"),
        '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":1}]}',
        '{"channel":"trade","type":"snapshot","data":[]}',
        '{"channel":"ticker","type":"snapshot","data":[]}',
        '{"channel":"trades","type":"update","rows":[{"symbol":"AIXBT/USD"}]}',
        '{"method":"subscribe","success":true,"symbol":"BTC/USD"}',
        '{"error":"Currency pair not supported BTC/USD","success":false}',
        '{"channel":"book","data":[{"symbol":"BTC/USD"}]}',
        '{"channel":"executions","data":[{"symbol":"BTC/USD"}]}',
        '{"channel":"trades","data":[{"symbol":"AIXBT/USD"}]}',
        "{",
    ],
)
def test_a_frame_about_nothing_that_is_served_casts_no_doubt(frame: str) -> None:
    fed = Fed(V2, [*IN_STEP, 1.0, frame, *beats(2, BEAT)])

    assert fed.reason is None
    assert fed.confirmed_at > 2.5


def test_a_frame_that_names_another_pair_alone_casts_no_doubt_on_v1() -> None:
    fed = Fed(V1, [*V1_IN_STEP, 1.0, '{"event":"trade","pair":"AIXBT/USD","price":"7"}', *beats(2, V1_BEAT)])

    assert (fed.reason, fed.refused["shape"]) == (None, 1)
    assert fed.confirmed_at > 2.5


def test_another_pair_keeps_its_evidence() -> None:
    eth = trade("7", 1, 0.0).replace("BTC/USD", "ETH/USD")
    acks = [text.replace("BTC/USD", "ETH/USD") for text in V2_ACKS]
    fed = Fed(V2, [*IN_STEP, *acks, eth, 1.0, UNUSABLE[0], *beats(5, BEAT)])

    assert fed.store.all()[ETH].confirmed_at > BEGUN + 5.5
    assert ETH not in fed.doubts


def test_a_trade_that_is_older_than_the_ticker_that_is_served_leaves_a_doubt() -> None:
    alone: list[Step] = [*IN_STEP, 1.0, ticker("101", 1.0), *beats(2, BEAT)]
    assert (Fed(V2, alone).price, Fed(V2, alone).reason) == ("101", None)

    fed = Fed(V2, [*alone, trade("100.5", 2, 0.5), *beats(1, BEAT)])
    assert (fed.price, fed.reason) == ("101", "contested")


def test_a_newer_trade_settles_it_and_the_same_trade_told_again_does_not() -> None:
    same: list[Step] = [*IN_STEP, 1.0, UNUSABLE[0], 0.1, trade("100", 1, 0.0), *beats(2, BEAT)]
    assert Fed(V2, same).reason == "unusable"

    newer = Fed(V2, [*same, trade("102", 3, 3.1), *beats(2, BEAT)])
    assert (newer.price, newer.reason) == ("102", None)
    assert newer.confirmed_at > 4.5


@pytest.mark.parametrize(
    ("url", "in_step", "unusable", "again"),
    [
        (V2, IN_STEP, UNUSABLE[0], trade("100", 1, 0.0)),
        (V2, IN_STEP, UNUSABLE[0], ticker("100", 1.5)),
        (V2, IN_STEP, UNUSABLE[0], ticker("100")),
        (V1, V1_IN_STEP, V1_UNUSABLE[0], v1_trade("100", 0.0)),
        (V1, V1_IN_STEP, V1_UNUSABLE[0], v1_ticker("100")),
    ],
)
def test_the_same_price_told_again_is_no_evidence_until_it_is_settled(
    url: str, in_step: list[Step], unusable: str, again: str
) -> None:
    fed = Fed(url, [*in_step, 1.0, unusable, 0.5, again, *beats(2, again)])

    assert (fed.price, fed.reason) == ("100", "unusable")
    assert fed.confirmed_at < 1.0


def test_the_present_state_on_a_new_connection_settles_it() -> None:
    again = trades(row("100", 1, 0.0), kind="snapshot")
    fed = Fed(V2, [*IN_STEP, 1.0, UNUSABLE[0], *beats(1, BEAT)], [*V2_ACKS, again, *beats(2, BEAT)])

    assert fed.reason is None


def test_a_ticker_at_the_beginning_of_a_connection_settles_no_doubt_about_a_trade() -> None:
    bad = trades(row("100", 1, 0.0), row('"101"', 2, 3.0), kind="snapshot")
    fed = Fed(V2, [*IN_STEP, 1.0], [*V2_ACKS, bad, ticker("100", 0.0, "snapshot"), *beats(2, BEAT)])

    assert (fed.price, fed.reason) == ("100", "unusable")


@pytest.mark.parametrize(
    ("url", "in_step", "ends", "accepted"),
    [
        (V1, V1_IN_STEP, [v1_end("ticker"), v1_end("trade")], V1_ACKS),
        (V2, IN_STEP, [end("ticker"), end("trade")], V2_ACKS),
        (V2, IN_STEP, [refusal()], V2_ACKS),
    ],
    ids=["v1", "v2", "refused"],
)
def test_after_both_subscriptions_ended_nothing_is_evidence_before_the_present_state(
    url: str, in_step: list[Step], ends: list[Step], accepted: list[Step]
) -> None:
    beat = V1_BEAT if url == V1 else BEAT
    fed = Fed(url, [*in_step, 1.0, *ends, *beats(20, beat), *accepted, *beats(5, beat)])

    assert fed.confirmed_at <= 1.0


def test_a_good_row_beside_a_bad_one_is_served_and_leaves_the_doubt() -> None:
    rows = (row("101", 2, 1.0), row('"102"', 3, 1.1))
    for frame in (trades(*rows), trades(*rows[::-1])):
        fed = Fed(V2, [*IN_STEP, 1.1, frame, *beats(2, BEAT)])

        assert (fed.price, fed.reason) == ("101", "unusable")


@pytest.mark.parametrize(
    ("url", "in_step", "frame"),
    [
        (V1, V1_IN_STEP, v1_trades(("101", 1.0), ("107", 3600.0), ("108", 3601.0))),
        (V2, IN_STEP, trades(row("101", 2, 1.0), row("107", 3, 3600.0), row("108", 4, 3601.0))),
        (V2, V2_ACKS, trades(row("101", 2, 1.0), row("107", 3, 3600.0), kind="snapshot")),
    ],
    ids=["v1", "v2", "v2 snapshot"],
)
def test_rows_of_the_future_cost_the_newest_believable_one_nothing(
    url: str, in_step: list[Step], frame: str
) -> None:
    fed = Fed(url, [*in_step, 1.0, frame])

    assert (fed.price, fed.reason, fed.refused["future"]) == ("101", "unusable", 1)


def test_a_trade_that_was_held_back_before_the_frame_does_not_settle_it() -> None:
    careful = Quarantine(0.05, lambda _: ())
    fed = Fed(
        V2, [*IN_STEP, 1.0, trade("200", 2, 1.0), 0.5, UNUSABLE[0], *beats(3, BEAT)], quarantine=careful
    )

    assert (fed.price, fed.reason) == ("200", "unusable")


@pytest.mark.parametrize("lag", [0.0, NEGLIGIBLE_DELAY_SECONDS - 0.05, NEGLIGIBLE_DELAY_SECONDS + 0.05, 3.0])
def test_the_feeds_lag_counts_from_a_quarter_of_a_second_on(lag: float) -> None:
    frames: list[Step] = [
        *IN_STEP,
        1.0,
        trade("101", 2, 1.0),
        9.0,
        trade("102", 3, 10.0 - lag),
        TEND_EVERY_SECONDS,
    ]
    counted = lag if lag > NEGLIGIBLE_DELAY_SECONDS else 0.0
    fed = Fed(V2, [*frames, BEAT])

    assert fed.confirmed_at == pytest.approx(10.0 - counted, abs=0.01)
    assert fed.collector.lag() == pytest.approx(counted, abs=0.01)


def test_the_lag_stays_until_a_trade_shows_another_one() -> None:
    late: list[Step] = [*IN_STEP, 1.0, trade("101", 2, 1.0), 9.0, trade("102", 3, 7.0), *beats(30, BEAT)]
    assert Fed(V2, late).confirmed_at == pytest.approx(40.0 - 3.0, abs=0.3)

    in_time = [*late, trade("103", 4, 40.0), TEND_EVERY_SECONDS, BEAT]
    assert Fed(V2, in_time).confirmed_at == pytest.approx(40.0, abs=0.3)


@pytest.mark.parametrize("again", [("100", 1, 0.0), ("99", 0, -3.0)], ids=["the same", "an older one"])
def test_a_trade_that_is_told_again_shows_no_lag(again: tuple[str, int, float]) -> None:
    fed = Fed(V2, [*IN_STEP, *beats(9, BEAT), trade(*again), TEND_EVERY_SECONDS, BEAT])

    assert fed.collector.lag() == 0.0
    assert fed.confirmed_at == pytest.approx(9.0, abs=0.3)


@pytest.mark.parametrize("length", [1_000, 200_000])
def test_a_long_frame_that_cannot_be_read_names_its_pair_wherever(length: int) -> None:
    broken = trade("101", 2, 1.0)[:-9].replace('"data":[{', f'"x":"{"y" * length}","data":[{{')
    assert Fed(V2, [*IN_STEP, 1.0, broken, *beats(2, BEAT)]).reason == "unusable"


OTHER = "ETH/USD"


def two_pairs(late: float) -> list[Step]:
    """BTC/USD `late` seconds late, ETH/USD punctual, for ten seconds."""
    steps: list[Step] = [*V2_ACKS, *(each.replace("BTC/USD", OTHER) for each in V2_ACKS)]
    for second in range(1, 10):
        steps += [0.9, trade(str(100 + second), second, second - late)]
        steps += [0.1, trade("7", second, float(second)).replace("BTC/USD", OTHER), BEAT]
    return steps


def test_one_pair_that_is_late_is_late_alone_and_stays_so_until_its_next_trade() -> None:
    fed = Fed(V2, [*two_pairs(8.0), TEND_EVERY_SECONDS, BEAT])
    assert fed.confirmed_at == pytest.approx(9.1 - 7.9, abs=0.3)
    assert fed.store.all()[ETH].confirmed_at - BEGUN == pytest.approx(9.1, abs=0.3)
    assert fed.collector.lag() == pytest.approx(7.9, abs=0.1)

    fed = Fed(V2, [*two_pairs(8.0), trade("200", 99, 9.0), TEND_EVERY_SECONDS, BEAT])
    assert fed.confirmed_at == pytest.approx(9.1, abs=0.3)


def test_the_lag_of_the_line_counts_for_every_pair() -> None:
    eth: list[Step] = [*(each.replace("BTC/USD", OTHER) for each in V2_ACKS), trade("7", symbol=OTHER)]
    fed = Fed(V2, [*IN_STEP, *eth, *beats(9, BEAT), trade("101", 2, 6.0), *beats(1, BEAT)])

    assert fed.store.all()[ETH].confirmed_at - BEGUN == pytest.approx(10.0 - 3.0, abs=0.3)


def test_a_late_trade_shows_no_more_lag_of_the_others_than_the_time_since_the_last_trade() -> None:
    late = trade("200", 99, 1.5)
    fed = Fed(V2, [*two_pairs(8.0), TEND_EVERY_SECONDS, BEAT, late, *beats(2, BEAT)])

    assert fed.store.all()[ETH].confirmed_at - BEGUN == pytest.approx(11.0, abs=0.3)


@pytest.mark.parametrize("before", [[], [trade("101", 2, 0.0)]], ids=["the first trade", "after a pause"])
def test_a_pair_that_is_late_in_a_quiet_market_stays_late_whatever_trades_in_time(before: list[Step]) -> None:
    eth: list[Step] = [each.replace("BTC/USD", OTHER) for each in (*V2_ACKS, trade("7", 1, 0.0))]
    late = [*beats(20, BEAT), trade("102", 3, 12.0), 0.5, trade("8", 2, 20.5).replace("BTC/USD", OTHER)]
    fed = Fed(V2, [*IN_STEP, *eth, *before, *late, *beats(10, BEAT)])

    assert fed.confirmed_at == pytest.approx(30.5 - 8.0, abs=1.0)


def test_no_price_of_a_line_that_is_late_from_its_first_moment_is_of_less_age_than_it_has() -> None:
    begun: list[Step] = [8.0, ack("ticker", 0.05), 0.01, ack("trade", 0.05), ticker("100"), *beats(2, BEAT)]
    assert 1.5 < Fed(V2, begun).confirmed_at <= 2.1

    late = [*begun, *(step for n in (3, 4, 5) for step in (1.0, trade(str(98 + n), n, float(n)), BEAT))]
    assert 4.5 < Fed(V2, late).confirmed_at <= 5.1

    in_time = [*late, 1.0, trade("110", 9, 14.01), *beats(1, BEAT)]
    assert Fed(V2, in_time).confirmed_at > 14.5


def pong(seconds: float) -> str:
    return f'{{"method":"pong","req_id":9,"time_in":"{at(seconds)}","time_out":"{at(seconds)}"}}'


def pings(fed: Fed) -> int:
    return sum('"ping"' in text for text in fed.script.sent)


def test_a_pong_tells_that_an_acknowledgement_was_written_late() -> None:
    eth: list[Step] = [text.replace("BTC/USD", OTHER) for text in (ack("trade", 9.0), trade("7", 1, 9.0))]
    begun = [9.0, ack("ticker", 9.0), ack("trade", 9.0), trade("100", 1, 9.0), *eth, 0.2, BEAT]
    unsure = Fed(V2, [*begun, *beats(30, BEAT)])
    assert unsure.confirmed_at == pytest.approx(39.2 - 9.0, abs=0.3)

    fed = Fed(V2, [*begun, pong(9.2), *beats(30, BEAT)])
    assert fed.confirmed_at == pytest.approx(39.2, abs=0.3)
    assert (fed.collector.lag(), pings(fed)) == (0.0, 1)


def test_a_pong_on_a_late_line_makes_nothing_punctual_and_another_one_is_asked_for() -> None:
    begun: list[Step] = [8.0, ack("ticker", 0.0), ack("trade", 0.0), trade("100", 1, 0.0), 0.2, BEAT]
    fed = Fed(V2, [*begun, *beats(8, BEAT), pong(8.2), *beats(20, BEAT)])

    assert fed.confirmed_at == pytest.approx(36.2 - 8.0, abs=0.3)
    assert pings(fed) == 2


def test_a_ping_without_an_answer_is_sent_again_on_the_next_connection_alone() -> None:
    begun: list[Step] = [9.0, ack("ticker", 9.0), ack("trade", 9.0), trade("100", 1, 9.0), *beats(30, BEAT)]
    assert pings(Fed(V2, begun)) == 1
    assert pings(Fed(V2, begun, beats(1, BEAT))) == 2


def test_on_a_long_line_the_pings_are_ten_seconds_apart() -> None:
    begun: list[Step] = [0.6, ack("ticker", 0.3), ack("trade", 0.3), trade("100", 1, 0.3)]
    pongs = [step for tenth in range(6, 206, 2) for step in (0.2, pong(tenth / 10 - 0.2), BEAT)]
    assert pings(Fed(V2, [*begun, *pongs])) == 2


def test_a_lag_of_more_than_a_minute_counts_like_any_other() -> None:
    steps = [*two_pairs(0.0), *beats(80, BEAT), trade("101", 99, 15.0), TEND_EVERY_SECONDS, BEAT]
    assert Fed(V2, steps).confirmed_at == pytest.approx(15.0, abs=0.5)


def test_a_late_trade_of_another_pair_takes_no_evidence_of_the_trade_itself() -> None:
    late = [trade("7", number, at).replace("BTC/USD", OTHER) for number, at in ((1, 0.0), (2, 1.0))]
    eth: list[Step] = [*(each.replace("BTC/USD", OTHER) for each in V2_ACKS), late[0]]
    fed = Fed(V2, [*IN_STEP, *eth, *beats(9, BEAT), trade("101", 2, 8.8), late[1]])

    assert fed.confirmed_at >= 8.8


def test_v1_history_that_comes_after_the_ticker_is_no_lag() -> None:
    history = v1_trades(("98", -25.0), ("100", -20.0))
    other = '[1,[["7","1","1790000000.000000","b","m",""]],"trade","ETH/USD"]'
    eth: list[Step] = [other, other.replace("1790000000.0", "1790000000.1").replace('"7"', '"8"')]
    fed = Fed(V1, [*eth, *V1_ACKS, v1_ticker("100"), history, *beats(2)])

    assert fed.collector.lag() == 0.0
    assert fed.confirmed_at > 1.5


def test_v1_a_trade_of_the_old_subscription_tells_the_lag_and_history_of_the_new_one_does_not() -> None:
    late: list[Step] = [*V1_IN_STEP, *beats(10), renewed, v1_trade("101", 2.0), TEND_EVERY_SECONDS, BEAT]
    assert Fed(V1, late).collector.lag() == pytest.approx(8.0, abs=0.3)

    history: list[Step] = [V1_ACKS[1], v1_trade("100", 0.0), TEND_EVERY_SECONDS, BEAT]
    assert Fed(V1, [*V1_IN_STEP, *beats(10), renewed, *history]).collector.lag() == 0.0


def test_a_pair_that_was_deaf_twice_is_believed_with_its_next_trade_and_not_with_its_snapshot() -> None:
    def found_deaf(fed: Fed) -> None:
        fed.doubts.open(BTC, "deaf", fed.script.clock.monotonic())
        fed.doubts.condemn(BTC, fed.script.clock.monotonic())
        fed.collector.renew(BTC)

    snapshot = trade("102", 3, 1.0, kind="snapshot")
    twice: list[Step] = [*IN_STEP, *beats(5, BEAT), found_deaf, found_deaf, snapshot, *beats(5, BEAT)]
    fed = Fed(V2, twice)
    assert (fed.price, fed.reason) == ("102", "deaf")

    fed = Fed(V2, [*twice, trade("103", 4, 10.5), *beats(2, BEAT)])
    assert (fed.price, fed.reason) == ("103", None)


def rest_found_deaf(fed: Fed) -> None:
    """REST told a trade at 101 of which the feed kept silent, and the pair is subscribed to anew."""
    now = fed.script.clock.monotonic()
    fed.store.put(tick("101", source=REST, traded_at=NOON + 1.0, trade_id=2, received_at=now))
    fed.doubts.open(BTC, "deaf", now)
    fed.doubts.condemn(BTC, now)
    fed.collector.renew(BTC)


V1_ENDS = [v1_end("ticker"), v1_end("trade")]


@pytest.mark.parametrize("told", [V1_IN_STEP, [*V1_ACKS, v1_ticker("100")]], ids=["trades", "tickers"])
def test_a_deaf_v1_pair_is_believed_with_the_ticker_of_its_new_subscription(told: list[Step]) -> None:
    deaf: list[Step] = [*told, *beats(5), rest_found_deaf, *V1_ENDS, *beats(1)]
    assert Fed(V1, [*deaf, *V1_ACKS, *beats(3)]).reason == "deaf"

    fed = Fed(V1, [*deaf, *V1_ACKS, v1_ticker("101"), *beats(3)])
    assert (fed.price, fed.reason) == ("101", None)
    assert fed.confirmed_at > 8.5


def test_a_ticker_of_the_old_subscription_or_one_after_a_second_deafness_excuses_no_deaf_v1_pair() -> None:
    deaf: list[Step] = [*V1_IN_STEP, *beats(5), rest_found_deaf]
    assert Fed(V1, [*deaf, v1_ticker("101"), *V1_ENDS, *V1_ACKS, *beats(3)]).reason == "deaf"

    twice: list[Step] = [*deaf, rest_found_deaf, *V1_ENDS, *V1_ACKS, v1_ticker("101"), *beats(3)]
    assert Fed(V1, twice).reason == "deaf"
    assert Fed(V1, [*twice, v1_trade("102", 8.5), *beats(1)]).reason is None


@pytest.mark.parametrize("before", [b"", b"\xff", b"\x00"])
def test_what_is_no_text_may_name_a_pair_all_the_same(before: bytes) -> None:
    for content, reason in ((trade("101", 2, 1.0).encode(), "unusable"), (b'{"a":1}', None)):
        broken = NoText("no text", reason="encoding", content=before + content)
        fed = Fed(V2, [*IN_STEP, 1.0, broken, *beats(2, BEAT)])

        assert fed.reason == reason


# The market of one pair.


def listings(kind: str = "update", **statuses: str) -> str:
    pairs = [{"symbol": symbol.replace("_", "/"), "status": word} for symbol, word in statuses.items()]
    return json.dumps({"channel": "instrument", "type": kind, "data": {"assets": [], "pairs": pairs}})


def asked(fed: Fed) -> int:
    return sum('"instrument"' in text for text in fed.script.sent)


def test_the_status_of_each_pair_is_asked_for_once_and_followed() -> None:
    both = listings("snapshot", BTC_USD="online", ETH_USD="post_only", XMR_EUR="online")
    fed = Fed(V2, [*V2_ACKS, both, listings(BTC_USD="cancel_only"), *beats(12, BEAT)])

    assert asked(fed) == 1
    assert (fed.store.market_of(BTC), fed.store.market_of(ETH)) == ("cancel_only", "post_only")
    assert fed.store.market_of(Pair("XMR", "EUR")) == "unknown"


def test_the_list_is_told_with_its_statuses_to_who_asks_and_without_odd_spellings() -> None:
    told: list[dict[Pair, MarketStatus]] = []

    def follow(fed: Fed) -> None:
        fed.collector.on_listed = lambda statuses: told.append(dict(statuses))

    both = listings("snapshot", BTC_USD="online", XMR_EUR="delisted", AAPLx_USD="online")
    Fed(V2, [follow, *V2_ACKS, both, *beats(2, BEAT)])
    assert told == [{BTC: "online", Pair("XMR", "EUR"): "delisted"}]


def test_a_pair_that_is_added_later_is_subscribed_and_has_the_status_that_the_list_told() -> None:
    xmr = Pair("XMR", "EUR")

    def added(fed: Fed) -> None:
        fed.collector.follow([BTC, xmr])

    listed = listings("snapshot", BTC_USD="online", XMR_EUR="cancel_only")
    fed = Fed(V2, [*V2_ACKS, listed, added, *beats(2, BEAT)])

    asked_for = [text for text in fed.script.sent if '"subscribe"' in text and "XMR/EUR" in text]
    given_back = [text for text in fed.script.sent if '"unsubscribe"' in text and "ETH/USD" in text]
    assert (len(asked_for), len(given_back)) == (2, 2)
    assert fed.store.market_of(xmr) == "cancel_only"


def test_a_list_that_does_not_come_is_asked_for_again() -> None:
    assert asked(Fed(V2, [*V2_ACKS, *beats(9, BEAT)])) == 1
    assert asked(Fed(V2, [*V2_ACKS, *beats(22, BEAT)])) == 3


def test_protocol_v1_has_no_such_list() -> None:
    assert asked(Fed(V1, [*V1_ACKS, *beats(12, BEAT)])) == 0


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (listings("snapshot", ETH_USD="online"), "contested"),
        (listings("update", ETH_USD="online"), None),
        (listings("snapshot", XMR_EUR="online"), None),
        (listings("snapshot"), None),
        (listings("snapshot", ETH_USD="online", XMR_EUR="lost").replace(', "status": "lost"', ""), None),
    ],
)
def test_a_pair_that_a_complete_list_leaves_out_is_in_doubt(frame: str, reason: str | None) -> None:
    fed = Fed(V2, [*IN_STEP, frame, 1.0, None])

    assert fed.reason == reason
    assert fed.store.market_of(BTC) == "unknown"


def test_a_row_of_the_list_that_cannot_be_used_is_a_doubt_about_that_pair_alone() -> None:
    frame = listings("snapshot", ETH_USD="cancel_only", BTC_USD="online").replace('"online"', "17")
    fed = Fed(V2, [*IN_STEP, frame, 1.0, None])

    assert fed.reason == "unusable"
    assert fed.store.market_of(ETH) == "cancel_only"


def test_a_word_about_a_pair_that_is_not_known_ends_no_halt() -> None:
    fed = Fed(V2, [*V2_ACKS, listings(BTC_USD="cancel_only"), listings(BTC_USD="napping")])

    assert fed.store.market_of(BTC) == "cancel_only"


def test_a_v1_subscription_that_is_accepted_shows_that_the_pair_is_listed_again() -> None:
    store = memory_store(FakeClock())
    store.set_pair_markets({BTC: "delisted"})
    Fed(V1, V1_ACKS, store=store)

    assert store.market_of(BTC) == "unknown"
