"""Streams of a service as it is run for real."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from tests.deadline import DEADLINE
from tests.fakes import eventually
from tests.process.service import Service
from tests.process.stream import Stream
from tests.redis_server import RedisServer
from tests.scrape import Scrape
from tests.simulator.client import Simulator

PATH = "/api/v1/stream"
ENOUGH = 600
"""Events that do not fit into what the system keeps for one client."""
BTC = f"{PATH}?pair=BTC/USD"


@pytest.fixture
def single(simulator: Simulator) -> Iterator[Service]:
    """One that a test may end."""
    with Service.start(simulator) as running:
        yield running


def scrape(service: Service) -> Scrape:
    return Scrape(service.get("/metrics").body.decode())


def test_a_stream_tells_what_detail_tells(service: Service, simulator: Simulator) -> None:
    with Stream(service.port, f"{PATH}?pair=BTC/USD,ETH/USD") as stream:
        hello = stream.event()
        assert hello is not None
        assert (hello.name, hello.data["pairs"], hello.data["resumed"]) == (
            "hello",
            ["BTC/USD", "ETH/USD"],
            False,
        )
        assert [stream.named("price").data["pair"] for _ in range(2)] == ["BTC/USD", "ETH/USD"]
        simulator.trade("BTC/USD", "115650.10")
        told = stream.until(lambda event: event.name == "price" and event.data["price"] == "115650.10").data

    (item,) = json.loads(service.get("/api/v1/ltp?pair=BTC/USD&detail=true").body)["ltp"]
    changing = {"confirmed_at", "age_ms", "witnesses"}
    assert told.keys() - changing == item.keys() - changing
    assert {name: told[name] for name in told.keys() - changing} == {
        name: item[name] for name in item.keys() - changing
    }


def test_a_stream_that_a_precondition_refuses_is_an_error_and_no_stream(single: Service) -> None:
    answer = single.get(PATH, {"If-Match": '"another"'})
    assert (answer.status, json.loads(answer.body)["code"]) == (412, "PRECONDITION_FAILED")
    assert scrape(single).value("stream_clients") == 0


def test_the_head_says_how_to_treat_a_stream(service: Service) -> None:
    with Stream(service.port, BTC, {"X-Request-ID": "stream-under-test"}) as stream:
        lines = stream.head.split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {
        "Content-Type: text/event-stream; charset=utf-8",
        "Cache-Control: no-store",
        "X-Accel-Buffering: no",
        "Connection: close",
        "X-Request-ID: stream-under-test",
        "X-Content-Type-Options: nosniff",
    } <= set(lines)
    assert not [line for line in lines if line.startswith(("Content-Length", "Transfer-Encoding"))]

    head = service.send("HEAD", BTC)
    assert (head.status, head.headers["content-type"], head.body) == (
        200,
        "text/event-stream; charset=utf-8",
        b"",
    )


def test_http_1_0_gets_the_same_events(service: Service) -> None:
    with Stream(service.port, BTC, protocol="HTTP/1.0") as stream:
        assert stream.status == 200
        assert stream.named("price").data["pair"] == "BTC/USD"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ending_worker_says_bye_and_the_next_one_resumes(single: Service, number: signal.Signals) -> None:
    with ExitStack() as clients:
        streams = [clients.enter_context(Stream(single.port, BTC)) for _ in range(10)]
        for stream in streams:
            stream.named("price")
        begun = time.monotonic()
        single.signal(number)
        for stream in streams:
            bye = stream.named("bye")
            assert bye.retry is not None
            assert 500 <= bye.retry <= 3000
            assert stream.event() is None
        last_id = streams[0].last_id
    if number == signal.SIGTERM:
        assert single.wait_for_exit() == 0
        assert time.monotonic() - begun < 20  # gunicorn waits 30 s for a request that does not end
        return

    def resumed() -> bool:
        with Stream(single.port, BTC, {"Last-Event-ID": last_id}) as again:
            hello = again.event()
            return hello is not None and hello.data["resumed"] is True

    eventually(resumed)


def test_an_id_of_an_unknown_kind_is_answered_with_a_gap(service: Service) -> None:
    with Stream(service.port, f"{BTC}&last_event_id=garbage") as stream:
        hello, gap = stream.event(), stream.event()
    assert hello is not None
    assert gap is not None
    assert (hello.data["resumed"], gap.name, gap.data["pair"]) == (False, "gap", "BTC/USD")


def test_places_are_bounded_and_free_as_soon_as_a_client_is_gone(simulator: Simulator) -> None:
    with (
        Service.start(simulator, STREAM_MAX="3", STREAM_MAX_PER_CLIENT="2") as service,
        ExitStack() as clients,
    ):
        first, _ = (clients.enter_context(Stream(service.port, BTC)) for _ in range(2))
        refused = service.get(BTC)
        assert (refused.status, refused.json()["code"]) == (429, "TOO_MANY_STREAMS_PER_CLIENT")
        assert int(refused.headers["retry-after"]) > 0
        clients.enter_context(Stream(service.port, BTC, address="127.0.0.2"))
        with Stream(service.port, BTC, address="127.0.0.3") as other:
            assert other.status == 503
            assert "Retry-After: " in other.head
        first.close()
        begun = time.monotonic()
        eventually(lambda: _is_open(service))
        assert time.monotonic() - begun < DEADLINE / 6


def _is_open(service: Service) -> bool:
    with Stream(service.port, BTC) as stream:
        return stream.status == 200


def test_a_client_that_does_not_read_harms_nobody_and_gets_the_newest_later(
    single: Service, simulator: Simulator
) -> None:
    with Stream(single.port, buffer=4096) as stuck, Stream(single.port) as other:
        simulator.walk(rate=400)
        for _ in range(ENOUGH):
            other.named("price")
        simulator.walk(on=False)
        simulator.trade("BTC/USD", "115777.7")
        is_last = {"pair": "BTC/USD", "price": "115777.7"}.items()
        other.until(lambda event: event.name == "price" and is_last <= event.data.items())
        late = 0
        while True:
            event = stuck.named("price")
            late += 1
            if is_last <= event.data.items():
                break

    assert late < ENOUGH / 2


def test_clients_that_come_and_go_leave_nothing(single: Service) -> None:
    (pid,) = single.worker_pids()
    for _ in range(20):
        Stream(single.port, BTC).close()
    eventually(lambda: scrape(single).value("stream_clients") == 0)
    before = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - /proc has no entries to make paths of
    for _ in range(200):
        with closing(Stream(single.port, BTC)) as stream:
            stream.event()
    eventually(lambda: scrape(single).value("stream_dropped_total", reason="gone") == 220)
    eventually(lambda: scrape(single).value("stream_clients") == 0)
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before + 2)  # noqa: PTH208 - likewise


def test_a_stream_is_logged_once_and_does_not_count_as_a_request(single: Service) -> None:
    with Stream(single.port, BTC, {"X-Request-ID": "one-open-stream"}) as stream:
        stream.named("price")
        single.until(lambda: any(line.get("request_id") == "one-open-stream" for line in single.log_lines()))
    single.get(f"{PATH}?pair=nonsense")
    seen = scrape(single)

    (line,) = [line for line in single.log_lines() if line.get("request_id") == "one-open-stream"]
    assert (line["fields"]["http_path"], line["fields"]["http_status_code"]) == (PATH, 200)
    assert seen.value("http_requests_total", path=PATH, status_code="200") is None
    assert seen.value("http_requests_total", path=PATH, status_code="400") == 1
    assert (seen.value("stream_events_total", event="hello") or 0) >= 1


def test_threads_have_no_streams(simulator: Simulator) -> None:
    with Service.start(simulator, WORKER_CLASS="gthread") as service:
        answer = service.get(BTC)
    assert (answer.status, answer.json()["code"]) == (501, "NOT_SUPPORTED")


@pytest.mark.parametrize(
    ("query", "status"),
    [("pair=DOGE/USD", 400), ("pair=BTC/USD,DOGE/USD", 400), ("events=candles", 400), ("event=prices", 400)],
)
def test_a_question_without_an_answer_is_refused(service: Service, query: str, status: int) -> None:
    assert service.get(f"{PATH}?{query}").status == status


def test_trades_of_another_exchange_are_streamed(simulator: Simulator) -> None:
    with Service.start(
        simulator, COLLECTORS="bybit_trades", BYBIT_WEBSOCKET_URL=simulator.bybit_url
    ) as service:
        simulator.wait(exchange="bybit", subscriptions=1)
        with Stream(service.port, "/collectors/stream?symbol=btcusdt") as stream:
            assert stream.named("hello").data["exchanges"] == ["bybit"]
            simulator.exchange_trade("bybit", "BTCUSDT", "64103.90")
            trade = stream.named("trade").data
    assert (trade["exchange"], trade["symbol"], trade["price"]) == ("bybit", "BTCUSDT", "64103.90")


def _knows_all(service: Service) -> bool:
    return len(service.ltp()) == 7


def test_every_process_of_a_fleet_streams_the_same(simulator: Simulator, tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as redis, ExitStack() as started:
        settings = {"CACHE_BACKEND": "redis", "COLLECTORS": "bybit_trades"}
        settings |= {"REDIS_ADDR": redis.address, "BYBIT_WEBSOCKET_URL": simulator.bybit_url}
        services = [started.enter_context(Service.start(simulator, fed=False, **settings)) for _ in range(2)]
        for each in services:
            each.until(partial(_knows_all, each), what="it knows all prices")
        simulator.wait(exchange="bybit", subscriptions=1)
        paths = (BTC, "/collectors/stream?symbol=BTCUSDT")
        prices, trades = (
            [started.enter_context(Stream(each.port, path)) for each in services] for path in paths
        )
        for stream in (*prices, *trades):
            stream.named("hello")
        simulator.trade("BTC/USD", "115651.3")
        for stream in prices:
            stream.until(lambda event: event.name == "price" and event.data["price"] == "115651.3")
        simulator.exchange_trade("bybit", "BTCUSDT", "64103.90")
        told = [stream.named("trade") for stream in trades]

        assert told[0].data == told[1].data
        for stream, other in zip(prices, reversed(services), strict=True):
            with Stream(other.port, BTC, {"Last-Event-ID": stream.last_id}) as again:
                assert again.named("hello").data["resumed"] is True
