"""A service and its Redis on hosts of their own, while the line between them carries one direction alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.drill.partitions.hosts import Host, Wire, require_hosts
from tests.drill.partitions.machine import Exchange
from tests.process.fleet import membership
from tests.process.service import Service
from tests.redis_server import RedisServer

PORT = 6379
PAIR, PRICE, LATER = "XRP/USD", "2.91733", "2.91734"


@pytest.fixture
def wire() -> Iterator[Wire]:
    require_hosts()
    with Wire.between("exchange", "redis", "machine") as wire:
        yield wire


@contextmanager
def exchange_on(host: Host) -> Iterator[Exchange]:
    with host.entered():
        exchange = Exchange.start("--host", "0.0.0.0", "--heartbeat", "0.25")  # noqa: S104 - its own network
    exchange.host = host
    with exchange:
        yield exchange


def test_a_machine_that_redis_cannot_answer_asks_rest_and_is_in_step_again_afterwards(
    wire: Wire, tmp_path: Path
) -> None:
    with exchange_on(wire["exchange"]) as exchange, wire["redis"].entered():
        address = wire["redis"].address
        with RedisServer.start(tmp_path, "--bind", "127.0.0.1", address, "--protected-mode", "no", port=PORT):
            at = f"{wire['exchange'].address}:{exchange.port}"
            settings = {
                "REDIS_ADDR": f"{address}:{PORT}",
                "WEB_CONCURRENCY": "1",
                "KRAKEN_WEBSOCKET_URL": f"ws://{at}/v2",
                "KRAKEN_REST_URL": f"http://{at}/0/public",
            }
            with wire["machine"].entered(), Service.start(None, fed=False, **membership(settings)) as service:
                service.until(lambda: is_in_step(service), what="in step with the fleet")
                exchange.trade(PAIR, PRICE)
                service.wait_until_served(PAIR, PRICE)
                with wire.treated([("redis", "machine")]):
                    service.until(lambda: not is_in_step(service), what="out of step")
                    exchange.trade(PAIR, LATER)
                    service.wait_until_served(PAIR, LATER)
                service.until(lambda: is_in_step(service), what="in step again")


def is_in_step(service: Service) -> bool:
    return bool(service.get("/api/v1/status").json()["fleet"]["in_step"])
