"""What is done to the line of the Python client, which has to say that it is dead."""

import time

from ltp_service.client.turns import LONGEST_PAUSE
from tests.drill.followed import DEAD
from tests.drill.listener import CLOSED, OPENED, Told
from tests.drill.row import PAIRS, Stage, row
from tests.process.service import children_of

DEAD_FOR = 15.0
"""Seconds, longer than a client may take to say so."""

BACK = LONGEST_PAUSE + 5.0
"""Seconds within which it has tried again."""

YOUNG = 3.0
"""Seconds of the policy of a client that wants fresh prices."""

CONFIRMED = 6.0
"""Seconds to the heartbeat with which a price is found to be too old."""

BEGUN = 5.0
"""Seconds from a fork to the first event on the child's own line."""

LINES = {"long": True, "away": True, "behind_nginx": True}


def _back(stage: Stage) -> None:
    assert stage.subscriber is not None
    told = stage.subscriber.told
    stage.until(lambda: bool(told()) and told()[-1].name != CLOSED, BACK, "the client is back")


def _dead(stage: Stage, what: str, since: float) -> None:
    """Holds the fault, and checks when the client said so."""
    assert stage.subscriber is not None
    stage.hold(DEAD_FOR)
    ends = [each.moment for each in stage.subscriber.told() if each.name == CLOSED and each.moment >= since]
    took = min(ends, default=float("inf")) - since
    slack = stage.tempo.of(0.0, 2.0)
    stage.check(took - stage.queued(since, since + DEAD) <= DEAD + slack, f"{what}: told after {took:.1f} s")


def _resumes(stage: Stage) -> None:
    """The client goes on where it was cut off: it is told of no gap."""
    stage.followed.append(
        lambda every: stage.check(not (gaps := _gaps(every)), f"{gaps or 'no'} gaps for the client")
    )


def _gaps(every: list[list[Told]]) -> int:
    return sum(1 for told in every for each in told if each.name == "gap")


@row("client_hole", f"the client's line: a black hole, then refused, {DEAD_FOR:g} s each", long=True)
def hole(stage: Stage) -> None:
    assert stage.subscribed is not None
    _resumes(stage)
    with stage.faulty():
        since = time.monotonic()
        stage.subscribed.freeze()
        _dead(stage, "black hole", since)
        stage.subscribed.freeze(False)
        _back(stage)
        stage.hold(2.0)
        since = time.monotonic()
        stage.subscribed.refuse()
        stage.subscribed.cut()
        _dead(stage, "refused", since)
        stage.subscribed.refuse(False)
        _back(stage)


@row("client_stopped", f"the service stopped (SIGSTOP) for {DEAD_FOR:g} s, through nginx", **LINES)
def stopped(stage: Stage) -> None:
    service = stage.service
    _resumes(stage)
    with stage.faulty(), stage.stopped(service.master_pid, *service.worker_pids()):
        _dead(stage, "dead line", stage.faulty_from)
    _back(stage)


@row("client_nginx", f"nginx stopped (SIGSTOP), then gone, for {DEAD_FOR:g} s each", **LINES)
def nginx(stage: Stage) -> None:
    assert stage.nginx is not None
    _resumes(stage)
    with stage.faulty():
        with stage.stopped(*children_of(stage.nginx.master_pid)):
            _dead(stage, "stopped", stage.faulty_from)
        _back(stage)
        since = time.monotonic()
        with stage.nginx.gone():
            _dead(stage, "gone", since)
        _back(stage)


@row(
    "client_old",
    f"no source at all, for a client that wants no price older than {YOUNG:g} s",
    max_age=YOUNG,
    elsewhere="process/test_client.py",
)
def old(stage: Stage) -> None:
    """Some seconds later each pair is told to have no price."""
    assert stage.subscriber is not None
    subscriber = stage.subscriber
    with stage.faulty():
        stage.simulator.fault("rest_status", status=500)
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        bound = YOUNG + CONFIRMED + stage.tempo.of(0.0, 2.0)
        took = stage.until(
            lambda: not _priced(subscriber.told()), bound, "no pair has a price for the client"
        )
        stage.simulator.clear()
    stage.remarks.append(f"no price for the client after {took:.1f} s")


def _priced(told: list[Told]) -> set[str]:
    """Pairs whose last event is a price."""
    last = {each.data["pair"]: each.data["amount"] for each in told if each.name == "price"}
    return {pair for pair in PAIRS if last.get(pair) is not None}


@row(
    "client_fork",
    "the client's process forks, and later its line is cut",
    elsewhere="test_drill_client.py",
)
def fork(stage: Stage) -> None:
    assert stage.subscriber is not None
    assert stage.subscribed is not None
    _resumes(stage)
    forked = time.monotonic()
    stage.subscriber.fork()
    stage.hold(stage.tempo.of(5.0, 2.0))
    cut = time.monotonic()
    stage.followed.append(lambda every: _check_fork(stage, every, forked, cut))
    with stage.faulty():
        stage.subscribed.cut()
        _back(stage)
        stage.hold(stage.tempo.of(5.0, 2.0))


def _check_fork(stage: Stage, every: list[list[Told]], forked: float, cut: float) -> None:
    """The child begins with a line of its own, and the parent has noticed nothing."""
    if len(every) != 2:
        stage.problems.append("the client has no child")
        return
    parent, child = every
    hurt = [each for each in parent if each.name == CLOSED and forked <= each.moment < cut]
    stage.check(not hurt, f"{len(hurt)} ends for the parent")
    ended = next((each.moment for each in child if "forked" in each.data.get("reason", "")), float("inf"))
    begun = next((each.moment for each in child if each.name == OPENED and each.moment > ended), float("inf"))
    stage.check(begun < forked + BEGUN, f"a line of the child's own after {begun - forked:.1f} s")
