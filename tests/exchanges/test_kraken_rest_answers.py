"""Kraken's REST answers, recorded ones first; what is marked synthetic is built from the documentation."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ltp_service.domain.errors import BadFrame, ExchangeError, Rejected, Unreachable
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.tick import Tick
from ltp_service.exchanges.kraken_rest_answers import (
    Evidence,
    Listings,
    Told,
    Unusable,
    read_listings,
    read_page,
    read_result,
    read_system_status,
    read_tickers,
    read_trades,
)
from ltp_service.rest.http_client import HttpAnswer
from ltp_service.rest.sequence import NO_DETAIL, Detail, NewestTrades, Progress
from tests.fakes import fails

Recorded = Callable[[str], Path]

SENT_AT = 77.0
BTC_USDT = Pair("BTC", "USDT")
BTC_USD = Pair("BTC", "USD")


def answer(body: bytes | str, status: int = 200, retry_after: float | None = None) -> HttpAnswer:
    content = body if isinstance(body, bytes) else body.encode()
    return HttpAnswer(status, "application/json", retry_after, content)


def result(content: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(content).encode())


def ticker(price: Any) -> dict[str, Any]:
    return {"a": ["2", "1", "1.000"], "b": ["1", "1", "1.000"], "c": [price, "0.1"], "t": [1, 2], "o": "1"}


def told_by(entry: Any, *, day_is_young: bool = False) -> Told:
    evidence = Evidence(SENT_AT, day_is_young=day_is_young)
    (told,) = read_tickers(result({"XXBTZUSD": entry}), [BTC_USD], None, evidence)
    assert isinstance(told, Told)
    return told


def tickers(content: Any, *pairs: Pair, listings: Listings | None = None) -> list[Tick | Unusable]:
    found = read_tickers(result(content), pairs, listings, Evidence(SENT_AT))
    return [each.tick if isinstance(each, Told) else each for each in found]


def recorded_rest(recorded: Recorded) -> list[dict[str, Any]]:
    lines = recorded("kraken/rest_ccxt_2024-03.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("file", "pair", "price"),
    [
        ("kraken/rest_nautilus_ticker.json", BTC_USDT, "105899.40000"),
        ("kraken/rest_xchange_ticker.json", Pair("BTC", "EUR"), "560.87711"),
    ],
)
def test_a_recorded_last_trade_keeps_its_text(recorded: Recorded, file: str, pair: Pair, price: str) -> None:
    (told,) = read_tickers(read_result(answer(recorded(file).read_bytes())), [pair], None, Evidence(SENT_AT))
    assert isinstance(told, Told)
    assert [told.tick] == [Tick(pair, price, Decimal(price), "kraken:rest", None, None, SENT_AT, None)]


def test_a_recorded_trade_brings_its_time_and_id(recorded: Recorded) -> None:
    body = recorded_rest(recorded)[1]["raw"]
    trades = read_trades(read_result(answer(body)), BTC_USDT, None, SENT_AT)
    assert trades is not None
    assert trades.newest == Tick(
        BTC_USDT, "73324.40000", Decimal("73324.4"), "kraken:rest", 1710327959.173347, 6324366, SENT_AT, None
    )


def test_the_recorded_throttling_is_told_in_http_200(recorded: Recorded) -> None:
    with pytest.raises(Rejected) as caught:
        read_result(answer(recorded_rest(recorded)[2]["raw"]))
    assert (caught.value.reason, caught.value.retry_after) == ("throttled", 5.0)


def test_recorded_listings_name_every_pair_by_its_key(recorded: Recorded) -> None:
    body = recorded("kraken/rest_assetpairs_2021-04-17.json").read_bytes()
    listings = read_listings(read_result(answer(body)))
    assert len(listings.by_key) == 304 - 11
    assert listings.by_key["XXBTZUSD"] == BTC_USD
    assert listings.symbols[BTC_USD] == "XBTUSD"
    assert listings.by_key["XDGUSD"] == Pair("DOGE", "USD")
    assert listings.by_key["USDTZUSD"] == Pair("USDT", "USD")


def test_every_recorded_key_is_found_without_the_listings_too(recorded: Recorded) -> None:
    listings = read_listings(
        read_result(answer(recorded("kraken/rest_assetpairs_2021-04-17.json").read_bytes()))
    )
    content = {key: ticker("1.5") for key in listings.by_key}
    found = tickers(content, *listings.symbols)
    assert {tick.pair for tick in found if isinstance(tick, Tick)} == set(listings.symbols)
    assert [each for each in found if isinstance(each, Unusable)] == []


def test_a_recorded_system_status_is_read(recorded: Recorded) -> None:
    body = recorded("kraken/rest_nautilus_system_status.json").read_bytes()
    assert read_system_status(read_result(answer(body))) == "online"


@pytest.mark.parametrize(("text", "status"), [("cancel_only", "cancel_only"), ("asleep", "unknown")])
def test_a_system_status_is_one_of_the_known_words(text: str, status: str) -> None:
    assert read_system_status(result({"status": text})) == status


@pytest.mark.parametrize(
    ("key", "pair"),
    [
        ("XXBTZUSD", "BTC/USD"),
        ("XETHZUSD", "ETH/USD"),
        ("XBTUSDT", "BTC/USDT"),
        ("XDGUSD", "DOGE/USD"),
        ("BTC/USD", "BTC/USD"),
        ("USDTZUSD", "USDT/USD"),
        ("XETHXXBT", "ETH/BTC"),
        ("AIXBTUSD", "AIXBT/USD"),
        ("SOLUSD", "SOL/USD"),
    ],
)
def test_a_key_of_any_style_is_mapped_to_the_pair_that_was_asked(key: str, pair: str) -> None:
    (tick,) = tickers({key: ticker("1")}, read_pair(pair), Pair("LTC", "EUR"))
    assert isinstance(tick, Tick)
    assert str(tick.pair) == pair


def test_the_listings_decide_about_a_key_that_cannot_be_cut() -> None:
    pair = Pair("ODD", "NAME")
    listings = Listings({"XODDWEIRD": pair}, {pair: "ODDNAME"})
    (tick,) = tickers({"XODDWEIRD": ticker("1")}, pair, listings=listings)
    assert isinstance(tick, Tick)
    assert tick.pair == pair


@pytest.mark.parametrize("key", ["XETHZUSD", "?", ""])
def test_a_key_that_was_not_asked_for_is_no_price(key: str) -> None:
    assert tickers({key: ticker("1")}, BTC_USD) == [Unusable(key, "not_asked")]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (ticker("0"), "not_positive"),
        (ticker("-1"), "not_positive"),
        (ticker("NaN"), "not_finite"),
        (ticker("1e99999999"), "out_of_range"),
        (ticker("1,5"), "not_a_number"),
        (ticker(""), "not_a_number"),
        (ticker(1.5), "malformed"),
        (ticker(None), "malformed"),
        ({"c": []}, "missing"),
        ({"a": ["1"]}, "malformed"),
        (None, "malformed"),
        ([], "malformed"),
    ],
)
def test_a_bad_value_concerns_its_own_pair_only(entry: Any, reason: str) -> None:
    found = tickers({"XXBTZUSD": entry, "XETHZUSD": ticker("2.50")}, BTC_USD, Pair("ETH", "USD"))
    assert found[0] == Unusable("XXBTZUSD", reason)
    assert isinstance(found[1], Tick)
    assert found[1].price == "2.50"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("EQuery:Unknown asset pair", Rejected, "unknown_pair"),
        ("Equery:Unkown asset pair", Rejected, "unknown_pair"),
        ("Query:Unknown Asset Pair", Rejected, "unknown_pair"),
        ("EGeneral:Too many requests", Rejected, "throttled"),
        ("EAPI:Rate limit exceeded", Rejected, "throttled"),
        ("EOrder:Rate limit exceeded", Rejected, "throttled"),
        ("EGeneral:Temporary lockout", Rejected, "throttled"),
        ("EAPI:Too many invalid requests", Rejected, "throttled"),
        ("EGeneral:Exceeded msg rate", Rejected, "throttled"),
        ("EService:Throttled: 1700000000", Rejected, "throttled"),
        ("EAPI:Invalid key", Rejected, "refused"),
        ("EService:Unavailable", Unreachable, "server_error"),
        ("EService:Busy", Unreachable, "server_error"),
        ("EGeneral:Internal error", Unreachable, "server_error"),
        ("EGeneral:Invalid arguments", Rejected, "invalid_arguments"),
    ],
)
def test_an_error_in_http_200_is_read_by_words(error: str, kind: type[ExchangeError], reason: str) -> None:
    with fails(reason, kind=kind):
        read_result(answer(json.dumps({"error": [error], "result": {}})))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ("EGeneral:Too many requests", 5.0),
        ("EAPI:Rate limit exceeded", 5.0),
        ("EGeneral:Temporary lockout", 60.0),
        ("EService:Throttled: 1790000040", 40.0),
        ("EService:Throttled: 1790000001", 5.0),
        ("EService:Throttled: soon", 5.0),
    ],
)
def test_an_exchange_that_asks_for_peace_tells_how_long_to_keep_away(error: str, seconds: float) -> None:
    body = json.dumps({"error": [error]}).encode()
    with pytest.raises(Rejected) as caught:
        read_result(HttpAnswer(200, "application/json", None, body, date=1_790_000_000.0))
    assert caught.value.retry_after == seconds


def test_a_warning_does_not_spoil_the_result_beside_it() -> None:
    text = '{"error":["WGeneral:Deprecated"],"result":{"status":"online"}}'
    assert read_system_status(read_result(answer(text))) == "online"


def test_a_warning_does_not_hide_an_error() -> None:
    with pytest.raises(Rejected):
        read_result(answer('{"error":["WGeneral:Danger","EGeneral:Invalid arguments"],"result":{}}'))


@pytest.mark.parametrize(
    ("status", "retry_after", "kind", "reason", "keep_away"),
    [
        (429, 3600.0, Rejected, "throttled", 3600.0),
        (429, None, Rejected, "throttled", 60.0),
        (403, None, Rejected, "throttled", 60.0),
        (404, None, Rejected, "client_error", None),
        (500, None, Unreachable, "server_error", None),
        (503, 30.0, Unreachable, "server_error", 30.0),
        (520, None, Unreachable, "server_error", None),
    ],
)
def test_an_http_status_other_than_200_is_an_error(
    status: int, retry_after: float | None, kind: type[ExchangeError], reason: str, keep_away: float | None
) -> None:
    with pytest.raises(kind) as caught:
        read_result(answer("<html>", status, retry_after))
    assert (caught.value.reason, caught.value.retry_after) == (reason, keep_away)


def test_a_web_page_is_no_answer() -> None:
    with fails("html", kind=BadFrame):
        read_result(HttpAnswer(200, "text/html", None, b"<html>"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"error":[],"result":{"\xff',
        b'{"error":"EGeneral","result":{}}',
        b'{"error":[],"result":' + b"[" * 100_000,
        b'{"error":[],"result":{}} more',
    ],
)
def test_a_body_that_is_not_the_apis_json_is_refused(body: bytes) -> None:
    with fails("malformed", kind=BadFrame):
        read_result(answer(body))


@pytest.mark.parametrize("body", ['{"error":[]}', '{"error":[],"result":null}', "{}"])
def test_an_answer_without_a_result_is_refused(body: str) -> None:
    with fails("no_result", kind=BadFrame):
        read_result(answer(body))


def trades_of(*rows: list[Any]) -> NewestTrades | None:
    return read_trades(result({"XXBTZUSD": rows, "last": "1"}), BTC_USD, None, SENT_AT)


OLDER = ["1.0", "0.5", 1_700_000_000.1, "b", "m", "", 7]
NEWER = ["2.0", "0.25", 1_700_000_000.1, "s", "m", "", 8]


@pytest.mark.parametrize(
    "rows",
    [
        (OLDER, NEWER),
        (NEWER, OLDER),
        (OLDER, ["3.0", "1"], NEWER),
        (NEWER, ["3.0", "1"]),
        (OLDER, None, NEWER),
        ({}, OLDER, "", NEWER),
    ],
)
def test_the_newest_counts_wherever_it_stands_and_a_bad_row_costs_itself(rows: tuple[list[Any]]) -> None:
    trades = trades_of(*rows)
    assert trades is not None
    assert (trades.newest.price, trades.newest.traded_at, trades.newest.trade_id) == (
        "2.0",
        1_700_000_000.1,
        8,
    )
    assert trades.rows[-1] == (Decimal(2), Decimal("0.25"))


@pytest.mark.parametrize(
    ("rows", "is_whole"),
    [
        ([OLDER, NEWER, ["3.0", "1"]], False),
        ([OLDER, ["3.0", "1"]], False),
        ([["3.0", "1"], NEWER, OLDER], False),
        ([OLDER, ["3.0", "1"], NEWER], True),
        ([["3.0", "1"], OLDER, NEWER], True),
        ([NEWER, OLDER, ["3.0", "1"]], True),
        ([OLDER, None, NEWER], True),
        ([OLDER, NEWER, None], False),
    ],
)
def test_a_row_that_cannot_be_read_may_be_the_newest(rows: list[list[Any]], is_whole: bool) -> None:
    trades = trades_of(*rows)
    assert trades is not None
    assert trades.is_whole == is_whole


def test_a_trade_of_2013_has_no_id() -> None:
    trades = trades_of(["1.0", "1", 1_381_095_255.1, "b", "m", ""])
    assert trades is not None
    assert trades.newest.trade_id is None


def test_a_market_without_trades_has_no_last_one() -> None:
    assert trades_of() is None


def test_a_ticker_tells_how_far_the_day_has_come() -> None:
    entry = {"c": ["2", "0.5"], "t": [7, 70], "v": ["12.5", "125"]}
    told = told_by(entry)
    assert told.detail == Detail(Decimal("0.5"), Progress(7, Decimal("12.5")))

    told = told_by(entry, day_is_young=True)
    assert told.detail == Detail(Decimal("0.5"), None)


@pytest.mark.parametrize(
    "change",
    [{"t": "7"}, {"t": []}, {"v": [12.5]}, {"v": ["much"]}, {"v": ["-1"]}, {"c": ["2"]}, {"c": ["2", "1e9"]}],
)
def test_a_price_is_a_price_though_nothing_tells_how_far_the_day_has_come(change: dict[str, Any]) -> None:
    entry = {"c": ["2", "0.5"], "t": [7, 70], "v": ["12.5", "125"]} | change
    told = told_by(entry)
    assert (told.tick.price, told.detail) == ("2", NO_DETAIL)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["1.0", "1"], "malformed"),
        (["0.0", "1", 1_700_000_000.1, "b", "m", "", 7], "not_positive"),
        (["1.0", "1", 0.5, "b", "m", "", 7], "time"),
        (["1.0", "1", "soon", "b", "m", "", 7], "malformed"),
        (["1.0", "1", 1_700_000_000.1, "b", "m", "", "x"], "malformed"),
        ([1.0, "1", 1_700_000_000.1, "b", "m", "", 7], "malformed"),
    ],
)
def test_a_trade_that_cannot_be_believed_is_refused(row: list[Any], reason: str) -> None:
    with fails(reason, kind=BadFrame):
        trades_of(row)


def test_listings_without_any_pair_are_no_listings() -> None:
    with pytest.raises(BadFrame):
        read_listings(result({"XXBTZUSD.d": {"altname": "XBTUSD.d"}}))


BTC_ROW = {"altname": "XBTUSD", "wsname": "XBT/USD", "status": "online"}
ODD = Pair("ODD", "USD")


@pytest.mark.parametrize(
    ("row", "symbol", "status"),
    [
        (None, "ODDUSD.1", "unknown"),
        ([], "ODDUSD.1", "unknown"),
        ({"altname": None, "wsname": "ODD/USD", "status": "online"}, "ODDUSD.1", "online"),
        ({"altname": "ODDUSD.2", "wsname": "ODD/USD", "status": 1}, "ODDUSD.2", "unknown"),
        ({"altname": "ODDUSD.2", "wsname": 7, "status": "cancel_only"}, "ODDUSD.2", "cancel_only"),
    ],
)
def test_a_row_of_the_list_that_cannot_be_read_delists_no_pair(row: Any, symbol: str, status: str) -> None:
    odd = {"altname": "ODDUSD.1", "wsname": "ODD/USD", "status": "online"}
    before = read_listings(result({"XXBTZUSD": BTC_ROW, "8ODD": odd}))
    listings = read_listings(result({"8ODD": row, "XXBTZUSD": BTC_ROW, "XETHZUSD": None}), before)

    assert listings.statuses == {ODD: status, BTC_USD: "online", Pair("ETH", "USD"): "unknown"}
    assert listings.symbols == {ODD: symbol, BTC_USD: "XBTUSD", Pair("ETH", "USD"): "ETHUSD"}
    assert listings.by_key == {"8ODD": ODD, "XXBTZUSD": BTC_USD, "XETHZUSD": Pair("ETH", "USD")}


@pytest.mark.parametrize(
    ("other", "symbol"),
    [
        ({"altname": "XBTUSD", "wsname": "XBT/USD", "status": "delisted"}, "BTCUSD"),
        ({"altname": "XBTUSD", "wsname": "XBT/USD", "status": "online"}, "XBTUSD"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_of_two_listings_the_one_that_trades_counts(other: dict[str, str], symbol: str, order: int) -> None:
    entries = [("B", {"altname": "BTCUSD", "wsname": "XBT/USD", "status": "online"}), ("A", other)][::order]
    listings = read_listings(result(dict(entries)))
    assert listings.symbols == {BTC_USD: symbol}
    assert listings.statuses == {BTC_USD: "online"}
    assert len(listings.by_key) == 1


def test_a_page_tells_every_trade_that_can_be_told() -> None:
    rows = [
        ["30243.40000", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952],
        ["30243.30000", "0.00376960", 1688669598.2804112, "s", "l", "", 61044953],
        ["30243.20000", "0.1", 1688669598.3, "s", "l", ""],
        ["none", "0.1", 1688669598.4, "s", "l", "", 61044955],
    ]
    told = list(read_page(result({"XXBTZUSD": rows, "last": "1688669598402208000"}), BTC_USD, None, 7.0))

    assert [(each.trade_id, each.side, str(each.price), str(each.quantity)) for each in told] == [
        ("61044952", "buy", "30243.40000", "0.34507674"),
        ("61044953", "sell", "30243.30000", "0.00376960"),
    ]
    assert {(each.exchange, each.symbol, each.received_at) for each in told} == {("kraken", "BTC/USD", 7.0)}
    assert told[0].timestamp == 1688669597.827737
