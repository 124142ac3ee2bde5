"""May this tick replace that price? A trade with a higher id may; where an id is missing, a later trade may."""

from decimal import Decimal

from ltp_service.domain.tick import REST, WEBSOCKET, Price, Source, Tick
from ltp_service.prices.store import Outcome

REORDERING_SECONDS = 1.0
"""Seconds after a trade in which a tick without exchange time of the other source is refused, because it may be older.

Within one source the order of arrival counts, because the feed holds its tickers back until their trades came.
"""

RENUMBERED_AFTER_SECONDS = 60.0
"""Seconds by which a trade with a lower id must be later to count as newer all the same: the exchange numbers its trades
anew. Otherwise ids decide before times, because a time can be wrong by some seconds."""

CLOCK_ERROR_SECONDS = 1.0
"""Seconds by which our knowledge of an exchange's clock may be wrong."""

REST_LEAD_SECONDS = 1.5
"""Seconds by which REST's evidence must be newer than that of a live feed to replace it. Kraken's heartbeats were
recorded up to 1.16 s apart."""

FAR_IDS = 100_000
"""A trade with a later time counts as newer although its id is lower by more than this. No time is wrong by so many
trades: the exchange began to count anew, or the higher number was no id of a trade."""


def compare(held: Price | None, tick: Tick) -> Outcome:
    """Whether `tick` is newer than what is held, the same trade again, or older."""
    if held is None:
        return "newer"
    if tick.traded_at is None:
        return _compare_by_arrival(held, tick)
    order = _compare_moments(held.newest_traded_at, held.newest_trade_id, tick.traded_at, tick.trade_id)
    other_amount = tick.amount != held.tick.amount
    if order == "same" and held.newest_trade_id is None and (tick.trade_id is not None or other_amount):
        order = "newer"  # a second trade of the same moment, where the known one has no id
    if held.tick.traded_at is not None:
        return order
    if order == "same":  # the held tick has no time, and came after this trade
        return "older" if other_amount else "same"
    return "older" if _is_outdated(held.tick, tick, tick.traded_at) else order


def merge(held: Price | None, tick: Tick, outcome: Outcome) -> Price:
    """The price to hold after a tick that is not older than what was held."""
    evidence_at = tick.received_at - tick.delay
    if held is None or outcome == "newer":
        if tick.traded_at is not None:
            return Price(tick, evidence_at, tick.source, tick.traded_at, tick.trade_id)
        known_at, known_id = (held.newest_traded_at, held.newest_trade_id) if held else (0.0, None)
        return Price(tick, evidence_at, tick.source, known_at, known_id)
    if _brings_time_of(tick, held.tick):
        held = Price(tick, held.confirmed_at, held.confirmed_by, held.newest_traded_at, held.newest_trade_id)
    return confirmed(held, evidence_at, tick.source)


def confirmed(price: Price, at: float, by: Source) -> Price:
    """The price with evidence of the monotonic second `at`. Older evidence changes nothing.

    Evidence from REST replaces that of a live feed only when it is newer by REST_LEAD_SECONDS.
    """
    rest_over_feed = by == REST and price.confirmed_by == WEBSOCKET
    if at < price.confirmed_at + (REST_LEAD_SECONDS if rest_over_feed else 0.0):
        return price
    return Price(price.tick, at, by, price.newest_traded_at, price.newest_trade_id)


def withdrawn(price: Price, after: float) -> Price:
    """The price without the feed's evidence after the monotonic second `after`, but with that of the trade itself."""
    after = max(after, price.tick.happened_at or after)
    if price.confirmed_by != WEBSOCKET or price.confirmed_at <= after:
        return price
    return Price(price.tick, after, WEBSOCKET, price.newest_traded_at, price.newest_trade_id)


def adopted(held: Price | None, told: Price) -> Price:
    """The price to hold after the owner of the feed told its own, `told`.

    `held` stays where it is a later trade, or another price that came after the owner's evidence. Newer evidence from REST
    for the same price stays, too. That of the feed does not, because the owner may have taken it back.
    """
    if held is None:
        return told
    order = _compare_moments(
        held.newest_traded_at, held.newest_trade_id, told.newest_traded_at, told.newest_trade_id
    )
    is_same_price = told.tick.amount == held.tick.amount
    if order == "older" or (told.confirmed_at < held.tick.evidence_at and not is_same_price):
        return held
    if is_same_price and held.confirmed_by == REST and told.confirmed_at < held.confirmed_at:
        return Price(
            told.tick, held.confirmed_at, held.confirmed_by, told.newest_traded_at, told.newest_trade_id
        )
    return told


def agreed(held: Price | None, told: Price) -> Price:
    """The price to hold after a process of the same machine told its own, `told`. Neither of the two hears the owner.

    The later trade counts, and where its order is not known the later evidence. So two processes that tell each other
    their prices hold the same ones afterwards, and neither goes back.
    """
    if held is None:
        return told
    order = _compare_moments(
        held.newest_traded_at, held.newest_trade_id, told.newest_traded_at, told.newest_trade_id
    )
    if order != "same":
        return told if order == "newer" else held
    return told if _evidence(told) > _evidence(held) else held


def _evidence(price: Price) -> tuple[float, float, Decimal]:
    """What orders prices by their evidence. The amount makes all choose alike where nothing else differs."""
    return price.confirmed_at, price.tick.evidence_at, price.tick.amount


def _compare_moments(
    known_at: float, known_id: int | None, traded_at: float, trade_id: int | None
) -> Outcome:
    """Whether a trade is newer than a known one; `same` for equal ids, or equal times where an id is missing."""
    if trade_id is None or known_id is None:
        return "same" if traded_at == known_at else "newer" if traded_at > known_at else "older"
    if trade_id - known_id > FAR_IDS and traded_at < known_at:
        return "older"  # of the numbers before
    is_renumbered = known_id - trade_id > FAR_IDS and traded_at > known_at
    if trade_id > known_id or traded_at > known_at + RENUMBERED_AFTER_SECONDS or is_renumbered:
        return "newer"
    return "same" if trade_id == known_id else "older"


def _brings_time_of(tick: Tick, held: Tick) -> bool:
    """Whether `tick` brings the time of the trade `held`, which has none."""
    timed = tick.traded_at is not None and tick.happened_at is not None
    return timed and held.happened_at is None and held.trade_id == tick.trade_id


def _is_outdated(held: Tick, tick: Tick, traded_at: float) -> bool:
    """Whether `tick` was traded before the tick `held`, which has another price and no exchange time."""
    if tick.amount == held.amount:
        return False
    if held.told_at is not None and traded_at < held.told_at:
        return True
    if held.source != REST or tick.happened_at is None:
        return False
    # A trade of the feed may not take REST's price back. One that REST itself tells as the newest may.
    error = CLOCK_ERROR_SECONDS if tick.source == REST else 0.0
    return tick.happened_at < held.received_at - error


def _compare_by_arrival(held: Price, tick: Tick) -> Outcome:
    if tick.amount == held.tick.amount:
        return "same"
    return "newer" if tick.received_at >= _known_until(held, tick) else "older"


def _known_until(held: Price, tick: Tick) -> float:
    """The monotonic second up to which a tick of unknown age is older than the price held."""
    if tick.source == REST:  # its caller has made sure that the answer is not older
        return held.confirmed_at
    if held.tick.traded_at is not None and tick.source != held.tick.source:
        return held.tick.received_at + REORDERING_SECONDS
    return held.tick.received_at
