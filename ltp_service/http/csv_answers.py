"""Answers as CSV, with the digits of the JSON. What is not known has no number in any column of numbers."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET

from ltp_service.domain.pairs import Pair
from ltp_service.history.export import COLUMNS as OF_TRADES
from ltp_service.history.export import as_csv, cells
from ltp_service.history.questions import Page
from ltp_service.http import shapes

OF_PRICES = (
    "pair time amount price traded_at trade_id proof next_trade_id evidence_until error before_trade_id before_traded_at"
    " after_trade_id after_traded_at"
).split()
OF_CANDLES = (
    "pair interval start open high low close volume vwap trades first_trade_id last_trade_id coverage open_ended"
).split()


def past_prices(told: shapes.PastPrices, failed: Sequence[shapes.PastError] = ()) -> str:
    """A pair without a price has its code in the column `error`, and the ids and times of the trades around."""
    return as_csv([OF_PRICES, *_prices(told), *_failures(told.time, failed)])


def candles(told: shapes.Candles) -> str:
    """An interval without a known trade has no prices; `coverage` says what that means."""
    return as_csv([OF_CANDLES, *_candles(told)])


def trades(pair: Pair, page: Page) -> str:
    """A gap is a row of the kind `gap`."""
    return as_csv([OF_TRADES, *(cells(pair, row) for row in page.rows)])


def _prices(told: shapes.PastPrices) -> Iterator[Sequence[object]]:
    for each in told.ltp:
        proof = (each.proof, each.next_trade_id, each.evidence_until)
        amount = bytes(each.amount).decode()
        yield (each.pair, told.time, amount, each.price, each.traded_at, each.trade_id, *proof, *[""] * 5)


def _failures(time: str, failed: Sequence[shapes.PastError]) -> Iterator[Sequence[object]]:
    for each in failed:
        edges = [
            cell
            for edge in (each.before, each.after)
            for cell in ((edge.trade_id, edge.traded_at) if isinstance(edge, shapes.Edge) else ("", ""))
        ]
        yield (each.pair, time, *[""] * 7, each.code, *edges)


def _candles(told: shapes.Candles) -> Iterator[Sequence[object]]:
    for each in told.candles:
        *cells, open_ended = msgspec.structs.astuple(each)
        yield (told.pair, told.interval, *cells, "" if open_ended is UNSET else "true")
