"""ltp price: exact digits on standard output, reasons on standard error, and an exit code that says how far to trust."""

import json
from collections.abc import Iterator

import pytest

from ltp_service.client.testing import FakeService
from tests.cli.conftest import Run
from tests.simulator.client import Simulator

DIGITS = "0.00001234500"


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        running.set_price("BTC/USD", "115643.10", trade_id=7)
        running.set_price("SHIB/USD", DIGITS)
        yield running


def test_each_price_is_one_line_with_every_digit(service: FakeService, run: Run) -> None:
    shown = run("price", "SHIB/USD", "BTC/USD", "--url", service.url)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == f"SHIB/USD {DIGITS}\nBTC/USD 115643.10\n"


def test_the_service_and_its_key_may_come_from_the_environment(run: Run) -> None:
    with FakeService(api_key="secret") as service:
        service.set_price("BTC/USD", "1.50")
        assert (
            run("price", "BTC/USD", LTP_URL=f" {service.url} ", LTP_API_KEY="secret").out == "BTC/USD 1.50\n"
        )
        refused = run("price", "BTC/USD", LTP_URL=service.url)
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.endswith("; give a key with read permission as LTP_API_KEY\n")


def test_a_substitute_is_printed_and_its_source_named_beside_it(service: FakeService, run: Run) -> None:
    service.set_price("BTC/USD", "115700.0", state="substitute", source="coinbase:websocket")
    shown = run("price", "BTC/USD", "--url", service.url)
    assert (shown.code, shown.out) == (0, "BTC/USD 115700.0\n")
    assert shown.err == "BTC/USD: Kraken is silent; this price is from coinbase:websocket\n"


def test_a_stale_price_is_not_printed_and_ends_in_3(service: FakeService, run: Run) -> None:
    service.set_state("BTC/USD", "stale", age=95.0)
    shown = run("price", "BTC/USD", "SHIB/USD", "--url", service.url)
    assert (shown.code, shown.out) == (3, f"SHIB/USD {DIGITS}\n")
    assert shown.err.startswith("BTC/USD: the last evidence is 95")


def test_a_pair_without_a_price_ends_in_4_also_beside_a_stale_one(service: FakeService, run: Run) -> None:
    service.set_state("BTC/USD", "stale", age=95.0)
    service.set_state("ETH/USD", "unknown")
    shown = run("price", "BTC/USD", "ETH/USD", "SHIB/USD", "--url", service.url)
    assert (shown.code, shown.out) == (4, f"SHIB/USD {DIGITS}\n")
    assert shown.err.count("\n") == 2


def test_a_service_that_does_not_answer_is_one_line(run: Run) -> None:
    shown = run("price", "BTC/USD", "ETH/USD", "--url", "http://127.0.0.1:9")
    assert (shown.code, shown.out) == (4, "")
    assert shown.err == "http://127.0.0.1:9: connection refused; is the service there?\n"


def test_json_has_one_object_a_line_also_for_what_is_missing(service: FakeService, run: Run) -> None:
    service.set_state("SHIB/USD", "stale", age=95.0)
    shown = run("price", "BTC/USD", "SHIB/USD", "--json", "--url", service.url)
    price, stale = map(json.loads, shown.out.splitlines())
    assert shown.code == 3
    assert (price["pair"], price["price"], price["state"], price["trade_id"], price["error"]) == (
        *("BTC/USD", "115643.10", "live", 7),
        None,
    )
    assert (stale["pair"], stale["price"], stale["state"]) == ("SHIB/USD", None, "stale")
    assert stale["age_s"] >= 95
    assert stale["error"] == shown.err.rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument 'PAIR...'"),
        (["BTC/USD,ETH/USD"], "'BTC/USD,ETH/USD' is not a pair; write BASE/QUOTE"),
        (["BTC/USD", ""], "'' is not a pair"),
        (["///"], "'///' is not a pair"),
        (["BTC/USD", "--url", "localhost:8080"], "is no base URL"),
        (["BTC/USD", "--url", "http://localhost:99999"], "'http://localhost:99999' is no base URL"),
        (["?", "--direct"], "BASE/QUOTE"),
        (["BTC/USD", "--direct", "--url", "http://localhost:8080"], "takes no --url"),
    ],
)
def test_wrong_usage_ends_in_2(arguments: list[str], says: str, run: Run) -> None:
    shown = run("price", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert says in shown.err


def test_direct_asks_the_exchange_itself(
    simulator: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRAKEN_WEBSOCKET_URL", simulator.v2_url)
    monkeypatch.setenv("KRAKEN_REST_URL", simulator.rest_url)
    simulator.trade("BTC/USD", "118000.0")
    assert run("price", "xbtusd", "--direct").out == "BTC/USD 118000.0\n"


def test_direct_says_why_there_is_no_price(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN_WEBSOCKET_URL", "ws://127.0.0.1:9/v2")
    monkeypatch.setenv("KRAKEN_REST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("KRAKEN_MAX_RETRIES", "0")
    monkeypatch.setattr("ltp_service.prices.quotes.FIRST_PRICE_WAIT_SECONDS", 0.1)
    shown = run("price", "BTC/USD", "--direct")
    assert (shown.code, shown.out) == (4, "")
    assert shown.err.startswith("BTC/USD: ")
    assert "refused" in shown.err
