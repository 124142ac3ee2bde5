"""How an exchange, a line and a machine's clock may behave: drawn for a seed."""

import random
from dataclasses import dataclass, field

from tests.drill.chance.market import PAUSES

OF_ONE_PAIR = (
    "deaf",
    "deaf_trades",
    "deaf_tickers",
    "unusable",
    "unusable_trades",
    "unusable_tickers",
    "null_row",
    "ahead",
    "refused",
    "renamed",
    "pair_halt",
    "delisted",
)
KINDS = (
    *OF_ONE_PAIR,
    "cut",
    "silent",
    "late",
    "late_data",
    "reordered",
    "newest_first",
    "told_twice",
    "no_ack",
    "acks_behind",
    "halt",
    "rest_down",
    "rest_slow",
    "rest_error",
)
"""What may go wrong for a while."""

HALTS = ("maintenance", "cancel_only", "post_only")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong from `begin` to `end`, in seconds of the play."""

    kind: str
    begin: float
    end: float
    pair: str | None = None
    size: float = 0.0
    """Seconds of lateness, where it has any."""
    word: str = ""
    """The exchange's own, where it says one."""

    def touches(self, moment: float, pair: str | None = None, after: float = 0.0) -> bool:
        """Whether it lasts at `moment`, or ended less than `after` seconds before."""
        if self.pair is not None and pair is not None and pair != self.pair:
            return False
        return self.begin <= moment < self.end + after

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.kind, self.pair, self.word)))
        return f"{what} {self.begin:.1f}-{self.end:.1f} ({self.size:g})"


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
    stamps_snapshots: bool = True
    """A v2 ticker snapshot has the time of the subscription, else that of the trade."""
    odd_status: float = 0.0
    """Seconds between two status frames that do not tell the engine's state; 0: there are none."""
    midnight: float = 1e9
    """Moment at which REST begins to count the day's trades and volume anew."""
    faults: tuple[Fault, ...] = field(default=())

    def now(self, kind: str, moment: float, pair: str | None = None) -> Fault | None:
        """The fault of that kind that lasts."""
        return next((each for each in self.faults if each.kind == kind and each.touches(moment, pair)), None)

    def any(self, kinds: tuple[str, ...], moment: float, pair: str | None = None, after: float = 0.0) -> bool:
        """Whether one of these kinds lasts, or ended less than `after` seconds before."""
        return any(each.kind in kinds and each.touches(moment, pair, after) for each in self.faults)

    def halted(self, moment: float, pair: str) -> Fault | None:
        """What keeps the exchange from matching orders of the pair."""
        kinds = ("halt", "pair_halt", "delisted")
        return next((fault for kind in kinds if (fault := self.now(kind, moment, pair))), None)

    def __str__(self) -> str:
        faults = "; ".join(map(str, self.faults))
        return (
            f"{self.protocol}, latency {self.latency}, skew {self.skew:g} until {self.skew_jumps_at:g}, cache "
            f"{self.cache:g} x {self.edges} age {self.tells_age}, snapshots {self.trade_snapshots} "
            f"{self.stamps_snapshots}, odd status {self.odd_status:g}, midnight {self.midnight:g}; {faults}"
        )


def draw(seconds: float, quiet: float, chance: random.Random) -> Behaviour:
    """One behaviour. Nothing goes wrong in the last `quiet` seconds."""
    faults = [_fault(seconds - quiet, chance) for _ in range(chance.choice((0, 1, 2, 2, 3, 4)))]
    return Behaviour(
        protocol=chance.choice(("v1", "v2", "v2")),
        latency=chance.choice((0.005, 0.05, 0.15)),
        skew=chance.choice((0.0, 0.0, 2.0, -2.0, 120.0, -120.0, 600.0, -600.0)),
        skew_jumps_at=chance.choice((1e9, 1e9, seconds / 3)),
        cache=chance.choice((0.0, 2.0, 2.0, 5.0, 10.0)),
        edges=chance.choice((1, 1, 3)),
        tells_age=chance.random() < 0.3,
        trade_snapshots=chance.random() < 0.5,
        stamps_snapshots=chance.random() < 0.7,
        odd_status=chance.choice((0.0, 0.0, 7.0)),
        midnight=chance.choice((1e9, 1e9, 1e9, chance.uniform(0.0, seconds))),
        faults=tuple(sorted(faults, key=lambda fault: fault.begin)),
    )


def _fault(until: float, chance: random.Random) -> Fault:
    kind = chance.choice(KINDS)
    begin = chance.uniform(0.0, until - 30.0)
    end = min(begin + chance.choice((3.0, 10.0, 40.0, 120.0)), until)
    pair = chance.choice(tuple(PAUSES)) if kind in OF_ONE_PAIR else None
    word = chance.choice(HALTS) if kind in ("halt", "pair_halt") else ""
    return Fault(kind, begin, end, pair, chance.choice((1.0, 3.0, 8.0)), word or chance.choice(("", "other")))
