"""Streams through deploy/nginx.conf, a real nginx before a real service."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.fakes import eventually
from tests.process.nginx import Nginx, behind_nginx, own_folder, running_nginx
from tests.process.service import Service, children_of
from tests.process.stream import Stream
from tests.programs import require_program
from tests.scrape import Scrape
from tests.simulator.client import Simulator

PATH = "/api/v1/stream?pair=BTC/USD"
SIMPLE = "HTTP/1.0"
"""Asks for a body without chunks, which ends where the connection ends."""

Front = tuple[Nginx, Service]


@pytest.fixture(scope="module")
def front(simulator: Simulator) -> Iterator[Front]:
    with behind_nginx(simulator, STREAM_MAX_PER_CLIENT="3") as running:
        yield running


def open_streams(service: Service) -> float | None:
    return Scrape(service.get("/metrics").body.decode()).value("stream_clients")


def test_each_event_arrives_at_once(front: Front, simulator: Simulator) -> None:
    nginx, service = front
    with Stream(nginx.port, f"{PATH}&last_event_id=unknown", protocol=SIMPLE) as stream:
        assert stream.status == 200
        assert stream.named("hello").data["resumed"] is False
        assert stream.named("price").data["pair"] == "BTC/USD"
        # Nothing follows that could push it out of a buffer.
        simulator.trade("BTC/USD", "115777.70")
        stream.until(lambda event: event.name == "price" and event.data["price"] == "115777.70")
    eventually(lambda: open_streams(service) == 0)


def test_the_header_of_a_client_that_resumes_passes(front: Front) -> None:
    nginx, _ = front
    with Stream(nginx.port, PATH, protocol=SIMPLE) as stream:
        stream.named("price")
        last_id = stream.last_id
    with Stream(nginx.port, PATH, {"Last-Event-ID": last_id}, protocol=SIMPLE) as again:
        assert again.named("hello").data["resumed"] is True


def test_a_refusal_is_the_services_own(front: Front) -> None:
    nginx, _ = front
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(Stream(nginx.port, PATH, protocol=SIMPLE)).named("hello")
        refused = nginx.get(PATH)
        assert (refused.status, refused.json()["code"]) == (429, "TOO_MANY_STREAMS_PER_CLIENT")
        assert refused.headers["retry-after"]
        # An open stream leaves its client all other requests.
        assert nginx.get("/api/v1/ltp").status == 200
    eventually(lambda: open_streams(front[1]) == 0)


def test_the_end_of_the_worker_is_told_through_nginx(front: Front) -> None:
    nginx, service = front
    with Stream(nginx.port, PATH, protocol=SIMPLE) as stream:
        stream.named("price")
        os.kill(service.worker_pids()[0], signal.SIGTERM)
        assert stream.named("bye").retry is not None
        assert stream.event() is None


def test_a_reload_of_nginx_leaves_an_open_stream_its_time(simulator: Simulator) -> None:
    with behind_nginx(simulator) as (nginx, _), Stream(nginx.port, PATH, protocol=SIMPLE) as stream:
        stream.named("price")
        before = set(children_of(nginx.master_pid))
        os.kill(nginx.master_pid, signal.SIGHUP)
        eventually(lambda: bool(set(children_of(nginx.master_pid)) - before))
        with Stream(nginx.port, PATH, protocol=SIMPLE) as new:
            new.named("price")
            simulator.trade("BTC/USD", "115888.80")
            for each in (stream, new):
                each.until(lambda event: event.name == "price" and event.data["price"] == "115888.80")


def test_what_opens_or_resumes_a_stream_is_in_no_log(simulator: Simulator) -> None:
    with behind_nginx(simulator) as (nginx, service):
        with Stream(nginx.port, f"{PATH}&ticket=ltp_ticket_secret&last_event_id=p1.mine") as stream:
            assert stream.status == 200
        eventually(lambda: open_streams(service) == 0)
        nginx.stop()
        lines = nginx.access_log()
        # In any order, because each process of nginx writes its own lines when it ends.
        assert "/api/v1/stream" in [line["fields"]["http_path"] for line in lines]
        assert "secret" not in str(lines)
        assert "secret" not in str(service.log_lines())


def test_a_ticket_that_could_not_be_used_is_in_no_log() -> None:
    with own_folder() as folder, running_nginx(require_program("nginx"), folder) as nginx:
        for route in ("/api/v1/stream", "/collectors/stream"):
            answer = nginx.get(f"{route}?ticket=ltp_ticket_secret&last_event_id=p1.mine")
            assert (answer.status, answer.headers["retry-after"]) == (502, "5")  # there is no service
        nginx.stop()
        assert [line["fields"]["http_status_code"] for line in nginx.access_log()][-2:] == [502, 502]
        assert "failed" in nginx.error_log()  # of /health, asked at the start
        assert "secret" not in nginx.error_log()
        assert "p1.mine" not in nginx.error_log()
