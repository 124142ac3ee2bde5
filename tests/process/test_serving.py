"""The service at work: one gunicorn, one simulated exchange, many questions."""

import time
from collections.abc import Iterator

import pytest

from tests.deadline import DEADLINE
from tests.process.load import Load, percentile
from tests.process.service import FED, Service
from tests.simulator.client import Simulator

TURNS = 10
"""A trade may be late by so many turns of requests."""
FLOOD = 10 * DEADLINE
"""Seconds for which a flood would last: what is starved by it waits for its end, and the test gives up before."""


@pytest.fixture(scope="module")
def service(simulator: Simulator) -> Iterator[Service]:
    with Service.start(simulator, KRAKEN_RECONNECT_DELAY="10ms") as running:
        yield running


@pytest.mark.parametrize(
    ("pair", "sent", "served"),
    [
        ("BTC/USD", "115643.10000", "115643.1"),
        ("BTC/EUR", "99421.00000", "99421"),
        ("BTC/CHF", "123456789.123456789", "123456789.123456789"),
        ("XRP/USD", "0.00000012", "0.00000012"),
    ],
)
def test_all_digits_arrive(service: Service, simulator: Simulator, pair: str, sent: str, served: str) -> None:
    others = {name: amount for name, amount in service.ltp().items() if name != pair}
    simulator.trade(pair, sent)
    service.wait_until_served(pair, served)
    assert service.ltp() == others | {pair: served}


def test_a_worker_has_exactly_one_connection_to_kraken(service: Service, simulator: Simulator) -> None:
    assert len(service.worker_pids()) == 1
    assert simulator.counters()["connections_open"] == 1
    assert simulator.counters()["connections_total"] == service.messages().count(FED)


def test_a_fed_service_is_ready(service: Service) -> None:
    assert service.get("/health").status == 200
    assert service.get("/ready").status == 200
    assert service.get("/api/v1/status").json()["connection"]["websocket_connected"]


def test_a_flooded_feed_leaves_time_for_requests(service: Service, simulator: Simulator) -> None:
    flooded = simulator.counters()["frames_sent"] + 10_000
    simulator.flood("LTC/USD", rate=0, seconds=FLOOD, background=True)
    with Load(service.port, rate=50, keep_alive=False) as load:
        service.until(lambda: simulator.counters()["frames_sent"] > flooded)
        load.wait_for_more(40)
        before = simulator.counters()["frames_sent"]
        service.until(lambda: simulator.counters()["frames_sent"] > before, what="the flood goes on")
    simulator.clear()
    assert not load.failures()
    simulator.trade("LTC/USD", "112.51")
    service.wait_until_served("LTC/USD", "112.51")


def test_saturated_http_leaves_time_for_a_busy_feed(service: Service, simulator: Simulator) -> None:
    simulator.flood("LTC/USD", rate=300, seconds=FLOOD, background=True)
    alone = sorted(seconds_to_follow(service, simulator, f"4100.{cents}1") for cents in range(10, 20))
    with Load(service.port, "/metrics", rate=0, clients=8) as load:  # the dearest page: the clients outdo it
        load.wait_for_more(50)
        beside = sorted(seconds_to_follow(service, simulator, f"4200.{cents}1") for cents in range(10, 20))
        load.wait_for_more(20)
    simulator.clear()
    assert not load.failures()
    # A tick waits for a turn of requests, and is asked for in the next. A starved feed falls behind ever more.
    turn = percentile(load.outcomes(), 0.5)
    assert beside[5] < TURNS * (alone[5] + turn)


def seconds_to_follow(service: Service, simulator: Simulator, amount: str) -> float:
    simulator.trade("ETH/USD", amount)
    traded = time.monotonic()
    service.wait_until_served("ETH/USD", amount)
    return time.monotonic() - traded


def test_every_log_line_is_one_json_object(service: Service) -> None:
    service.get("/health")
    service.wait_for_line("HTTP request processed")
    lines = service.log_lines()
    assert {"HTTP request processed", FED} <= {line["message"] for line in lines}
    assert all({"timestamp", "level", "message", "request_id", "service"} <= line.keys() for line in lines)
