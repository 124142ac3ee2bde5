"""May this tick replace that price? A pair moves only forward in exchange time."""

from ltp_service.stores.base import Outcome
from ltp_service.tick import REST, WEBSOCKET, Price, Source, Tick

REORDERING = 1.0
"""Seconds within which a tick without exchange time may have been overtaken by a trade with one.

Kraken's v1 ticker and trade channels tell of one event in two frames, and only one of them has a clock.
"""

ROUNDING = 0.001
"""Seconds; REST tells seven digits after the point and WebSocket six."""

CLOCKS = 10.0
"""Seconds by which an exchange's clock, as we know it, may differ from ours."""

REST_STEP = 1.5
"""Seconds after which another REST answer is another look: a little less than between two polls."""

REST_CACHE = 2.0
"""Seconds for which Kraken's REST answers come from a cache (its Cache-Control, measured by third parties)."""


def compare(held: Price | None, tick: Tick) -> Outcome:
    """Whether `tick` is newer than what is held, the same trade again, or older."""
    if held is None:
        return "newer"
    if tick.traded_at is None:
        return _compare_by_arrival(held, tick)
    if _is_same_trade(held.tick, tick):
        return "same"
    if tick.traded_at < held.newest_traded_at:
        return "older"
    if tick.traded_at == held.newest_traded_at:
        return _compare_by_trade_id(held.tick, tick)
    return "older" if _is_outdated(held.tick, tick) else "newer"


def merge(held: Price | None, tick: Tick, outcome: Outcome) -> Price:
    """The price to hold after a tick that is not older than what was held."""
    if held is None or outcome == "newer":
        floor = held.newest_traded_at if held else 0.0
        return Price(tick, tick.received_at, tick.source, max(floor, tick.traded_at or 0.0))
    if _dates(tick, held.tick):
        held = Price(tick, held.confirmed_at, held.confirmed_by, held.newest_traded_at)
    return confirmed(held, tick.received_at, tick.source)


def confirmed(price: Price, at: float, by: Source) -> Price:
    """The same price with evidence of the moment `at`; evidence never gets older.

    While the feed is alive it vouches for its prices itself, whatever REST confirms beside it.
    """
    beside = by == REST and price.confirmed_by == WEBSOCKET
    if at < price.confirmed_at + (REST_CACHE if beside else 0.0):
        return price
    return Price(price.tick, at, by, price.newest_traded_at)


def adopted(held: Price | None, told: Price) -> Price:
    """The price to hold when the process that owns the feed tells what it holds: it has decided already.

    Only what it cannot have known speaks against it: a later trade, or a later look while nobody heard from it.
    """
    if held is None:
        return told
    if told.newest_traded_at < held.newest_traded_at or told.confirmed_at < held.tick.received_at:
        return held
    if told.confirmed_at < held.confirmed_at and told.tick.amount == held.tick.amount:
        return Price(told.tick, held.confirmed_at, held.confirmed_by, told.newest_traded_at)
    return told


def _is_same_trade(held: Tick, tick: Tick) -> bool:
    """Whether two sources tell of one trade, whose time they may round differently."""
    if tick.trade_id is None or tick.trade_id != held.trade_id:
        return False
    return abs((tick.traded_at or 0.0) - (held.traded_at or 0.0)) < ROUNDING


def _dates(tick: Tick, held: Tick) -> bool:
    """Whether the same trade told again has a time, as REST does not tell it."""
    timed = tick.traded_at is not None and tick.happened_at is not None
    return timed and held.happened_at is None and held.trade_id == tick.trade_id


def _is_outdated(held: Tick, tick: Tick) -> bool:
    """Whether `tick` was traded long before a source without times told another price."""
    if held.traded_at is not None or tick.happened_at is None or tick.amount == held.amount:
        return False
    return tick.happened_at < held.received_at - CLOCKS


def _compare_by_arrival(held: Price, tick: Tick) -> Outcome:
    if tick.amount == held.tick.amount:
        return "same"
    return "newer" if tick.received_at >= _known_until(held, tick) else "older"


def _known_until(held: Price, tick: Tick) -> float:
    """The monotonic moment up to which what is held beats a tick of unknown age."""
    if tick.source == REST and held.confirmed_by == WEBSOCKET:
        return held.confirmed_at + REST_CACHE
    if tick.source == REST and held.tick.source == REST:
        return held.tick.received_at + REST_STEP
    if held.tick.traded_at is not None:
        return held.tick.received_at + REORDERING
    return held.tick.received_at


def _compare_by_trade_id(held: Tick, tick: Tick) -> Outcome:
    if held.traded_at is None:  # a trade that was known before a newer one without a time came
        return "same" if tick.amount == held.amount else "older"
    # Trades of one sweep share their time, and the ticker of that event has the time without an id.
    if tick.trade_id is None:
        return "same" if tick.amount == held.amount or held.trade_id is not None else "newer"
    if held.trade_id is None or tick.trade_id > held.trade_id:
        return "newer"
    return "same" if tick.trade_id == held.trade_id else "older"
