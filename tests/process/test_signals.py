"""What operators do to a running service, and what its clients notice of it."""

import os
import signal

import pytest

from tests.process.load import Load
from tests.process.service import FED, Service
from tests.simulator.client import Simulator


@pytest.mark.parametrize("keep_alive", [False, True], ids=["fresh connections", "kept connections"])
def test_a_reload_costs_no_request_nor_feed(service: Service, simulator: Simulator, keep_alive: bool) -> None:
    old, feeds = service.worker_pids(), service.messages().count(FED)
    with Load(service.port, rate=50, keep_alive=keep_alive) as load:
        load.wait_for_more(25)
        service.signal(signal.SIGHUP)
        service.wait_for_line(FED, count=feeds + 1)
        service.until(lambda: not set(old) & set(service.worker_pids()), what=f"worker {old} ends")
        load.wait_for_more(25)
    assert not load.failures()
    assert len(service.worker_pids()) == 1
    simulator.wait(open=1)
    simulator.trade("BTC/USD", amount := "115700.1" if keep_alive else "115700.2")
    service.wait_until_served("BTC/USD", amount)


def test_a_killed_worker_is_replaced_and_fed_again(service: Service, simulator: Simulator) -> None:
    (victim,) = service.worker_pids()
    feeds = service.messages().count(FED)
    os.kill(victim, signal.SIGKILL)
    service.wait_for_line(FED, count=feeds + 1)
    (successor,) = service.worker_pids()
    assert successor != victim
    simulator.wait(open=1)
    simulator.trade("BTC/USD", "115800.1")
    service.wait_until_served("BTC/USD", "115800.1")
