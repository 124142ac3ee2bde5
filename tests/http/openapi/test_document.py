"""ltp_service.http.openapi"""

import os
import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.routing import Map
from werkzeug.test import TestResponse

from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.trade import Trade
from ltp_service.http.auth import ACCESS
from ltp_service.http.openapi.document import AREAS
from ltp_service.http.openapi.document import document as compose
from ltp_service.http.path import documented as documented_path
from ltp_service.http.problems import PROBLEMS
from ltp_service.keys.key import make_text
from tests.fakes import BTC, NOON
from tests.service import FreshService

document = cache(compose)
"""No test changes it."""

BY_THEMSELVES = {"HEAD", "OPTIONS"}
"""Flask gives these to every route."""

CODES = set(
    "INVALID_PARAMETER UNSUPPORTED_PAIR API_KEY_MISSING API_KEY_INVALID PERMISSION_DENIED NOT_FOUND"
    " METHOD_NOT_ALLOWED PRECONDITION_FAILED RATE_LIMIT_EXCEEDED CACHE_ERROR INTERNAL_ERROR ALL_PRICES_FAILED PRICE_STALE"
    " PRICE_FETCH_ERROR TOO_MANY_WAITING TOO_MANY_STREAMS TOO_MANY_STREAMS_PER_CLIENT NOT_SUPPORTED"
    " HISTORY_GAP HISTORY_UNKNOWN HISTORY_ELSEWHERE HISTORY_UNAVAILABLE".split()
)


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    """With its default settings and no price yet."""
    return FreshService(tmp_path)


@pytest.fixture(scope="module", params=[True, False], ids=["with prices", "without"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FreshService:
    """For questions that change nothing."""
    service = FreshService(tmp_path_factory.mktemp("asked"))
    if request.param:
        service.trade("115643.10", trade_id=4711, traded_at=service.clock.wall())
        service.heartbeat(BTC)
    return service


def documented() -> set[tuple[str, str]]:
    """Method and path of every operation."""
    return {(method.upper(), path) for path, item in document()["paths"].items() for method in item}


def routed(routes: Map) -> set[tuple[str, str]]:
    """Method and path of every route, in the spelling of the document."""
    return {
        (method, documented_path(rule.rule))
        for rule in routes.iter_rules()
        for method in (rule.methods or set()) - BY_THEMSELVES
    }


def operation_of(method: str, path: str) -> dict[str, Any]:
    (template,) = (
        template
        for template in document()["paths"]
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path.partition("?")[0])
    )
    found: dict[str, Any] = document()["paths"][template][method.lower()]
    return found


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a reference points to."""
    if "$ref" not in node:
        return node
    found = document()
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """With every named schema at hand."""
    return Draft202012Validator(
        {**schema, "components": document()["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def assert_as_documented(answer: TestResponse) -> None:
    """Its status, headers, media type and body are what the document says."""
    operation = operation_of(answer.request.method, answer.request.path)
    assert str(answer.status_code) in operation["responses"], answer.get_data(as_text=True)
    described = operation["responses"][str(answer.status_code)]
    for name, reference in described["headers"].items():
        assert name in answer.headers or not resolved(reference).get("required"), name
    if "content" in described:
        validator(described["content"][answer.mimetype]["schema"]).validate(answer.get_json())


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation."""
    found = document()["paths"].items()
    return [(method, path, operation) for path, item in found for method, operation in item.items()]


def examples() -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Schema, name and example of every answer."""
    answers = [answer for _, _, operation in operations() for answer in operation["responses"].values()]
    answers += document()["components"]["responses"].values()
    contents = [media for answer in answers for media in answer.get("content", {}).values()]
    return [(media["schema"], *named) for media in contents for named in media.get("examples", {}).items()]


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []


def test_every_route_is_documented_and_nothing_else(service: FreshService) -> None:
    assert documented() == routed(service.app.url_map)


def test_a_route_that_nobody_documented_is_noticed(service: FreshService) -> None:
    service.app.add_url_rule("/new/<int:number>", "new", methods=["POST"])
    assert routed(service.app.url_map) - documented() == {("POST", "/new/{number}")}


def test_what_can_be_got_can_be_asked_for_its_head(service: FreshService) -> None:
    for rule in service.app.url_map.iter_rules():
        assert rule.methods is not None
        assert ("GET" in rule.methods) == ("HEAD" in rule.methods)


def test_no_area_takes_another_ones_route() -> None:
    routes = [route for area in AREAS for route in area.operations]
    assert len(routes) == len(set(routes))


def test_every_error_code_has_an_example() -> None:
    assert set(PROBLEMS) == CODES
    shown = {name: example["value"]["code"] for _, name, example in examples() if "code" in example["value"]}
    assert shown == {code: code for code in CODES}


def test_every_schema_is_used() -> None:
    text = str(document())
    for schema in document()["components"]["schemas"]:
        assert f"'#/components/schemas/{schema}'" in text


def test_every_example_is_what_its_schema_says() -> None:
    for schema, _, example in examples():
        validator(schema).validate(example["value"])


def test_every_operation_has_a_summary_and_a_description_and_says_who_may_use_it() -> None:
    for _, path, operation in operations():
        assert operation["summary"], path
        assert operation["description"].endswith("."), path
        assert operation["security"] in ([], [{}, {"key": []}], [{"key": []}]), path


def test_what_never_needs_a_key_says_so(service: FreshService) -> None:
    open_paths = {path for _, path, operation in operations() if operation["security"] == []}
    public = {
        documented_path(rule.rule)
        for rule in service.app.url_map.iter_rules()
        if ACCESS[rule.endpoint] == "public"
    }

    assert open_paths == public
    assert {"/", "/health", "/ready", "/metrics", "/docs", "/openapi.json"} <= public


def test_every_example_has_a_name() -> None:
    assert all(example["summary"] for _, _, example in examples())


def test_a_switch_is_a_boolean() -> None:
    switches = {
        (path, parameter["name"]): parameter["schema"]
        for _, path, operation in operations()
        for parameter in operation.get("parameters", ())
        if parameter["name"] in ("detail", "allow_stale")
    }

    assert {path for path, _ in switches} == {"/api/v1/ltp", "/api/v1/ltp/cached"}
    assert all(schema == {"type": "boolean", "default": False} for schema in switches.values())


def test_a_client_that_tries_one_schema_after_the_other_begins_with_the_detailed_price() -> None:
    items = document()["components"]["schemas"]["Prices"]["properties"]["ltp"]["items"]
    detailed, plain = map(resolved, items["anyOf"])

    assert plain["properties"].keys() < detailed["properties"].keys()
    assert set(plain["required"]) < set(detailed["required"])


def test_the_body_of_a_refresh_is_described_with_examples_that_fit() -> None:
    (media,) = operation_of("POST", "/api/v1/ltp/refresh")["requestBody"]["content"].values()
    examples = [example["value"]["pairs"] for example in media["examples"].values()]

    assert [type(pairs) for pairs in examples] == [list, str]
    for pairs in examples:
        validator(media["schema"]).validate({"pairs": pairs})
    others: list[object] = [{}, {"pairs": []}, {"pairs": ""}, {"pairs": [1]}, {"pair": ["BTC/USD"]}, ["x"]]
    for body in others:
        assert not validator(media["schema"]).is_valid(body)


def test_the_document_names_no_address_outside() -> None:
    assert not re.search(r"https?:|//", str(document()))


@pytest.mark.parametrize(
    "path",
    (
        "/api/v1/ltp /api/v1/ltp?pair=BTC/USD&detail=true /api/v1/ltp?pair=BTC/USD,ETH/USD"
        " /api/v1/ltp?pair=BTC/USD,DOGE/USD&detail=true /api/v1/ltp?pair=DOGE/USD /api/v1/ltp?pair=ETH/USD"
        " /api/v1/ltp?max_age=soon /api/v1/ltp/cached /api/v1/ltp/cached?pair=BTC/USD&detail=true"
        " /api/v1/ltp/cached?pair=DOGE/USD /api/v1/ltp/explain?pair=BTC/USD /api/v1/ltp/explain?pair=ETH/USD"
        " /api/v1/ltp/explain /api/v1/pairs /api/v1/status /health /ready / /openapi.json /docs/index.html"
        " /swagger /swagger/index.html /collectors/status /collectors/status/bybit_trades"
        " /collectors/status/nyse_trades /collectors/trades /collectors/trades?limit=0"
        " /collectors/books?symbol=BTCUSDT /collectors/books /collectors/storage/stats /collectors/symbols"
        " /auth/api-keys /debug/tasks"
    ).split(),
)
def test_an_answer_is_as_documented(asked: FreshService, path: str) -> None:
    assert_as_documented(asked.get(path))


def test_a_stale_price_is_refused_and_given_as_documented(service: FreshService) -> None:
    service.trade("115643.10")
    service.clock.advance(60.0)
    assert_as_documented(service.get("/api/v1/ltp?pair=BTC/USD"))
    assert_as_documented(service.get("/api/v1/ltp?pair=BTC/USD&allow_stale=true&detail=true"))
    assert_as_documented(service.get("/api/v1/status"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/ltp/cached", 200),
        ("/api/v1/ltp/cached?pair=BTC/USD", 503),
        ("/api/v1/ltp/explain?pair=BTC/USD", 503),
        ("/api/v1/stream", 503),
        ("/api/v1/ltp/at?pair=BTC/USD&time=2026-01-01T00:00:00Z", 503),
        ("/api/v1/candles?pair=BTC/USD&interval=1m", 503),
        ("/api/v1/trades?pair=BTC/USD", 503),
    ],
)
def test_before_the_exchanges_list_is_known_an_answer_is_as_documented(
    tmp_path: Path, path: str, status: int
) -> None:
    answer = FreshService(tmp_path, supported_pairs=("*/USD",)).get(path)
    assert answer.status_code == status
    assert_as_documented(answer)


def test_what_has_not_changed_is_answered_as_documented(service: FreshService) -> None:
    service.trade("115643.10")
    for path in "/api/v1/ltp?pair=BTC/USD /api/v1/ltp/cached /openapi.json /docs /docs/start.js".split():
        answer = service.get(path, If_None_Match=service.get(path).headers["ETag"])
        assert answer.status_code == 304
        assert_as_documented(answer)


def test_a_refresh_without_a_key_or_a_source_is_answered_as_documented(tmp_path: Path) -> None:
    key = make_text(os.urandom)
    service = FreshService(tmp_path, auth_api_key=key)
    path = "/api/v1/ltp/refresh?pairs=BTC/USD"
    statuses = []
    for headers in ({"Via": "1.1 proxy"}, {"X-API-Key": "ltp_wrong"}, {"X-API-Key": key}, {}):
        answer = service.client.post(path, headers=headers)
        assert_as_documented(answer)
        statuses.append(answer.status_code)
    assert statuses == [401, 401, 503, 503]


def test_a_route_that_a_program_on_this_machine_may_use_says_so_and_needs_no_key_everywhere() -> None:
    for method, path in (("POST", "/api/v1/ltp/refresh"), ("GET", "/api/v1/ltp/explain")):
        operation = operation_of(method, path)
        assert {} in operation["security"]
        assert "same machine" in operation["description"]
        assert "TRUSTED_PROXIES is 0" in operation["description"]


def test_one_request_too_many_is_answered_as_documented(tmp_path: Path) -> None:
    service = FreshService(tmp_path, rate_limit_capacity=1)
    answers = [service.get("/api/v1/pairs") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    for answer in answers:
        assert_as_documented(answer)


@pytest.mark.parametrize(
    ("method", "path", "name"), [("GET", "/nope", "NotFound"), ("POST", "/docs", "MethodNotAllowed")]
)
def test_what_no_route_answers_is_described(service: FreshService, method: str, path: str, name: str) -> None:
    answer = service.client.open(path, method=method)
    described = document()["components"]["responses"][name]
    validator(described["content"]["application/json"]["schema"]).validate(answer.get_json())
    assert set(described["headers"]) <= set(answer.headers.keys())


def test_an_answer_with_more_than_was_promised_is_noticed(service: FreshService) -> None:
    schema = document()["components"]["schemas"]["Health"]
    body = service.get("/health").get_json()
    assert validator(schema).is_valid(body)
    assert not validator(schema).is_valid(body | {"more": 1})
    assert not validator(schema).is_valid(body | {"timestamp": "yesterday"})


def test_what_was_collected_is_shown_as_documented(tmp_path: Path) -> None:
    key = make_text(os.urandom)
    service = FreshService(
        tmp_path, auth_api_key=key, supported_pairs=("BTC/USDT",), collectors=("bybit_trades", "bybit_books")
    )
    service.trade("115643.10", service.services.config.plain_pairs[0])
    service.services.trades.trades.put(
        Trade("bybit", "BTCUSDT", "sell", Decimal("115643.2"), Decimal("0.1"), NOON, "1", NOON, "{}")
    )
    levels = [(Decimal(1), Decimal(2))]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        service.services.trades.books.replace("bybit", BookSnapshot(symbol, 1, levels, []), 1000.0)
    service.services.trades.books.lose("bybit", ["ETHUSDT"])
    answers = [
        service.get(path, X_API_Key=key)
        for path in (
            *("/collectors/trades", "/collectors/books?symbol=BTCUSDT", "/collectors/books?symbol=ETHUSDT"),
            *("/api/v1/ltp?detail=true", "/api/v1/ltp/explain?pair=BTC/USDT", "/collectors/storage/stats"),
            *("/auth/api-keys", "/debug/tasks", "/debug/storage"),
        )
    ]
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        assert_as_documented(answer)


def test_symbols_and_keys_are_changed_as_documented(tmp_path: Path) -> None:
    key = make_text(os.urandom)
    service = FreshService(tmp_path, auth_api_key=key)
    statuses = []
    for method, path in (
        ("POST", "/collectors/symbols?symbol=XRPUSDT"),
        ("POST", "/collectors/symbols?symbol=XRPUSDT"),
        ("POST", "/collectors/symbols"),
        ("DELETE", "/collectors/symbols/XRPUSDT"),
        ("DELETE", "/collectors/symbols/XRPUSDT"),
        ("POST", "/auth/api-keys?name=x"),
        ("POST", "/auth/api-keys"),
        ("DELETE", "/auth/api-keys/--------"),
    ):
        answer = service.client.open(path, method=method, headers={"X-API-Key": key})
        assert_as_documented(answer)
        statuses.append(answer.status_code)
    assert statuses == [201, 200, 400, 200, 404, 201, 400, 404]
