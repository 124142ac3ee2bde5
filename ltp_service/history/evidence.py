"""When silence proves that there was no trade, and what is known without ids; pure, `now` in monotonic seconds.

Moments of the exchange are unix microseconds, by the exchange's own clock. This machine's wall clock decides nothing.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET, Price, Tick
from ltp_service.domain.trade import Trade
from ltp_service.history.rows import Observation, RecordedTrade

MARGIN_SECONDS = 1.0
"""Seconds that evidence lies before the message that gives it: a trade may reach the feed a little later than that."""

RENUMBERED_AFTER = 1_000_000
"""Microseconds by which a trade must be later than the newest one to be newer although its id is not higher: the exchange
numbers its trades anew. It is the store's rule, too."""


class Told(NamedTuple):
    """The newest trade that the feed told of a pair, or REST when it was asked for the newest ones."""

    trade_id: int
    traded_at: int
    received_at: float
    """Monotonic seconds; when it was told last, for each connection tells it again. Of REST the newest moment before which
    no cache can have kept its answer."""


class View(NamedTuple):
    """What the process knows at one moment."""

    now: float
    ahead: float | None
    """Seconds to add to monotonic time for the exchange's unix time; None while its clock is not known."""
    prices: Mapping[Pair, Price]
    told_since: Mapping[Pair, float]
    """The pairs of which the feed tells each trade, and since when it does."""
    doubted: frozenset[Pair]
    """The pairs whose price may be wrong."""


def micros(seconds: float) -> int:
    """Unix seconds as microseconds."""
    return round(seconds * 1e6)


def recorded(trade: Trade) -> RecordedTrade | None:
    """A trade as the history keeps it; None without a proper id."""
    trade_id = int(trade.trade_id) if trade.trade_id.isdecimal() else 0
    if trade_id < 1:
        return None
    return RecordedTrade(trade_id, micros(trade.timestamp), trade.price, trade.quantity, trade.side)


def newer(held: Told | None, told: Told) -> Told:
    """The newest trade after another one was told, or the same again."""
    if held is None or told.trade_id > held.trade_id:
        return told
    if told.trade_id == held.trade_id:
        return told if told.received_at > held.received_at else held
    return told if told.traded_at > held.traded_at + RENUMBERED_AFTER else held


def told_by(tick: Tick) -> Told | None:
    """The trade of a tick that the feed told; None where it came in another way, or without an id."""
    if tick.source != WEBSOCKET or tick.trade_id is None or tick.traded_at is None:
        return None
    return Told(tick.trade_id, micros(tick.traded_at), tick.received_at)


def newest_of(trades: Iterable[RecordedTrade], as_of: float) -> Told | None:
    """The newest trade of REST's newest ones, in the order in which it tells them; None where there is none."""
    newest: Told | None = None
    for trade in trades:
        newest = newer(newest, Told(trade.trade_id, trade.traded_at, as_of))
    return newest


def evidence_until(pair: Pair, told: Told | None, view: View, proven: float | None) -> int | None:
    """Until when nothing followed the trade that was told last; None where the feed's silence is no evidence.

    `proven` is since when the feed tells each trade without having missed one before. It has to be the beginning of the
    present subscription: the one before it may have missed some, and what the exchange sends first may lack the newest.
    Nor is silence evidence while the price is of another trade, or in doubt.
    """
    since, price = view.told_since.get(pair), view.prices.get(pair)
    if told is None or since is None or price is None or view.ahead is None or pair in view.doubted:
        return None
    if proven != since or price.confirmed_by != WEBSOCKET or price.tick.trade_id != told.trade_id:
        return None
    ahead, tick = view.ahead, price.tick
    if tick.traded_at is not None and tick.happened_at is not None:
        ahead = min(ahead, tick.traded_at - tick.happened_at)
    until = micros(price.confirmed_at + ahead - MARGIN_SECONDS)
    return until if until >= told.traded_at else None


def observation(pair: Pair, view: View, before: Observation | None, patience: int) -> Observation | None:
    """The price that a source told without an id; None where there is none.

    `before` is what was observed at the last look. After more than `patience` microseconds without evidence the same price
    begins anew where its source does not tell when it was traded: there may have been another one meanwhile.
    """
    price = view.prices.get(pair)
    if price is None or view.ahead is None or pair in view.doubted:
        return None
    tick = price.tick
    if tick.trade_id is not None and price.confirmed_by != REST:
        return None
    traded_at = None if tick.traded_at is None else micros(tick.traded_at)
    until = micros(price.confirmed_at + view.ahead)
    # REST's price counts from before its cache, but it may have been traded since then. So it is known from now on.
    begun = tick.evidence_at if tick.source == WEBSOCKET else view.now
    now = micros(view.now + view.ahead)
    since = micros(begun + view.ahead) if traded_at is None else traded_at
    if before is not None and (tick.amount, traded_at, tick.source) == before[:1] + before[3:]:
        goes_on = traded_at is not None or until - before.evidence_until <= patience
        # The first moment stays as it was, else it would wander with what is known of the exchange's clock.
        since = before.observed_at if goes_on else now
    if since == now and now - until > patience:
        return None  # its evidence is of long ago
    return Observation(tick.amount, since, max(since, until), traded_at, tick.source)
