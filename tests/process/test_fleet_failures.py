"""What a fleet survives that does not leave its Redis in place, and how it may reach it."""

import time
from functools import partial
from pathlib import Path

from ltp_service.redis.client import REDIS_TIMEOUT_SECONDS
from tests.deadline import DEADLINE, IN_FULL
from tests.drill.certificates import NAME, Authority
from tests.process.fleet import Clients, Fleet, hold, until
from tests.process.sentinels import Sentinels
from tests.redis_server import RedisServer, free_port
from tests.simulator.client import Simulator

PAIR = "BTC/USD"
KILLS = 2 if IN_FULL else 1


def test_no_client_notices_that_the_owners_service_is_killed(simulator: Simulator, tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as redis, Fleet(simulator, 2, {"REDIS_ADDR": redis.address}) as fleet:
        for _ in range(KILLS):
            simulator.walk(rate=100)
            epoch = int(fleet.owner().place()["epoch"])
            dying = fleet.owner().service
            with Clients([service for service in fleet.services if service is not dying]) as clients:
                hold(0.5)
                fleet.kill(dying)
                until(partial(fleet.is_led_anew, epoch), DEADLINE, "another owner")
                fleet.until_in_step("XRP/USD", "2.91734", DEADLINE)
                hold(0.5)
            assert not clients.failures()
            assert not clients.steps_back()
            simulator.wait(open=1)
            if IN_FULL:
                fleet.join()
                fleet.until_led()


def test_a_failover_by_sentinels_is_noticed_by_no_client(simulator: Simulator, tmp_path: Path) -> None:
    with (
        Sentinels.start(tmp_path) as sentinels,
        Fleet(simulator, 2, sentinels.settings()) as fleet,
        Clients(fleet.services) as clients,
    ):
        simulator.walk(rate=100)
        begun = time.monotonic()
        hold(1)
        killed = time.monotonic()
        sentinels.fail_over()
        fleet.until_in_step("XRP/USD", "2.91733", DEADLINE)
        back = time.monotonic()
        hold(0.5)
    assert not clients.failures()
    assert not clients.steps_back()
    clients.assert_none_waits((begun, killed), (killed, back), REDIS_TIMEOUT_SECONDS)


def test_a_redis_behind_a_password_and_tls_is_as_good(simulator: Simulator, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue()
    port = free_port()
    tls = (
        *("--tls-port", str(port), "--tls-auth-clients", "no", "--requirepass", "hunter2"),
        *("--tls-cert-file", str(tmp_path / f"{NAME}-good.pem")),
        *("--tls-key-file", str(tmp_path / f"{NAME}-good.key"), "--tls-ca-cert-file", str(authority.file)),
    )
    with (
        RedisServer.start(tmp_path, *tls),
        Fleet(
            simulator,
            1,
            {
                "REDIS_ADDR": f"rediss://{NAME}:{port}",
                "REDIS_PASSWORD": "hunter2",
                "SSL_CERT_FILE": str(authority.file),
            },
        ) as fleet,
    ):
        fleet.until_in_step(PAIR, "111111.5", DEADLINE)
