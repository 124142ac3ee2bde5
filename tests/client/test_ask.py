"""One question about prices on a clock that the test steers."""

import json
from typing import Any

import pytest

from ltp_service.client.ask import Ask
from ltp_service.client.errors import KeyRefused, PricesError, PriceStale, Unreachable
from ltp_service.client.events import Price
from ltp_service.client.settings import Settings
from ltp_service.client.steps import Open, Receive, Result, Send
from tests.client.script import URL, refusal
from tests.fakes import FakeClock

Answer = tuple[float, bytes]
"""Seconds after which it comes, and its bytes."""


def answer(*, status: int = 200, **item: Any) -> bytes:
    known: dict[str, Any] = {"pair": "BTC/USD", "amount": 1, "price": "1", "state": "live", "age_ms": 100}
    body = json.dumps({"ltp": [known | item]})
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def ask(
    *answers: Answer, max_age: float | None = None, url: str | list[str] = URL
) -> tuple[Price, list[str]]:
    """The price, and the first lines of what was asked."""
    clock, coming, asked = FakeClock(), list(answers), list[str]()
    settings = Settings(Settings.read(url, None, None).bases, None, max_age, clock.monotonic, clock.wall)
    core = Ask(settings).one("BTC/USD")
    result: Result = None
    while True:
        try:
            step = core.send(result)
        except StopIteration as end:
            return end.value, asked
        result = None
        match step:
            case Send(content):
                asked.append(content.decode().splitlines()[0])
            case Receive(seconds) if coming and coming[0][0] <= seconds:
                after, result = coming.pop(0)
                clock.advance(after)
            case Receive(seconds):
                clock.advance(seconds)
            case _:
                assert isinstance(step, Open)


def test_a_price_that_aged_on_its_way_is_asked_for_again() -> None:
    price, asked = ask((2.0, answer()), (0.1, answer(price="1.0")), max_age=1)
    assert (price.price, asked) == (
        "1.0",
        ["GET /api/v1/ltp?pair=BTC/USD&detail=true&max_age=1.000 HTTP/1.1"] * 2,
    )
    assert price.age == pytest.approx(0.2)


def test_a_price_that_ages_on_its_way_each_time_is_stale() -> None:
    with pytest.raises(PriceStale, match="max_age is 1 s"):
        ask((2.0, answer()), (2.0, answer()), max_age=1)


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([(0.0, answer(amount=2))], "differ"),
        ([(0.0, answer(age_ms=None))], "without an age"),
        ([(0.0, answer(price=None))], "no number"),
        ([(0.0, answer(traded_at="yesterday"))], "cannot be read"),
        ([(0.0, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>")], "cannot be read"),
        ([(0.0, b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"ltp":[]}')], "0 prices"),
        ([(0.0, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), *[(1.0, b"x")] * 5], "within 10 s"),
        ([(0.0, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)], "longer"),
        ([(0.0, refusal(301, Location="https://other/"))], "moved to https://other/"),
        ([(0.0, refusal(500))], "ask again"),
    ],
)
def test_what_is_no_answer_is_never_a_price(answers: list[Answer], text: str) -> None:
    with pytest.raises(Unreachable, match=text):
        ask(*answers)


@pytest.mark.parametrize("item", [{"state": "stale"}, {"state": "unknown"}, {"amount": None}])
def test_a_price_that_the_policy_forbids_is_not_returned_whatever_the_service_does(
    item: dict[str, Any],
) -> None:
    with pytest.raises(PricesError, match="the service says"):
        ask((0.0, answer(**item)))


TWO = ["http://one:1", "http://two:2"]


@pytest.mark.parametrize(
    "refused", [refusal(404), refusal(403), refusal(501), refusal(400, "UNSUPPORTED_PAIR")]
)
def test_another_base_url_is_asked_where_one_refuses_for_good(refused: bytes) -> None:
    price, asked = ask((0.0, refused), (0.0, answer()), url=TWO)
    assert (price.price, len(asked)) == ("1", 2)


def test_that_asking_again_cannot_help_is_said_only_of_all_base_urls() -> None:
    with pytest.raises(KeyRefused, match=r"http://one:1.*http://two:2"):
        ask((0.0, refusal(403)), (0.0, refusal(404)), url=TWO)
    with pytest.raises(Unreachable, match=r"http://one:1.*api_key.*http://two:2"):
        ask((0.0, refusal(403)), (0.0, refusal(500)), url=TWO)
