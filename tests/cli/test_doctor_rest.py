"""ltp doctor on REST and on the clock: each fault is named in its line."""

import re
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from ltp_service.cli.checks import clock, rest
from ltp_service.cli.checks.finding import ClockReading, Finding, Observation, worst
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.domain.pairs import Pair
from ltp_service.rest.source import RestAnswer
from ltp_service.settings.config import Config
from tests.cli.doctor_page import lines, names
from tests.cli.hostile import at, hostile
from tests.drill.certificates import Authority
from tests.drill.proxy import Proxy
from tests.fakes import BTC, ETH, tick
from tests.simulator.client import Simulator
from tests.websocket_peer import read_request


def seen(
    url: str, *, settings: dict[str, Any] | None = None, proxies: dict[str, str] | None = None, **more: Any
) -> list[Observation]:
    config = Config.model_validate({"kraken_rest_url": url, **(settings or {})})
    return list(rest.look(Surroundings(config, proxies or {}, **more)))


def test_an_api_without_fault_is_ok(exchange: Simulator) -> None:
    *way, answer = lines(seen(exchange.rest_url))
    assert {each.level for each in way} == {"ok"}
    assert re.fullmatch(r"7 pairs after \d+ ms", answer.seen)


@pytest.mark.parametrize(
    ("told", "fault", "arguments"),
    [
        ("REST: a lockout", "rest_error", {"error": "EGeneral:Temporary lockout"}),
        ("REST: too many requests", "rest_error", {"error": "EGeneral:Too many requests"}),
        ("REST: HTTP 429 with Retry-After", "rest_status", {"status": 429, "retry_after": 30}),
        ("REST: HTTP 520", "rest_status", {"status": 520}),
        ("REST: a web page", "rest_html", {}),
        ("REST: garbage", "rest_garbage", {}),
        ("REST: a redirect", "rest_status", {"status": 302, "location": "https://elsewhere.example/"}),
        ("REST: closed without an answer", "rest_refuse", {}),
        ("REST: a pair that the exchange does not list", "unlisted", {"pair": "ETH/USD"}),
    ],
)
def test_an_answer_that_is_none(
    exchange: Simulator, told: str, fault: str, arguments: dict[str, Any]
) -> None:
    exchange.fault(fault, exchange="kraken", **arguments)
    names(told, seen(exchange.rest_url))


def test_an_answer_that_does_not_come(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "ANSWER_SECONDS", 0.3)
    exchange.fault("rest_slow", seconds=30.0, exchange="kraken")
    found = names("REST: no answer in time", seen(exchange.rest_url))
    assert found.seen == "did not answer within 0.3 s"


def judged(*told: Pair, seconds: float = 0.1) -> list[Finding]:
    """What is made of an answer about two pairs that tells of these."""
    ticks = [tick("64000.1", pair=pair) for pair in told]
    return list(rest.judge(RestAnswer(ticks, frozenset(), frozenset({BTC, ETH})), seconds, timeout=3.0))


def test_slow_answers_and_pairs_without_a_price() -> None:
    names("REST: a slow answer", judged(BTC, ETH, seconds=2.0))
    names("REST: an answer slower than it may be", judged(BTC, ETH, seconds=4.0))
    names("REST: a pair without a last price", judged(BTC))


def test_a_pair_that_was_renamed_is_no_fault(exchange: Simulator) -> None:
    exchange.fault("renamed", pair="ETH/USD", altname="ETHXUSD")
    assert worst(lines(seen(exchange.rest_url))) == "ok"


def test_a_certificate_before_rest_is_judged_too(tmp_path: Any, exchange: Simulator) -> None:
    authority = Authority(tmp_path)
    with Proxy(exchange.port, authority.issue(expired=True)) as server:
        url, resolve = f"https://localhost:{server.port}/0/public", at(("127.0.0.1", server.port))
        found = seen(url, ca_file=str(authority.file), resolve=resolve)
    names("REST: an expired certificate", found)


def test_a_path_without_an_api(exchange: Simulator) -> None:
    names("REST: the path of the URL is wrong", seen(f"http://127.0.0.1:{exchange.port}/9/public"))


# The clock.


def test_the_date_of_an_answer_is_a_reading_of_the_exchanges_clock() -> None:
    body = b'{"error":[],"result":{"XXBTZUSD":{"c":["64000.1","0.1"]}}}'
    date = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True).encode()

    def answer(client: socket.socket) -> None:
        read_request(client)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %d\r\n\r\n"
        client.sendall(head % (date, len(body)) + body)

    with hostile(answer) as server:
        found = seen(f"http://127.0.0.1:{server.getsockname()[1]}/0/public")
    [reading] = [each for each in found if isinstance(each, ClockReading)]
    assert reading.ahead == pytest.approx(3599.5, abs=1.0)


@pytest.mark.parametrize(
    ("told", "step", "ahead"),
    [(1000.05, 0.0, 0.0), (1000.0, 1.0, 0.0), (997.0, 0.0, 3.0), (997.0, 1.0, 2.0), (1030.0, 0.0, -29.9)],
)
def test_the_clock_is_off_by_the_least_that_the_answer_allows(told: float, step: float, ahead: float) -> None:
    """It was asked at 1000.0 and answered at 1000.1."""
    assert clock.compare("a test", told, 1000.0, 1000.1, step).ahead == pytest.approx(ahead)


def test_a_clock_that_is_wrong() -> None:
    coarse, exact = ClockReading("REST", 3599.5, 1.1), ClockReading("an answer of kraken", 3600.2, 0.1)
    assert "3600.2 s ahead" in names("this machine's clock is wrong", clock.judge([coarse, exact])).seen
    assert [each.level for each in clock.judge([ClockReading("REST", -1.9, 1.0)])] == ["ok"]


def test_a_clock_that_no_exchange_tells() -> None:
    names("no exchange tells its time", clock.judge([]))
