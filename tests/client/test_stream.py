"""The core of a stream on a clock that the test steers: what is told, when the line is dead, how it goes on."""

from itertools import pairwise
from typing import Any

import pytest

from ltp_service.client.errors import KeyRefused, NotServed, PricesError, UnknownPair
from ltp_service.client.events import Disconnected, Gap, Price, Trade, Unavailable
from tests.client.script import (
    HEAD,
    NOW,
    URL,
    Script,
    event,
    gap,
    heartbeat,
    hello,
    price,
    refusal,
    server_time,
    trade,
)

OPEN = HEAD + hello()
TWELVE_SECONDS_LATER = "2026-11-28T12:00:12Z"


def test_a_price_is_told_with_its_age_and_digits() -> None:
    script = Script([(0.0, OPEN + price("100.10", age=1500))])
    (told,) = script.take(1)
    assert isinstance(told, Price)
    assert (told.price, str(told.amount), told.state) == ("100.10", "100.1", "live")
    assert told.age == pytest.approx(1.5, abs=0.3)


def test_a_quiet_market_is_no_dead_one() -> None:
    beats = [(5.0 * beat, heartbeat(BTC=10)) for beat in range(1, 100)]
    script = Script([(0.0, OPEN + price(state="quiet")), *beats, (496.0, price("7"))])
    assert [type(told) for told in script.take(2)] == [Price, Price]
    assert script.now == pytest.approx(496, abs=1)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([], id="nothing"),
        pytest.param([(at / 2, b": comment\n\n") for at in range(1, 100)], id="comments"),
        pytest.param([(at / 2, b"\xff garbage") for at in range(1, 100)], id="garbage without end"),
        pytest.param([(at / 2, event("weather", sun=True)) for at in range(1, 100)], id="other events"),
    ],
)
def test_a_line_without_events_is_dead_within_eleven_seconds(said: list[tuple[float, Any]]) -> None:
    script = Script([(0.0, OPEN + price()), *said])
    assert isinstance(script.take(1)[0], Price)
    (told,) = script.take(1)
    assert isinstance(told, Disconnected)
    assert "no event for 10 s" in told.reason
    assert 10 <= script.now <= 11
    assert script.clock.wall() - told.since.timestamp() == pytest.approx(script.now, abs=0.5)


def test_a_line_that_floods_without_events_is_dead_within_eleven_seconds() -> None:
    script = Script([(0.0, OPEN + price()), *[(0.0, b"x: y\n")] * 2000], reading=0.01)
    assert [type(told) for told in script.take(2)] == [Price, Disconnected]
    assert 10 <= script.now <= 11


@pytest.mark.parametrize("line", [[], [(3.0, HEAD)], [(1.0, b"HTTP/1.1 4")]], ids=["silent", "head", "piece"])
def test_a_service_that_never_begins_is_told_within_eleven_seconds(line: list[tuple[float, Any]]) -> None:
    script = Script(line)
    assert isinstance(script.take(1)[0], Disconnected)
    assert script.now <= 11


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (price(None, state="stale"), "stale"),
        (price(None, state="unknown"), "unknown"),
        (price("1", state="stale"), "stale"),
        (price("1", state="guessed"), "guessed"),
        (price("1", age=5100), "max_age"),
        (price(None, state="live"), "no price"),
    ],
)
def test_a_price_that_the_policy_forbids_is_unavailable_once(said: bytes, word: str) -> None:
    script = Script([(0.0, OPEN + price()), (1.0, said), (2.0, said), (3.0, price("3"))], max_age=5)
    first, second, third = script.take(3)
    assert isinstance(first, Price)
    assert isinstance(second, Unavailable)
    assert word in second.reason
    assert isinstance(third, Price)
    assert third.price == "3"


def test_a_price_whose_evidence_has_aged_is_unavailable_until_a_heartbeat_confirms_it() -> None:
    beats = [(5.0, heartbeat(BTC=6000)), (10.0, heartbeat(BTC=11000)), (15.0, heartbeat(BTC=100))]
    script = Script([(0.0, OPEN + price()), *beats], max_age=5)
    assert [type(told) for told in script.take(3)] == [Price, Unavailable, Price]
    assert script.now == pytest.approx(15, abs=0.5)


def test_evidence_that_the_service_withdraws_is_taken_back() -> None:
    beats = [(5.0, heartbeat(BTC=100)), (6.0, heartbeat(BTC=8000)), (7.0, heartbeat(BTC=100))]
    script = Script([(0.0, OPEN + price()), *beats], max_age=5)
    told = script.take(3)
    assert [type(each) for each in told] == [Price, Unavailable, Price]
    assert isinstance(told[1], Unavailable)
    assert "the last evidence is 8." in told[1].reason
    assert script.now == pytest.approx(7, abs=0.5)


@pytest.mark.parametrize("beat", [heartbeat(BTC=None), heartbeat(ETH=100)], ids=["null", "not named"])
def test_a_price_without_evidence_any_more_is_unavailable_until_it_is_told_again(beat: bytes) -> None:
    said = [(5.0, beat), (6.0, heartbeat(BTC=0)), (7.0, price("2"))]
    script = Script([(0.0, OPEN + price()), *said])
    assert [type(each) for each in script.take(3)] == [Price, Unavailable, Price]
    assert script.now == pytest.approx(7, abs=0.5)


@pytest.mark.parametrize("max_age", [5, None])
def test_what_lay_in_a_buffer_while_the_user_was_busy_is_not_told_as_current(max_age: float | None) -> None:
    script = Script(
        [
            (0.0, OPEN + price("1")),
            (1.0, price("2")),
            (10.0, heartbeat("2026-11-28T12:00:10Z", BTC=0)),
            (12.1, heartbeat(TWELVE_SECONDS_LATER, BTC=0)),
        ],
        max_age=max_age,
    )
    script.take(1)
    script.clock.advance(12)  # the user is busy
    refused, told = script.take(2)
    assert isinstance(refused, Unavailable)
    assert isinstance(told, Price)
    assert (told.price, told.age < 1) == ("2", True)


def test_a_price_that_was_long_under_way_is_as_old_as_it_is() -> None:
    script = Script(
        [
            (0.0, OPEN),
            (5.0, heartbeat()),
            (9.0, price("1", age=500, at=server_time(5.5))),
            (12.0, heartbeat(server_time(10.0), BTC=4500)),
            (13.0, price("2", at=server_time(13.0))),
        ]
    )
    late, prompt = script.take(2)
    assert isinstance(late, Price)
    assert isinstance(prompt, Price)
    assert late.age == pytest.approx(3.5, abs=0.3)
    assert prompt.age < 0.3


def test_evidence_of_a_heartbeat_that_was_long_under_way_is_as_old_as_it_is() -> None:
    beats = [(5.0, heartbeat(BTC=0)), (14.0, heartbeat(server_time(10.0), BTC=2000))]
    script = Script([(0.0, OPEN + price()), *beats], max_age=5)
    assert [type(told) for told in script.take(2)] == [Price, Unavailable]
    assert script.now == pytest.approx(14, abs=0.5)


def test_what_was_told_at_first_is_no_younger_than_the_question() -> None:
    at = server_time(3.0)
    script = Script(
        [(3.0, OPEN + price("1", at=at)), (5.0, heartbeat(BTC=2000)), (6.0, price("2", at=server_time(6)))]
    )
    first, later = script.take(2)
    assert isinstance(first, Price)
    assert isinstance(later, Price)
    assert first.age == pytest.approx(3, abs=0.3)
    assert later.age < 0.3  # a slow beginning makes nothing old for ever


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_of_the_service_that_is_set_makes_no_price_younger_and_none_old_for_ever(step: int) -> None:
    beats = [(at, heartbeat(server_time(at + step), BTC=1000)) for at in (5.0, 10.0)]
    script = Script([(0.0, OPEN + price(at=NOW)), *beats], [(0.0, OPEN + price("2", at=NOW))])
    first, *told = script.take(3)
    assert [type(each) for each in (first, *told)] == [Price, Disconnected, Price]
    assert isinstance(told[1], Price)
    assert told[1].age < 0.3
    assert script.opened[1][1] < (7 if step < 0 else 22)


def test_a_price_is_looked_at_when_it_is_taken() -> None:
    script = Script([(0.0, OPEN + price("1") + price("2", pair="ETH/USD"))], max_age=5)
    script.take(1)
    script.clock.advance(6)
    assert isinstance(script.take(1)[0], Unavailable)


def test_a_line_that_died_while_the_user_was_busy_is_told_at_once() -> None:
    beat = heartbeat("2026-11-28T12:00:05Z")
    script = Script([(0.0, OPEN + price()), (5.0, beat)])
    script.take(1)
    script.clock.advance(60)
    assert [type(told) for told in script.take(2)] == [Unavailable, Disconnected]
    assert script.now < 61


def test_of_several_prices_that_wait_the_newest_is_told() -> None:
    script = Script([(0.0, OPEN + price("1") + price("2") + price("3"))])
    assert [getattr(told, "price", None) for told in script.take(1)] == ["3"]


def test_a_heartbeat_confirms_no_price_after_which_another_one_was_left_out() -> None:
    waiting = price("2") + heartbeat(BTC=0) + price("3")
    script = Script([(0.0, OPEN + price("1")), (5.0, heartbeat(BTC=6000)), (6.0, waiting)], max_age=5)
    told = script.take(3)
    assert [getattr(each, "price", type(each)) for each in told] == ["1", Unavailable, "3"]


@pytest.mark.parametrize("field", ["price", "amount"])
def test_a_heartbeat_confirms_no_price_after_one_of_an_unknown_form(field: str) -> None:
    named: dict[str, Any] = {"pair": "BTC/USD", field: 5}
    unknown = event("auction", **named)
    said = [(1.0, unknown), (5.0, heartbeat(BTC=0, ETH=0)), (6.0, price("2"))]
    script = Script([(0.0, OPEN + price("1") + price("9", pair="ETH/USD")), *said])
    told = script.take(4)
    assert [getattr(each, "price", type(each)) for each in told] == ["1", "9", Unavailable, "2"]


@pytest.mark.parametrize(
    "said", [event("weather", pair="BTC/USD"), event("weather", price=1), b"data: x\n\n"]
)
def test_an_unknown_event_without_a_pair_and_a_price_costs_no_price(said: bytes) -> None:
    script = Script([(0.0, OPEN + price("1") + said), (5.0, heartbeat(BTC=0)), (6.0, price("2"))])
    assert [getattr(each, "price", type(each)) for each in script.take(2)] == ["1", "2"]


def test_after_a_cut_it_resumes_from_the_last_event_told_and_tells_no_trade_twice() -> None:
    script = Script(
        [(0.0, OPEN + trade(1) + trade(2)), (1.0, event("trade", "t3")[:-1]), (1.1, b"")],
        [(0.0, HEAD + hello("h2", resumed=True) + trade(2) + trade(3))],
    )
    told = script.take(4)
    assert [getattr(each, "trade_id", type(each)) for each in told] == [1, 2, Disconnected, 3]
    assert "Last-Event-ID: t2\r\n" in script.requests[1]


def test_trades_that_are_missing_without_a_word_are_a_gap() -> None:
    script = Script([(0.0, OPEN + trade(1) + trade(5))])
    first, missing, last = script.take(3)
    assert isinstance(missing, Gap)
    assert (missing.after_trade_id, missing.before_trade_id) == (1, 5)
    assert (first, last) != (missing, missing)


def test_a_gap_that_the_service_tells_is_told_once() -> None:
    script = Script(
        [(0.0, OPEN + trade(1)), (1.0, b"")],
        [(0.0, HEAD + hello("h2") + gap(1, 5, "h2")), (0.1, b"")],  # cut before anything else is said
        [(0.0, HEAD + hello("h3") + gap(1, 5, "h3") + trade(5) + trade(6))],
    )
    told = script.take(6)
    assert [type(each) for each in told] == [Trade, Disconnected, Gap, Disconnected, Trade, Trade]
    assert "Last-Event-ID: t1\r\n" in script.requests[2]


@pytest.mark.parametrize("said", [gap(None, 3), b""], ids=["told", "not told"])
def test_an_exchange_that_numbers_anew_loses_no_trade(said: bytes) -> None:
    script = Script([(0.0, OPEN + trade(1000)), (1.0, b"")], [(0.0, HEAD + hello("h2") + said + trade(3))])
    assert [type(each) for each in script.take(4)] == [Trade, Disconnected, Gap, Trade]


def test_trades_follow_a_gap_that_leads_to_lower_numbers() -> None:
    script = Script([(0.0, OPEN + trade(5000) + gap(5000, 10) + trade(10) + trade(11))])
    assert [type(each) for each in script.take(4)] == [Trade, Gap, Trade, Trade]


def test_after_a_cut_everything_is_told_anew() -> None:
    said = OPEN + price() + price(None, pair="ETH/USD", state="stale")
    script = Script([(0.0, said), (1.0, b"")], [(0.0, said)])
    told = [type(each) for each in script.take(5)]
    assert told == [Price, Unavailable, Disconnected, Price, Unavailable]


@pytest.mark.parametrize(
    "spoilt",
    [
        event("price", pair="BTC/USD"),
        price("1").replace(b'"price": "1"', b'"price": "2"'),
        price("1").replace(b"1.0", b"NaN"),
        price("-1"),
        event("price", pair=["BTC/USD"], price="1"),
        b"event: trade\ndata: {\n\n",
        b"event: heartbeat\ndata: [" + b"[" * 100_000 + b"\n\n",
        event("heartbeat", server_time=NOW),
        event("heartbeat", server_time=NOW, evidence_age_ms={"BTC/USD": "young"}),
        b"data: " + b"x" * 2_000_000,
    ],
    ids=[
        "fields missing",
        "two numbers",
        "no number",
        "negative",
        "no pair",
        "no JSON",
        "deep",
        "no evidence",
        "no age",
        "without end",
    ],
)
def test_an_event_that_cannot_be_read_ends_the_line_and_what_came_before_it_is_told(spoilt: bytes) -> None:
    script = Script([(0.0, OPEN + trade(1) + spoilt)], [(0.0, HEAD + hello(resumed=True) + trade(2))])
    assert [type(each) for each in script.take(3)] == [Trade, Disconnected, Trade]


@pytest.mark.parametrize("status", [200, 204, 301, 405, 408, 418, 429, 500, 502, 503, 504])
def test_it_comes_back_after_every_other_status(status: int) -> None:
    script = Script([(0.0, refusal(status, "BUSY", Retry_After="7"))], [(0.0, OPEN + price())])
    assert [type(each) for each in script.take(2)] == [Disconnected, Price]
    if status != 200:
        assert 7 <= script.now < 8


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(401, "API_KEY_MISSING"), KeyRefused),
        (refusal(403, "PERMISSION_DENIED"), KeyRefused),
        (refusal(404, "NOT_FOUND"), NotServed),
        (refusal(501, "NOT_SUPPORTED"), NotServed),
        (refusal(400, "UNSUPPORTED_PAIR"), UnknownPair),
    ],
)
def test_it_raises_where_trying_again_cannot_help(answer: bytes, error: type[PricesError]) -> None:
    with pytest.raises(error, match=URL):
        Script([(0.0, answer)]).take(1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501])
@pytest.mark.parametrize(
    "body", [b"<h1>No</h1>", b'{"code": 404, "message": "no route"}'], ids=["page", "json"]
)
def test_what_another_one_refuses_in_the_place_of_the_service_ends_nothing(status: int, body: bytes) -> None:
    answer = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    script = Script([(0.0, answer)], [(0.0, OPEN + price())])
    told, _ = script.take(2)
    assert isinstance(told, Disconnected)
    assert URL in told.reason
    assert script.opened[1][1] > 0


@pytest.mark.parametrize(
    ("status", "code"), [(401, "API_KEY_INVALID"), (404, "NOT_FOUND"), (501, "NOT_SUPPORTED")]
)
def test_no_refusal_ends_a_stream_that_has_begun(status: int, code: str) -> None:
    script = Script(
        [(0.0, OPEN + price()), (1.0, b"")], *[[(0.0, refusal(status, code))]] * 8, [(0.0, OPEN + price())]
    )
    assert [type(each) for each in script.take(4)] == [Price, Disconnected, Disconnected, Price]


def test_pauses_grow_and_an_outage_is_told_once() -> None:
    script = Script(*[[(0.0, ConnectionRefusedError(111, "refused"))]] * 8, [(0.0, OPEN + price())])
    assert [type(each) for each in script.take(2)] == [Disconnected, Price]
    moments = [at for _, at in script.opened]
    pauses = [later - at for at, later in pairwise(moments)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_line_that_ends_before_it_is_proven_does_not_reset_the_pauses() -> None:
    script = Script(*[[(0.0, OPEN + b""), (0.1, b"")]] * 4)
    script.take(4)
    assert script.opened[-1][1] > 3


def test_goodbye_is_followed_by_the_pause_that_it_names() -> None:
    farewell = b"retry: 1873\n" + event("bye", reason="restart")
    script = Script([(0.0, OPEN + farewell)], [(0.0, OPEN + price())])
    goodbye, _ = script.take(2)
    assert isinstance(goodbye, Disconnected)
    assert "restart" in goodbye.reason
    assert script.opened[1][1] == pytest.approx(1.873, abs=0.01)


def test_other_base_urls_are_tried_at_once() -> None:
    script = Script(
        [(0.0, refusal(503, Retry_After="60"))],
        [(0.0, OPEN + price())],
        url=["http://one:1/", "https://two/prefix/"],
    )
    assert [type(each) for each in script.take(2)] == [Disconnected, Price]
    assert [url for url, _ in script.opened] == ["http://one:1", "https://two/prefix"]
    assert script.now < 1
    assert script.requests[1].startswith("GET /prefix/api/v1/stream?events=all HTTP/1.1\r\nHost: two\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        refusal(404, "NOT_FOUND"),
        refusal(403, "PERMISSION_DENIED"),
        refusal(501, "NOT_SUPPORTED"),
        refusal(400, "UNSUPPORTED_PAIR"),
    ],
)
def test_a_base_url_that_refuses_for_good_ends_nothing_while_another_one_may_answer(answer: bytes) -> None:
    script = Script(
        [(0.0, answer)],
        [(0.0, ConnectionRefusedError(111, "refused"))],
        [(0.0, answer)],
        [(0.0, OPEN + price())],
        url=["http://one:1", "http://two:2"],
    )
    first, second, third, last = script.take(4)
    assert isinstance(first, Disconnected)
    assert "http://one:1" in first.reason
    assert [type(each) for each in (second, third, last)] == [Disconnected, Disconnected, Price]
    assert [url for url, _ in script.opened] == ["http://one:1", "http://two:2"] * 2


def test_it_ends_with_all_reasons_where_every_base_url_refuses_for_good() -> None:
    script = Script(
        [(0.0, refusal(404, "NOT_FOUND"))],
        [(0.0, refusal(503))],
        [(0.0, refusal(404, "NOT_FOUND"))],
        [(0.0, refusal(403, "PERMISSION_DENIED"))],
        url=["http://one:1", "http://two:2"],
    )
    assert [type(each) for each in script.take(3)] == [Disconnected] * 3
    with pytest.raises(NotServed, match=r"http://one:1.*http://two:2.*api_key"):
        script.take(1)
