"""What is done to the service itself."""

import http.client
import os
import signal
from contextlib import closing

from tests.drill.heard import Line, ended_without_bye
from tests.drill.row import Stage, row
from tests.process.answer import ask
from tests.process.load import Load

ALONGSIDE = 50.0
"""Requests per second of those who ask the service itself while it is killed."""

RELOADED = {"several_workers": True, "elsewhere": "process/test_signals.py"}

CLIENTS = 4
"""Of them; each can lose the one request that is under way."""


@row(
    "kill",
    "worker killed (SIGKILL), through nginx",
    several_workers=True,
    behind_nginx=True,
    elsewhere="process/test_nginx.py",
)
def kill(stage: Stage) -> None:
    """A worker that dies leaves requests unanswered. Only their sender can ask again, and nginx does."""
    assert stage.nginx is not None
    kills = int(stage.tempo.of(12, 1))
    with stage.faulty(), Load(stage.service.port, rate=ALONGSIDE, clients=CLIENTS) as direct:
        for _ in range(kills):
            (worker,) = stage.service.worker_pids()
            os.kill(worker, signal.SIGKILL)
            stage.until(lambda worker=worker: replaced(stage, worker), 10.0, "another worker")  # type: ignore[misc]
            stage.until(stage.fed, 10.0, "fed again")
            stage.hold(stage.tempo.of(2.0, 0.2))
    stage.remarks.append(
        f"{kills} kills; {stage.nginx.left_unanswered()} requests unanswered, asked again by nginx"
    )
    lost, asked = direct.failures().total(), len(direct.outcomes())
    stage.check(
        lost <= kills * CLIENTS or stage.tempo.short, f"{lost} of {asked:,} that came past nginx lost"
    )


@row("reload_nginx", "SIGHUP under load, 10 times, through nginx", behind_nginx=True, **RELOADED)
@row("reload", "SIGHUP under load, 10 times", **RELOADED)
def reload(stage: Stage) -> None:
    stage.heard.append(lambda heard: _each_took_leave(stage, heard))
    with stage.faulty():
        for _ in range(int(stage.tempo.of(10, 2))):
            (worker,) = stage.service.worker_pids()
            stage.service.signal(signal.SIGHUP)
            stage.until(lambda worker=worker: replaced(stage, worker), 15.0, "another worker")  # type: ignore[misc]
            stage.hold(stage.tempo.of(1.0, 0.2))


def _each_took_leave(stage: Stage, heard: list[Line]) -> None:
    missing = ended_without_bye(heard)
    if missing:
        stage.problems.append(f"{missing} streams ended without a bye")


def replaced(stage: Stage, worker: int) -> bool:
    workers = stage.service.worker_pids()
    return len(workers) == 1 and worker not in workers


@row("terminate", "SIGTERM under load and with an idle client", ends=True, elsewhere="process/test_ending.py")
def terminate(stage: Stage) -> None:
    stage.heard.append(lambda heard: _each_took_leave(stage, heard))
    with closing(http.client.HTTPConnection("127.0.0.1", stage.service.port)) as idle:
        ask(idle, "/health")
        with stage.faulty():
            stage.service.signal(signal.SIGTERM)
            code = stage.service.wait_for_exit()
            took = stage.since(stage.faulty_from)
    stage.check(code == 0 and took <= 3.0, f"exit {code} after {took:.1f} s")
