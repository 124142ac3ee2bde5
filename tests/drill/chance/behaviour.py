"""How an exchange, a line and a machine's clock may behave: drawn for a seed."""

import random
from dataclasses import dataclass, field

from tests.drill.chance.market import PAUSES

KINDS = (
    "cut",
    "silent",
    "late",
    "late_data",
    "deaf",
    "deaf_trades",
    "deaf_tickers",
    "unusable",
    "reordered",
    "told_twice",
    "rest_down",
    "rest_slow",
    "acks_behind",
)
"""What may go wrong for a while."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong from `begin` to `end`, in seconds of the play."""

    kind: str
    begin: float
    end: float
    pair: str | None = None
    size: float = 0.0
    """Seconds of lateness, where it has any."""

    def touches(self, moment: float, pair: str | None = None, after: float = 0.0) -> bool:
        """Whether it lasts at `moment`, or ended less than `after` seconds before."""
        if self.pair is not None and pair is not None and pair != self.pair:
            return False
        return self.begin <= moment < self.end + after


@dataclass(frozen=True)
class Behaviour:
    """Everything that a seed draws but the market."""

    protocol: str
    latency: float
    """Seconds from the exchange to us, at least."""
    skew: float
    """Seconds by which this machine's clock is wrong."""
    skew_jumps_at: float
    """Moment at which it is set right, or wrong."""
    cache: float
    """Seconds for which REST's answers come from a cache."""
    edges: int
    """Caches that answer in no order."""
    tells_age: bool
    """REST's answers say how old they are."""
    trade_snapshots: bool
    """A v1 subscription to trades begins with a snapshot."""
    faults: tuple[Fault, ...] = field(default=())

    def now(self, kind: str, moment: float, pair: str | None = None) -> Fault | None:
        """The fault of that kind that lasts."""
        return next((each for each in self.faults if each.kind == kind and each.touches(moment, pair)), None)


def draw(seconds: float, quiet: float, chance: random.Random) -> Behaviour:
    """One behaviour. Nothing goes wrong in the last `quiet` seconds."""
    faults = []
    for _ in range(chance.choice((0, 1, 2, 2, 3, 4))):
        kind = chance.choice(KINDS)
        begin = chance.uniform(0.0, seconds - quiet - 30.0)
        end = min(begin + chance.choice((3.0, 10.0, 40.0, 120.0)), seconds - quiet)
        pair = chance.choice(tuple(PAUSES)) if kind.startswith(("deaf", "unusable")) else None
        size = chance.choice((1.0, 3.0, 8.0))
        faults.append(Fault(kind, begin, end, pair, size))
    return Behaviour(
        protocol=chance.choice(("v1", "v2", "v2")),
        latency=chance.choice((0.005, 0.05, 0.15)),
        skew=chance.choice((0.0, 0.0, 2.0, -2.0, 120.0, -120.0, 600.0, -600.0)),
        skew_jumps_at=chance.choice((1e9, 1e9, seconds / 3)),
        cache=chance.choice((0.0, 2.0, 2.0, 5.0, 10.0)),
        edges=chance.choice((1, 1, 3)),
        tells_age=chance.random() < 0.3,
        trade_snapshots=chance.random() < 0.5,
        faults=tuple(sorted(faults, key=lambda fault: fault.begin)),
    )
