"""Requests of ill will, on the wire: straight to the service, and through nginx."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deadline import DEADLINE, IN_FULL
from tests.http.test_client_address import SPOOFS, Lines
from tests.process.answer import Answer
from tests.process.nginx import behind_nginx
from tests.process.raw import answers, pipeline, request, talk
from tests.process.service import Service
from tests.simulator.client import Simulator

LTP = "/api/v1/ltp"
KEY = "ltp_" + "S" * 43
UNKNOWN = 100_000 if IN_FULL else 2_000
ADDRESSES = 1_000_000 if IN_FULL else 10_000
GROWTH = (60 if IN_FULL else 12) << 20
"""Bytes: the limiter keeps 100,000 addresses at most."""
BATCH = 100


class Ports(NamedTuple):
    """Where the same service answers."""

    direct: int
    behind_nginx: int
    service: Service


@contextmanager
def both_ways(simulator: Simulator, **settings: str) -> Iterator[Ports]:
    with behind_nginx(simulator, **settings) as (nginx, service):
        yield Ports(service.port, nginx.port, service)


@pytest.fixture(scope="module")
def ports(simulator: Simulator) -> Iterator[Ports]:
    with both_ways(simulator) as running:
        yield running


def check(received: bytes, statuses: set[int]) -> Answer:
    """The only answer, which is JSON and has its code and id if it is an error. Fails the test otherwise."""
    (answer,) = answers(received)
    assert answer.status in statuses
    assert answer.headers["content-type"] == "application/json"
    told = json.loads(answer.body)
    if answer.status >= 400:
        assert told["code"] == told["error"]
        assert told["request_id"] == answer.headers["x-request-id"]
    return answer


# Who asks.


def spoofed(lines: Lines, target: str = "/api/v1/pairs", method: str = "GET") -> bytes:
    return request(target, *(f"{name}: {value}" for name, value in lines), method=method)


@pytest.fixture(scope="module")
def limited(simulator: Simulator) -> Iterator[Ports]:
    """Three requests for each address, and hardly a fourth."""
    few = {"RATE_LIMIT_CAPACITY": "3", "RATE_LIMIT_REFILL_RATE": "0.001"}
    with both_ways(simulator, RATE_LIMIT_ENABLED="true", **few) as running:
        yield running


@pytest.fixture(scope="module")
def limited_without_proxy(simulator: Simulator) -> Iterator[Service]:
    few = {"RATE_LIMIT_CAPACITY": "3", "RATE_LIMIT_REFILL_RATE": "0.001"}
    with Service.start(simulator, fed=True, RATE_LIMIT_ENABLED="true", TRUSTED_PROXIES="0", **few) as running:
        yield running


def exhaust(port: int) -> None:
    """Takes all that this address may ask."""
    for _ in range(4):
        last = answers(talk(port, request("/api/v1/pairs")))[0]
    assert last.status == 429


@pytest.mark.parametrize("lines", SPOOFS.values(), ids=SPOOFS.keys())
def test_behind_nginx_nobody_gets_more_by_claiming_another_address(limited: Ports, lines: Lines) -> None:
    exhaust(limited.behind_nginx)
    check(talk(limited.behind_nginx, spoofed(lines)), {429, 400, 431})


@pytest.mark.parametrize("lines", SPOOFS.values(), ids=SPOOFS.keys())
def test_without_a_proxy_no_claimed_address_gets_more(limited_without_proxy: Service, lines: Lines) -> None:
    exhaust(limited_without_proxy.port)
    received = talk(limited_without_proxy.port, spoofed(lines))
    assert not received or check(received, {429, 400, 431})


@pytest.mark.parametrize("lines", SPOOFS.values(), ids=SPOOFS.keys())
def test_behind_nginx_nobody_becomes_this_machine(ports: Ports, lines: Lines) -> None:
    for target, method in ((f"{LTP}/explain?pair=BTC/USD", "GET"), (f"{LTP}/refresh?pairs=BTC/USD", "POST")):
        check(talk(ports.behind_nginx, spoofed(lines, target, method)), {401, 400, 431})


# What is asked.

QUERIES: dict[str, tuple[str, set[int]]] = {
    "4 KB": ("pair=" + "BTC/USD," * 505, {400}),
    "5 KB": ("pair=" + "A" * 5000, {414}),
    "10,000 pairs": ("pair=" + ",".join(["BTC/USD"] * 10_000), {414}),
    "101 pairs": ("pair=" + ",".join(f"A{number}A/USD" for number in range(101)), {400}),
    "250 times pair": ("&".join(["pair=BTC/USD"] * 250), {200}),
    "1,300 parameters": ("&".join(["a="] * 1300), {400}),
    "pair twice": ("pair=BTC/USD&pair=ETH/USD", {200}),
    "pair twice, one unknown": ("pair=BTC/USD&pair=AAA/BBB", {206}),
    "pair[]": ("pair[]=BTC/USD", {200}),
    "pair[] encoded": ("pair%5B%5D=BTC/USD", {200}),
    "nothing": ("", {200}),
    "no value": ("pair=", {200}),
    "no name": ("=BTC/USD", {400}),
    "commas": ("pair=,,,,", {200}),
    "semicolon": ("pair=BTC/USD;pair=ETH/USD", {400}),
    "%00": ("pair=BTC/USD%00", {400}),
    "%ff": ("pair=%ff", {400}),
    "%ff as a name": ("%ff=1", {400}),
    "broken escape": ("pair=%zz%", {400}),
    "line end": ("pair=BTC/USD%0d%0aX-Evil:%201", {400}),
    "Cyrillic B": ("pair=%D0%92TC/USD", {400}),
    "full-width B": ("pair=%EF%BC%A2TC/USD", {400}),
    "full-width slash": ("pair=BTC%EF%BC%8FUSD", {400}),
    "dotless i": ("pair=B%C4%B1TC/USD", {400}),
    "long s": ("pair=BTC/U%C5%BFD", {400}),
    "Kelvin sign": ("pair=%E2%84%AA/USD", {400}),
    "zero width": ("pair=BTC%E2%80%8B/USD", {400}),
    "right to left": ("pair=%E2%80%AEDSU/CTB", {400}),
    "raw bytes": ("pair=\udcff\udcfe", {400}),
    "max_age nan": ("max_age=nan", {400}),
    "max_age of infinity": ("max_age=1e999", {400}),
    "max_age of 4,000 digits": ("max_age=" + "9" * 4000, {400}),
    "SQL": ("pair=BTC/USD'%20OR%201=1--", {400}),
    "template": ("pair={{7*7}}", {400}),
}


@pytest.mark.parametrize(("query", "statuses"), QUERIES.values(), ids=QUERIES.keys())
def test_a_monstrous_query_has_a_json_answer(ports: Ports, query: str, statuses: set[int]) -> None:
    for port in (ports.direct, ports.behind_nginx):
        answer = check(talk(port, request(f"{LTP}?{query}")), statuses)
        assert "x-evil" not in answer.headers


# How it is asked. A request that hides a second one asks for the pairs with it.

HIDDEN = "GET /api/v1/pairs HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
ABUSES: dict[str, tuple[bytes, int, int]] = {
    "path traversal": (request("/../../etc/passwd"), 404, 400),
    "path traversal encoded": (request("/%2e%2e/%2e%2e/etc/passwd"), 404, 400),
    "path traversal twice encoded": (request("/%252e%252e/etc/passwd"), 404, 404),
    "double slashes": (request("//api//v1//nothing"), 404, 404),
    "backslashes": (request("/api\\v1\\pairs"), 404, 404),
    "NUL in path": (request("/health%00"), 404, 400),
    "raw bytes in path": (request("/\udcff"), 400, 400),
    "two schemes": (request("/health", "X-Forwarded-Proto: https", "X-Forwarded-SSL: off"), 200, 200),
    "a prefix of the path": (request(LTP, "SCRIPT_NAME: /api"), 200, 200),
    "absolute form": (request("http://evil.example/health"), 200, 200),
    "authority form": (request("evil.example:80", method="CONNECT"), 404, 400),
    "asterisk form": (request("*"), 400, 400),
    "no slash": (request("health"), 400, 400),
    "bare LF": (request().replace(b"\r\n", b"\n"), 400, 200),
    "bare CR": (request().replace(b"\r\n", b"\r", 1), 400, 400),
    "CL and TE": (request("/health", "Content-Length: 5", CHUNKED, body=f"0\r\n\r\n{HIDDEN}"), 400, 400),
    "TE with a blank": (
        request("/health", "Content-Length: 0", "Transfer-Encoding : chunked", body=HIDDEN),
        400,
        400,
    ),
    "TE twice": (
        request("/health", CHUNKED, "Transfer-Encoding: identity", body=f"0\r\n\r\n{HIDDEN}"),
        400,
        400,
    ),
    "TE unknown": (request("/health", "Transfer-Encoding: xchunked", body=f"0\r\n\r\n{HIDDEN}"), 501, 501),
    "TE with a tab": (
        request("/health", "Transfer-Encoding:\x0bchunked", body=f"0\r\n\r\n{HIDDEN}"),
        400,
        501,
    ),
    "CL twice": (request("/health", "Content-Length: 0", "Content-Length: 40", body=HIDDEN), 400, 400),
    "CL with a sign": (request("/health", "Content-Length: +0", body=HIDDEN), 400, 400),
    "CL negative": (request("/health", "Content-Length: -1", body=HIDDEN), 400, 400),
    "folded header": (request("/health", "X-Folded: a\r\n Content-Length: 40", body=HIDDEN), 400, 400),
    "LF in a header": (request("/health", "X-A: b\nContent-Length: 0", body=HIDDEN), 400, 200),
    "two Hosts": (request("/health", "Host: evil.example"), 400, 400),
    "no Host": (request(host=""), 200, 400),
    "HTTP/2.0": (request().replace(b"HTTP/1.1", b"HTTP/2.0"), 400, 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, 400),
    "TRACE": (request(method="TRACE"), 405, 405),
    "unknown method": (request(LTP, method="BREW"), 405, 405),
    "long method": (request(LTP, method="A" * 100), 400, 400),
    "method in small letters": (request(LTP, method="get"), 400, 400),
    "header of 9 KB": (request("/health", "X-Large: " + "a" * 9000), 431, 431),
    "header of 1 MB": (request("/health", "X-Large: " + "a" * 1_000_000), 431, 431),
    "60 headers": (request("/health", *(f"X-{number}: 1" for number in range(60))), 431, 431),
    "2,000 headers": (request("/health", *(f"X-{number}: 1" for number in range(2000))), 431, 431),
    "NUL in a header": (request("/health", "X-Request-ID: abcdefgh\0"), 400, 400),
    "CR in a header": (request("/health", "X-Request-ID: abcdefgh\rX-Evil: 1"), 400, 400),
    "ANSI in a header": (request("/health", "User-Agent: \x1b[31mred"), 400, 400),
    "ANSI in path": (request("/%1b%5b31mred%0d%0a"), 404, 404),
    "line separator in path": (request("/%e2%80%a8%c2%85"), 404, 404),
    "unreadable traceparent": (request("/health", "traceparent: 00-\udcff\u2028"), 200, 200),
    "endless wait": (request(LTP, "Prefer: wait=99999999999999999999"), 200, 200),
    "Expect": (request("/health", "Expect: 100-continue"), 200, 200),
    "Upgrade": (request("/health", "Upgrade: h2c"), 200, 200),
}


@pytest.mark.parametrize(("sent", "direct", "behind"), ABUSES.values(), ids=ABUSES.keys())
def test_abuse_has_one_json_answer_and_no_second(ports: Ports, sent: bytes, direct: int, behind: int) -> None:
    for port, status in ((ports.direct, direct), (ports.behind_nginx, behind)):
        received = talk(port, sent)
        # A server that refuses a megabyte closes with most of it unread, which can cost the answer on its way.
        if not received and len(sent) > 500_000:
            continue
        answer = check(received, {status})
        assert "x-evil" not in answer.headers
        assert not answer.body.startswith(b'{"pairs"')


def test_http_0_9_gets_json_at_most(ports: Ports) -> None:
    check(talk(ports.direct, b"GET /health\r\n"), {400})
    (answer,) = answers(talk(ports.behind_nginx, b"GET /health\r\n"))
    assert (answer.status, json.loads(answer.body)["status"]) == (0, "healthy")


# What stays of it.


KEYS = {
    "wrong key": request(f"{LTP}/explain?pair=BTC/USD", f"X-API-Key: {KEY}"),
    "wrong key to write": request(f"{LTP}/refresh?pairs=BTC/USD", f"X-API-Key: {KEY}", method="POST"),
    "folded": request(LTP, f"X-API-Key: {KEY}\r\n folded"),
    "blank before colon": request(LTP, f"X-API-Key : {KEY}"),
    "control character": request(LTP, f"X-API-Key: {KEY}\x1b"),
    "in the query": request(f"{LTP}?pair={KEY}"),
    "in the path": request(f"/auth/api-keys/{KEY}", method="DELETE"),
}


@pytest.mark.parametrize("sent", KEYS.values(), ids=KEYS.keys())
def test_a_key_is_never_logged(ports: Ports, sent: bytes) -> None:
    for port in (ports.direct, ports.behind_nginx):
        check(talk(port, sent), {400, 401})
    assert any("http_path" in line["fields"] for line in ports.service.log_lines())
    assert KEY not in str(ports.service.log_lines())


def test_after_all_this_every_log_line_is_one_json_object_and_no_fault_was_logged(ports: Ports) -> None:
    talk(ports.direct, request("/%0d%0a%7b%22level%22:%22error%22%7d%00%1b%e2%80%a8"))
    ports.service.get("/health", {"X-Request-ID": "the-last-line"})
    ports.service.until(lambda: "the-last-line" in {line["request_id"] for line in ports.service.log_lines()})
    lines = ports.service.log_lines()
    assert len(lines) > 10
    assert not [line for line in lines if line["level"] == "error"]


def kept_open(target: str, method: str = "GET", *lines: str) -> bytes:
    return request(target, *lines, method=method).replace(b"Connection: close\r\n", b"")


def letters(number: int) -> str:
    """A name of its own for each number."""
    return "".join(chr(ord("A") + int(digit)) for digit in f"{number:06d}")


UNKNOWNS: tuple[Callable[[int], bytes], ...] = (
    lambda number: kept_open(f"{LTP}?pair={letters(number)}/USD"),
    lambda number: kept_open(f"/{letters(number)}/{number}"),
    lambda number: kept_open(LTP, f"X{letters(number)}"),
    lambda number: kept_open(f"/collectors/status/{letters(number)}"),
)
"""Requests about pairs, paths, methods and exchanges that do not exist, each with a number of its own."""


def send_all(port: int, requests: Iterator[bytes]) -> set[int]:
    """The statuses that came."""
    statuses: set[int] = set()
    while batch := list(islice(requests, BATCH)):
        statuses.update(pipeline(port, batch))
    return statuses


def fresh_scrape(service: Service) -> list[str]:
    """The lines of a text that is made after this call, with a scrape in it: one text is given for a second."""

    def made() -> tuple[float, list[str]]:
        lines = service.get("/metrics").body.decode().splitlines()
        (uptime,) = (line for line in lines if line.startswith("btc_ltp_uptime_seconds "))
        return float(uptime.rpartition(" ")[2]), lines

    earlier, lines = made()
    newest = earlier
    end = time.monotonic() + DEADLINE
    while newest <= earlier:
        assert time.monotonic() < end, "the text is never made again"
        newest, lines = made()
    return lines


def series(service: Service) -> set[str]:
    """Names with labels, but for those of the exchange, which come by themselves in time."""
    lines = fresh_scrape(service)
    names = {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}
    return {name for name in names if not name.startswith(("btc_ltp_external_api", "btc_ltp_websocket"))}


@pytest.mark.timeout(1800)
def test_unknown_names_add_no_series(ports: Ports) -> None:
    for named in UNKNOWNS:
        pipeline(ports.direct, [named(number) for number in range(2)])
    before = series(ports.service)
    for named in UNKNOWNS:
        assert send_all(ports.direct, map(named, range(UNKNOWN))) <= {400, 404, 405}
    assert series(ports.service) == before


@pytest.mark.timeout(1800)
def test_a_flood_of_addresses_takes_no_more_memory_than_the_limiter_may(simulator: Simulator) -> None:
    with Service.start(simulator, fed=True, RATE_LIMIT_ENABLED="true", TRUSTED_PROXIES="1") as service:
        (worker,) = service.worker_pids()
        send_all(service.port, map(from_address, range(1000)))
        before = resident(worker)
        assert send_all(service.port, map(from_address, range(ADDRESSES))) == {200}
        assert resident(worker) - before < GROWTH


def from_address(number: int) -> bytes:
    return kept_open(LTP, "GET", f"X-Forwarded-For: {IPv4Address((11 << 24) + number)}")


def resident(pid: int) -> int:
    """Bytes."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
