"""What the history keeps, as values. Moments are unix microseconds, because trades have them and a float loses them."""

from decimal import Decimal
from typing import NamedTuple

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Side


class RecordedTrade(NamedTuple):
    """One trade with its id. Price in quote currency per base unit, quantity in base units, digits as traded."""

    trade_id: int
    traded_at: int
    price: Decimal
    quantity: Decimal
    side: Side


class Run(NamedTuple):
    """Every trade from one id to another was recorded. Ids are consecutive per pair, so none is missing between them."""

    series: int
    """Counts how often the exchange numbered the pair's trades anew. Runs of two series never join."""
    first_trade_id: int
    last_trade_id: int
    first_traded_at: int
    last_traded_at: int


class Coverage(NamedTuple):
    """What is known of one pair."""

    runs: tuple[Run, ...]
    """In the order of time. Two that follow one another have a hole between them."""
    evidence_until: int | None
    """Until when there is evidence that nothing followed the last run's last trade; None without evidence."""
    kept_from: int | None
    """Trades before this moment were deleted; their runs and candles remain. None when none was deleted."""


class Observation(NamedTuple):
    """A price that was the last one for some time, told without an id (protocol v1, REST's ticker)."""

    price: Decimal
    observed_at: int
    """When it was first known to be the last price."""
    evidence_until: int
    """When it was last known to be so. Never before `observed_at`."""
    traded_at: int | None
    """None where the source does not tell it."""
    source: str


class Candle(NamedTuple):
    """The trades of one interval that are known. It may be that not all are."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    """Base units, exact."""
    turnover: Decimal
    """The sum of price times quantity, exact."""
    trades: int
    first_trade_id: int
    last_trade_id: int


class News(NamedTuple):
    """What is to be recorded of one pair."""

    pair: Pair
    trades: tuple[RecordedTrade, ...] = ()
    """In any order; known ones are ignored. None may be stamped ahead of the exchange's clock: until that moment it would look
    as if nothing was traded, and all that follows would contradict it, and would not be recorded."""
    evidence_until: int | None = None
    """Nothing followed the newest trade known to the recorder until then."""
    evidence_for: int | None = None
    """The id of that newest trade: the evidence counts only while the last run ends with it."""
    observation: Observation | None = None


class Written(NamedTuple):
    """What became of news."""

    new: int = 0
    """Trades that were not known."""
    contradicting: tuple[tuple[Pair, RecordedTrade], ...] = ()
    """Those that contradict what is recorded. They are not recorded, and there is no proof around their moments."""


class Around(NamedTuple):
    """What is known around one moment."""

    before: RecordedTrade | None
    """The last trade at or before the moment."""
    after: RecordedTrade | None
    """The first trade after it."""
    coverage: Coverage
    """Of the runs only the last one that began at or before the moment, the first one after it, and the newest."""
    observation: Observation | None
    """The last one observed at or before the moment. None also between two known trades, where only trades decide."""
