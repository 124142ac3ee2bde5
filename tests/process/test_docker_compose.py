"""The service and its Redis with the settings and options of docker-compose.yml."""

import shlex
from pathlib import Path

from redis import Redis

from tests.compose import SERVICES, settings
from tests.process.service import Service
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

PASSWORD = "one that was chosen"  # noqa: S105 - for a Redis that lives as long as the test


def redis_options() -> list[str]:
    """What the shell of its container makes of its command."""
    *_, script = SERVICES["redis"]["command"]
    _, program, *options = shlex.split(script.replace("$$REDISCLI_AUTH", PASSWORD))
    assert program == "redis-server"
    return options


def test_the_service_reaches_its_redis_and_serves(simulator: Simulator, tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, *redis_options()) as redis:
        reached = {"REDIS_ADDR": redis.address, "REDIS_PASSWORD": PASSWORD}
        with Service.start(simulator, fed=False, **settings() | reached) as service:
            simulator.trade("XRP/USD", "2.91733")
            service.wait_until_served("XRP/USD", "2.91733")
            assert simulator.wait(open=1)["connections_open"] == 1
            assert not [line for line in service.messages() if "has its own feed" in line]


def test_redis_finds_all_of_it_after_a_restart_and_evicts_nothing(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, *redis_options()) as server:
        redis = Redis(port=server.port, password=PASSWORD)
        redis.set("kept", 1)
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        server.kill()
        server.restart()
        assert redis.get("kept") == b"1"
        redis.close()
