"""The shape of every JSON answer. The views fill the shapes, and the OpenAPI document reads its schemas from them.

Fields are encoded in the order in which they stand here. The docstrings of shapes and fields go into the
document.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ltp_service.collected.books import BookState
from ltp_service.collected.trades import TradeStatistics
from ltp_service.domain.book import BookProblem
from ltp_service.domain.market import MarketStatus
from ltp_service.domain.tick import Source as TickSource
from ltp_service.domain.trade import Side
from ltp_service.feed.contract import State as CollectorState
from ltp_service.history import export
from ltp_service.history.answers import Covered, Interval
from ltp_service.history.answers import Proof as KindOfProof
from ltp_service.http.problems import OF_A_PAIR, OF_A_PAST_PAIR, PROBLEMS
from ltp_service.keys.key import KeyState, Permission
from ltp_service.prices.doubts import Reason
from ltp_service.prices.freshness import PriceState
from ltp_service.rest.breaker import BreakerState
from ltp_service.streams import events

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0, description="Seconds")]
Milliseconds = Annotated[int, Meta(ge=0)]
Moment = Annotated[
    str, Meta(examples=["2026-11-21T00:46:21.123456Z"], extra_json_schema={"format": "date-time"})
]
PairName = Annotated[str, Meta(pattern="^[A-Z0-9.]+/[A-Z0-9.]+$", examples=["BTC/USD"])]
TradedAt = Annotated[Moment | None, Meta(description="Null where the exchange does not give it")]
TradeId = Annotated[int | None, Meta(description="Null where the exchange does not give it")]
Number = Annotated[Raw, Meta(extra_json_schema={"type": "number"})]
"""A decimal with its own digits; see `answers.number`."""
Positive = Annotated[Number, Meta(gt=0)]

Digits = export.Digits

NOT_EMPTY = Meta(extra_json_schema={"minItems": 1})

# These have names of their own in the document.

Amount = Annotated[
    Positive,
    Meta(
        title="Amount",
        description="Quote currency per base unit, with the exchange's own digits; read it as a decimal, for a binary"
        " float may not hold it",
    ),
]
State = Annotated[
    PriceState,
    Meta(
        title="State",
        description="live: the feed is proven alive, the last trade at most 60 s old; quiet: the last trade is older;"
        " fallback: confirmed by REST; substitute: another exchange's last trade of the pair, because Kraken is silent;"
        " halted: the exchange matches no orders now; stale: not confirmed for too long; unknown: never seen",
    ),
]
Source = Annotated[TickSource, Meta(title="Source")]
Market = Annotated[MarketStatus, Meta(title="Market")]
Proof = Annotated[
    KindOfProof,
    Meta(
        title="Proof",
        description="exact: two trades with consecutive ids bracket the moment, or there is evidence that none followed;"
        " observed: told without an id, by protocol v1 or REST",
    ),
]
Coverage = Annotated[
    Covered,
    Meta(
        title="Coverage",
        description="complete: every trade is known; partial: some are; empty: it is known that there was none; unknown:"
        " none is known, and there may have been some",
    ),
]

# Errors.

Code = Annotated[str, Meta(title="ErrorCode", extra_json_schema={"enum": list(PROBLEMS)})]


class PairError(msgspec.Struct, frozen=True):
    """Why an asked pair has no price."""

    pair: PairName
    error: Literal["Failed to fetch price"]
    code: Annotated[str, Meta(extra_json_schema={"enum": list(OF_A_PAIR)})]
    message: str


class Edge(msgspec.Struct, frozen=True):
    """A known trade beside missing ones."""

    trade_id: int
    traded_at: Moment
    price: Digits


class PastError(PairError, frozen=True):
    """Why an asked pair has no price at the moment."""

    code: Annotated[str, Meta(extra_json_schema={"enum": list(OF_A_PAST_PAIR)})]
    before: Edge | UnsetType = UNSET
    """Of HISTORY_GAP: the last known trade before the missing ones."""
    after: Edge | UnsetType | None = UNSET
    """Of HISTORY_GAP: the first known trade after them; null where none is known yet."""


class Error(msgspec.Struct, frozen=True):
    """Every error of every route."""

    error: Code
    """The same as `code`."""
    message: str
    """What happened and what to do, for people."""
    code: Code
    request_id: str
    """As in the header X-Request-ID."""
    errors: list[PastError | PairError] | UnsetType = UNSET
    """When prices were asked: why each pair has none."""


# Prices.


class Price(msgspec.Struct, frozen=True):
    """The last traded price of a pair."""

    pair: PairName
    amount: Amount


class Witness(msgspec.Struct, frozen=True):
    """What another exchange last traded the pair at."""

    exchange: str
    price: Amount
    age_ms: Milliseconds
    """Since it arrived."""
    divergence_bps: Number | None
    """Basis points above our price. Null when the pair was never seen."""


class Consensus(msgspec.Struct, frozen=True):
    """What the exchanges with a price confirmed within 10 s say together."""

    median: Digits | None
    """Of their last trades. Null with fewer than three of them."""
    sources: list[str]
    """The exchanges with such a price."""
    spread_bps: Number | None
    """From the lowest to the highest, in basis points of the median. Null without a median."""
    deviation_bps: Number | None
    """How far the price of this service is above the median, in basis points of it. Null without either."""
    reason: str | UnsetType = UNSET
    """Why there is no median; absent where there is one."""


class Level(msgspec.Struct, frozen=True):
    """What is bid or asked at one price."""

    price: Positive
    size: Positive


class PairBook(msgspec.Struct, frozen=True):
    """The best bid and ask of a pair on Kraken. Both are null while they cannot be believed."""

    bid: Level | None
    """Null with a problem, or when nothing is bid."""
    ask: Level | None
    """Null with a problem, or when nothing is asked."""
    in_sync: bool
    """False: an update may be missing."""
    problem: BookProblem | None
    """`unknown`: not received yet; `out_of_sync`: an update may be missing; `stale`: the last of Kraken is over 5 s old."""
    age_ms: Milliseconds | None
    """Since the last message of the feed, which shows that the book is still this one, and the time by which the feed is
    late. Null before the first."""


class DetailedPrice(Price, frozen=True):
    """The last traded price of a pair, where it comes from and how sure it is."""

    price: str
    """The exchange's text, every digit."""
    state: State
    source: Source
    traded_at: TradedAt
    confirmed_at: Moment
    """The last evidence that this still is the last trade."""
    age_ms: Milliseconds
    """Since `confirmed_at`."""
    trade_id: TradeId
    witnesses: Annotated[list[Witness] | UnsetType, NOT_EMPTY] = UNSET
    """What other exchanges last traded the pair at; absent where none is collected."""
    consensus: Consensus | UnsetType = UNSET
    """Absent where no other exchange has told a price of the pair."""
    deviating: bool | UnsetType = UNSET
    """Whether the price is farther than PRICE_DIVERGENCE_LIMIT from the median of the other exchanges. Absent where fewer
    than two others have a price confirmed within 10 s."""
    book: PairBook | UnsetType = UNSET
    """Absent in a stream, and where `kraken_books` is not in COLLECTORS."""


class NoPrice(msgspec.Struct, frozen=True):
    """In a stream: there is no price to serve now."""

    pair: PairName
    amount: None
    price: None
    state: Annotated[PriceState, Meta(extra_json_schema={"enum": ["stale", "unknown"]})]
    source: Source | None
    """Null when the pair was never seen."""
    traded_at: TradedAt
    """Of the last known trade."""
    confirmed_at: Moment | None
    """The last evidence that it still was the last trade. Null when the pair was never seen."""
    age_ms: Milliseconds | None
    """Since `confirmed_at`."""
    trade_id: TradeId


AnyPrice = DetailedPrice | Price
"""Generated clients try one after the other, and every DetailedPrice has what a Price has."""


class Prices(msgspec.Struct, frozen=True):
    """The prices that can be served, in the order asked."""

    ltp: list[AnyPrice]


class SomePrices(msgspec.Struct, frozen=True):
    """The prices that can be served, and why the others cannot."""

    ltp: Annotated[list[AnyPrice], NOT_EMPTY]
    errors: Annotated[list[PairError], NOT_EMPTY]


# History.


class PastPrice(Price, frozen=True):
    """The last traded price of a pair at a moment, with its proof."""

    price: Digits
    """The exchange's text, every digit."""
    traded_at: TradedAt
    trade_id: TradeId
    proof: Proof
    next_trade_id: int | None
    """The trade that ended it. Null where none is known yet, and where the price was observed."""
    evidence_until: Moment
    """Until when it is known to have been the last price: the next trade, or the newest evidence."""


class PastPrices(msgspec.Struct, frozen=True):
    """The prices at a moment, in the order asked."""

    time: Moment
    """The moment asked for, in UTC."""
    ltp: list[PastPrice]


class SomePastPrices(PastPrices, frozen=True):
    """The prices at a moment that are known, and why the others are not."""

    errors: Annotated[list[PastError], NOT_EMPTY]


class Candle(msgspec.Struct, frozen=True):
    """The known trades of one interval. It is never filled from the one before."""

    start: Moment
    open: Digits | None
    """Null, as all prices of the interval, where no trade is known."""
    high: Digits | None
    low: Digits | None
    close: Digits | None
    volume: Digits
    """Base units, exact."""
    vwap: Digits | None
    """The average price weighted by volume, two more decimal places than the prices."""
    trades: Count
    first_trade_id: int | None
    last_trade_id: int | None
    coverage: Coverage
    open_ended: bool | UnsetType = UNSET
    """True for the interval that is not over yet, else absent."""


class Candles(msgspec.Struct, frozen=True):
    """Every interval from the first to the last, oldest first."""

    pair: PairName
    interval: Interval
    candles: list[Candle]


PastTrade, PastGap, GapRow = export.PastTrade, export.PastGap, export.GapRow


class PastTrades(msgspec.Struct, frozen=True):
    """A page of trades in the order of their time and id."""

    pair: PairName
    trades: list[export.PastTrade | export.GapRow]
    """A gap stands where trades are missing."""
    evidence_until: Moment | None
    """Nothing followed the newest known trade until then. Null without evidence."""


MAX_BODY_BYTES = 4096
"""Bytes of a body that is read: enough for a hundred long names, each on a line of its own."""


class ToRefresh(msgspec.Struct, frozen=True):
    """The body of a refresh."""

    pairs: (
        Annotated[list[Annotated[str, Meta(examples=["BTC/USD"])]], NOT_EMPTY]
        | Annotated[str, Meta(examples=["BTC/USD,ETH/USD"], min_length=1, max_length=2000)]
    )
    """At most 100 pairs in any usual spelling: a list, or one comma list."""


class Refreshed(msgspec.Struct, frozen=True):
    """The pairs whose prices REST has told."""

    message: Literal["Prices refreshed successfully"]
    pairs: Annotated[list[PairName], NOT_EMPTY]


class SomeRefreshed(Refreshed, frozen=True):
    """The pairs whose prices REST has told, and why the others have none."""

    errors: Annotated[list[PairError], NOT_EMPTY]


class ServedPair(msgspec.Struct, frozen=True):
    """A pair, and Kraken's name for it."""

    pair: PairName
    kraken: PairName


class Pairs(msgspec.Struct, frozen=True):
    """The pairs that are served, in the order of the configuration."""

    pairs: list[ServedPair]


# Explanation.


class Decision(msgspec.Struct, frozen=True):
    """One tick, and what was decided about it."""

    source: Source
    price: str
    traded_at: TradedAt
    trade_id: TradeId
    received_at: Moment
    outcome: str
    reason: str


class SourceDecision(Decision, frozen=True):
    """The newest tick of a source, and whether it is the one served."""

    served: bool


class Subscription(msgspec.Struct, frozen=True):
    """The pair's subscription on the present connection."""

    state: str
    acknowledged_at: dict[str, Moment]
    """By channel."""
    delivered_at: Moment | None
    """Null before the first frame about this pair."""
    generation: Count
    """Connections made so far."""


class Breaker(msgspec.Struct, frozen=True):
    """The circuit breaker before REST."""

    state: BreakerState
    failures: Count
    retry_in_s: Seconds


class Divergence(msgspec.Struct, frozen=True):
    """The last time that the two sources told different prices."""

    websocket: str
    rest: str
    at: Moment
    count: Count


class Doubt(msgspec.Struct, frozen=True):
    """Why the price may be wrong."""

    reason: Reason
    since: Moment
    rest_asked_at: Moment | None
    """Null before the first question about it."""


class Quarantined(msgspec.Struct, frozen=True):
    """A trade that is held back."""

    price: str
    traded_at: TradedAt
    held_since: Moment


class Fallback(msgspec.Struct, frozen=True):
    """The poll over REST."""

    active: bool
    last_error: str | None
    """Null when there was none."""
    unknown_to_rest: bool


class ExchangeSeen(msgspec.Struct, frozen=True):
    """The last trade of the pair on one exchange, and whether it counts for the consensus."""

    exchange: str
    price: Amount
    age_ms: Milliseconds
    """Since the newest evidence that it is the last trade."""
    counts: bool
    reason: str
    """Why it counts, or why not."""


class Explanation(msgspec.Struct, frozen=True):
    """Everything that decides the answer about one pair."""

    pair: PairName
    served: DetailedPrice | None
    """Null when the pair was never seen."""
    state: State
    servable: bool
    market: Market
    doubt: Doubt | None
    """Null unless the price may be wrong, so that nothing that the feed sends is evidence for it."""
    sources: dict[str, SourceDecision]
    """The newest tick of each source."""
    subscription: Subscription | None
    """Null when the feed is switched off."""
    witnesses: list[Witness]
    """What other exchanges last traded the pair at."""
    exchanges: list[ExchangeSeen]
    """Each exchange that told a price of the pair, Kraken first."""
    consensus: Consensus
    deviating: bool | None
    """Whether the price is farther than PRICE_DIVERGENCE_LIMIT from the median of the other exchanges. Null where fewer
    than two others have a price confirmed within 10 s."""
    substitute: str
    """Why another exchange's price is served in place of Kraken's, or why not."""
    quarantined: Quarantined | None
    """Null unless a lone trade far from all others is held back, for 2 s or until a second one."""
    breaker: Breaker
    fallback: Fallback
    divergence: Divergence | None
    """Null when the sources have never disagreed."""
    decisions: list[Decision]
    """Newest first."""
    settings: dict[str, float | bool]
    """The limits that decide; durations in seconds."""


# Operations.


class Connection(msgspec.Struct, frozen=True):
    """How the exchange is reached."""

    websocket_enabled: bool
    websocket_connected: bool
    fallback_mode: bool
    rest_available: bool
    last_ws_update: Moment | None
    """Null before the first frame."""
    feed_lag_ms: Count | None
    """By how much what the feed sends is late; the prices' ages count it. Null without a feed of its own."""
    last_error: str | None
    """Null when there was none."""
    rest_last_error: str | None
    """Null when there was none."""
    websocket_reached: str
    """`direct`, or the proxy between, without its password."""
    rest_reached: str
    """`direct`, or the proxy between, without its password."""


class PairStatus(msgspec.Struct, frozen=True):
    """The price of one pair."""

    state: State
    age_ms: Milliseconds | None
    """Null when the pair was never seen."""
    last_error: str | None
    """Null when there is none."""


class SourcePair(msgspec.Struct, frozen=True):
    """What another exchange tells about one pair."""

    age_ms: Milliseconds | None
    """Since the last evidence that its trade is the last; null when it told none."""
    subscription: str | None
    """One word, or the exchange's refusal; null while there is no connection."""


class SourceStatus(msgspec.Struct, frozen=True):
    """Another exchange that tells last prices."""

    connected: bool
    last_error: str | None
    """Null when there is none."""
    pairs: dict[str, SourcePair]
    """By pair."""


class Worker(msgspec.Struct, frozen=True):
    """This process, and how many there are."""

    pid: Count
    count: Count


class Fleet(msgspec.Struct, frozen=True):
    """The role of this process among those that share a Redis."""

    role: Literal["owner", "follower"]
    in_step: bool
    owner: str | None
    """Null before Redis told."""
    epoch: Count


class Database(msgspec.Struct, frozen=True):
    """The file that keeps API keys and symbols."""

    usable: bool
    error: str | None
    """Null while it is usable."""


class HistoryStatus(msgspec.Struct, frozen=True):
    """Whether trades are recorded."""

    recording: Literal["writing", "waiting", "failing"]
    """`writing`: this process records. `waiting`: another process does, or has not begun to. `failing`: see `error`."""
    error: str | None
    """Why nothing can be recorded, or, while this process is `writing`, why trades older than HISTORY_KEEP are not deleted;
    else null. Prices are not concerned."""
    waiting_trades: Count
    """Trades that wait to be recorded."""
    lag_s: Seconds
    """For how long the first of them has waited."""
    lost_trades: Count
    """Trades that were dropped unwritten. REST is asked for them."""
    bytes: Count | None
    """The room that the history takes; null where this process does not record."""
    elsewhere: str | None
    """Why this process cannot answer questions about the past, and what to set; null where it can."""


class Task(msgspec.Struct, frozen=True):
    """One runner beside the requests."""

    name: str
    alive: bool
    restarts: Count
    last_error: str | None
    """Without keys and addresses; null when there was none."""


class PairList(msgspec.Struct, frozen=True):
    """What the wildcards of `SUPPORTED_PAIRS` mean at present."""

    known: bool
    """False until the exchange told which pairs it lists. Until then the plain pairs are served."""
    wildcards: dict[str, Count]
    """How many listed pairs each of them means."""


class Status(msgspec.Struct, frozen=True):
    """The feed, the pairs and the process."""

    status: Literal["ok", "degraded", "down"]
    connection: Connection
    timestamp: int
    """Unix seconds."""
    timestamp_iso: Moment
    market: Market
    pairs: dict[str, PairStatus]
    """By pair."""
    pair_list: PairList | None
    """Null where `SUPPORTED_PAIRS` has no wildcard."""
    breaker: Breaker
    divergences: dict[str, Divergence]
    """By pair."""
    sources: dict[str, SourceStatus]
    """The other exchanges of `PRICE_SOURCES`, by name."""
    reconnects: Count
    uptime_s: Seconds
    version: str
    worker: Worker
    fleet: Fleet | None
    """Null where each process keeps to itself."""
    database: Database | None
    """Null where keys are kept in Redis."""
    history: HistoryStatus | None
    """Null without `HISTORY_URL`."""
    tasks: list[Task]
    settings: dict[str, float | bool]
    """The limits that decide; durations in seconds."""


class Health(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: Literal["healthy"]
    timestamp: Moment
    services: dict[str, str]
    """The state of each part, as information."""


class Checked(msgspec.Struct, frozen=True):
    """`ready`, or the error, of each part."""

    cache: str
    service: str
    database: str | UnsetType = UNSET


class Ready(msgspec.Struct, frozen=True):
    """A price can be served."""

    status: Literal["ready"]
    timestamp: Moment
    services: Checked


class Unready(msgspec.Struct, frozen=True):
    """No price can be served, and why."""

    status: Literal["unhealthy"]
    timestamp: Moment
    services: Checked
    reasons: Annotated[list[str], NOT_EMPTY]


# Collectors.


class Gap(msgspec.Struct, frozen=True):
    """A time in which trades may have been missed."""

    since: Moment
    until: Moment | None
    """Null while it lasts."""
    symbol: str | None
    """Null when it concerns every symbol."""
    missing: Count | None
    """Null where the exchange does not number its trades."""


class Collector(msgspec.Struct, frozen=True):
    """What a collector does."""

    name: str
    state: CollectorState
    healthy: bool
    """Connected and without a problem."""
    connected: bool
    generation: Count
    """Connections made so far."""
    attempts: Count
    last_frame_at: Moment | None
    """Null before the first frame."""
    last_error: str | None
    """Null when there was none."""
    problem: str | None
    """Null when the collector is of use."""
    subscriptions: dict[str, str]
    """Symbol to one word, or to the exchange's refusal."""
    gaps: list[Gap] | UnsetType = UNSET
    """Of trade collectors: when trades may have been missed, oldest first."""


class Collectors(msgspec.Struct, frozen=True):
    """Every collector."""

    collectors: dict[str, Collector]
    """By name."""


class Trade(msgspec.Struct, frozen=True):
    """One trade on another exchange."""

    exchange: str
    symbol: str
    side: Side
    """The taker's."""
    price: Positive
    quantity: Positive
    timestamp: Moment
    """The exchange's time of the trade."""
    trade_id: str
    received_at: Moment
    raw: str
    """The exchange's own text of this trade."""


class Trades(msgspec.Struct, frozen=True):
    """The newest trades first."""

    trades: list[Trade]


class Book(msgspec.Struct, frozen=True):
    """The order book of one symbol on one exchange."""

    exchange: str
    symbol: str
    in_sync: bool
    """False: it may have missed something."""
    best_bid: Level | None
    """Null when out of sync, or when there is no bid."""
    best_ask: Level | None
    """Null when out of sync, or when there is no ask."""
    bids: list[Level]
    """Highest first."""
    asks: list[Level]
    """Lowest first."""
    changed_at: TradedAt
    received_at: Moment | None
    """Null before the first update."""
    age_ms: Milliseconds | None
    """Null before the first update."""


class Books(msgspec.Struct, frozen=True):
    """The order books of one symbol, one per exchange."""

    books: list[Book]


class Symbols(msgspec.Struct, frozen=True):
    """The symbols that are collected, in the order they were added, and how many there may be."""

    symbols: list[str]
    limit: Count


# API keys.


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its text."""

    prefix: str
    """`ltp_…`, or `AUTH_API_KEY` for one of the operator's own choice."""
    name: str
    permission: Permission
    state: KeyState
    created: Moment
    expires: Moment | None
    """Null for AUTH_API_KEY."""
    revoked: Moment | None
    """Null unless it was."""
    last_used: Moment | None
    """Null before it is."""


class NewKey(Key, frozen=True):
    """A new API key with its text, which is shown this once."""

    # It is encoded first, because the fields of Key are keyword-only.
    key: Annotated[str, Meta(pattern="^ltp_[A-Za-z0-9_-]{43}$")]


class Ticket(msgspec.Struct, frozen=True):
    """Opens one stream, once."""

    ticket: Annotated[str, Meta(pattern="^ltp_ticket_[A-Za-z0-9_-]{43}$")]
    expires_at: Moment


class Keys(msgspec.Struct, frozen=True):
    """Every key ever made, oldest first."""

    keys: list[Key]


# A look inside.


class Running(msgspec.Struct, frozen=True):
    """Threads or greenlets of this process."""

    count: Count
    by_name: dict[str, Count]
    """Most first."""


class Tasks(msgspec.Struct, frozen=True):
    """What runs beside the requests."""

    runners: list[Task]
    greenlets: Running
    threads: Running


class HeldPrice(msgspec.Struct, frozen=True):
    """A price as the store holds it."""

    price: str
    source: Source
    trade_id: TradeId
    traded_at: TradedAt
    received_at: Moment
    confirmed_at: Moment
    confirmed_by: Source


class StoredPrices(msgspec.Struct, frozen=True):
    """The store of prices."""

    market: Market
    held: dict[str, HeldPrice]
    """By pair."""


class StoredTrades(msgspec.Struct, frozen=True):
    """The store of trades."""

    statistics: TradeStatistics
    by_symbol: dict[str, Count]
    """Trades stored of each symbol."""


class Journal(msgspec.Struct, frozen=True):
    """How many decisions are remembered."""

    longest: Count
    decisions: dict[str, Count]
    """By pair."""


class Storage(msgspec.Struct, frozen=True):
    """What every store of this process holds."""

    prices: StoredPrices
    trades: StoredTrades
    books: list[BookState]
    symbols: list[str]
    journal: Journal


# The root.


class Links(msgspec.Struct, frozen=True):
    """Where to go from here."""

    docs: str
    openapi: str
    ltp: str
    status: str
    stream: str
    health: str
    metrics: str


class Root(msgspec.Struct, frozen=True):
    """What this is."""

    name: str
    version: str
    links: Links


# The events of streams.

Hello, ExchangeHello = events.Hello, events.ExchangeHello
StreamedTrade, ExchangeTrade, StreamedBook = events.StreamedTrade, events.ExchangeTrade, events.StreamedBook
TradeGap, ExchangeGap = events.TradeGap, events.ExchangeGap
BestPrices, BestLevel = events.BestPrices, events.BestLevel
Heartbeat, Bye = events.Heartbeat, events.Bye
