"""ltp_service.http.pairs_body"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder, TestResponse

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.http.body import MAX_BODY_BYTES
from ltp_service.http.pairs_body import pairs
from tests.fakes import BTC, ETH, XRP
from tests.service import FreshService

REFRESH = "/api/v1/ltp/refresh"
JSON = "application/json"


def request_with(content: bytes | str, content_type: str | None = JSON, query: str = "") -> Request:
    data = content.encode() if isinstance(content, str) else content
    builder = EnvironBuilder(REFRESH, method="POST", query_string=query, data=data, content_type=content_type)
    return Request(builder.get_environ())


def in_pieces(content: bytes) -> Request:
    """As a server hands on a body whose length was not announced."""
    builder = EnvironBuilder(REFRESH, method="POST", content_type=JSON)
    builder.headers["Transfer-Encoding"] = "chunked"
    environ = builder.get_environ()
    environ.pop("CONTENT_LENGTH", None)
    return Request({**environ, "wsgi.input": BytesIO(content), "wsgi.input_terminated": True})


def refusal(request: Request) -> str:
    with pytest.raises(InvalidParameter) as refused:
        pairs(request)
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"pairs": ["BTC/USD"]}, (BTC,)),
        ({"pairs": ["ETH/USD", "btc-usd", "XRPUSD"]}, (ETH, BTC, XRP)),
        ({"pairs": ["XXBTZUSD", "BTC/USD", " eth/usd "]}, (BTC, ETH)),
        ({"pairs": "ETH/USD,BTC/USD"}, (ETH, BTC)),
        ({"pairs": "BTC/USD, ,"}, (BTC,)),
        ({"pairs": ["ETH/USD,BTC/USD", "XRP/USD"]}, (ETH, BTC, XRP)),
    ],
)
@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", "Application/JSON"])
def test_lists_and_commas_are_read(body: dict[str, Any], named: tuple[Pair, ...], content_type: str) -> None:
    assert pairs(request_with(json.dumps(body), content_type)) == named
    assert pairs(in_pieces(json.dumps(body).encode())) == named


def test_without_a_body_nothing_is_named() -> None:
    assert pairs(request_with("", None)) is None
    assert pairs(request_with("", JSON, "pairs=BTC/USD")) is None


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "not JSON"),
        ("pairs=BTC/USD", "not JSON"),
        ('{"pairs": ["BTC/USD"]', "not JSON"),
        ('{"pairs": ["BTC/USD"]} {}', "not JSON"),
        (b'{"pairs": "\xff"}', "not JSON"),
        ("[" * 4000, "not JSON"),
        ('{"pairs":' * 400 + "1" + "}" * 400, "neither a list"),
        *((content, "not a JSON object") for content in ('["BTC/USD"]', '"BTC/USD"', "null", "[]")),
        ("{}", "pairs is missing"),
        ('{"pair": ["BTC/USD"]}', "'pair', which is not known"),
        ('{"pairs": ["BTC/USD"], "force": true}', "'force', which is not known"),
        ('{"pairs": ["BTC/USD"], "pairs": ["ETH/USD"]}', "given 2 times"),
        *(
            (f'{{"pairs": {pairs}}}', "neither a list of texts nor a text")
            for pairs in ("null", "1", "[1]", '["BTC/USD", null]', '[["BTC/USD"]]', "{}", '{"0": "BTC/USD"}')
        ),
        *((f'{{"pairs": {pairs}}}', "names none") for pairs in ("[]", '""', '[","]')),
    ],
)
def test_another_shape_is_refused_with_the_one_to_write(content: bytes | str, wrong: str) -> None:
    request = request_with(content) if content else in_pieces(b"")
    message = refusal(request)

    assert wrong in message
    assert '{"pairs": ["BTC/USD", "ETH/USD"]}' in message


@pytest.mark.parametrize("text", ["BTC", "!!!", "\\ud800/USD", "BTC/BTC", "A" * 300])
def test_what_is_no_pair_is_refused_as_in_the_query(text: str) -> None:
    message = refusal(request_with(f'{{"pairs": ["{text}"]}}'))

    assert len(message.encode()) < 200


def test_more_pairs_than_in_the_query_are_refused() -> None:
    hundred = [f"A{number}/USD" for number in range(100)]

    assert len(pairs(request_with(json.dumps({"pairs": hundred}))) or ()) == 100
    assert "at most 100" in refusal(request_with(json.dumps({"pairs": [*hundred, "BTC/USD"]})))
    assert "2000 characters" in refusal(request_with(json.dumps({"pairs": "BTC/USD," * 300})))


def test_a_hundred_long_names_fit_in_however_neatly_they_are_written() -> None:
    names = [f"LONGNAME{number:03}/USDT" for number in range(100)]

    assert len(pairs(request_with(json.dumps({"pairs": names}, indent=8))) or ()) == 100


def test_a_body_is_read_up_to_its_bound_and_no_further() -> None:
    fits = b'{"pairs": "BTC/USD"}'.ljust(MAX_BODY_BYTES)

    assert pairs(request_with(fits)) == pairs(in_pieces(fits)) == (BTC,)
    for request in (request_with(fits + b" "), in_pieces(fits + b" "), in_pieces(b" " * 10_000_000)):
        assert "more than 4096 bytes" in refusal(request)
    unread = request_with(b" " * 10_000)
    refusal(unread)
    assert unread.environ["wsgi.input"].tell() == 0


def test_a_body_that_breaks_off_is_the_clients_mistake() -> None:
    class Broken(BytesIO):
        def readinto(self, buffer: object) -> int:
            raise ValueError("no such chunk size")

        read = readall = readinto  # type: ignore[assignment]

    request = in_pieces(b"")
    request.environ["wsgi.input"] = Broken()

    assert "cannot be read to its end" in refusal(request)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "text/json", None],
)
def test_another_content_type_is_refused_by_name(content_type: str | None) -> None:
    message = refusal(request_with('{"pairs": ["BTC/USD"]}', content_type))

    assert "send JSON as application/json" in message
    assert (content_type or "missing").partition(";")[0] in message


@pytest.mark.parametrize("query", ["pairs=BTC/USD", "pair=ETH/USD", "pairs="])
def test_of_a_query_and_a_body_none_is_guessed(query: str) -> None:
    assert "one of the two" in refusal(request_with('{"pairs": ["BTC/USD"]}', query=query))


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    return FreshService(tmp_path, rate_limit_enabled=False)


def refreshed(service: FreshService, target: str = REFRESH, **more: Any) -> tuple[TestResponse, list[Pair]]:
    """The answer, and the pairs that the exchange was asked for."""
    asked: list[Pair] = []

    def ask(pairs: list[Pair]) -> frozenset[Pair]:
        asked.extend(pairs)
        return frozenset(pairs)

    service.services.prices.source.refresh = ask  # type: ignore[method-assign,assignment]
    return service.client.post(target, **more), asked


@pytest.mark.parametrize("named", [["ETH/USD", "BTC/USD"], "ETH/USD,BTC/USD"])
def test_a_refresh_asks_for_the_pairs_of_its_body(service: FreshService, named: object) -> None:
    answer, asked = refreshed(service, json={"pairs": named})

    assert answer.status_code == 200
    assert answer.get_json() == {"message": "Prices refreshed successfully", "pairs": ["ETH/USD", "BTC/USD"]}
    assert asked == [ETH, BTC]


def test_a_pair_of_the_body_that_is_not_served_is_told_beside_the_others(service: FreshService) -> None:
    answer, asked = refreshed(service, json={"pairs": ["DOGE/USD", "BTC/USD"]})

    assert (answer.status_code, asked) == (206, [BTC])
    assert answer.get_json()["errors"][0]["code"] == "UNSUPPORTED_PAIR"


@pytest.mark.parametrize(
    "more",
    [
        {"json": {"pairs": [1]}},
        {"json": {"pairs": ["BTC"]}},
        {"data": {"pairs": "BTC/USD"}},
        {"data": b" " * 5000, "content_type": JSON},
        {"json": {"pairs": ["BTC/USD"]}, "query_string": "pairs=ETH/USD"},
        {"json": {"pairs": ["BTC/USD"]}, "query_string": "force=true"},
    ],
)
def test_a_body_that_is_refused_asks_for_nothing(service: FreshService, more: dict[str, Any]) -> None:
    answer, asked = refreshed(service, **more)

    assert (answer.status_code, answer.get_json()["code"], asked) == (400, "INVALID_PARAMETER", [])
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_key_a_body_is_not_read(service: FreshService) -> None:
    body = BytesIO(b'{"pairs": ["BTC/USD"]}')
    answer, asked = refreshed(
        service,
        input_stream=body,
        headers={"Content-Type": JSON, "Content-Length": "22"},
        environ_overrides={"REMOTE_ADDR": "198.51.100.7"},
    )

    assert (answer.status_code, asked, body.tell()) == (401, [], 0)
