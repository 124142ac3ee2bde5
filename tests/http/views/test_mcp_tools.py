"""ltp_service.http.views.mcp_tools"""

import json
import os
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST
from ltp_service.domain.trade import Trade
from ltp_service.history.rows import Observation
from ltp_service.http.views.mcp_tools import TOOLS, listed_tools
from ltp_service.keys.key import make_text
from ltp_service.prices.freshness import PriceState
from ltp_service.runtime.moments import rfc3339_exact
from tests.agent import call, send, text_of
from tests.fakes import BTC, NOON, tick
from tests.history.plain_history import SECOND, T0, trade
from tests.http.views.test_history import ByPair, with_history
from tests.service import FreshService, MakeService

PRICE = "115643.10"
DIGITS = re.compile(r"1156\d\d|98765")
"""In every price of these tests, and in nothing else."""

SECOND_SOURCE = {"price_sources": ("kraken", "coinbase"), "substitute_sources": ("coinbase",)}
FAR = {"X-Forwarded-For": "198.51.100.7"}


@pytest.fixture
def service(fresh_service: MakeService) -> FreshService:
    return fresh_service(rate_limit_enabled=False, supported_pairs=("BTC/USDT", "BTC/USD"), **SECOND_SOURCE)


def live(service: FreshService) -> None:
    service.trade(PRICE, traded_at=NOON, trade_id=4711)


def quiet(service: FreshService) -> None:
    live(service)
    service.clock.advance(61)
    service.heartbeat(BTC)


def fallback(service: FreshService) -> None:
    service.store.put(tick(PRICE, source=REST, received_at=service.clock.monotonic()))


def substitute(service: FreshService) -> None:
    service.clock.advance(31)
    service.trade_elsewhere("coinbase", PRICE, traded_at=NOON, trade_id=4711)


def halted(service: FreshService) -> None:
    live(service)
    service.store.set_market("maintenance")


def stale(service: FreshService) -> None:
    live(service)
    service.clock.advance(31)


def delisted(service: FreshService) -> None:
    live(service)
    service.store.set_pair_markets({BTC: "delisted"})


def doubtful(service: FreshService) -> None:
    live(service)
    service.services.prices.doubts.open(BTC, "contested", service.clock.monotonic())
    service.clock.advance(31)
    service.heartbeat()


def unknown(service: FreshService) -> None:
    pass


Situation = Callable[[FreshService], None]
SERVED: list[Situation] = [live, quiet, fallback, substitute, halted]
REFUSED: list[Situation] = [stale, delisted, doubtful, unknown]


def each(situations: list[Situation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("situation", situations, ids=lambda situation: situation.__name__)


def is_as_promised(tool: str, result: dict[str, Any]) -> bool:
    """Whether the structured content is what the tool's schema says."""
    (schema,) = (listed["outputSchema"] for listed in listed_tools() if listed["name"] == tool)
    return bool(Draft202012Validator(schema).is_valid(result["structuredContent"]))


# For every state.


@each(SERVED)
def test_a_price_that_is_served_is_told_with_every_digit(service: FreshService, situation: Situation) -> None:
    situation(service)
    served = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_json()["ltp"][0]
    for tool in ("get_price", "explain_price"):
        result = call(service, tool, pair="xbt-usd")
        told = result["structuredContent"]

        assert result["isError"] is False
        assert (told["pair"], told["price"], told["trustworthy"]) == ("BTC/USD", PRICE, True)
        assert (
            told.items()
            >= {name: served[name] for name in ("state", "age_ms", "source", "traded_at", "trade_id")}.items()
        )
        assert told["reason"].endswith(".")
        assert json.loads(text_of(result)) == told
        assert is_as_promised(tool, result)


@each(REFUSED)
def test_no_tool_yields_a_number_that_the_api_refuses(service: FreshService, situation: Situation) -> None:
    witness = Trade("bybit", "BTCUSD", "sell", Decimal("98765.4"), Decimal("0.1"), NOON, "1", NOON, "{}")
    service.services.trades.trades.put(witness)
    noon = round(NOON * SECOND)
    past = ByPair(recorded=[trade(1, noon - 9 * SECOND, PRICE)], evidence_until=noon - 5 * SECOND)
    with_history(service, past)
    situation(service)
    now = rfc3339_exact(round(service.clock.wall() * SECOND))
    refused = service.get("/api/v1/ltp?pair=BTC/USD")
    assert refused.status_code == 503
    for tool, time in (("get_price", {}), ("explain_price", {}), ("price_at", {"time": now})):
        arguments = {"pair": "BTC/USD"} | time
        answer = send(service, "tools/call", name=tool, arguments=arguments)
        result = answer.get_json()["result"]

        assert result["isError"] is True, tool
        assert not DIGITS.search(answer.get_data(as_text=True)), tool
        assert not result["structuredContent"]["trustworthy"]
        assert is_as_promised(tool, result), tool


@each(REFUSED)
def test_a_refused_price_comes_with_its_state_and_a_sentence_without_any_number(
    service: FreshService, situation: Situation
) -> None:
    situation(service)
    result = call(service, "get_price", pair="BTC/USD")
    told = result["structuredContent"]

    assert text_of(result) == told["reason"]
    assert not re.search(r"\d", text_of(result))
    assert told["state"] == ("unknown" if situation is unknown else "stale")
    assert (told["age_ms"] is None) == (situation is unknown)


def test_the_situations_above_are_all_the_states(fresh_service: MakeService) -> None:
    states = set()
    for situation in (*SERVED, *REFUSED):
        service = fresh_service(**SECOND_SOURCE)
        situation(service)
        states.add(call(service, "get_price", pair="BTC/USD")["structuredContent"]["state"])

    assert states == set(get_args(PriceState))


# Each tool.


def test_a_price_that_memory_lacks_is_asked_for_as_by_the_api(service: FreshService) -> None:
    asked: list[Sequence[Pair]] = []
    service.services.prices.quotes._fetch_from_rest = asked.append  # noqa: SLF001
    call(service, "get_price", pair="BTC/USD")

    assert asked == [[BTC]]


def test_an_explanation_tells_what_decides(service: FreshService) -> None:
    live(service)
    service.services.prices.doubts.open(BTC, "contested", service.clock.monotonic())
    told = call(service, "explain_price", pair="BTC/USD")["structuredContent"]

    assert told["doubt"]["reason"] == "contested"
    assert [decision["reason"] for decision in told["decisions"]] == ["taken: newer than what was held"]
    assert told["breaker"]["state"] == "closed"


def test_an_explanation_tells_other_exchanges_prices_as_texts(service: FreshService) -> None:
    usdt = service.services.config.plain_pairs[0]
    service.trade("100", usdt)
    service.services.trades.trades.put(
        Trade("bybit", "BTCUSDT", "sell", Decimal("101.50"), Decimal("0.1"), NOON, "1", NOON, "{}")
    )
    result = call(service, "explain_price", pair="BTC/USDT")
    (witness,) = result["structuredContent"]["witnesses"]

    assert (witness["exchange"], witness["price"], witness["divergence_bps"]) == ("bybit", "101.5", "150")
    assert is_as_promised("explain_price", result)


def test_an_explanation_is_for_those_who_get_it_from_the_api(fresh_service: MakeService) -> None:
    key = make_text(os.urandom)
    service = fresh_service(rate_limit_enabled=False, auth_api_key=key)
    live(service)
    for headers, is_error in (
        (FAR, True),
        (FAR | {"X-API-Key": "ltp_no"}, True),
        (FAR | {"X-API-Key": key}, False),
        ({}, False),
    ):
        result = call(service, "explain_price", headers, pair="BTC/USD")
        api = service.client.get("/api/v1/ltp/explain?pair=BTC/USD", headers=headers)

        assert result["isError"] is is_error is (api.status_code == 401)
        assert ("structuredContent" in result) is not is_error
    assert "X-API-Key" in text_of(call(service, "explain_price", FAR, pair="BTC/USD"))
    assert call(service, "get_price", FAR, pair="BTC/USD")["isError"] is False


@pytest.fixture
def past(service: FreshService) -> tuple[FreshService, ByPair]:
    """Two trades that follow one another, a hole, and a third one that nothing followed for 50 s."""
    trades = [
        trade(1, T0, "115643.00000"),
        trade(2, T0 + 10 * SECOND, "115644.5"),
        trade(5, T0 + 70 * SECOND, "115699"),
    ]
    history = ByPair(recorded=trades, evidence_until=T0 + 120 * SECOND)
    return with_history(service, history), history


def told_at(service: FreshService, seconds: float) -> dict[str, Any]:
    """The result for a moment."""
    result = call(service, "price_at", pair="BTC/USD", time=rfc3339_exact(T0 + round(seconds * SECOND)))
    assert is_as_promised("price_at", result)
    return result


def test_a_past_price_comes_with_its_proof_and_its_digits(past: tuple[FreshService, ByPair]) -> None:
    result = told_at(past[0], 5)

    assert result["isError"] is False
    assert (
        result["structuredContent"].items()
        >= {
            "price": "115643.00000",
            "trustworthy": True,
            "proof": "exact",
            "trade_id": 1,
            "traded_at": rfc3339_exact(T0),
            "evidence_until": rfc3339_exact(T0 + 10 * SECOND),
        }.items()
    )


@pytest.mark.parametrize(
    ("seconds", "after", "before"),
    [(30, T0 + 10 * SECOND, T0 + 70 * SECOND), (-1, None, None)],
    ids=["hole", "before"],
)
def test_an_unknown_past_price_is_an_error_with_the_edges_and_no_number(
    past: tuple[FreshService, ByPair], seconds: float, after: int | None, before: int | None
) -> None:
    result = told_at(past[0], seconds)
    told = result["structuredContent"]

    assert result["isError"] is True
    assert not DIGITS.search(json.dumps(result))
    assert told["missing_after"] == (after and rfc3339_exact(after))
    assert told["missing_before"] == (before and rfc3339_exact(before))
    assert text_of(result) == told["reason"]


def test_a_past_price_without_a_proof_is_told_as_not_trustworthy(past: tuple[FreshService, ByPair]) -> None:
    service, history = past
    seen = T0 + 130 * SECOND
    history.observation = Observation(Decimal("115650.00"), seen, seen + SECOND, None, REST)
    told = told_at(service, 131)["structuredContent"]

    assert (told["price"], told["proof"], told["trustworthy"]) == ("115650.00", "observed", False)
    assert "may have been missed" in told["reason"]


def test_a_moment_that_evidence_has_not_reached_yet_is_asked_for_again(
    past: tuple[FreshService, ByPair],
) -> None:
    service, history = past
    now = round(service.clock.wall() * SECOND)
    history.recorded = [trade(1, now - 9 * SECOND, PRICE)]
    history.evidence_until = now - SECOND
    result = call(service, "price_at", pair="BTC/USD", time=rfc3339_exact(now))

    assert result["isError"] is True
    assert "Ask again in a second" in text_of(result)
    assert not DIGITS.search(json.dumps(result))


def test_a_deleted_past_says_from_when_on_to_ask(past: tuple[FreshService, ByPair]) -> None:
    service, history = past
    history.kept_from = T0 + 5 * SECOND

    assert rfc3339_exact(T0 + 5 * SECOND) in text_of(told_at(service, 1))


def test_a_past_that_cannot_be_read_is_an_error_with_the_cause(past: tuple[FreshService, ByPair]) -> None:
    service, history = past
    history.failure = StoreUnavailable("database is locked")
    result = call(service, "price_at", pair="BTC/USD", time="1790000000")

    assert result["isError"] is True
    assert "database is locked" in text_of(result)


@pytest.mark.parametrize(
    ("time", "wrong"),
    [
        ("yesterday", "RFC 3339"),
        ("2026-11-21T00:46:21", "no zone"),
        ("2099-01-01T00:00:00Z", "future"),
        ("", "missing"),
    ],
)
def test_a_moment_that_is_none_is_an_error_that_says_how_to_write_it(
    past: tuple[FreshService, ByPair], time: str, wrong: str
) -> None:
    result = call(past[0], "price_at", pair="BTC/USD", time=time)

    assert result["isError"] is True
    assert wrong in text_of(result)


def test_unix_seconds_may_be_a_number(past: tuple[FreshService, ByPair]) -> None:
    as_text = call(past[0], "price_at", pair="BTC/USD", time="1790000000")
    assert call(past[0], "price_at", pair="BTC/USD", time=1790000000) == as_text


def test_the_pairs_are_those_of_the_api(service: FreshService) -> None:
    result = call(service, "list_pairs")

    assert result["structuredContent"] == service.get("/api/v1/pairs").get_json()
    assert is_as_promised("list_pairs", result)


# All tools.


def test_every_tool_only_reads_and_has_schemas_that_stand_alone() -> None:
    assert [each["name"] for each in listed_tools()] == [
        "get_price",
        "explain_price",
        "price_at",
        "list_pairs",
    ]
    for listed in listed_tools():
        assert listed["annotations"]["readOnlyHint"] is True
        for schema in (listed["inputSchema"], listed["outputSchema"]):
            Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert set(re.findall(r"'\$ref': '(#/\$defs/)?", str(schema))) <= {"#/$defs/"}
        assert listed["inputSchema"]["additionalProperties"] is False


@pytest.mark.parametrize("tool", TOOLS)
def test_wrong_arguments_are_an_error_that_names_them(service: FreshService, tool: str) -> None:
    right = {"pair": "BTC/USD", "time": "1790000000"}
    needed = {name: right[name] for name in TOOLS[tool].takes.__struct_fields__}
    wrong: list[dict[str, Any]] = [needed | {"api_key": "ltp_x"}, *({**needed, name: [1]} for name in needed)]
    for arguments in wrong + ([{}] if needed else []):
        result = call(service, tool, None, **arguments)

        assert result["isError"] is True
        assert "the arguments are wrong" in text_of(result)
        assert ", ".join(needed) in text_of(result)


@pytest.mark.parametrize("tool", ["get_price", "explain_price", "price_at"])
@pytest.mark.parametrize(
    ("pair", "wrong"),
    [("DOGE/USD", "list_pairs"), ("!!!", "write BASE/QUOTE"), ("BTC/USD,ETH/USD", "BASE/QUOTE")],
)
def test_a_pair_that_is_none_or_not_served_is_an_error_that_says_what_to_do(
    service: FreshService, tool: str, pair: str, wrong: str
) -> None:
    live(service)
    arguments = {"pair": pair} | ({"time": "1790000000"} if tool == "price_at" else {})
    result = call(service, tool, None, **arguments)

    assert result["isError"] is True
    assert wrong in text_of(result)
    assert "structuredContent" not in result
