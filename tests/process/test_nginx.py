"""deploy/nginx.conf before a real nginx and a real service."""

import http.client
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from secrets import token_hex
from typing import Any, NamedTuple

import pytest

from tests.deadline import DEADLINE, IN_FULL, generous
from tests.drill.run_queue import RunQueue
from tests.process.answer import Answer, ask
from tests.process.load import Load, Outcome
from tests.process.nginx import HAS_IPV6, Nginx, behind_nginx, own_folder, running_nginx
from tests.process.raw import answers, request, talk
from tests.process.service import Service
from tests.programs import require_program
from tests.simulator.client import Simulator
from tests.tables import by_result

LTP = "/api/v1/ltp"
SECRET_KEY = "ltp_" + "S" * 43
PAGE = "https://page.example"
TIMES = 10
"""Requests in a row, which take much less than half a second: so two half seconds at most."""
KEPT_SECONDS = 1.2
"""A little more than nginx keeps an idle connection to the service."""
KEPT = 60
"""Connections at once, so that some process of nginx keeps more of them than it tries."""
READER_SECONDS = 60.0 if IN_FULL else 5.0
OLDEST = 1.0
"""Seconds that an answer may be older than the service's own."""


class Front(NamedTuple):
    """nginx and what is behind it."""

    nginx: Nginx
    service: Service


@pytest.fixture(scope="module")
def front(simulator: Simulator) -> Iterator[Front]:
    generous = {"RATE_LIMIT_CAPACITY": "1000000", "RATE_LIMIT_REFILL_RATE": "1000000"}
    with behind_nginx(simulator, RATE_LIMIT_ENABLED="true", CORS_ORIGINS=PAGE, **generous) as running:
        yield Front(*running)


_numbers = count()


def ask_often(front: Front, path: str, **headers: str) -> tuple[list[Answer], int]:
    """The answers to TIMES equal requests, and how many of these the service was asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    ids = [f"{token_hex(8)}-{next(_numbers)}" for _ in range(TIMES)]
    found = [front.nginx.get(path, {"X-Request-ID": each, **named}) for each in ids]
    return found, sum(map(was_asked(front.service).__contains__, ids))


def was_asked(service: Service) -> set[str]:
    """The ids of all requests that have reached the service."""
    last = f"the-last-{next(_numbers)}"
    service.get("/health", {"X-Request-ID": last})

    def ids() -> set[str]:
        return {line["request_id"] for line in service.log_lines()}

    service.until(lambda: last in ids(), what="the request in the log")
    return ids()


def test_it_is_reached_over_ipv6_too(front: Front) -> None:
    host = "::1" if HAS_IPV6 else "127.0.0.1"
    with closing(http.client.HTTPConnection(host, front.nginx.port, timeout=DEADLINE)) as connection:
        assert ask(connection, "/health").status == 200


# What is kept.


@pytest.mark.parametrize(
    "query", ["", "?pair=BTC/USD", "?pairs=BTC%2FUSD,ETH%2fUSD", "?pair=xbtusd", "/?pair=BTC/EUR"]
)
def test_a_plain_question_is_answered_from_the_cache(front: Front, query: str) -> None:
    found, asked = ask_often(front, LTP + query)
    assert {answer.status for answer in found} == {200}
    assert 1 <= asked <= 2


def test_head_is_answered_from_the_cache_and_spoils_it_for_nobody(front: Front) -> None:
    head = request(LTP + "?pair=LTC/USD", method="HEAD")
    for _ in range(3):
        assert talk(front.nginx.port, head).endswith(b"\r\n\r\n")
        assert front.nginx.get(LTP + "?pair=LTC/USD").json()["ltp"][0]["pair"] == "LTC/USD"


@pytest.mark.parametrize(
    ("query", "status"),
    by_result(
        {
            200: (
                "?max_age=30 ?pair=BTC/USD&max_age=30 ?allow_stale=true ?detail=true ?pair=BTC/USD&pair=ETH/USD"
                " ?pair[]=ETH/USD ?pair%5B%5D=ETH/USD /cached"
            ).split(),
            206: ["?pair=BTC/USD,AAA/BBB"],
            400: ["?symbol=ETH/USD", "?_=1", "?pair=AAA/BBB", "?pair=x"],
            404: ["/nowhere"],
        }
    ),
)
def test_what_is_more_than_plain_is_never_kept(front: Front, query: str, status: int) -> None:
    found, asked = ask_often(front, LTP + query)
    assert {answer.status for answer in found} == {status}
    assert asked == TIMES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X_API_Key", "ltp_key"),
        ("Authorization", "Bearer key"),
        ("Prefer", "wait=1"),
        ("Cache_Control", "max-age=30"),
        ("Cache_Control", "no-cache"),
    ],
)
def test_a_header_that_changes_the_answer_avoids_the_cache(front: Front, name: str, value: str) -> None:
    front.nginx.get(LTP)
    found, asked = ask_often(front, LTP, **{name: value})
    assert {answer.status for answer in found} == {200}
    assert asked == TIMES


def test_a_question_in_a_body_leads_past_the_cache_and_is_refused(front: Front) -> None:
    front.nginx.get(LTP)
    whole = request(LTP, "Content-Length: 12", body="pair=ETH/USD")
    in_pieces = request(LTP, "Transfer-Encoding: chunked", body="c\r\npair=ETH/USD\r\n0\r\n\r\n")
    for sent in (whole, in_pieces):
        for port in (front.nginx.port, front.service.port):
            (answer,) = answers(talk(port, sent))
            assert (answer.status, "reads no body" in answer.json()["message"]) == (400, True)


def test_if_match_is_decided_by_the_service(front: Front) -> None:
    tag = front.nginx.get(f"{LTP}/cached").headers["etag"]
    decided = {tag: {200, 412}, "*": {200}, '"other"': {412}, f"W/{tag}": {412}, "": {412}}
    for if_match, statuses in decided.items():
        for path in (LTP, f"{LTP}/cached", f"{LTP}?pair=BTC/USD"):
            answer = front.nginx.get(path, {"If-Match": if_match})
            assert answer.status in statuses, (path, if_match)
            if answer.status == 412:
                assert answer.json()["code"] == "PRECONDITION_FAILED"


def test_each_question_has_its_own_answer(front: Front) -> None:
    for _ in range(3):
        for pair in ("BTC/USD", "ETH/USD", "BTC/EUR"):
            assert [item["pair"] for item in front.nginx.get(f"{LTP}?pair={pair}").json()["ltp"]] == [pair]


def test_a_repeated_parameter_is_not_taken_for_its_first_value(front: Front) -> None:
    front.nginx.get(f"{LTP}?pair=BTC/USD")
    both = front.nginx.get(f"{LTP}?pair=BTC/USD&pair=ETH/USD").json()["ltp"]
    assert [item["pair"] for item in both] == ["BTC/USD", "ETH/USD"]


def test_no_pair_has_a_name_that_gets_the_answer_about_all(front: Front) -> None:
    for name in ("all", "-", "%2A"):
        front.nginx.get(LTP)
        assert front.nginx.get(f"{LTP}?pair={name}").status == front.service.get(f"{LTP}?pair={name}").status


# Whose answer it is.


def test_every_answer_has_the_id_of_its_own_request(front: Front) -> None:
    sent = [f"asked-by-a-test-{number}" for number in range(TIMES)]
    got = [front.nginx.get(LTP, {"X-Request-ID": each}).headers["x-request-id"] for each in sent]
    assert got == sent


@pytest.mark.parametrize("path", [LTP, "/api/v1/pairs", "/metrics"])
def test_no_header_comes_twice(front: Front, path: str) -> None:
    for _ in range(3):
        head = talk(front.nginx.port, request(path)).partition(b"\r\n\r\n")[0]
        names = [line.partition(b":")[0].lower() for line in head.splitlines()[1:]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("wrong", ["short", "x" * 65, "with blanks inside", "semi;colon", ""])
@pytest.mark.parametrize("path", [LTP, "/api/v1/pairs", "/api/v1/nowhere", "/metrics"])
def test_an_id_that_is_not_safe_is_replaced(front: Front, path: str, wrong: str) -> None:
    given = [front.nginx.get(path, {"X-Request-ID": wrong}).headers["x-request-id"] for _ in range(3)]
    assert len(set(given)) == 3
    assert wrong not in given


def test_only_who_made_the_service_answer_is_told_of_the_rate_limit(front: Front) -> None:
    found, asked = ask_often(front, f"{LTP}?pair=XRP_USD")
    told = [answer for answer in found if {name for name in answer.headers if name.startswith("ratelimit-")}]
    assert len(told) == asked < TIMES
    assert all(told[0].headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset"))


def test_a_page_may_read_what_another_origin_was_given_first(front: Front) -> None:
    for _ in range(3):
        for origin, allowed in ((None, None), (PAGE, PAGE), ("https://other.example", None)):
            answer = front.nginx.get(LTP, {"Origin": origin} if origin else {})
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert answer.headers["vary"] == "Origin"


def test_the_cache_knows_what_the_client_has_already(front: Front) -> None:
    tag = front.nginx.get(LTP).headers["etag"]
    found, asked = ask_often(front, LTP, If_None_Match=f'"other", {tag}')
    assert {answer.status for answer in found} == {304}
    assert {answer.body for answer in found} == {b""}
    assert {answer.headers["etag"] for answer in found} == {tag}
    assert asked <= 2


@pytest.mark.parametrize(
    "header", ["Range: bytes=0-3", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT", "If-Range: x"]
)
def test_a_condition_that_the_service_does_not_know_changes_nothing(front: Front, header: str) -> None:
    name, _, value = header.partition(": ")
    assert {front.nginx.get(LTP, {name: value}).status for _ in range(3)} == {200}


def test_who_waits_for_a_change_waits_behind_nginx_too(front: Front) -> None:
    tag = front.nginx.get(LTP).headers["etag"]
    begun = time.monotonic()
    answer = front.nginx.get(LTP, {"If-None-Match": tag, "Prefer": "wait=1"})
    assert answer.status == 304
    assert time.monotonic() - begun > 0.9


# What is refused.


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "INVALID_PARAMETER"),
        (request("/metrics"), 403, "PERMISSION_DENIED"),
        (request("/.error"), 404, "NOT_FOUND"),
        (request(method="TRACE"), 405, "METHOD_NOT_ALLOWED"),
        (request(LTP, "Content-Length: 70000", method="POST", body="a" * 70_000), 413, "INVALID_PARAMETER"),
        (request(LTP + "?pair=" + "A" * 5000), 414, "INVALID_PARAMETER"),
        (request("/health", "X-Large: " + "a" * 9000), 431, "INVALID_PARAMETER"),
        (request("/health", "Transfer-Encoding: strange"), 501, "INVALID_PARAMETER"),
        (request().replace(b"HTTP/1.1", b"HTTP/2.0"), 505, "INVALID_PARAMETER"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_nginx_refuses_as_the_service_does(front: Front, sent: bytes, status: int, code: str) -> None:
    (answer,) = answers(talk(front.nginx.port, sent))
    assert answer.status == status
    assert_is_error(answer, code)
    assert ("allow" in answer.headers) == (status == 405)


def assert_is_error(answer: Answer, code: str) -> None:
    told = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server"] == "nginx"
    assert told.keys() == {"error", "message", "code", "request_id"}
    assert told["error"] == told["code"] == code
    assert told["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "target",
    (
        "/metrics /metrics/ /metrics?x=1 /%6detrics //metrics /./metrics /api/../metrics /api/%2e%2e/metrics"
        " http://evil.example/metrics /metrics%3fx /metrics#x /metrics;x"
    ).split(),
)
def test_metrics_are_not_for_the_outside_however_they_are_spelled(front: Front, target: str) -> None:
    (answer,) = answers(talk(front.nginx.port, request(target)))
    assert answer.status == 403
    assert b"btc_ltp" not in answer.body
    assert front.service.get("/metrics").status == 200


def test_one_address_cannot_take_all_connections(front: Front) -> None:
    half = b"POST /api/v1/ltp/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with ExitStack() as stack:

        def refused_behind_many() -> bool:
            for _ in range(230):  # more at each try, because nginx closes them after 5 s
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", front.nginx.port)))
                connection.sendall(half)
            return front.nginx.get("/health").status == 429

        front.service.until(refused_behind_many, what="a refusal")
        answer = front.nginx.get("/health")
        assert_is_error(answer, "RATE_LIMIT_EXCEEDED")
        assert answer.headers["retry-after"] == "1"
    front.service.until(lambda: front.nginx.get("/health").status == 200, what="room again")


def test_a_missing_service_is_told_in_json_and_the_log_has_one_object_a_line() -> None:
    with own_folder() as folder, running_nginx(require_program("nginx"), folder) as nginx:
        answer = nginx.get(LTP)
        assert_is_error(answer, "INTERNAL_ERROR")
        assert (answer.status, answer.headers["retry-after"]) == (502, "5")
        for target in (
            '/"quoted"\\',
            "/%ff%00",
            "/\u2028",
            "/\udcff",
            "/x?key=ltp_secret",
            f"/auth/{SECRET_KEY}",
        ):
            talk(nginx.port, request(target, 'X-Request-ID: "\x1b[31m'))
        nginx.stop()
        lines = nginx.access_log()
    assert len(lines) >= 8
    assert {line["message"] for line in lines} == {"HTTP request proxied"}
    assert all(len(line["request_id"]) == 32 for line in lines)
    assert "ltp_secret" not in str(lines)
    assert SECRET_KEY not in str(lines)


# What clients notice of trouble.


def test_half_requests_leave_room_for_whole_ones_and_are_cut_off(front: Front) -> None:
    address = ("127.0.0.1", front.nginx.port)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address, DEADLINE)) for _ in range(300)]
        for connection in slow:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        beside = 0
        for _ in range(20):
            assert front.nginx.get("/health").status == 200
            if select.select(slow, [], [], 0)[0]:
                break  # the first of them had its time
            beside += 1
        assert beside
        for connection in slow:
            assert_is_cut_off(connection)


def assert_is_cut_off(connection: socket.socket) -> None:
    try:
        assert connection.recv(1) == b""
    except ConnectionResetError:
        return


@pytest.mark.parametrize("query", ["", "?max_age=30"], ids=["cached", "past the cache"])
def test_a_worker_that_is_killed_under_load_fails_no_request(front: Front, query: str) -> None:
    (victim,) = front.service.worker_pids()
    with Load(front.nginx.port, LTP + query, rate=100, clients=8) as load:
        load.wait_for_more(50)
        os.kill(victim, signal.SIGKILL)
        front.service.until(lambda: victim not in front.service.worker_pids(), what="the worker ends")
        load.wait_for_more(50)
    assert not load.failures()


def test_those_who_wait_outlive_the_worker_that_held_them(front: Front) -> None:
    front.service.until(lambda: front.service.get(LTP).status == 200, what="a price")
    (victim,) = front.service.worker_pids()
    unanswered = front.nginx.left_unanswered()
    waiting = {"If-None-Match": front.nginx.get(LTP).headers["etag"], "Prefer": "wait=2"}
    with ThreadPoolExecutor(20) as clients:
        held = [clients.submit(front.nginx.get, LTP, waiting) for _ in range(20)]
        # Until nginx has closed the connections that it keeps from a worker of an earlier test.
        ends_at = time.monotonic() + KEPT_SECONDS
        while time.monotonic() < ends_at:
            assert front.nginx.get("/health").status == 200
        os.kill(victim, signal.SIGKILL)
        assert {each.result().status for each in held} <= {200, 304}
    assert front.nginx.left_unanswered() > unanswered


def test_a_worker_that_leaves_many_kept_connections_behind_fails_no_request(front: Front) -> None:
    front.service.until(lambda: front.service.get(LTP).status == 200, what="a price")
    (victim,) = front.service.worker_pids()
    waiting = {"If-None-Match": front.nginx.get(LTP).headers["etag"], "Prefer": "wait=1"}
    with ExitStack() as stack, ThreadPoolExecutor(KEPT) as clients:
        connections = [stack.enter_context(closing(front.nginx.connection())) for _ in range(KEPT)]
        found = clients.map(lambda each: ask(each, LTP, waiting), connections)
        assert {answer.status for answer in found} == {304}
        with front.nginx.paused():
            for each in connections:
                each.request("GET", f"{LTP}?max_age=30")
            os.kill(victim, signal.SIGKILL)
            front.service.until(lambda: victim not in front.service.worker_pids(), what="the worker ends")
        assert {each.getresponse().status for each in connections} == {200}


# The promise of the cache.


def test_a_fast_reader_sees_no_price_go_back_nor_an_old_one(front: Front, simulator: Simulator) -> None:
    front.service.until(lambda: len(front.service.ltp()) == 7, what="all pairs are served")
    offset = time.time() - time.monotonic()
    simulator.walk(rate=100)
    programs = (simulator.pid, front.service.master_pid, front.nginx.master_pid)
    with (
        RunQueue(*programs) as run_queue,
        Load(front.nginx.port, LTP, rate=400, clients=8),
        Load(front.nginx.port, f"{LTP}?pair=BTC/USD", rate=200, clients=1) as reader,
    ):
        reader.wait_for_more(round(200 * READER_SECONDS), within=generous(READER_SECONDS))
    simulator.walk(on=False)
    assert not reader.failures()
    history = simulator.market("BTC/USD", after=0)["BTC/USD"]["history"]  # the first price may be old
    outcomes = reader.outcomes()
    ages = ages_of_prices(outcomes, history, offset)
    assert len(set(ages)) > 1
    for outcome, age in zip(outcomes, ages, strict=True):
        asked_at = outcome.asked_at
        assert age <= OLDEST + run_queue.waited(asked_at - age - OLDEST, asked_at)


def ages_of_prices(outcomes: list[Outcome], history: list[list[Any]], offset: float) -> list[float]:
    """For each answer, in seconds, how long before the question its price was the last one for the last time.

    Raises AssertionError when no way to place the answers in the history, each not before the previous one,
    explains them. `offset` turns monotonic seconds into the history's.
    """
    at, ages = 0, []
    for outcome in outcomes:
        assert outcome.answer is not None
        amount = float(outcome.answer.json()["ltp"][0]["amount"])
        asked_at = outcome.asked_at + offset
        places = [place for place in range(at, len(history)) if float(history[place][1]) == amount]
        assert places, f"{amount} went back"
        at = next((place for place in places if age_of(history, place, asked_at) <= OLDEST), places[-1])
        ages.append(age_of(history, at, asked_at))
    return ages


def age_of(history: list[list[Any]], place: int, moment: float) -> float:
    replaced_at: float = history[place + 1][0] if place + 1 < len(history) else moment
    return max(0.0, moment - replaced_at)
