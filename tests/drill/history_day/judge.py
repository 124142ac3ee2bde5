"""Holds what the history answers against the market's tape, and against what was recorded of it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from functools import partial
from itertools import groupby, pairwise
from typing import NamedTuple

from ltp_service.domain.pairs import read_pair
from ltp_service.history.answers import (
    MINUTES,
    Gap,
    Hole,
    PriceThen,
    Told,
    Unknown,
    Window,
    vwap,
)
from ltp_service.history.candles import MINUTE
from ltp_service.history.contract import HistoryStore
from ltp_service.history.coverage import SLACK
from ltp_service.history.export import every_row
from ltp_service.history.questions import ask_candles, ask_price, ask_trades
from ltp_service.history.rows import Candle, RecordedTrade
from tests.drill.history_day.market import DayTape

EVER = 2**62
"""A moment after all others."""

PAGE = 1_000
"""Candles and trades of one answer."""

BESIDE = 120_000_000
"""Microseconds before and after a moment in which a look during the day reads what is recorded."""

REST_BEHIND = 12_000_000
"""Microseconds by which a price of REST may be older than what the service takes it for: its caches, and its lag."""

_EXACT = Context(prec=300)


class Finding(NamedTuple):
    """Something that is not as it was traded."""

    pair: str
    moment: int
    what: str


class Judge:
    """Asks the answers of a store."""

    def __init__(
        self,
        tapes: Mapping[str, DayTape],
        store: HistoryStore,
        patience: int,
        unseen: Mapping[str, Container[int]],
    ) -> None:
        """`unseen` are the trades of which nothing could know at their moment, but all can once a later one is told."""
        self._tapes = tapes
        self._unseen = unseen
        self._store = store
        self._patience = patience
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        """Of what the answers were."""

    # The price at a moment.

    def look(self, pair: str, moment: int, kind: str) -> None:
        """Asks while the day goes on. `kind` names the answer in the counts."""
        recorded = self._store.trades(read_pair(pair), moment - BESIDE, moment + BESIDE, 1_000_000)
        self._judge(pair, moment, recorded, kind, is_whole=False)

    def price(self, pair: str, moment: int, recorded: Sequence[RecordedTrade]) -> None:
        """Asks when the day is over. `recorded` is all that was."""
        self._judge(pair, moment, recorded, "", is_whole=True)

    def _judge(
        self, pair: str, moment: int, recorded: Sequence[RecordedTrade], kind: str, *, is_whole: bool
    ) -> None:
        """`is_whole`: nothing was recorded but what is given."""
        said = ask_price(self._store, read_pair(pair), moment, self._patience, lambda: moment)
        place = bisect_right(recorded, moment, key=lambda each: each.traded_at)
        before = recorded[place - 1] if place else None
        after = recorded[place] if place < len(recorded) else None
        self.counts[kind + (said.proof if isinstance(said, PriceThen) else type(said).__name__.lower())] += 1
        if isinstance(said, PriceThen) and said.proof == "observed":
            self._observed(pair, moment, said)
        elif isinstance(said, PriceThen):
            if after is None and said.trade_id is not None and said.trade_id + 1 in self._unseen[pair]:
                self.counts[f"{kind}could not know"] += 1
            else:
                self._exact(pair, moment, said)
        if before is not None and after is not None:
            if after.trade_id == before.trade_id + 1:
                if not isinstance(said, PriceThen) or said.proof != "exact":
                    self._find(pair, moment, f"not exact between {before.trade_id} and the next: {said}")
            else:
                self.counts[f"{kind}in a hole"] += 1
                if said != Hole(before, after):
                    self._find(
                        pair, moment, f"in the hole {before.trade_id}..{after.trade_id}, and said: {said}"
                    )
        if is_whole and before is None and not (isinstance(said, Unknown) or said.proof == "observed"):  # type: ignore[union-attr]
            self._find(pair, moment, f"before all that was recorded, and said: {said}")

    def _exact(self, pair: str, moment: int, said: PriceThen) -> None:
        tape = self._tapes[pair]
        place = tape.at(moment)
        if place < 0:
            self._find(pair, moment, f"exact before the first trade: {said}")
            return
        deal = tape.deals[place]
        truth = (deal.number, tape.micros[place], deal.price)
        if (said.trade_id, said.traded_at, format(said.price, "f")) != truth:
            self._find(pair, moment, f"exact, but it was {truth}: {said}")
            return
        following = tape.micros[place + 1] if place + 1 < len(tape.micros) else EVER
        if said.evidence_until < moment:
            self._find(pair, moment, f"exact beyond its evidence: {said}")
        if said.next_trade_id is None:
            if said.evidence_until >= following:
                self._find(pair, moment, f"the evidence reaches over a trade at {following}: {said}")
        elif (said.next_trade_id, said.evidence_until) != (tape.deals[place + 1].number, following):
            self._find(pair, moment, f"the next one was {tape.deals[place + 1]}: {said}")

    def _observed(self, pair: str, moment: int, said: PriceThen) -> None:
        """It was the last price then, or when its evidence ended, as far as REST can tell. Between two looks there may have
        been others."""
        tape, known = self._tapes[pair], min(moment, said.evidence_until)
        place = tape.at(moment)
        replaced = EVER
        while place >= 0 and replaced > known - REST_BEHIND:
            if Decimal(tape.deals[place].price) == said.price:
                break
            replaced, place = tape.micros[place], place - 1
        else:
            self._find(pair, moment, f"observed, but that was not the price: {said}")
        if moment > said.evidence_until + self._patience:
            self._find(pair, moment, f"observed too long ago: {said}")

    # What was recorded.

    def recorded(self, pair: str) -> list[RecordedTrade]:
        """All trades of a pair, compared with the tape and with what the pages tell."""
        trades = self._store.trades(read_pair(pair), 0, EVER, EVER)
        tape = self._tapes[pair]
        places = {key: place for place, key in enumerate(_keys(tape))}
        found = [places.get((trade.traded_at, trade.trade_id), -1) for trade in trades]
        for trade, place in zip(trades, found, strict=True):
            deal = tape.deals[place]
            told = (format(trade.price, "f"), format(trade.quantity, "f"), trade.side)
            if place < 0 or told != (deal.price, deal.quantity, deal.side):
                self._find(pair, trade.traded_at, f"recorded, but it was {deal}: {trade}")
        if any(before >= after for before, after in pairwise(found)):
            self._find(pair, 0, "trades are recorded twice, or out of order")
        self.counts["trades"] += len(trades)
        self.counts["holes"] += sum(b.trade_id != a.trade_id + 1 for a, b in pairwise(trades))
        if trades:
            self._pages(pair, trades)
        return trades

    def _pages(self, pair: str, trades: Sequence[RecordedTrade]) -> None:
        """Every page, one after the other."""
        expected: list[RecordedTrade | tuple[int, int]] = []
        for trade in trades:
            before = expected[-1] if expected else None
            if isinstance(before, RecordedTrade) and before.trade_id + 1 != trade.trade_id:
                expected.append((before.trade_id, trade.trade_id))
            expected.append(trade)
        ask = partial(ask_trades, self._store, read_pair(pair), limit=PAGE)
        end = trades[-1].traded_at
        rows = every_row(ask, Window(None, None, end + 1, end))
        told = [(row.after_trade_id, row.before_trade_id) if isinstance(row, Gap) else row for row in rows]
        if told != expected:
            place = next(
                (at for at, (a, b) in enumerate(zip(told, expected, strict=False)) if a != b),
                min(len(told), len(expected)),
            )
            self._find(
                pair,
                0,
                f"row {place} of the pages: {told[place : place + 2]}, not {expected[place : place + 2]}",
            )

    # Candles.

    def candles(self, pair: str, begin: int, end: int, recorded: Sequence[RecordedTrade]) -> None:
        """All candles of a time, held against the tape and against each other."""
        minutes = list(self._told(pair, 1, begin, end))
        for name, length in MINUTES.items():
            told = minutes if length == 1 else list(self._told(pair, length, begin, end))
            self._against_the_tape(pair, name, length, told, recorded)
            self._against_minutes(pair, name, length, told, minutes)

    def _told(self, pair: str, minutes: int, begin: int, end: int) -> Iterator[Told]:
        while begin < end:
            series = ask_candles(self._store, read_pair(pair), minutes, begin, end, PAGE, end)
            yield from series.candles
            if not series.more:
                return
            begin = series.candles[-1].start + minutes * MINUTE

    def _against_the_tape(
        self, pair: str, name: str, minutes: int, told: Sequence[Told], recorded: Sequence[RecordedTrade]
    ) -> None:
        tape = self._tapes[pair]
        held = {(each.traded_at, each.trade_id) for each in recorded}
        keys = list(_keys(tape))
        length = minutes * MINUTE
        by_start = {
            start: list(members)
            for start, members in groupby(recorded, lambda each: each.traded_at // length * length)
        }
        for each in told:
            self.counts[f"{name} {each.covered}"] += 1
            first, last = tape.at(each.start - 1), tape.at(each.start + length - 1)
            numbers = [deal.number for deal in tape.deals[first + 1 : last + 1]]
            members = by_start.get(each.start, [])
            # The run has to go on for a second more on both sides.
            begin, end = tape.at(each.start - SLACK - 1), tape.at(each.start + length + SLACK)
            is_proven = (
                begin >= 0
                and end + 1 < len(tape.deals)
                and all(key in held for key in keys[begin : end + 2])
                and tape.deals[end + 1].number - tape.deals[begin].number == end + 1 - begin
            )
            if each.covered in ("complete", "empty"):
                if [trade.trade_id for trade in members] != numbers:
                    self._find(
                        pair,
                        each.start,
                        f"{name} {each.covered} with {len(members)} of {len(numbers)}: {each}",
                    )
                if (each.covered == "complete") != bool(numbers):
                    self._find(pair, each.start, f"{name} {each.covered}, of {len(numbers)} trades")
            elif is_proven:
                self._find(pair, each.start, f"{name} {each.covered}, though each trade is recorded: {each}")
            if each.candle != (_candle(each.start, members) if members else None):
                self._find(pair, each.start, f"{name} is not what was recorded: {each}, {members[:3]}")
            if each.candle is not None and not _is_average(each.candle):
                self._find(pair, each.start, f"{name} vwap {vwap(each.candle)}: {each}")

    def _against_minutes(
        self, pair: str, name: str, minutes: int, told: Sequence[Told], shorter: Sequence[Told]
    ) -> None:
        length = minutes * MINUTE
        parts: dict[int, list[Candle]] = {}
        for each in shorter:
            if each.candle is not None:
                parts.setdefault(each.start // length * length, []).append(each.candle)
        for each in told:
            members = parts.get(each.start)
            if each.candle != (_sum(each.start, members) if members else None):
                self._find(pair, each.start, f"{name} is not the sum of its minutes: {each}")

    def _find(self, pair: str, moment: int, what: str) -> None:
        self.findings.append(Finding(pair, moment, what))


def _keys(tape: DayTape) -> Iterator[tuple[int, int]]:
    """What a trade is known by: its moment, and its id, which the exchange may give again."""
    return zip(tape.micros, (deal.number for deal in tape.deals), strict=True)


def _candle(start: int, trades: Sequence[RecordedTrade]) -> Candle:
    prices = [trade.price for trade in trades]
    volume = turnover = _EXACT.create_decimal(0)
    for trade in trades:
        volume = _EXACT.add(volume, trade.quantity)
        turnover = _EXACT.add(turnover, _EXACT.multiply(trade.price, trade.quantity))
    ends = trades[0].trade_id, trades[-1].trade_id
    return Candle(
        start, prices[0], max(prices), min(prices), prices[-1], volume, turnover, len(trades), *ends
    )


def _sum(start: int, parts: Sequence[Candle]) -> Candle:
    volume = turnover = _EXACT.create_decimal(0)
    for part in parts:
        volume, turnover = _EXACT.add(volume, part.volume), _EXACT.add(turnover, part.turnover)
    return Candle(
        start,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        volume,
        turnover,
        sum(part.trades for part in parts),
        parts[0].first_trade_id,
        parts[-1].last_trade_id,
    )


def _is_average(candle: Candle) -> bool:
    """Whether the vwap is right in all of its digits."""
    told = vwap(candle)
    exponent = told.as_tuple().exponent
    assert isinstance(exponent, int)
    error = abs(Fraction(told) - Fraction(candle.turnover) / Fraction(candle.volume))
    return error <= Fraction(1, 2 * 10**-exponent)
