"""ltp_service.http.questions"""

import re

import pytest
from werkzeug.test import TestResponse

from ltp_service.http.openapi.document import body_readers, query_parameters
from ltp_service.http.questions import nearest
from tests.fakes import BTC, ETH
from tests.service import FreshService, amounts

KEY = "ltp_" + "q" * 43
LTP, TRADES, BOOKS = "/api/v1/ltp", "/collectors/trades", "/collectors/books"
REFRESH, KEYS = "/api/v1/ltp/refresh", "/auth/api-keys"
PROBES = {"/health", "/ready"}
ROUTES = sorted(query_parameters())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> FreshService:
    """One for all tests: no question here changes anything."""
    service = FreshService(tmp_path_factory.mktemp("asked"), rate_limit_enabled=False, auth_api_key=KEY)
    service.trade("115643.10")
    service.trade("4128.07", ETH)
    service.heartbeat(BTC, ETH)
    return service


def ask(service: FreshService, target: str, method: str = "GET", **more: object) -> TestResponse:
    return service.client.open(target, method=method, headers={"X-API-Key": KEY}, **more)  # type: ignore[arg-type]


def refusal(answer: TestResponse) -> str:
    """The message of a 400."""
    assert (answer.status_code, answer.get_json()["code"]) == (400, "INVALID_PARAMETER")
    return str(answer.get_json()["message"])


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "start.js" if "docs" in path else "bybit_trades", path)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_ignores_what_it_does_not_know(service: FreshService, method: str, path: str) -> None:
    plain = ask(service, filled(path), method)
    answer = ask(service, f"{filled(path)}?frobnicate=1", method)

    if path in PROBES:
        assert answer.status_code == plain.status_code
    else:
        assert "frobnicate" in refusal(answer)


@pytest.mark.parametrize(
    ("method", "target", "meant"),
    [
        ("GET", f"{LTP}?symbol=ETH/USD", "pair"),
        ("GET", f"{LTP}?Pair=ETH/USD", "pair"),
        ("GET", f"{LTP}?PAIRS=ETH/USD", "pairs"),
        ("GET", f"{LTP}?pair[0]=ETH/USD", "pair"),
        ("GET", f"{LTP}?pairs%5B0%5D=ETH/USD", "pairs"),
        ("GET", f"{LTP}?base=ETH&quote=USD", "pair"),
        ("GET", f"{LTP}?%70air%73x=ETH/USD", "pairs"),
        ("GET", f"{LTP}?pair=ETH/USD&maxAge=1", "max_age"),
        ("GET", f"{LTP}?pair=ETH/USD&details=true", "detail"),
        ("GET", f"{LTP}?pair=ETH/USD&allow-stale=true", "allow_stale"),
        ("GET", f"{LTP}/cached?market=ETH/USD", "pair"),
        ("GET", f"{LTP}/explain?symbol=ETH/USD", "pair"),
        ("POST", f"{REFRESH}?symbols=ETH/USD", "pair"),
        ("GET", f"{TRADES}?symbols=ETHUSDT", "symbol"),
        ("GET", f"{TRADES}?pair=ETHUSDT", "symbol"),
        ("GET", f"{TRADES}?symbol[]=ETHUSDT", "symbol"),
        ("GET", f"{TRADES}?exchanges=bybit", "exchange"),
        ("GET", f"{TRADES}?count=5", "limit"),
        ("GET", f"{BOOKS}?symbol=ETHUSDT&limit=5", "depth"),
        ("POST", "/collectors/symbols?symbols=ETHUSDT", "symbol"),
        ("POST", f"{KEYS}?name=x&permissions=admin", "permission"),
        ("POST", f"{KEYS}?name=x&ttl=1h", "expires"),
    ],
)
def test_the_nearest_name_is_told(service: FreshService, method: str, target: str, meant: str) -> None:
    assert f"did you mean {meant}?" in refusal(ask(service, target, method))


@pytest.mark.parametrize("name", ["api_key", "apikey", "X-API-Key", "key", "token"])
def test_a_key_in_the_query_is_refused_and_not_repeated(service: FreshService, name: str) -> None:
    message = refusal(ask(service, f"{LTP}?{name}={KEY}"))

    assert "X-API-Key header" in message
    assert KEY not in message


def test_what_is_like_nothing_is_told_what_there_is(service: FreshService) -> None:
    assert "It takes symbol, exchange, limit" in refusal(ask(service, f"{TRADES}?zzz=1"))
    assert "takes no parameters" in refusal(ask(service, "/api/v1/pairs?pair=ETH/USD"))
    assert nearest("zzz", ["symbol", "limit"]) is None


@pytest.mark.parametrize(
    "query",
    (
        "pair[]=ETH/USD pairs[]=ETH/USD pair%5B%5D=ETH/USD pair[]=ETH/USD&pair[]=ethusd"
        " pairs=ETH/USD&pair[]=ETH/USD %70air=ETH/USD pair=ETH%2FUSD"
    ).split(),
)
def test_a_list_is_understood_as_clients_spell_lists(service: FreshService, query: str) -> None:
    for target in (f"{LTP}?{query}", f"{LTP}?{query}&detail=false", f"{LTP}/cached?{query}"):
        assert list(amounts(ask(service, target))) == ["ETH/USD"]


def test_several_of_a_list_come_in_the_order_asked(service: FreshService) -> None:
    assert list(amounts(ask(service, f"{LTP}?pair[]=ETH/USD&pair[]=BTC/USD"))) == ["ETH/USD", "BTC/USD"]


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", f"{TRADES}?limit=1&limit=2", "limit"),
        ("GET", f"{TRADES}?symbol=BTCUSDT&symbol=ETHUSDT", "symbol"),
        ("GET", f"{TRADES}?exchange=bybit&exchange=binance", "exchange"),
        ("GET", f"{BOOKS}?symbol=BTCUSDT&depth=1&depth=1", "depth"),
        ("GET", f"{LTP}?max_age=1&max_age=100", "max_age"),
        ("GET", f"{LTP}?detail=true&detail=false", "detail"),
        ("POST", f"{KEYS}?name=a&name=b", "name"),
        ("POST", f"{KEYS}?name=a&permission=read&permission=admin", "permission"),
    ],
)
def test_of_two_values_none_is_guessed(service: FreshService, method: str, target: str, name: str) -> None:
    assert f"{name} is given 2 times" in refusal(ask(service, target, method))


@pytest.mark.parametrize("query", ["=ETH/USD", "%ff=1", "%00=1", "pair=ETH/USD&&=", "&".join(["a=1"] * 1000)])
def test_a_strange_name_is_refused(service: FreshService, query: str) -> None:
    refusal(ask(service, f"{LTP}?{query}"))


def test_a_query_without_anything_in_it_asks_for_everything(service: FreshService) -> None:
    for query in ("?", "?&", "?pair", "?pair=", "?pair[]="):
        assert {"BTC/USD", "ETH/USD"} <= amounts(ask(service, f"{LTP}{query}")).keys()


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", LTP),
        ("GET", f"{LTP}?detail=true"),
        ("POST", f"{KEYS}?name=x"),
        ("POST", "/collectors/symbols?symbol=XRPUSDT"),
        ("DELETE", "/collectors/symbols/BTCUSDT"),
    ],
)
@pytest.mark.parametrize(
    "more", [{"data": {"pairs": "ETH/USD"}}, {"json": {"permission": "admin"}}, {"data": b"{}"}]
)
def test_a_body_is_refused(service: FreshService, method: str, target: str, more: dict[str, object]) -> None:
    assert "reads no body" in refusal(ask(service, target, method, **more))
    assert service.services.trades.symbols.all() == service.services.config.symbols


def test_two_routes_read_a_body_and_the_document_says_which() -> None:
    assert body_readers() == {("POST", REFRESH), ("POST", "/mcp")}


def test_a_misspelt_question_without_a_key_is_told_of_the_key_alone(service: FreshService) -> None:
    far = {"REMOTE_ADDR": "198.51.100.7"}
    assert service.client.post(f"{REFRESH}?symbol=BTC/USD", environ_base=far).status_code == 401


def test_prometheus_may_name_metrics_and_is_told_them_all(service: FreshService) -> None:
    answer = ask(service, "/metrics?name[]=up&name[]=btc_ltp_cache_hits_total")

    assert answer.status_code == 200
    assert b"btc_ltp_uptime" in answer.data


def test_the_fast_lane_and_the_view_refuse_the_same(service: FreshService) -> None:
    fast = service.get(f"{LTP}?symbol=ETH/USD")
    slow = service.get(f"{LTP}?symbol=ETH/USD", Cache_Control="no-transform")

    assert refusal(fast) == refusal(slow)


def test_head_takes_what_get_takes(service: FreshService) -> None:
    assert ask(service, f"{LTP}?pair=BTC/USD&detail=true", "HEAD").status_code == 200
    assert ask(service, f"{LTP}?symbol=x", "HEAD").status_code == 400


def test_options_asks_about_the_route_and_is_no_question(service: FreshService) -> None:
    assert ask(service, f"{LTP}?symbol=x", "OPTIONS").status_code == 200
