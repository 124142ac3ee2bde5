"""May this tick replace that price? A pair moves only forward in exchange time."""

from ltp_service.domain.tick import REST, WEBSOCKET, Price, Source, Tick
from ltp_service.prices.store import Outcome

REORDERING = 1.0
"""Seconds within which one source's tick without exchange time may have been overtaken by the other's trade with one.

Within one source the order of arrival counts: the feed lets its tickers wait for its trades.
"""

RENUMBERED = 60.0
"""Seconds: a lower trade id with a time so much later shows that the exchange began to count anew. Ids come before
times, as a time can be wrong by some seconds."""

CLOCKS = 1.0
"""Seconds by which an exchange's clock, as we know it, may differ from ours."""

BESIDE = 1.5
"""Seconds by which REST has to know more than a feed that vouches for its prices; Kraken's heartbeats were recorded up
to 1.16 s apart."""

FAR_IDS = 100_000
"""Trade ids by which a trade may be lower and is newer all the same, where its time says so: no time is wrong by so many
trades. The higher id was no id of a trade, or the exchange began to count anew."""


def compare(held: Price | None, tick: Tick) -> Outcome:
    """Whether `tick` is newer than what is held, the same trade again, or older."""
    if held is None:
        return "newer"
    if tick.traded_at is None:
        return _compare_by_arrival(held, tick)
    outcome = _compare_trades(held, tick, tick.traded_at)
    if held.tick.traded_at is not None:
        return outcome
    if outcome == "same":  # a trade that was known before a newer one without a time came
        return "same" if tick.amount == held.tick.amount else "older"
    return "older" if _is_outdated(held.tick, tick, tick.traded_at) else outcome


def merge(held: Price | None, tick: Tick, outcome: Outcome) -> Price:
    """The price to hold after a tick that is not older than what was held."""
    if held is None or outcome == "newer":
        if tick.traded_at is not None:
            return Price(tick, tick.evidence_at, tick.source, tick.traded_at, tick.trade_id)
        known_at, known_id = (held.newest_traded_at, held.newest_trade_id) if held else (0.0, None)
        return Price(tick, tick.evidence_at, tick.source, known_at, known_id)
    if _dates(tick, held.tick):
        held = Price(tick, held.confirmed_at, held.confirmed_by, held.newest_traded_at, held.newest_trade_id)
    return confirmed(held, tick.evidence_at, tick.source)


def confirmed(price: Price, at: float, by: Source) -> Price:
    """The same price with evidence of the moment `at`; evidence never gets older.

    While the feed is alive it vouches for its prices itself, whatever REST confirms beside it.
    """
    beside = by == REST and price.confirmed_by == WEBSOCKET
    if at < price.confirmed_at + (BESIDE if beside else 0.0):
        return price
    return Price(price.tick, at, by, price.newest_traded_at, price.newest_trade_id)


def withdrawn(price: Price, after: float) -> Price:
    """The same price without the feed's evidence of moments after `after`; it was the last trade when it was made."""
    after = max(after, price.tick.happened_at or after)
    if price.confirmed_by != WEBSOCKET or price.confirmed_at <= after:
        return price
    return Price(price.tick, after, WEBSOCKET, price.newest_traded_at, price.newest_trade_id)


def adopted(held: Price | None, told: Price) -> Price:
    """The price to hold when the process that owns the feed tells what it holds: it has decided already.

    Only what it cannot have known speaks against it: a later trade, or a later look while nobody heard from it.
    """
    if held is None:
        return told
    order = _compare_moments(
        held.newest_traded_at, held.newest_trade_id, told.newest_traded_at, told.newest_trade_id
    )
    if order == "older" or told.confirmed_at < held.tick.evidence_at:
        return held
    looked = held.confirmed_by == REST and told.confirmed_at < held.confirmed_at
    if looked and told.tick.amount == held.tick.amount:
        return Price(
            told.tick, held.confirmed_at, held.confirmed_by, told.newest_traded_at, told.newest_trade_id
        )
    return told


def _compare_trades(held: Price, tick: Tick, traded_at: float) -> Outcome:
    """Whether `tick`, made at `traded_at`, is newer than the newest trade known."""
    order = _compare_moments(held.newest_traded_at, held.newest_trade_id, traded_at, tick.trade_id)
    if order != "same":
        return order
    # Of one moment, and one of them without an id, or the same.
    if held.newest_trade_id is None and (tick.trade_id is not None or tick.amount != held.tick.amount):
        return "newer"
    return "same"


def _compare_moments(
    known_at: float, known_id: int | None, traded_at: float, trade_id: int | None
) -> Outcome:
    """How a trade stands to a known one; `same` where nothing tells them apart."""
    if trade_id is None or known_id is None:
        return "same" if traded_at == known_at else "newer" if traded_at > known_at else "older"
    is_renumbered = known_id - trade_id > FAR_IDS and traded_at > known_at
    if trade_id > known_id or traded_at > known_at + RENUMBERED or is_renumbered:
        return "newer"
    return "same" if trade_id == known_id else "older"


def _dates(tick: Tick, held: Tick) -> bool:
    """Whether the same trade told again has a time, as REST does not tell it."""
    timed = tick.traded_at is not None and tick.happened_at is not None
    return timed and held.happened_at is None and held.trade_id == tick.trade_id


def _is_outdated(held: Tick, tick: Tick, traded_at: float) -> bool:
    """Whether `tick` was traded before a source without the trade's time told another price."""
    if tick.amount == held.amount:
        return False
    if held.told_at is not None and traded_at < held.told_at:
        return True
    return (
        held.source == REST and tick.happened_at is not None and tick.happened_at < held.received_at - CLOCKS
    )


def _compare_by_arrival(held: Price, tick: Tick) -> Outcome:
    if tick.amount == held.tick.amount:
        return "same"
    return "newer" if tick.received_at >= _known_until(held, tick) else "older"


def _known_until(held: Price, tick: Tick) -> float:
    """The monotonic moment up to which what is held beats a tick of unknown age."""
    if tick.source == REST:  # whoever asked has made sure that it is no older answer
        return held.confirmed_at
    if held.tick.traded_at is not None and tick.source != held.tick.source:
        return held.tick.received_at + REORDERING
    return held.tick.received_at
