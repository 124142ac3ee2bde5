"""What a process holds, from /proc."""

from pathlib import Path
from typing import NamedTuple


class Holdings(NamedTuple):
    """Of one process, or the sum of several."""

    rss: float
    """MiB."""
    descriptors: int


def holdings(pids: list[int]) -> Holdings:
    """Of all those processes together; one that has just ended holds nothing."""
    each = [_of(pid) for pid in pids]
    return Holdings(sum(one.rss for one in each), sum(one.descriptors for one in each))


def _of(pid: int) -> Holdings:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return Holdings(0.0, 0)
    pages = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return Holdings(int(pages.split()[1]) / 1024, descriptors)
