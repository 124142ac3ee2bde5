"""The fast lane: the same bytes as the Flask view, or nothing."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltp_service.domain.pairs import Pair
from ltp_service.http.fast_lane import MAX_QUESTIONS, FastLane, Ready
from tests.fakes import BTC, ETH, XRP
from tests.service import FreshService

PAIRS = (BTC, ETH, XRP)
SPELLINGS = {
    BTC: ("BTC/USD", "btc-usd", "XBTUSD", "XXBTZUSD"),
    ETH: ("ETH/USD", "ETH_USD"),
    XRP: ("XRP/USD", "xrpusd"),
}
STRANGERS = ("FOO/BAR", "SOL/USD")


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    return FreshService(tmp_path, supported_pairs=PAIRS, rate_limit_enabled=False)


def lane_of(service: FreshService) -> FastLane:
    parts = service.services.prices
    return FastLane(service.services.config, parts.served, service.store, parts.substitutes, service.clock)


def answered(lane: FastLane) -> Ready:
    """To a question about one pair."""
    ready = lane.answer(environ("pair=BTC/USD"))
    assert ready
    return ready


def environ(query: str = "", **more: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "QUERY_STRING": query, **more}


def slow(service: FreshService, query: str) -> tuple[int, bytes, str | None, str | None]:
    """What the Flask view says: an own header keeps the lane out and changes nothing else."""
    answer = service.get(f"/api/v1/ltp?{query}", Cache_Control="no-transform")
    return answer.status_code, answer.data, answer.headers.get("ETag"), answer.headers.get("Cache-Control")


asked = st.lists(
    st.one_of(*(st.sampled_from(names) for names in SPELLINGS.values()), st.sampled_from(STRANGERS)),
    max_size=6,
)
prices = st.decimals("0.00000001", "99999999", places=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=asked, price=st.tuples(prices, prices, prices), age=st.sampled_from([0.0, 29.9, 30.1]))
def test_fast_and_slow_answers_are_the_same_bytes(
    service: FreshService, names: list[str], price: tuple[Any, Any, Any], age: float
) -> None:
    for pair, value in zip(PAIRS, price, strict=True):
        service.trade(format(value, "f"), pair)
    service.clock.advance(age)
    query = f"pair={quote(','.join(names), safe=',')}" if names else ""

    ready = lane_of(service).answer(environ(query))

    if ready is not None:
        headers = dict(ready.headers)
        assert slow(service, query) == (
            int(ready.status[:3]),
            ready.content,
            headers.get("ETag"),
            headers["Cache-Control"],
        )
    else:
        assert age > 30 or all(name in STRANGERS for name in names)


def test_the_lane_answers_what_it_is_asked_most(service: FreshService) -> None:
    service.trade("115643.00000")
    lane = lane_of(service)

    ready = answered(lane)

    assert ready.content == b'{"ltp":[{"pair":"BTC/USD","amount":115643}]}'
    assert lane.answer(environ("pair=BTC/USD")) is ready


def test_so_many_questions_are_remembered_and_no_more(service: FreshService) -> None:
    service.trade("115643.00000")
    lane = lane_of(service)
    most = MAX_QUESTIONS + len(PAIRS)
    remembered = []
    for number in range(most + 1):
        lane.answer(environ(f"pair=BTC/USD&pair=NO{number}"))
        remembered.append(len(lane._questions))  # noqa: SLF001 - what it costs is seen nowhere else

    assert remembered == [*range(1, most + 1), 1]


def test_a_new_price_makes_a_new_answer_and_another_etag(service: FreshService) -> None:
    lane = lane_of(service)
    service.trade("100.0")
    before = answered(lane)
    service.clock.advance(1)
    service.trade("101.0")
    after = answered(lane)

    assert (b"101" in after.content, before.tag != after.tag) == (True, True)


def test_new_evidence_for_the_same_price_keeps_the_etag(service: FreshService) -> None:
    lane = lane_of(service)
    service.trade("100.0")
    before = answered(lane)
    service.clock.advance(20)
    service.heartbeat(BTC)
    service.clock.advance(20)
    after = answered(lane)

    assert before.tag == after.tag


def test_a_tick_of_another_pair_renders_nothing_anew(service: FreshService) -> None:
    lane = lane_of(service)
    service.trade("100.0")
    before = answered(lane)
    service.trade("4128.07", ETH)
    after = answered(lane)

    assert (after.content is before.content, after.tag is before.tag) == (True, True)
    assert after.view is service.store.all()


def test_all_spellings_of_everything_share_one_answer(service: FreshService) -> None:
    for pair in PAIRS:
        service.trade("100.0", pair)
    lane = lane_of(service)
    spellings = ("", "&", "pair=", "pairs=,,", "pair[]=%20&pairs=")
    answers = [lane.answer(environ(query)) for query in spellings]

    assert answers[0] is not None
    assert all(answer is answers[0] for answer in answers)
    assert len({id(lane.watched(query)) for query in (*spellings, "detail=true")}) == 1
    assert [count for _, count in lane.take_served()] == [len(spellings)]


def test_freshness_is_decided_at_each_request(service: FreshService) -> None:
    lane = lane_of(service)
    service.trade("100.0")
    assert lane.answer(environ("pair=BTC/USD"))
    service.clock.advance(30.01)

    assert lane.answer(environ("pair=BTC/USD")) is None


@pytest.mark.parametrize(
    "special",
    [
        *({"QUERY_STRING": f"pair={pair}"} for pair in ("%ff", "SOL/USD", "ETH/USD")),
        *(
            {"QUERY_STRING": f"pair=BTC/USD&{more}"}
            for more in ("detail=true", "max_age=1", "symbol=BTC/USD")
        ),
        {"QUERY_STRING": "pair=BTC/USD&allow_stale=true"},
        {"HTTP_CACHE_CONTROL": "max-age=1"},
        {"HTTP_PREFER": "wait=5"},
        {"HTTP_IF_MATCH": "*"},
        {"HTTP_IF_MATCH": ""},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": "12"},
        {"REQUEST_METHOD": "POST"},
    ],
)
def test_whatever_is_special_is_left_to_flask(service: FreshService, special: dict[str, str]) -> None:
    service.trade("100.0")

    assert lane_of(service).answer(environ("pair=BTC/USD") | special) is None


@pytest.mark.parametrize("query", ["pair[]=BTC/USD", "pairs%5B%5D=BTC/USD", "p%61ir=BTC/USD"])
def test_a_list_is_understood_as_clients_spell_lists(service: FreshService, query: str) -> None:
    service.trade("100.0")

    assert lane_of(service).answer(environ(query, CONTENT_LENGTH="0"))


def test_a_flood_of_different_questions_is_forgotten(service: FreshService) -> None:
    service.trade("100.0")
    lane = lane_of(service)
    for number in range(2500):
        lane.answer(environ(f"pair=BTC/USD&pair=X{number}/USD"))

    assert len(lane._questions) <= 1000 + len(PAIRS)  # noqa: SLF001 - the bound is the point
    assert lane.answer(environ("pair=BTC/USD"))


def test_served_questions_are_counted_once(service: FreshService) -> None:
    service.trade("100.0")
    lane = lane_of(service)
    for _ in range(3):
        lane.answer(environ("pair=BTC/USD"))

    assert [(question.supported, count) for question, count in lane.take_served()] == [((BTC,), 3)]
    assert lane.take_served() == []


def test_a_pair_of_the_same_currencies_in_another_order_is_another_pair(service: FreshService) -> None:
    service.trade("100.0")

    assert lane_of(service).answer(environ(f"pair={Pair('USD', 'BTC')}")) is None
