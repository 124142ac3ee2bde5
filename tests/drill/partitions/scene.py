"""One row of the table: what is cut, the readers meanwhile, and the verdict."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event

from tests.deadline import DEADLINE
from tests.drill.clients import Clients, Reading
from tests.drill.fleet_rows import FAILED_OVER, TAKEN_OVER
from tests.drill.partitions.cluster import FRONT, MACHINES, REDISES, WALK, Cluster
from tests.drill.partitions.hosts import CUT, both_ways
from tests.drill.partitions.switch import Treatment
from tests.drill.partitions.watch import (
    Tenure,
    Watch,
    at_once,
    contradictions,
    steps_back,
    tenures,
    without,
)
from tests.drill.row import PAIRS
from tests.drill.run_queue import RunQueue
from tests.drill.truth import TRANSPORT, Truth, Wrong

RATE = 40.0
"""Requests per second on each machine, and through nginx."""
PATIENCE = 10.0
TTL = 30.0
"""CACHE_TTL, the default."""
CALM = 2.0

_TRADE = ("XRP/USD", "2.91733")


@dataclass(frozen=True)
class Row:
    """What is cut, and what the fleet promises meanwhile."""

    name: str
    title: str
    play: Callable[["Scene"], None]
    apart: float = TRANSPORT
    """Seconds by which the two machines may be apart. The workers of one machine agree, whatever is cut."""
    without_owner: float = TAKEN_OVER
    """Seconds, at most, without anyone who feeds."""
    owners_at_once: float = 0.0
    """Seconds for which there may be two owners, where there are two masters of Redis."""
    back: float = FAILED_OVER
    """Seconds, at most, from the end of the fault to a trade that is served everywhere."""


@dataclass
class Outcome:
    """One line of the table; seconds."""

    row: Row
    lasted: float
    fed: list[str]
    """The machines that fed the fleet, in turn."""
    ownerless: float
    requests: int
    failed: int
    wrong: int
    back: float
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.problems


class Scene:
    """A fleet while something is done to its network."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.owner = cluster.owner()[0]
        (self.follower,) = (name for name in MACHINES if name != self.owner)
        self.master = cluster.master()
        (self.replica,) = (name for name in REDISES if name != self.master)
        self.faulty_from = self.faulty_until = 0.0
        self.remarks: list[str] = []
        self.problems: list[str] = []
        self.afterwards: list[Callable[[], None]] = []
        """Called once the fleet is as before, while the readers go on."""
        self._never = Event()

    def hold(self, seconds: float) -> None:
        """Lets the readers go on for that long."""
        self._never.wait(seconds)

    @contextmanager
    def treated(self, directions: Sequence[tuple[str, str]], treatment: Treatment = CUT) -> Iterator[None]:
        """What is done to these directions meanwhile is the fault, from its first beginning to its last end."""
        self.faulty_from = self.faulty_from or time.monotonic()
        with self.cluster.wire.treated(directions, treatment):
            yield
        self.faulty_until = time.monotonic()

    @contextmanager
    def cut(self, these: Sequence[str], those: Sequence[str]) -> Iterator[None]:
        """No frame goes from these hosts to those, nor back."""
        with self.treated(both_ways(these, those)):
            yield

    def check(self, right: bool, what: str) -> None:
        """Notes a figure, and a problem when it is not right."""
        self.remarks.append(what)
        if not right:
            self.problems.append(what)


def play(row: Row, cluster: Cluster, folder: Path) -> Outcome:
    """Plays the row; the cluster is whole again when this returns, or TimeoutError or FleetError is raised."""
    scene = Scene(cluster)
    pids = [machine.service.master_pid for machine in cluster.machines.values()]
    redises = [redis.pid for redis in cluster.redises.values()]
    with ExitStack() as stack:
        queue = stack.enter_context(RunQueue(cluster.exchange.pid, cluster.wire.pid, *pids, *redises))
        truth = Truth(cluster.exchange, PAIRS, queue.waited)
        crowds = {name: _crowd(cluster, name, folder / f"{row.name}-{name}") for name in (*MACHINES, FRONT)}
        for crowd in crowds.values():
            stack.callback(crowd.kill)
        watch = stack.enter_context(Watch(cluster.machines))
        begun = time.monotonic()
        scene.hold(CALM)
        row.play(scene)
        back = _until_back(cluster, scene.faulty_until)
        truth.catch_up()
        cluster.exchange.walk(WALK)
        for ask in scene.afterwards:
            ask()
        scene.hold(CALM)
        ended = time.monotonic()
        answers = {name: crowd.stop() for name, crowd in crowds.items()}
        truth.catch_up()
    verdict = _Verdict(row, scene, truth, answers, watch, (begun, ended))
    outcome = verdict.outcome(back, _longest_wait(queue, begun, ended))
    cluster.until_whole()
    return outcome


def _longest_wait(queue: RunQueue, since: float, until: float) -> float:
    """Seconds, at most, for which the programs of the fleet got no processor within any two seconds."""
    moments = [since + second for second in range(int(until - since))]
    return max((queue.waited(moment, moment + 2.0) for moment in moments), default=0.0)


def _crowd(cluster: Cluster, host: str, file: Path) -> Clients:
    port = cluster.nginx.port if host == FRONT else cluster.machines[host].service.port
    with cluster.wire[host].entered():
        return Clients.start(port, RATE, file, PATIENCE)


def _until_back(cluster: Cluster, since: float) -> float:
    """Seconds from that moment until one owner tells all workers of a new trade; nothing else is traded from then on."""
    cluster.until_led()
    cluster.exchange.walk(on=False)
    cluster.exchange.trade(*_TRADE)
    cluster.until_served(*_TRADE, *MACHINES, within=DEADLINE)
    return time.monotonic() - since


class _Verdict:
    def __init__(
        self,
        row: Row,
        scene: Scene,
        truth: Truth,
        answers: dict[str, list[Reading]],
        watch: Watch,
        span: tuple[float, float],
    ) -> None:
        self._row, self._scene, self._truth = row, scene, truth
        self._answers = answers
        self._told = watch.told
        self._span = span

    @cached_property
    def _tenures(self) -> list[Tenure]:
        return tenures(self._told)

    def outcome(self, back: float, queued: float) -> Outcome:
        row, scene = self._row, self._scene
        wrong = self._wrong(queued)
        failures = Counter(
            f"{name}: {each.failure}" for name, all_ in self._answers.items() for each in all_ if each.failure
        )
        ownerless = without(self._tenures, *self._span)
        together = at_once(self._tenures)
        scene.problems += [f"{count} x {failure}" for failure, count in failures.items()]
        scene.problems += [f"{one.moment - scene.faulty_from:+.3f} s: {one.why}" for one in wrong[:8]]
        scene.problems += contradictions(self._told)
        if not row.owners_at_once:
            scene.problems += steps_back(self._told)
        if ownerless > row.without_owner + queued:
            scene.problems.append(f"no worker fed for {ownerless:.1f} s")
        if together > row.owners_at_once:
            scene.problems.append(f"two fed for {together:.1f} s")
        elif together > 0:
            scene.remarks.append(f"two fed for {together:.1f} s")
        if back > row.back + queued:
            scene.problems.append(f"back only after {back:.1f} s")
        scene.remarks.append(f"no processor for {queued:.1f} s at most")
        scene.remarks += self._figures()
        return Outcome(
            row,
            scene.faulty_until - scene.faulty_from,
            [each.machine for each in self._tenures],
            ownerless,
            sum(map(len, self._answers.values())),
            failures.total(),
            len(wrong),
            back,
            scene.remarks,
            scene.problems,
        )

    def _wrong(self, queued: float) -> list[Wrong]:
        slack = {name: queued + (self._row.apart if name == FRONT else TRANSPORT) for name in self._answers}
        found = [
            Wrong(each.moment, f"{name}: {each.why}")
            for name, readings in self._answers.items()
            for each in self._truth.wrong(readings, TTL, slack=slack[name])
        ]
        return sorted(found, key=lambda each: each.moment)

    def _figures(self) -> Iterator[str]:
        during = {
            name: [each for each in all_ if self._scene.faulty_from <= each.due < self._scene.faulty_until]
            for name, all_ in self._answers.items()
        }
        for name, readings in during.items():
            ages = [int(price.age_ms) for each in readings for price in each.served if price.age_ms]
            spent = sorted(each.answered_at - each.due for each in readings) or [0.0]
            p99 = spent[int(0.99 * len(spent))]
            yield f"{name}: age at most {max(ages, default=0) / 1000:.1f} s, p99 {1000 * p99:.0f} ms"
        yield f"{len(self._steps_back())} plain prices went back for clients of nginx"

    def _steps_back(self) -> list[Wrong]:
        """Where a client who asks nginx the plain question saw an older price than before."""
        plain = [each for each in self._answers[FRONT] if each.served and each.served[0].state is None]
        return [each for each in self._truth.wrong(plain, TTL) if "older by" in each.why]
