"""A fleet whose Redis lets it in as a user of its own, with the rights of docs/SCALING.md and no more."""

from pathlib import Path

import pytest

from tests.process.service import Service
from tests.redis.test_client import RIGHTS, WORD
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

ADMIN = "ltp_" + "a" * 43


@pytest.mark.timeout(180)
def test_a_fleet_needs_no_more_rights_than_are_documented(simulator: Simulator, tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as redis:
        redis.run(*RIGHTS.replace("PASSWORD", WORD).split())
        redis.run("ACL", "SETUSER", "default", "off")
        settings = {
            "WEB_CONCURRENCY": "2",
            "CACHE_BACKEND": "redis",
            "REDIS_ADDR": redis.address,
            "REDIS_USERNAME": "ltp",
            "REDIS_PASSWORD": WORD,
            "RATE_LIMIT_ENABLED": "true",
            "AUTH_API_KEY": ADMIN,
            "COLLECTORS": "bybit_trades,bybit_books",
            "BYBIT_WEBSOCKET_URL": simulator.bybit_url,
            "SYMBOLS": "BTCUSDT",
        }
        with Service.start(simulator, fed=False, **settings) as service:
            service.until(
                lambda: (
                    bool(service.get("/api/v1/status").json()["fleet"]["in_step"]) and len(service.ltp()) == 7
                ),
                what="a fleet in step",
            )
            key = {"X-API-Key": ADMIN}
            assert service.send("POST", "/auth/api-keys?name=x", key).status == 201
            assert service.send("POST", "/collectors/symbols?symbol=ETHUSDT", key).status == 201
            service.until(
                lambda: service.get("/collectors/trades?symbol=BTCUSDT").json() != [], what="a trade"
            )
            assert not [line for line in service.log_lines() if "permission" in line["message"].lower()]
