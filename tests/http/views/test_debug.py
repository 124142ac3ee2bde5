"""ltp_service.http.views.debug"""

from decimal import Decimal
from pathlib import Path
from threading import Event, Thread

import pytest

from ltp_service.domain.book import BookSnapshot
from ltp_service.http.views.debug import masked
from ltp_service.runtime.runners import RunnerState
from tests.fakes import NOON
from tests.http.views.test_collectors import traded
from tests.service import FreshService

ADMIN = "ltp_" + "a" * 43


@pytest.fixture
def service(tmp_path: Path) -> FreshService:
    return FreshService(tmp_path, rate_limit_enabled=False, auth_api_key=ADMIN)


def test_all_that_runs_is_shown_with_errors(service: FreshService, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = RunnerState("kraken", True, 3, f"OSError: 198.51.100.7 refused {ADMIN}")
    monkeypatch.setattr(service.services.manager, "states", lambda: [broken])
    told = service.get("/debug/tasks", X_API_Key=ADMIN).get_json()

    assert told["runners"] == service.get("/api/v1/status").get_json()["tasks"]
    assert told["runners"] == [
        {"name": "kraken", "alive": True, "restarts": 3, "last_error": "OSError: *** refused ltp_***"}
    ]


def test_a_key_an_operator_chose_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = "correct.horse/battery+staple="
    service = FreshService(tmp_path, auth_api_key=chosen)
    broken = RunnerState("kraken", True, 3, f"OSError: header {chosen!r}")
    monkeypatch.setattr(service.services.manager, "states", lambda: [broken])
    stop = Event()
    thread = Thread(target=stop.wait, name=f"asks with {chosen}")
    thread.start()
    try:
        paths = ("/debug/tasks", "/debug/storage", "/auth/api-keys")
        answers = [service.get(path, X_API_Key=chosen) for path in paths]
    finally:
        stop.set()
        thread.join()

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].get_json()["runners"][0]["last_error"] == "OSError: header '***'"
    assert answers[0].get_json()["threads"]["by_name"]["asks with ***"] == 1
    (key,) = answers[2].get_json()["keys"]
    assert (key["prefix"], key["name"]) == ("AUTH_API_KEY", "AUTH_API_KEY")
    told = "".join(answer.get_data(as_text=True) for answer in answers)
    assert chosen[:8] not in told, told


def test_every_runner_of_the_service_is_among_the_tasks(service: FreshService) -> None:
    told = service.get("/debug/tasks", X_API_Key=ADMIN).get_json()

    assert [runner["name"] for runner in told["runners"]] == (
        "kraken fallback tape bybit_trades binance_trades keys symbols history backfill gauges access_log late_lines"
        " database"
    ).split()
    assert not any(runner["alive"] for runner in told["runners"])


def test_threads_and_greenlets_are_counted_by_name(service: FreshService) -> None:
    stop = Event()
    threads = [Thread(target=stop.wait, name="client 198.51.100.7") for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        told = service.get("/debug/tasks", X_API_Key=ADMIN).get_json()
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert told["threads"]["by_name"]["client ***"] == 2
    assert told["threads"]["count"] == sum(told["threads"]["by_name"].values())
    assert told["greenlets"]["count"] == sum(told["greenlets"]["by_name"].values())


def test_the_stores_show_what_they_hold(service: FreshService) -> None:
    service.trade("115643.10", trade_id=4711, traded_at=NOON)
    service.services.trades.trades.put(traded(1))
    book = BookSnapshot("BTCUSDT", 1, [(Decimal(1), Decimal(1))], [])
    service.services.trades.books.replace("bybit", book, service.clock.monotonic())
    told = service.get("/debug/storage", X_API_Key=ADMIN).get_json()

    assert told["prices"]["market"] == "unknown"
    assert told["prices"]["held"]["BTC/USD"] == {
        "price": "115643.10",
        "source": "kraken:websocket",
        "trade_id": 4711,
        "traded_at": "2026-09-21T14:13:20.000000Z",
        "received_at": "2026-09-21T14:13:20.000000Z",
        "confirmed_at": "2026-09-21T14:13:20.000000Z",
        "confirmed_by": "kraken:websocket",
    }
    assert told["trades"]["by_symbol"] == {"BTCUSDT": 1}
    assert told["trades"]["statistics"]["current_trades_stored"] == 1
    assert told["books"] == [{"exchange": "bybit", "symbol": "BTCUSDT", "in_sync": True}]
    assert told["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert told["journal"]["decisions"]["BTC/USD"] == 1
    assert told["journal"]["decisions"]["ETH/USD"] == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("connect to redis://user:secret@cache:6379 failed", "connect to redis://***@cache:6379 failed"),
        ("redis://:secret@cache failed", "redis://***@cache failed"),
        (f"bad key {ADMIN}!", "bad key ltp_***!"),
        ("peer 203.0.113.9:4711", "peer ***:4711"),
        ("peer [2001:db8::7]:4711", "peer [***]:4711"),
        ("from ::1", "from ***"),
        ("at 12:30:05 UTC, ConnectionError: no route", "at 12:30:05 UTC, ConnectionError: no route"),
        ("ltp_service/runtime/clock.py", "ltp_service/runtime/clock.py"),
    ],
)
def test_passwords_keys_and_addresses_alone_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
