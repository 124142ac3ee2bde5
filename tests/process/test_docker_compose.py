"""The service and its Redis with the settings and options of docker-compose.yml."""

from pathlib import Path

from redis import Redis

from tests.compose import begin, settings
from tests.process.service import Service
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator


def test_the_service_reaches_its_redis_by_the_password_that_was_made_and_serves(
    simulator: Simulator, tmp_path: Path
) -> None:
    with RedisServer.start(tmp_path, *begin("redis", tmp_path).arguments) as redis:
        reached = {"REDIS_ADDR": redis.address, "REDIS_PASSWORD_FILE": str(tmp_path / "password")}
        here = {"HOST": "127.0.0.1", "PORT": "0"}
        with Service.start(simulator, fed=False, **settings() | reached | here) as service:
            simulator.trade("XRP/USD", "2.91733")
            service.wait_until_served("XRP/USD", "2.91733")
            assert simulator.wait(open=1)["connections_open"] == 1
            assert not [line for line in service.messages() if "has its own feed" in line]


def test_redis_finds_all_of_it_after_a_restart_and_evicts_nothing(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, *begin("redis", tmp_path).arguments) as server:
        redis = Redis(port=server.port, password=(tmp_path / "password").read_text().strip())
        redis.set("kept", 1)
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        server.kill()
        server.restart()
        assert redis.get("kept") == b"1"
        redis.close()
