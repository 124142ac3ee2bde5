"""Who feeds the fleet, as its workers tell it, and whether what they tell can be true."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import NamedTuple, Self

from tests.drill.partitions.machine import Machine

_PAUSE = 0.05


class Told(NamedTuple):
    """What one worker said about its place in the fleet; moments are monotonic seconds."""

    asked_at: float
    answered_at: float
    machine: str
    pid: int
    role: str
    in_step: bool
    owner: str | None
    epoch: int


class Tenure(NamedTuple):
    """The time in which one worker surely was the owner: from the end of its first answer to its last question."""

    machine: str
    pid: int
    epoch: int
    since: float
    until: float


class Watch:
    """Asks the workers of each machine on the machine itself, so that no cut line keeps an answer away."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self.told: list[Told] = []
        self._stop = Event()
        self._threads = [
            Thread(target=self._ask, args=(name, machine), name=f"watch {name}", daemon=True)
            for name, machine in machines.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, name: str, machine: Machine) -> None:
        while not self._stop.wait(_PAUSE):
            asked_at = monotonic()
            said = machine.status()
            place = said["fleet"]
            self.told.append(
                Told(
                    asked_at,
                    monotonic(),
                    name,
                    int(said["worker"]["pid"]),
                    place["role"],
                    place["in_step"],
                    place["owner"],
                    int(place["epoch"]),
                )
            )


def tenures(told: Iterable[Told]) -> list[Tenure]:
    """In the order of their beginnings."""
    held: dict[tuple[str, int, int], list[Told]] = defaultdict(list)
    for each in told:
        if each.role == "owner":
            held[each.machine, each.pid, each.epoch].append(each)
    return sorted(
        (
            Tenure(*key, min(each.answered_at for each in those), max(each.asked_at for each in those))
            for key, those in held.items()
        ),
        key=lambda tenure: tenure.since,
    )


def at_once(found: Sequence[Tenure]) -> float:
    """Seconds, at most, for which two workers were owners at the same time."""
    return max(
        (min(one.until, other.until) - max(one.since, other.since) for one, other in combinations(found, 2)),
        default=0.0,
    )


def without(found: Sequence[Tenure], since: float, until: float) -> float:
    """Seconds, at most, for which no worker was the owner between those moments."""
    ends = [(since, since), *((each.since, each.until) for each in found), (until, until)]
    longest, known = 0.0, since
    for (_, ended), (begun, _) in pairwise(sorted(ends)):
        known = max(known, ended)
        longest = max(longest, min(begun, until) - known)
    return longest


def contradictions(told: Iterable[Told]) -> list[str]:
    """Answers that cannot all be true: one number for two owners, or an owner that names another one."""
    owners: dict[int, set[str]] = defaultdict(set)
    wrong = []
    for each in told:
        if each.owner is None:
            continue
        owners[each.epoch].add(each.owner)
        if each.role == "owner" and not each.owner.startswith(f"{each.machine}:{each.pid}:"):
            wrong.append(f"{each.machine} ({each.pid}) is the owner and says that {each.owner} is")
    return wrong + [
        f"the tenure {epoch} is said to be of {' and of '.join(sorted(names))}"
        for epoch, names in owners.items()
        if len(names) > 1
    ]


def steps_back(told: Iterable[Told]) -> list[str]:
    """Where one worker told of a tenure, and later of an earlier one."""
    newest: dict[int, int] = {}
    wrong = []
    for each in sorted(told, key=lambda each: each.asked_at):
        if each.epoch < newest.get(each.pid, 0):
            wrong.append(
                f"{each.machine} ({each.pid}) told of the tenure {each.epoch} after {newest[each.pid]}"
            )
        newest[each.pid] = max(each.epoch, newest.get(each.pid, 0))
    return wrong
