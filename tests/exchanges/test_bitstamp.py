"""Bitstamp: every recorded frame, and connections whose frames are the evidence, with REST for what they do not tell."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import pytest

from ltp_service.domain.errors import BadFrame, Unlisted, Unreachable
from ltp_service.domain.pairs import Pair
from ltp_service.exchanges.bitstamp import BitstampLastTrades, Dialect, read_newest
from ltp_service.feed.contract import Newest
from ltp_service.feed.messages import LastTrade
from tests.exchanges.feeds import Find, frames
from tests.exchanges.last_trades import LastTrades, Step, labels, look, with_pauses
from tests.fakes import BTC, ETH, NOON

RECORDED = "bitstamp/live_trades_session_2022-01-05.jsonl"

PONG = '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}'


def trade(number: int, price: object = "3805.40", at: float = 0.0, symbol: str = "btcusd") -> str:
    """Synthetic, in the shape of the recorded ones."""
    told = {"id": number, "timestamp": str(int(NOON + at)), "amount": 0.0792, "amount_str": "0.07920000"}
    price_too = {"price": 3805.4, "price_str": price, "type": 0}
    data = {**told, **price_too, "microtimestamp": str(round((NOON + at) * 1_000_000))}
    return json.dumps({"data": data, "channel": f"live_trades_{symbol}", "event": "trade"})


def accepted(symbol: str = "btcusd") -> str:
    return f'{{"event":"bts:subscription_succeeded","channel":"live_trades_{symbol}","data":{{}}}}'


def from_rest(number: int, price: str = "3805.40", at: float = 0.0, cached_for: float = 2.0) -> Newest:
    return Newest(LastTrade("btcusd", price, Decimal(price), float(int(NOON + at)), number, True), cached_for)


TEND = 0.125
"""Seconds, a little more than what the loop waits between two looks at its evidence."""

NOBODY_TRADED = Newest(None, 2.0)


def pongs(seconds: int, every: float = 1.0) -> Sequence[Step]:
    """Time without a trade, in which our heartbeats are answered."""
    return [every - TEND, PONG, TEND] * int(seconds / every)


def test_each_recorded_frame_has_a_known_kind(recorded: Find) -> None:
    kinds = Counter(Dialect().parse(frame).kind for frame in frames(recorded(RECORDED)))
    assert kinds == {"acknowledgement": 10, "trade": 10, "unknown": 10}  # of its order books


def test_after_a_recorded_session_the_last_trade_is_held_with_its_digits(recorded: Find) -> None:
    steps: list[Step] = []
    for step in with_pauses(recorded(RECORDED)):  # it asked for no heartbeat in pauses of ten seconds
        steps += [step / 2, PONG, step / 2] if isinstance(step, float) else [step]
    feed = LastTrades(BitstampLastTrades, steps, pairs=[ETH])
    tick = feed.store.all()[ETH].tick
    assert (tick.price, tick.trade_id, tick.traded_at) == ("3800.80", 216000506, 1641343721.269)
    assert (tick.amount, tick.source) == (Decimal("3800.80"), "bitstamp:websocket")
    assert feed.script.meters.refused == {}


def test_answered_heartbeats_confirm_a_trade_of_this_connection() -> None:
    feed = LastTrades(BitstampLastTrades, [accepted(), trade(7), *pongs(6), look])
    assert feed.seen == [("3805.40", TEND)]
    assert {"event": "bts:heartbeat"} in map(json.loads, feed.script.sent)


def test_silence_confirms_nothing_and_ends_the_connection_within_ten_seconds() -> None:
    feed = LastTrades(BitstampLastTrades, [accepted(), trade(7), *([0.5] * 15), look, *([0.5] * 30)], [])
    assert feed.seen == [("3805.40", 7.5)]
    assert feed.script.meters.failures[0] == "silent"


def test_a_new_connection_confirms_what_is_held_only_when_it_or_rest_told_it() -> None:
    second: list[Step] = [accepted(), *pongs(1), look, *pongs(2), look]
    feed = LastTrades(BitstampLastTrades, [accepted(), trade(7)], second, answers=[from_rest(7)])
    before, after = feed.seen
    assert before[1] >= 1.0
    assert after == ("3805.40", TEND)
    assert feed.asked == ["btcusd"]


def test_the_newest_trade_before_the_subscription_comes_from_rest() -> None:
    steps: list[Step] = [accepted(), *pongs(1), look, *pongs(2), look]
    feed = LastTrades(BitstampLastTrades, steps, answers=[from_rest(7, "3805.41", at=-30.0)])
    assert feed.seen == [(None, None), ("3805.41", TEND)]
    assert feed.store.all()[BTC].tick.source == "bitstamp:rest"


def test_without_a_trade_for_a_minute_the_price_is_unknown_until_the_first_trade() -> None:
    steps: list[Step] = [accepted(), *pongs(4), look, trade(7), look]
    feed = LastTrades(BitstampLastTrades, steps, answers=[NOBODY_TRADED])
    assert feed.seen == [(None, None), ("3805.40", 0.0)]


def test_without_a_trade_since_a_short_cut_the_held_trade_is_the_last() -> None:
    feed = LastTrades(
        BitstampLastTrades, [accepted(), trade(7)], [accepted(), *pongs(4), look], answers=[NOBODY_TRADED]
    )
    assert feed.seen == [("3805.40", TEND)]


def test_an_answer_that_a_cache_may_have_had_since_before_the_subscription_is_asked_for_again() -> None:
    steps: list[Step] = [accepted(), *pongs(3), look, *pongs(5), look]
    answers = [from_rest(7, "1", cached_for=5.0), from_rest(8, "2", cached_for=5.0)]
    feed = LastTrades(BitstampLastTrades, steps, answers=answers)
    assert feed.seen == [(None, None), ("2", TEND)]


def test_rest_that_fails_is_asked_less_and_less_often() -> None:
    down = [Unreachable("no answer", reason="timeout")] * 5
    feed = LastTrades(BitstampLastTrades, [accepted(), *pongs(60)], answers=down)
    assert len(feed.asked) == 5
    assert feed.collector.link().last_error is not None


def test_rest_that_wants_to_be_left_alone_is_left_alone() -> None:
    busy = Unreachable("HTTP 429", reason="http_status", retry_after=100.0)
    feed = LastTrades(BitstampLastTrades, [accepted(), *pongs(95)], answers=[busy])
    assert len(feed.asked) == 1


def test_a_quiet_pair_is_confirmed_for_as_long_as_rest_is_asked_and_has_no_trade() -> None:
    steps: list[Step] = [accepted(), trade(7), *pongs(90), look]
    feed = LastTrades(BitstampLastTrades, steps, answers=[NOBODY_TRADED] * 9)
    assert feed.seen == [("3805.40", TEND)]


def test_without_an_answer_of_rest_frames_of_the_connection_soon_are_no_evidence() -> None:
    busy = Unreachable("HTTP 429", reason="http_status", retry_after=100.0)
    steps: list[Step] = [accepted(), trade(7), *pongs(15), look, *pongs(25), look, trade(8, at=40.0), look]
    feed = LastTrades(BitstampLastTrades, steps, answers=[busy])
    (_, soon), (_, later), after = feed.seen
    assert soon == TEND
    assert 20.0 <= later <= 22.0
    assert after == ("3805.40", 0.0)


def test_a_minute_without_trades_says_nothing_about_the_time_before_it() -> None:
    busy = Unreachable("HTTP 429", reason="http_status", retry_after=55.0)
    steps: list[Step] = [accepted(), trade(7), *pongs(80), look]
    feed = LastTrades(BitstampLastTrades, steps, answers=[busy, NOBODY_TRADED, NOBODY_TRADED])
    ((_, age),) = feed.seen
    assert len(feed.asked) == 3
    assert age >= 60.0


def test_a_subscription_that_keeps_silent_about_a_trade_of_rest_is_subscribed_anew() -> None:
    steps: list[Step] = [accepted(), trade(7), *pongs(16), look]
    missed = [from_rest(9, "3900.00", at=5.0), from_rest(9, "3900.00", at=5.0)]
    feed = LastTrades(BitstampLastTrades, steps, answers=missed)
    assert feed.seen[-1][0] == "3900.00"
    assert feed.script.meters.missed == {"bitstamp": 1}
    unsubscribe = {"event": "bts:unsubscribe", "data": {"channel": "live_trades_btcusd"}}
    assert unsubscribe in map(json.loads, feed.script.sent)


def test_a_trade_that_rest_tells_first_is_no_proof_of_deafness() -> None:
    steps: list[Step] = [accepted(), trade(7), *pongs(11), trade(9, "3900.00", at=11.0), *pongs(12), look]
    told = [from_rest(9, "3900.00", at=10.0), from_rest(9, "3900.00", at=10.0)]
    feed = LastTrades(BitstampLastTrades, steps, answers=told)
    assert feed.seen == [("3900.00", TEND)]
    assert feed.script.meters.missed == {}


@pytest.mark.parametrize("price", ["-1", "NaN", None, 3805.4])
def test_a_trade_that_cannot_be_used_ends_the_evidence_until_rest_explains_it(price: object) -> None:
    bad: list[Step] = [trade(8, price, 1.0), labels, *pongs(1), look, *pongs(2), look, labels]
    feed = LastTrades(
        BitstampLastTrades, [accepted(), trade(7), *pongs(1), *bad], answers=[from_rest(8, "3999.99")]
    )
    assert feed.seen == [
        {"btcusd": "unusable"},
        ("3805.40", 1.0 + TEND),
        ("3999.99", TEND),
        {"btcusd": "active"},
    ]


def test_a_frame_that_cannot_be_read_at_all_doubts_the_symbols_that_it_names() -> None:
    broken = trade(8)[:-3]
    feed = LastTrades(
        BitstampLastTrades,
        [accepted(), accepted("ethusd"), trade(7), trade(7, symbol="ethusd"), broken, labels],
        pairs=(BTC, ETH),
    )
    assert feed.seen == [{"btcusd": "unusable", "ethusd": "active"}]


def test_a_request_to_reconnect_is_followed_at_once() -> None:
    leave = '{"event":"bts:request_reconnect","channel":"","data":""}'
    feed = LastTrades(
        BitstampLastTrades, [accepted(), trade(7), leave, 60.0], [accepted(), trade(8, "1", 1.0), look]
    )
    assert feed.seen == [("1", 0.0)]
    assert feed.script.meters.failures == ["closed", "script_over"]  # both of the second connection


@pytest.mark.parametrize(
    "refusal",
    [
        '{"event":"bts:error","channel":"","data":{"code":4006,"message":"Bad subscription string."}}',
        '{"event":"bts:error","channel":"live_trades_foousd","data":{"code":4006,"message":"Bad subscription string."}}',
    ],
)
def test_a_refused_pair_is_told_and_costs_its_neighbours_nothing(refusal: str) -> None:
    steps: list[Step] = [accepted(), refusal, trade(7), *pongs(20), look, labels]
    feed = LastTrades(BitstampLastTrades, steps, pairs=(BTC, Pair("FOO", "USD")), answers=[from_rest(7)])
    assert feed.seen == [
        ("3805.40", TEND),
        {"btcusd": "active", "foousd": "refused: Bad subscription string. (4006)"},
    ]
    assert sum("foousd" in text for text in feed.script.sent) == 1


def test_a_pair_that_is_accepted_and_that_rest_does_not_know_is_refused() -> None:
    steps: list[Step] = [accepted(), *pongs(4), labels]
    feed = LastTrades(BitstampLastTrades, steps, answers=[Unlisted("HTTP 404: no such market")])
    assert feed.seen == [{"btcusd": "refused: HTTP 404: no such market"}]


def test_the_newest_transaction_is_the_one_with_the_highest_id() -> None:
    rows = [
        {"date": str(int(NOON)), "tid": tid, "amount": "1", "type": "0", "price": price}
        for tid, price in (("8", "3805.40"), ("10", "3805.410"), ("9", "1"))
    ]
    newest = read_newest("btcusd", json.dumps(rows))
    assert newest == LastTrade("btcusd", "3805.410", Decimal("3805.410"), NOON, 10, snapshot=True)
    assert read_newest("btcusd", "[]") is None


@pytest.mark.parametrize(
    "body", ['[{"tid":"x"}]', "<html>", '[{"date":"1","tid":"2","price":"0"}]', "[null]"]
)
def test_transactions_that_cannot_be_read_are_no_answer(body: str) -> None:
    with pytest.raises(BadFrame):
        read_newest("btcusd", body)
