"""What a stream of trades told, held against the exchange's tape: each trade once and in order, or in a named gap."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from tests.drill.listener import Told

Tape = Sequence[tuple[float, int, Decimal]]
"""Unix seconds, id and price of each trade, in order."""


class Record(NamedTuple):
    """Of all pairs together."""

    told: int
    gaps: int
    in_gaps: int
    """Trades that were told to be lost."""
    wrong: list[str]


def judge(told: Iterable[Told], tapes: Mapping[str, Tape], until: float) -> Record:
    """`until`: unix seconds up to which every trade must have arrived. What came before the first event is not judged."""
    events = [each for each in told if each.name in ("trade", "gap")]
    found = [
        _judge([each for each in events if each.data["pair"] == pair], pair, tape, until)
        for pair, tape in tapes.items()
    ]
    return Record(
        sum(one.told for one in found),
        sum(one.gaps for one in found),
        sum(one.in_gaps for one in found),
        [why for one in found for why in one.wrong],
    )


def _judge(events: Sequence[Told], pair: str, tape: Tape, until: float) -> Record:
    prices = {trade_id: price for _, trade_id, price in tape}
    trades = [each.data for each in events if each.name == "trade"]
    ids = [int(trade["trade_id"]) for trade in trades]
    wrong = [
        f"{pair} {trade['trade_id']} at {trade['price']}, traded at {prices.get(int(trade['trade_id']))}"
        for trade in trades
        if prices.get(int(trade["trade_id"])) != Decimal(trade["price"])
    ]
    wrong += [f"{pair} {after} after {before}" for before, after in pairwise(ids) if after <= before]
    gaps = _gaps(events)
    wrong += [f"{pair} {each} in the gap {gap}" for gap in gaps for each in ids if gap[0] < each < gap[1]]
    if not events:
        return Record(0, 0, 0, [f"{pair}: nothing was told"] if tape and tape[-1][0] < until else wrong)
    first = min([*ids, *(before + 1 for before, _ in gaps if before)] or [0])
    lost = {trade_id for moment, trade_id, _ in tape if first <= trade_id and moment < until} - set(ids)
    named = {each for each in lost if any(after < each < before for after, before in gaps)}
    wrong += [f"{pair} {each} neither told nor in a gap" for each in sorted(lost - named)]
    return Record(len(ids), len(gaps), len(named), wrong)


def _gaps(events: Sequence[Told]) -> list[tuple[int, float]]:
    """After which id, and before which. One without an end reaches to the next trade."""
    gaps = []
    for place, each in enumerate(events):
        if each.name != "gap":
            continue
        after, before = each.data["after_trade_id"], each.data["before_trade_id"]
        next_id = next(
            (int(later.data["trade_id"]) for later in events[place:] if later.name == "trade"), float("inf")
        )
        gaps.append((int(after) if after is not None else 0, next_id if before is None else int(before)))
    return gaps
