"""python -m benchmarks.scaling: how many readers and clients of streams a fleet carries, calculated from what was measured.

It prints the tables of docs/SCALING.md; a test holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

BUSY = 0.70
"""Of a core, above which answers begin to wait for each other."""

QUESTIONS = 50
"""Different ones that are asked all the time: `pair=…` in some spellings."""

NGINX_CORES, NETWORK = 4, 1_000
"""What one usual machine in front has; megabits per second."""


@dataclass(frozen=True)
class Figures:
    """From benchmarks/RESULTS.md; seconds of one core unless said otherwise."""

    request: float = 137e-6
    """A worker's, per answer of all 7 pairs."""
    cached: float = 19e-6
    """nginx's, per answer from its micro-cache."""
    answer: int = 1_100
    """Bytes of such an answer with its head."""
    bulletins: float = 333.0
    """Per second at most, of all kinds, whatever the trades per second."""
    bulletin: float = 125e-6
    """Redis', for a bulletin without a listener."""
    delivery: float = 10e-6
    """Redis', more for each worker that hears it."""
    presence: float = 0.0012
    """Redis', per second and worker: leases, clocks, keys and symbols asked for."""
    hearing: float = 0.086
    """A worker's, per second, to hear that many bulletins."""
    frame: float = 14.4e-6
    """A worker's, for what one client of a stream is sent at one moment."""
    frame_through_nginx: float = 12.8e-6
    """nginx's, more for the same."""
    moments: float = 4.0
    """At which a stream is sent what is new, per second."""
    frame_bytes: int = 1_280
    """Of such a frame: 60 % of the clients ask for all 7 pairs, 20 % for two, 20 % for one, and all pairs change."""
    streams: int = 5_000
    """Of one worker: STREAM_MAX as it is by default."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a fleet is busy with."""

    workers: int
    worker: float
    """Of a core, each."""
    nginx: float
    """Cores, where nginx is in front."""
    redis: float
    """Of its one core."""
    megabits: float
    """Per second."""

    def used(self) -> dict[str, float]:
        """How much of each bound is used, by its name."""
        return {"worker CPU": self.worker / BUSY, f"network ({NETWORK:,} Mbit/s)": self.megabits / NETWORK}

    @property
    def first(self) -> str:
        """What saturates first when there is more to do."""
        used = self.used()
        return max(used, key=used.__getitem__)


@dataclass(frozen=True, kw_only=True)
class Plan(Needs):
    """What so many readers per second need."""

    readers: int
    way: str

    def used(self) -> dict[str, float]:
        return super().used() | {
            f"nginx ({NGINX_CORES} cores)": self.nginx / NGINX_CORES / BUSY,
            "Redis": self.redis / BUSY,
        }


def direct(readers: int, figures: Figures) -> Plan:
    """Every reader asks a worker."""
    workers = ceil(readers * figures.request / (BUSY - figures.hearing))
    busy = readers * figures.request / workers + figures.hearing
    return Plan(
        readers=readers,
        way="direct",
        workers=workers,
        worker=busy,
        nginx=0.0,
        redis=redis_busy(workers, figures),
        megabits=_megabits(readers, figures),
    )


def cached(readers: int, figures: Figures) -> Plan:
    """nginx answers, and asks a worker for each of so many different questions twice a second."""
    asked = min(readers, 2 * QUESTIONS)
    behind = direct(asked, figures)
    nginx = (readers - asked) * figures.cached
    return replace(behind, readers=readers, way="nginx", nginx=nginx, megabits=_megabits(readers, figures))


@dataclass(frozen=True, kw_only=True)
class StreamPlan(Needs):
    """What so many clients of streams need."""

    clients: int

    def used(self) -> dict[str, float]:
        return super().used() | {"STREAM_MAX": self.clients / self.workers / Figures().streams}


def streamed(clients: int, figures: Figures) -> StreamPlan:
    """Every client follows one stream."""
    each = figures.frame * figures.moments
    workers = max(ceil(clients / figures.streams), ceil(clients * each / (BUSY - figures.hearing)))
    return StreamPlan(
        clients=clients,
        workers=workers,
        worker=clients / workers * each + figures.hearing,
        nginx=clients * figures.frame_through_nginx * figures.moments,
        redis=redis_busy(workers, figures),
        megabits=clients * figures.frame_bytes * figures.moments * 8 / 1e6,
    )


def redis_busy(workers: int, figures: Figures) -> float:
    """Of Redis' one core, with so many workers."""
    told = figures.bulletins * (figures.bulletin + workers * figures.delivery)
    return told + workers * figures.presence


def most_workers(figures: Figures) -> int:
    """With which Redis is busy."""
    per_worker = figures.bulletins * figures.delivery + figures.presence
    return int((BUSY - figures.bulletins * figures.bulletin) / per_worker)


def table(figures: Figures) -> Iterator[str]:
    """Markdown, line by line."""
    yield "| readers/s | way | workers | each busy | nginx cores | Redis busy | Mbit/s | saturates first |"
    yield "|----------:|-----|--------:|----------:|------------:|-----------:|-------:|-----------------|"
    for readers in (10, 1_000, 100_000):
        for plan in (direct(readers, figures), cached(readers, figures)):
            yield (
                f"| {plan.readers:,} | {plan.way} | {plan.workers} | {plan.worker:.0%} | {plan.nginx:.1f}"
                f" | {plan.redis:.1%} | {plan.megabits:,.1f} | {plan.first} |"
            )
    most = most_workers(figures)
    limit = most * (BUSY - figures.hearing) / figures.request
    yield ""
    yield "| stream clients | workers | each busy | nginx cores | Redis busy | Mbit/s | saturates first |"
    yield "|---------------:|--------:|----------:|------------:|-----------:|-------:|-----------------|"
    for clients in (1_000, 10_000, 100_000):
        stream = streamed(clients, figures)
        yield (
            f"| {stream.clients:,} | {stream.workers} | {stream.worker:.0%} | {stream.nginx:.1f}"
            f" | {stream.redis:.1%} | {stream.megabits:,.0f} | {stream.first} |"
        )
    yield ""
    yield f"One Redis is busy with {most} workers, which answer {limit:,.0f} readers/s directly."


def _megabits(readers: int, figures: Figures) -> float:
    return readers * figures.answer * 8 / 1e6


if __name__ == "__main__":
    print(*table(Figures()), sep="\n")
