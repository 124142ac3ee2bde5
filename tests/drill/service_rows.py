"""What is done to the service itself."""

import os
import signal

from tests.deadline import DEADLINE
from tests.drill.row import Stage, row
from tests.process.load import Load

ALONGSIDE = 50.0
"""Requests per second of those who ask the service itself while it is killed."""

CLIENTS = 4
"""Of them; each can lose the one request that is under way."""


@row("kill", "worker killed (SIGKILL), through nginx", several_workers=True, behind_nginx=True)
def kill(stage: Stage) -> None:
    """Nobody but who asked it can ask again for what a worker did not live to answer, and nginx does."""
    assert stage.nginx is not None
    kills = int(stage.tempo.of(12, 1))
    with stage.faulty(), Load(stage.service.port, rate=ALONGSIDE, clients=CLIENTS) as direct:
        for _ in range(kills):
            (worker,) = stage.service.worker_pids()
            os.kill(worker, signal.SIGKILL)
            stage.until(lambda worker=worker: _replaced(stage, worker), 10.0, "another worker")  # type: ignore[misc]
            stage.until(stage.fed, 10.0, "fed again")
            stage.hold(stage.tempo.of(2.0, 0.2))
    stage.remarks.append(
        f"{kills} kills; {stage.nginx.left_unanswered()} requests unanswered, asked again by nginx"
    )
    lost, asked = direct.failures().total(), len(direct.outcomes())
    stage.check(
        lost <= kills * CLIENTS or stage.tempo.short, f"{lost} of {asked:,} that came past nginx lost"
    )


@row("reload_nginx", "SIGHUP under load, 10 times, through nginx", several_workers=True, behind_nginx=True)
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
