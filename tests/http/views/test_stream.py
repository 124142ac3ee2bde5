"""What a stream refuses before it begins, and how it tells a price."""

import json

import pytest

from ltp_service.http.views.ltp import streamed
from ltp_service.prices.quotes import Quote
from tests.fakes import BTC
from tests.service import FreshService, MakeService, refusal


def quote_of(service: FreshService) -> Quote:
    return service.services.prices.quotes.look([BTC])[0]


def test_a_price_is_told_exactly_as_in_detail(service: FreshService) -> None:
    service.trade("115643.10", traded_at=1_790_000_000.5, trade_id=7)
    service.clock.advance(1.5)

    item = service.get("/api/v1/ltp?pair=BTC/USD&detail=true").get_data()
    assert item == b'{"ltp":[%b]}' % streamed(service.services, quote_of(service))


def test_a_stale_price_is_told_without_a_number(service: FreshService) -> None:
    service.trade("115643.10", trade_id=7)
    service.clock.advance(31)

    told = json.loads(streamed(service.services, quote_of(service)))
    assert (told["amount"], told["price"], told["state"], told["trade_id"]) == (None, None, "stale", 7)
    assert told["age_ms"] == 31_000


def test_a_price_that_was_never_seen_is_told_with_the_same_fields(service: FreshService) -> None:
    unknown = json.loads(streamed(service.services, quote_of(service)))
    service.trade("1")
    known = json.loads(streamed(service.services, quote_of(service)))

    assert unknown.keys() == known.keys()
    assert {name for name, value in unknown.items() if value is not None} == {"pair", "state"}


def test_without_gunicorn_and_gevent_there_are_no_streams(service: FreshService) -> None:
    assert refusal(service.get("/api/v1/stream")) == (501, "NOT_SUPPORTED")
    assert refusal(service.get("/collectors/stream?symbol=BTCUSDT")) == (501, "NOT_SUPPORTED")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/stream?pair=BTC/USD,DOGE/USD", 400, "UNSUPPORTED_PAIR"),
        ("/api/v1/stream?events=candles", 400, "INVALID_PARAMETER"),
        ("/api/v1/stream?books=perhaps", 400, "INVALID_PARAMETER"),
        ("/collectors/stream", 400, "INVALID_PARAMETER"),
        ("/collectors/stream?symbol=BTCUSDT&exchange=nowhere", 400, "INVALID_PARAMETER"),
        ("/collectors/stream?symbol=BTCUSDT&events=books", 404, "NOT_FOUND"),
        ("/collectors/stream?symbol=DOGEUSDT", 404, "NOT_FOUND"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    service: FreshService, path: str, status: int, code: str
) -> None:
    assert refusal(service.get(path)) == (status, code)


def test_an_id_of_too_many_pairs_would_not_fit_into_a_header(fresh_service: MakeService) -> None:
    pairs = [type(BTC)(f"A{number}", "USD") for number in range(201)]
    service = fresh_service(supported_pairs=pairs)

    assert refusal(service.get("/api/v1/stream?events=trades")) == (400, "INVALID_PARAMETER")
    assert refusal(service.get("/api/v1/stream?events=prices")) == (501, "NOT_SUPPORTED")


def test_a_stream_needs_a_key_where_reads_need_one(fresh_service: MakeService) -> None:
    assert refusal(fresh_service(auth_enabled=True).get("/api/v1/stream")) == (401, "API_KEY_MISSING")
