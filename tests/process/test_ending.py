"""The end of the service: soon, in order, with nothing left running."""

import http.client
import os
import re
import signal
from contextlib import closing

import pytest

from tests.deadline import DEADLINE
from tests.process.answer import ask
from tests.process.service import Service
from tests.simulator.client import Simulator

IN_TIME = 5.0
JOINED = re.compile(r"stopped [1-9]\d* runner\(s\); still running: none")


def assert_ends_in_order(service: Service, simulator: Simulator, number: signal.Signals) -> None:
    workers = service.worker_pids()
    service.signal(number)
    assert service.wait_for_exit(IN_TIME) == 0
    assert len(list(filter(JOINED.fullmatch, service.messages()))) == len(workers)
    simulator.wait(open=0)


def test_term_ends_the_service_in_time_though_a_client_holds_a_connection(simulator: Simulator) -> None:
    with (
        Service.start(simulator) as service,
        closing(http.client.HTTPConnection("127.0.0.1", service.port)) as idle,
    ):
        assert ask(idle, "/health").status == 200
        assert_ends_in_order(service, simulator, signal.SIGTERM)


def test_int_ends_the_service_in_time(simulator: Simulator) -> None:
    with Service.start(simulator) as service:
        assert_ends_in_order(service, simulator, signal.SIGINT)


@pytest.mark.parametrize("worker_class", ["gevent", "gthread"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_still_starts_ends_with_the_others(
    simulator: Simulator, number: signal.Signals, worker_class: str
) -> None:
    with Service.start(simulator, WORKER_CLASS=worker_class) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGKILL)
        service.wait_for_line("Booting worker with pid", count=2)
        service.signal(number)
        assert service.wait_for_exit(DEADLINE) == 0
        simulator.wait(open=0)


def test_two_workers_each_have_one_feed_and_say_so_once(simulator: Simulator) -> None:
    with Service.start(simulator, WEB_CONCURRENCY="2", KRAKEN_WEBSOCKET_URI="ws://nowhere") as service:
        assert len(service.worker_pids()) == 2
        assert simulator.wait(open=2)["connections_open"] == 2
        unknown, alone = [line["message"] for line in service.log_lines() if line["level"] == "warn"]
        assert unknown.startswith("KRAKEN_WEBSOCKET_URI is not a setting")
        assert unknown.endswith("the nearest one is KRAKEN_WEBSOCKET_URL")
        assert alone.startswith("2 workers with CACHE_BACKEND=memory: each has its own feed")
        assert_ends_in_order(service, simulator, signal.SIGTERM)


def test_threads_are_served_unpatched_and_end_in_order(simulator: Simulator) -> None:
    with Service.start(simulator, "tests.process.glass:app", WORKER_CLASS="gthread") as service:
        assert service.get("/inside").json()["patched"] == []
        simulator.trade("XRP/USD", "2.91733")
        service.wait_until_served("XRP/USD", "2.91733")
        assert_ends_in_order(service, simulator, signal.SIGTERM)
