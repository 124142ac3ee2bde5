"""ltp_service.http.views.history"""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ltp_service.assembly.history import open_history
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.history.access import History
from ltp_service.history.rows import Around, News, Observation
from ltp_service.http.params import LARGEST_ID
from ltp_service.http.problems import MESSAGES, NOT_KNOWN_YET
from ltp_service.http.services import attach
from ltp_service.runtime.moments import rfc3339_exact
from ltp_service.runtime.spawn import NativeThread
from tests.fakes import BTC, ETH, NOON
from tests.history.plain_history import MINUTE, SECOND, T0, PlainHistory, trade
from tests.http.openapi.test_document import operation_of, validator
from tests.service import FreshService, refusal

AT, CANDLES, TRADES = "/api/v1/ltp/at", "/api/v1/candles?pair=BTC/USD", "/api/v1/trades?pair=BTC/USD"


class ByPair(PlainHistory):
    """One history for BTC/USD, and another one for ETH/USD."""

    def __init__(self, **of_btc: Any) -> None:
        super().__init__(**of_btc)
        self.other = PlainHistory()

    def around(self, pair: Pair, moment: int) -> Around:
        return super().around(pair, moment) if pair == BTC else self.other.around(pair, moment)


def with_history(
    service: FreshService, store: ByPair, owner_elsewhere: Callable[[], str | None] = lambda: None
) -> FreshService:
    """The same, with what the store holds as its history."""
    kept = service.services.history
    assert kept is not None
    reader = NativeThread("reader")
    history = History(store, reader, kept.recorder, owner_elsewhere, service.clock, is_shared=False)
    attach(service.app, replace(service.services, history=history))
    return service


@pytest.fixture
def history() -> ByPair:
    """Two trades that follow one another, a hole, and a third one that nothing followed for 50 s."""
    trades = [
        trade(1, T0, "115643.00000", "0.5"),
        trade(2, T0 + 10 * SECOND, "0.00000012"),
        trade(5, T0 + 70 * SECOND, "123456789.123456789", "0.00000001"),
    ]
    return ByPair(recorded=trades, evidence_until=T0 + 120 * SECOND)


@pytest.fixture
def service(tmp_path: Path, history: ByPair) -> FreshService:
    return with_history(FreshService(tmp_path, rate_limit_enabled=False), history)


def at(
    service: FreshService, seconds: float, pair: str = "BTC/USD", more: str = "", **headers: str
) -> TestResponse:
    time = rfc3339_exact(T0 + round(seconds * SECOND))
    return documented(service.get(f"{AT}?pair={pair}&time={time}{more}", **headers))


def documented(answer: TestResponse) -> TestResponse:
    """The same, after a look whether it is as the OpenAPI document says."""
    described = operation_of("GET", answer.request.path)["responses"][str(answer.status_code)]
    assert set(described["headers"]) - set(answer.headers.keys()) <= {"Link"} | {
        name for name in described["headers"] if name.startswith("RateLimit")
    }
    if answer.mimetype == "application/json" and answer.get_data():
        validator(described["content"]["application/json"]["schema"]).validate(answer.get_json())
    elif answer.status_code != 304:
        assert answer.mimetype in described["content"]
    return answer


def rows_of(answer: TestResponse) -> list[dict[str, str]]:
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(StringIO(answer.get_data(as_text=True))))


# The price at a moment.


def test_a_price_comes_with_its_proof_and_its_digits(service: FreshService) -> None:
    answer = at(service, 5)

    assert answer.status_code == 200
    assert answer.get_data(as_text=True) == (
        f'{{"time":"{rfc3339_exact(T0 + 5 * SECOND)}","ltp":[{{"pair":"BTC/USD","amount":115643,"price":"115643.00000",'
        f'"traded_at":"{rfc3339_exact(T0)}","trade_id":1,"proof":"exact","next_trade_id":2,'
        f'"evidence_until":"{rfc3339_exact(T0 + 10 * SECOND)}"}}]}}'
    )
    assert at(service, 75).get_json()["ltp"][0]["price"] == "123456789.123456789"


def test_a_hole_is_refused_with_both_its_edges(service: FreshService) -> None:
    answer = at(service, 10)
    (error,) = answer.get_json()["errors"]

    assert refusal(answer) == (409, "HISTORY_GAP")
    assert error["before"] == {
        "trade_id": 2,
        "traded_at": rfc3339_exact(T0 + 10 * SECOND),
        "price": "0.00000012",
    }
    assert error["after"]["trade_id"] == 5
    assert at(service, 121).get_json()["errors"][0]["after"] is None


def test_what_nobody_knows_is_not_found(service: FreshService, history: ByPair) -> None:
    assert refusal(at(service, -1)) == (404, "HISTORY_UNKNOWN")
    history.kept_from = T0 + 60 * SECOND
    assert "HISTORY_KEEP" in at(service, 5).get_json()["message"]


def test_some_of_the_pairs_are_answered(service: FreshService) -> None:
    answer = at(service, 5, "BTC/USD,ETH/USD,DOGE/USD")
    told = answer.get_json()

    assert answer.status_code == 206
    assert [each["pair"] for each in told["ltp"]] == ["BTC/USD"]
    assert [(each["pair"], each["code"]) for each in told["errors"]] == [
        ("ETH/USD", "HISTORY_UNKNOWN"),
        ("DOGE/USD", "UNSUPPORTED_PAIR"),
    ]
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_a_price_a_gap_goes_before_what_is_unknown(service: FreshService) -> None:
    assert refusal(at(service, 10, "BTC/USD,ETH/USD")) == (409, "HISTORY_GAP")
    assert refusal(at(service, 10, "ETH/USD,DOGE/USD")) == (404, "HISTORY_UNKNOWN")
    assert refusal(at(service, 10, "DOGE/USD")) == (400, "UNSUPPORTED_PAIR")


def test_naming_no_pair_means_all_in_any_spelling(service: FreshService) -> None:
    assert len(at(service, 5, "").get_json()["errors"]) == 6
    assert at(service, 5, "XXBTZUSD").get_json()["ltp"][0]["pair"] == "BTC/USD"


def test_what_was_observed_says_so(service: FreshService, history: ByPair) -> None:
    history.other.observation = Observation(Decimal("7.50"), T0, T0 + SECOND, None, "kraken:rest")
    (told,) = at(service, 5, "ETH/USD").get_json()["ltp"]

    assert (told["proof"], told["price"], told["trade_id"], told["traded_at"]) == (
        "observed",
        "7.50",
        None,
        None,
    )


@pytest.mark.parametrize(
    "time",
    [
        "2026-09-21T00:00:05Z",
        "2026-09-21t00:00:05.000000999z",
        "2026-09-21T02:00:05%2B02:00",
        "2026-09-21T02:00:05+02:00",
        "2026-09-20T19:00:05-05:00",
        f"{T0 // SECOND + 5}",
        f"{T0 // SECOND + 5}.0000001",
        "2026-09-20T23:59:60Z",
    ],
)
def test_a_moment_is_written_with_a_zone_or_in_unix_seconds(service: FreshService, time: str) -> None:
    assert service.get(f"{AT}?pair=BTC/USD&time={time}").get_json()["ltp"][0]["trade_id"] == 1


@pytest.mark.parametrize(
    ("time", "hint"),
    [
        ("2026-09-21T00:00:05", "has no zone"),
        ("2026-09-21", "RFC 3339"),
        ("1790000000000", "too long for seconds"),
        ("2026-02-30T00:00:00Z", "calendar"),
        ("1969-12-31T23:59:59Z", "before 1970"),
        ("now", "RFC 3339"),
        ("-5", "RFC 3339"),
        ("1e9", "RFC 3339"),
        ("", "is missing"),
        (f"{NOON + 1.000001:.6f}", "future"),
        ("9999-12-31T23:59:59.999999Z", "future"),
    ],
)
def test_a_moment_that_cannot_be_answered_says_why(service: FreshService, time: str, hint: str) -> None:
    answer = documented(service.get(f"{AT}?pair=BTC/USD&time={time}"))

    assert refusal(answer) == (400, "INVALID_PARAMETER")
    assert hint in answer.get_json()["message"]


@pytest.mark.parametrize("late", [0, 1, 28.9])
def test_the_last_seconds_are_not_known_yet(service: FreshService, history: ByPair, late: float) -> None:
    history.evidence_until = round((NOON - 1 - late) * SECOND)
    for seconds in (NOON - 0.5, NOON, NOON + 1):
        answer = documented(service.get(f"{AT}?pair=BTC/USD&time={seconds:.6f}"))
        (error,) = answer.get_json()["errors"]

        assert refusal(answer) == (409, "HISTORY_GAP")
        assert error["message"] == NOT_KNOWN_YET
        assert (error["before"]["trade_id"], error["after"]) == (5, None)
        assert answer.headers["Retry-After"] == "1"


def test_where_evidence_is_late_trades_may_be_missing(service: FreshService, history: ByPair) -> None:
    history.evidence_until = round((NOON - 31) * SECOND)
    for answer in (service.get(f"{AT}?pair=BTC/USD&time={NOON}"), at(service, 10)):
        assert answer.get_json()["errors"][0]["message"] == MESSAGES["HISTORY_GAP"]
        assert "Retry-After" not in answer.headers


def test_an_answer_that_cannot_change_may_be_kept(service: FreshService) -> None:
    for seconds, caching in ((5, "public, max-age=3600"), (75, "public, max-age=0")):
        answer = at(service, seconds)
        assert answer.headers["Cache-Control"] == caching
        assert answer.headers["Vary"] == "Accept"
        assert at(service, seconds, If_None_Match=answer.headers["ETag"]).status_code == 304
        assert at(service, seconds, If_Match='"other"').status_code == 412


def test_a_price_and_a_refusal_cannot_be_mixed_up_in_csv(service: FreshService) -> None:
    told, refused = rows_of(at(service, 5, "BTC/USD,ETH/USD", "&format=csv"))

    assert (told["amount"], told["price"], told["error"]) == ("115643", "115643.00000", "")
    assert (refused["pair"], refused["error"]) == ("ETH/USD", "HISTORY_UNKNOWN")
    assert not any(refused[name] for name in ("amount", "price", "traded_at", "trade_id", "proof"))


@pytest.mark.parametrize(
    ("accept", "more", "mimetype"),
    [
        ("text/csv", "", "text/csv"),
        ("text/csv, application/json;q=0.5", "", "text/csv"),
        ("application/json, text/csv;q=0.5", "", "application/json"),
        ("*/*", "", "application/json"),
        ("text/html,*/*;q=0.1", "", "application/json"),
        ("text/csv", "&format=json", "application/json"),
        ("application/json", "&format=csv", "text/csv"),
    ],
)
def test_the_client_chooses_between_json_and_csv(
    service: FreshService, accept: str, more: str, mimetype: str
) -> None:
    assert at(service, 5, more=more, Accept=accept).mimetype == mimetype


def test_the_digits_come_back_from_a_file_too(tmp_path: Path) -> None:
    service = FreshService(tmp_path)
    prices = ("0.00000012", "123456789.123456789", "115643.00000", "1")
    traded = [trade(number, T0 + number * SECOND, price, price) for number, price in enumerate(prices)]
    store, _ = open_history(service.services.config.history_url)
    store.write([News(BTC, tuple(traded), T0 + 4 * SECOND, 3)])
    store.close()

    told = [at(service, number).get_json()["ltp"][0] for number in range(1, 4)]
    assert [each["price"] for each in told] == [*prices[1:]]
    assert [row["quantity"] for row in rows_of(trades(service, "format=csv")) if row["kind"] == "trade"] == [
        *prices
    ]
    (candle,) = candles(service, f"start={T0 // SECOND}&limit=1").get_json()["candles"]
    assert (candle["high"], candle["low"], candle["open"]) == (prices[1], prices[0], prices[0])
    assert candle["volume"] == "123572433.123456909"


# Candles.


def candles(service: FreshService, query: str) -> TestResponse:
    return documented(service.get(f"{CANDLES}&{query}"))


def test_every_interval_is_told_with_what_is_known_of_it(service: FreshService) -> None:
    told = candles(service, f"start={T0 // SECOND}&end={T0 // SECOND + 180}").get_json()["candles"]

    assert [(each["coverage"], each["trades"], each["close"]) for each in told] == [
        ("partial", 2, "0.00000012"),
        ("partial", 1, "123456789.123456789"),
        ("unknown", 0, None),
    ]
    assert told[0]["volume"] == "3.00"
    assert told[1]["vwap"] == "123456789.12345678900"
    assert all("open_ended" not in each for each in told)


def test_the_running_candle_is_told_as_such(service: FreshService) -> None:
    told = candles(service, "interval=1d").get_json()["candles"]

    assert len(told) == 60
    assert told[-1]["open_ended"] is True
    assert [each.get("open_ended") for each in told[:-1]] == [None] * 59
    assert (told[-1]["start"], told[-1]["coverage"]) == (rfc3339_exact(T0), "partial")


def test_more_candles_follow_by_the_link(service: FreshService) -> None:
    path = f"{CANDLES}&interval=1m&start={T0 // SECOND}&end={T0 // SECOND + 300}&limit=2"
    starts: list[str] = []
    while path:
        answer = documented(service.get(path))
        starts += [each["start"] for each in answer.get_json()["candles"]]
        path = next_of(answer)

    assert starts == [rfc3339_exact(T0 + number * MINUTE) for number in range(5)]


def next_of(answer: TestResponse) -> str:
    found = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("Link", ""))
    return found[1] if found else ""


def test_candles_as_csv_have_the_same_digits_and_no_price_for_what_is_not_known(
    service: FreshService,
) -> None:
    query = f"start={T0 // SECOND}&end={T0 // SECOND + 180}"
    told = candles(service, query).get_json()["candles"]
    rows = rows_of(candles(service, f"{query}&format=csv"))

    for row, each in zip(rows, told, strict=True):
        assert row == {
            "pair": "BTC/USD",
            "interval": "1m",
            "open_ended": "",
            **{name: "" if value is None else str(value) for name, value in each.items()},
        }
    assert (rows[2]["close"], rows[2]["coverage"]) == ("", "unknown")


def test_candles_may_be_kept_where_ids_prove_them_and_not_where_silence_does(
    service: FreshService, history: ByPair
) -> None:
    history.recorded = [trade(0, T0 - 2 * SECOND), trade(1, T0 + 10 * SECOND)]
    history.evidence_until = T0 + 200 * SECOND

    def told() -> list[tuple[str, str]]:
        answers = [
            candles(service, f"start={T0 // SECOND + begin}&end={T0 // SECOND + begin + 60}")
            for begin in (0, 60)
        ]
        coverages = [answer.get_json()["candles"][0]["coverage"] for answer in answers]
        caching = [answer.headers["Cache-Control"] for answer in answers]
        return list(zip(coverages, caching, strict=True))

    at_once, kept = "public, max-age=0", "public, max-age=3600"
    assert told() == [("complete", at_once), ("empty", at_once)]
    history.recorded.append(trade(2, T0 + 62 * SECOND))
    assert told() == [("complete", kept), ("complete", at_once)]
    history.recorded[-1] = trade(2, T0 + 150 * SECOND)
    assert told() == [("complete", kept), ("empty", kept)]


# Trades.


def trades(service: FreshService, query: str = "") -> TestResponse:
    return documented(service.get(f"{TRADES}&{query}"))


def test_gaps_are_told_between_the_trades(service: FreshService) -> None:
    answer = trades(service)
    told = answer.get_json()["trades"]

    assert [each.get("trade_id") or each["gap"] for each in told] == [
        1,
        2,
        {
            "after_trade_id": 2,
            "before_trade_id": 5,
            "from": rfc3339_exact(T0 + 10 * SECOND),
            "to": rfc3339_exact(T0 + 70 * SECOND),
        },
        5,
        {"after_trade_id": 5, "before_trade_id": None, "from": rfc3339_exact(T0 + 120 * SECOND), "to": None},
    ]
    assert told[0] == {
        "trade_id": 1,
        "traded_at": rfc3339_exact(T0),
        "price": "115643.00000",
        "quantity": "0.5",
        "side": "buy",
    }
    assert answer.get_json()["evidence_until"] == rfc3339_exact(T0 + 120 * SECOND)


def test_what_is_still_under_way_is_no_gap(service: FreshService, history: ByPair) -> None:
    history.evidence_until = round((NOON - 29) * SECOND)
    assert trades(service, "after_trade_id=5").get_json()["trades"] == []
    assert len(trades(service, f"after_trade_id=5&end={NOON}").get_json()["trades"]) == 1
    history.evidence_until = round((NOON - 31) * SECOND)
    assert len(trades(service, "after_trade_id=5").get_json()["trades"]) == 1


def test_more_trades_follow_by_the_link_and_each_gap_is_told_once(service: FreshService) -> None:
    path, told = f"{TRADES}&limit=1", []
    while path:
        answer = documented(service.get(path))
        told += answer.get_json()["trades"]
        path = next_of(answer)

    assert told == trades(service).get_json()["trades"]


def test_a_page_of_trades_may_be_kept_where_ids_prove_it_and_not_where_silence_does(
    service: FreshService, history: ByPair
) -> None:
    history.recorded = [trade(number, T0 + 10 * number * SECOND) for number in range(4)]
    history.evidence_until = T0 + 120 * SECOND

    def caching(query: str) -> str:
        return trades(service, query).headers["Cache-Control"].partition("=")[2]

    of_a_minute = f"start={T0 // SECOND + 5}&end={T0 // SECOND + 65}"
    assert caching(of_a_minute) == caching("after_trade_id=0") == "0"
    assert caching(f"{of_a_minute}&limit=1") == caching("after_trade_id=0&limit=2") == "3600"
    history.recorded.append(trade(4, T0 + 70 * SECOND))
    assert caching(of_a_minute) == "3600"
    assert caching("limit=2") == "0"


def test_trades_as_csv_tell_a_gap_in_a_row_of_its_own_kind(service: FreshService) -> None:
    rows = rows_of(trades(service, "format=csv"))

    assert [row["kind"] for row in rows] == ["trade", "trade", "gap", "trade", "gap"]
    assert rows[0]["price"] == "115643.00000"
    gap = rows[2]
    assert (gap["after_trade_id"], gap["before_trade_id"]) == ("2", "5")
    assert not any(gap[name] for name in ("trade_id", "traded_at", "price", "quantity", "side"))


# All three.


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        (f"{TRADES}&limit=0", "from 1 to 1000"),
        (f"{TRADES}&limit=1001", "from 1 to 1000"),
        (f"{TRADES}&after_trade_id=x", "after_trade_id"),
        (f"{CANDLES}&interval=2m", "1m, 5m, 15m, 1h, 4h or 1d"),
        (f"{CANDLES}&start=100&end=100", "end is not after start"),
        (f"{CANDLES}&format=xml", "json or csv"),
        ("/api/v1/candles", "exactly one"),
        ("/api/v1/trades?pair=BTC/USD,ETH/USD", "exactly one"),
        (f"{AT}?pair=BTC/USD&at=5", "did you mean time"),
        (f"{CANDLES}&from=5", "did you mean start"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(service: FreshService, query: str, hint: str) -> None:
    answer = documented(service.get(query))

    assert refusal(answer) == (400, "INVALID_PARAMETER")
    assert hint in answer.get_json()["message"]


EACH = [f"{AT}?time=5", CANDLES, TRADES]


@pytest.mark.parametrize("path", EACH)
def test_a_pair_that_is_not_served_is_named(service: FreshService, path: str) -> None:
    path = path.replace("BTC", "DOGE").replace("?time", "?pair=DOGE/USD&time")
    assert refusal(documented(service.get(path))) == (400, "UNSUPPORTED_PAIR")


@pytest.mark.parametrize("path", EACH)
def test_without_a_history_the_answer_says_what_to_set(tmp_path: Path, path: str) -> None:
    answer = documented(FreshService(tmp_path, history_url="").get(path))

    assert refusal(answer) == (501, "NOT_SUPPORTED")
    assert "HISTORY_URL" in answer.get_json()["message"]


@pytest.mark.parametrize("path", EACH)
def test_a_history_that_fails_says_why_and_when_to_ask_again(
    service: FreshService, history: ByPair, path: str
) -> None:
    history.failure = history.other.failure = StoreUnavailable("the disk is full")
    answer = documented(service.get(path))

    assert refusal(answer) == (503, "HISTORY_UNAVAILABLE")
    assert "the disk is full" in answer.get_json()["message"]
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("path", EACH)
def test_a_history_on_another_machine_is_named_with_what_to_set(
    service: FreshService, history: ByPair, path: str
) -> None:
    answer = documented(with_history(service, history, lambda: "ours-2").get(path))

    assert refusal(answer) == (503, "HISTORY_ELSEWHERE")
    assert "ours-2" in answer.get_json()["message"]
    assert "HISTORY_URL=postgresql://" in answer.get_json()["message"]
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("wrong_by", [-18_000, 18_000])
def test_the_machines_clock_decides_nothing_once_the_exchanges_is_known(
    service: FreshService, history: ByPair, wrong_by: int
) -> None:
    parts = service.services
    assert parts.history is not None
    parts.prices.rest._exchange_time.learn(NOON, service.clock.monotonic())  # noqa: SLF001 - as from an answer
    parts.history.recorder.turn()
    service.clock.set_wall(NOON + wrong_by)
    history.evidence_until = round((NOON - 2) * SECOND)
    history.other.observation = Observation(
        Decimal("7.50"), T0, round((NOON - 2) * SECOND), None, "kraken:rest"
    )

    for seconds, pair, status in (
        (-3, "BTC/USD", 200),
        (-3, "ETH/USD", 200),
        (0, "ETH/USD", 200),
        (-1, "BTC/USD", 409),
        (1.1, "BTC/USD", 400),
        (1.1, "ETH/USD", 400),
    ):
        answer = documented(service.get(f"{AT}?pair={pair}&time={NOON + seconds:.6f}"))
        assert answer.status_code == status, (seconds, pair)
    assert trades(service, "after_trade_id=5").get_json()["trades"] == []
    running = candles(service, "limit=1").get_json()["candles"][-1]
    assert running["start"] == rfc3339_exact(round(NOON) // 60 * MINUTE)
    assert running["open_ended"] is True


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:60Z"])
def test_a_moment_that_cannot_be_written_in_utc_is_refused(service: FreshService, moment: str) -> None:
    for path in (f"{AT}?pair=BTC/USD&time=", f"{CANDLES}&start=", f"{CANDLES}&end=", f"{TRADES}&start="):
        answer = documented(service.get(f"{path}{moment}"))
        assert refusal(answer) == (400, "INVALID_PARAMETER")
        assert "after the year 9999" in answer.get_json()["message"]


@pytest.mark.parametrize("was_traded", [True, False])
def test_the_last_moment_and_the_highest_id_can_be_asked_for(
    service: FreshService, history: ByPair, was_traded: bool
) -> None:
    last = "9999-12-31T23:59:59.999999Z"
    if not was_traded:
        history.recorded, history.evidence_until = [], None
    for path in (CANDLES, f"{CANDLES}&interval=1d", TRADES):
        for query in (f"start={last}", f"end={last}", f"start=0&end={last}"):
            assert documented(service.get(f"{path}&{query}&limit=2")).status_code == 200
            assert service.get(f"{path}&{query}&limit=1000").status_code == 200
    for query in ("", "&start=0", f"&start={last}"):
        assert trades(service, f"after_trade_id={LARGEST_ID}{query}").status_code == 200


def test_nothing_follows_an_id_that_is_not_recorded_yet(service: FreshService, history: ByPair) -> None:
    history.evidence_until = round((NOON - 2) * SECOND)
    assert trades(service, f"start={T0 // SECOND}&after_trade_id=6").get_json()["trades"] == []


def test_keys_are_needed_where_reads_need_them(tmp_path: Path, history: ByPair) -> None:
    service = with_history(FreshService(tmp_path, auth_enabled=True), history)
    key, _ = service.services.keyring.create("test", "read", 3600.0)

    for path in EACH:
        assert refusal(service.get(path)) == (401, "API_KEY_MISSING")
    kept = service.get(f"{AT}?pair=BTC/USD&time={T0 // SECOND + 5}", X_API_Key=key)
    assert kept.headers["Cache-Control"] == "private, max-age=3600"


def test_the_log_names_the_route_and_the_number_of_prices(
    service: FreshService, capfd: pytest.CaptureFixture[str]
) -> None:
    at(service, 5, "BTC/USD,ETH/USD")
    service.write_log()
    (line,) = [each for each in capfd.readouterr().out.splitlines() if "/ltp/at" in each]
    assert json.loads(line)["fields"]["pairs_count"] == 1


def test_a_head_has_no_body(service: FreshService) -> None:
    answer = service.client.head(f"{AT}?pair=BTC/USD&time={T0 // SECOND + 5}")
    assert (answer.status_code, answer.get_data()) == (200, b"")


def test_eth_is_another_pair(service: FreshService, history: ByPair) -> None:
    history.other.recorded = [trade(9, T0, "4128.07"), trade(10, T0 + 20 * SECOND, "4128.08")]
    told = at(service, 5, f"{ETH},{BTC}").get_json()["ltp"]
    assert [(each["pair"], each["trade_id"]) for each in told] == [("ETH/USD", 9), ("BTC/USD", 1)]
