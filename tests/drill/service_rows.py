"""What is done to the service itself."""

import os
import signal

from tests.drill.row import Stage, row
from tests.process.service import DEADLINE

IN_FLIGHT = 8
"""The clients: each can lose the request that a killed worker was answering."""


@row("kill", "worker killed (SIGKILL)", several_workers=True, killed=IN_FLIGHT * 6)
def kill(stage: Stage) -> None:
    kills = int(stage.tempo.of(6, 1))
    with stage.faulty():
        for _ in range(kills):
            (worker,) = stage.service.worker_pids()
            os.kill(worker, signal.SIGKILL)
            stage.until(lambda worker=worker: _replaced(stage, worker), 10.0, "another worker")  # type: ignore[misc]
            stage.until(stage.fed, 10.0, "fed again")
            stage.hold(stage.tempo.of(2.0, 0.2))
    stage.remarks.append(f"{kills} kills")


@row("reload", "SIGHUP under load, 10 times", several_workers=True)
def reload(stage: Stage) -> None:
    with stage.faulty():
        for _ in range(int(stage.tempo.of(10, 2))):
            (worker,) = stage.service.worker_pids()
            stage.service.signal(signal.SIGHUP)
            stage.until(lambda worker=worker: _replaced(stage, worker), 15.0, "another worker")  # type: ignore[misc]
            stage.hold(stage.tempo.of(1.0, 0.2))


def _replaced(stage: Stage, worker: int) -> bool:
    workers = stage.service.worker_pids()
    return len(workers) == 1 and worker not in workers


@row("terminate", "SIGTERM under load", ends=True)
def terminate(stage: Stage) -> None:
    with stage.faulty():
        stage.service.signal(signal.SIGTERM)
        code = stage.service.wait_for_exit(DEADLINE)
    took = stage.faulty_until - stage.faulty_from
    stage.check(code == 0 and took <= 5.0, f"exit {code} after {took:.1f} s")
