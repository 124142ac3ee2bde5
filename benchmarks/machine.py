"""Where a run happens: its cores, its processor, its versions."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "gunicorn",
    "gevent",
    "flask",
    "websocket-client",
    "msgspec",
    "prometheus-client",
    "cachetools",
    "redis",
)


@dataclass(frozen=True)
class Cores:
    """Who runs where: what is measured on one half, what drives it on the other; all on all below four cores."""

    measured: frozenset[int]
    driving: frozenset[int]


def split_cores() -> Cores:
    """Halves of the cores that this process may use."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 4:
        return Cores(frozenset(available), frozenset(available))
    half = len(available) // 2
    return Cores(frozenset(available[:half]), frozenset(available[half:]))


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Processes started inside run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Processor time, user and system, that the living threads of a process have used."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="utf-8").split()[0]) for task in tasks) / 1e9


def resident(pid: int) -> float:
    """KiB of memory that the process holds."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def descriptors(pid: int) -> int:
    """Files that the process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in listed.split()]


def describe(cores: Cores, load: str) -> list[str]:
    """Lines for the report; nothing that names a host or a path."""
    pinned = (
        "" if cores.measured == cores.driving else ", half of them for what is measured, half for the load"
    )
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{_processor()} ({platform.machine()}), {os.cpu_count()} cores{pinned}; {platform.system()}",
        f"{platform.python_implementation()} {platform.python_version()}, "
        + ", ".join(f"{library} {version(library)}" for library in LIBRARIES),
        f"load from {load}; load average before the run {os.getloadavg()[0]:.1f}",
        f"code at {_commit()}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _commit() -> str:
    """The commit, `-dirty` when files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    described = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "no commit"
