"""KRAKEN_WEBSOCKET_ENABLED=false, over real sockets: in order while REST works, said and counted when it does not."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.service import Service
from tests.simulator.client import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator.start() as simulator:
        yield simulator


@pytest.fixture
def service(simulator: Simulator) -> Iterator[Service]:
    settings = {"KRAKEN_WEBSOCKET_ENABLED": "false", "KRAKEN_MAX_RETRIES": "0", "CACHE_TTL": "3s"}
    with Service.start(simulator, fed=False, **settings) as service:
        yield service


def status(service: Service) -> dict[str, Any]:
    told: dict[str, Any] = service.get("/api/v1/status").json()
    return told


def gauge(service: Service, name: str) -> float:
    lines = service.get("/metrics").body.decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"btc_ltp_{name}"))


def test_it_is_in_order_while_rest_works_and_not_a_fallback(service: Service) -> None:
    service.until(lambda: status(service)["status"] == "ok", what="status ok")

    assert status(service)["connection"]["fallback_mode"] is False
    assert gauge(service, "fallback_active") == 0
    assert {told["state"] for told in status(service)["pairs"].values()} == {"fallback"}


def test_a_dead_rest_opens_the_watched_breaker_and_is_told(service: Service, simulator: Simulator) -> None:
    service.until(lambda: status(service)["status"] == "ok", what="status ok")
    simulator.fault("rest_status", status=500)
    service.until(lambda: status(service)["status"] == "down", what="status down")
    service.until(lambda: gauge(service, "circuit_breaker_state") > 0, what="an open breaker")

    told = status(service)
    assert told["connection"]["rest_last_error"]
    assert all(pair["last_error"] for pair in told["pairs"].values())
    assert gauge(service, "fallback_active") == 0
    assert (
        'btc_ltp_websocket_connection_status{exchange="kraken"' not in service.get("/metrics").body.decode()
    )
    simulator.clear()
    service.until(lambda: status(service)["status"] == "ok", what="status ok again")
