"""Compares the trades that a stream told with the exchange's; pure."""

from collections import deque
from math import inf
from typing import NamedTuple

from ltp_service.cli.verifying.prices import SAME_TIME_SECONDS
from ltp_service.cli.verifying.said import Finding, Limits, Report, moment
from ltp_service.cli.verifying.tape import Known, Tape
from ltp_service.client.events import Gap, Trade

DOUBT_SECONDS = 2.0
"""How far the exchange's clock may be ahead of what its answers show, because HTTP's Date has whole seconds."""

MOST_TOLD, MOST_GAPS, MOST_PENDING = 20_000, 1000, 20_000
"""Ids, gaps and trades that wait for REST, of one pair; more are forgotten, the oldest first."""


class _Told(NamedTuple):
    trade: Trade
    since: float
    at: float
    could_since: float
    """The moment from which on it could be told: the line stood, and the service had its feed."""


class _Gap(NamedTuple):
    after: float
    before: float
    """Ids; without an end infinite."""


class TradeJudge:
    """The trades of one pair."""

    def __init__(self, pair: str, limits: Limits, tape: Tape, report: Report) -> None:
        self._pair, self._limits, self._tape, self._report = pair, limits, tape, report
        self._told: dict[int, None] = {}
        self._first = self._last = 0
        """Ids of the first and of the last trade that was told."""
        self._gaps: deque[_Gap] = deque(maxlen=MOST_GAPS)
        self._pending: deque[_Told] = deque()
        self._is_anew = False
        """The line has not resumed: the next trade may have any id."""
        self._begun: float | None = None
        self._line_since = self._heard = 0.0
        """When the present line began, and the last moment of which it is known what it told."""
        self._fed_since: float | None = None
        """The moment since when the service has its feed of the pair. None while it has none."""
        self._decided = 0
        """The id up to which is decided whether a trade is missing."""
        self.judged = self.unjudged = 0

    @property
    def pending(self) -> int:
        return len(self._pending)

    def begin(self, at: float, *, resumed: bool) -> None:
        """A line has begun at the moment `at`."""
        if self._begun is None:
            self._begun = at
        self._line_since = self._heard = at
        self._is_anew = not resumed

    def feed(self, at: float, *, is_fed: bool) -> None:
        """The stream told whether the service has its feed of the pair."""
        if not is_fed:
            self._fed_since = None
        elif self._fed_since is None:
            self._fed_since = at

    def hear(self, since: float) -> None:
        """Notes that everything the stream told up to `since` is known."""
        self._heard = max(self._heard, since)

    def tell(self, trade: Trade, since: float, at: float) -> None:
        """An event `trade`."""
        number = trade.trade_id
        if not self._is_anew:
            self._check_order(trade, at)
        self._close_gap(number)
        if any(gap.after < number < gap.before for gap in self._gaps):
            self._find("gap-told", at, f"trade {number}", "a gap had named it as lost")
        self._is_anew = False
        self._first = self._first or number
        self._last = max(self._last, number)
        self._told[number] = None
        if len(self._told) > MOST_TOLD:
            forgotten = next(iter(self._told))
            del self._told[forgotten]
            self._decided = max(self._decided, forgotten)
        if len(self._pending) >= MOST_PENDING:
            self._pending.popleft()
            self.unjudged += 1
        self._pending.append(_Told(trade, since, at, self._could_since(at)))

    def lose(self, gap: Gap, at: float) -> None:
        """An event `gap`."""
        after, before = gap.after_trade_id, gap.before_trade_id
        found = _Gap(-inf if after is None else after, inf if before is None else before)
        self._gaps.append(found)
        if after is None or before is None:
            return  # it does not say which trades
        told = [number for number in self._told if after < number < before]
        if told:
            self._find("gap-told", at, f"gap from {after} to {before}", f"trade {told[0]} was told before")

    def judge(self, ahead: float, *, is_over: bool = False) -> None:
        """Judges what can be judged by now, as PriceJudge does. `is_over`: nothing more will be told."""
        until = self._tape.covered - self._limits.rest_lag
        while self._pending and self._pending[0].at <= until:
            self.judged += 1
            self._check_content(self._pending.popleft(), ahead)
        self._check_missing(ahead, self._limits.told_within if is_over else self._limits.lost)

    def _check_order(self, trade: Trade, at: float) -> None:
        number = trade.trade_id
        if number in self._told:
            self._find("twice", at, f"trade {number}", "it was told before")
        elif number < self._last:
            self._find("out-of-order", at, f"trade {number}", f"trade {self._last} was told before")

    def _close_gap(self, number: int) -> None:
        """A gap without an end reaches to the next trade."""
        if self._gaps and self._gaps[-1].before == inf:
            self._gaps.append(self._gaps.pop()._replace(before=number))

    def _check_content(self, told: _Told, ahead: float) -> None:
        trade, known = told.trade, self._tape.get(told.trade.trade_id)
        said = f"trade {trade.trade_id} at {trade.price:f}, {trade.quantity:f}"
        if known is None:
            newest = self._tape.newest
            if newest is None or trade.trade_id > newest:
                self._find("invented", told.at, said, f"the last trade is {newest}")
            else:
                self.unjudged += 1
            return
        self._check_values(told, said, known)
        late = told.since - max(known.time - ahead, told.could_since)
        if late > self._limits.told_within:
            self._find("late", told.at, said, f"it was told {late:.1f} s after it happened")

    def _check_values(self, told: _Told, said: str, known: Known) -> None:
        trade = told.trade
        true = f"it was at {known.price:f}, {known.quantity:f}"
        if trade.price != known.price:
            other = self._tape.nearest(trade.price, trade.trade_id)
            of_other = "" if other is None else f", and that price is of trade {other}"
            self._find("digits" if other is None else "wrong-id", told.at, said, true + of_other)
        elif trade.quantity != known.quantity:
            self._find("digits", told.at, said, true)
        if abs(trade.traded_at.timestamp() - known.time) > SAME_TIME_SECONDS:
            self._find("wrong-time", told.at, f"{said} at {trade.traded_at.isoformat()}", moment(known.time))

    def _check_missing(self, ahead: float, patience: float) -> None:
        """Trades are told in the order of their ids, so what was passed over is missing at once; others after
        `patience` seconds."""
        if self._begun is None:
            return
        missing = []
        for number in self._tape.ids_after(self._decided):
            known = self._tape.get(number)
            happened = (known.time if known else 0.0) - ahead
            is_before = self._is_before(number, happened)
            due = happened
            if number > self._last and not is_before:
                due = max(happened, self._could_since(inf)) + patience
            if due > self._heard:
                break  # it may still come
            self._decided = number
            if not (is_before or number in self._told or self._is_in_gap(number)):
                missing.append(number)
        if missing:
            first, last = missing[0], missing[-1]
            which = f"trade {first}" if first == last else f"{len(missing)} trades from {first} to {last}"
            self._find("missing", self._heard, "nothing, and no gap", f"there was {which}")

    def _could_since(self, otherwise: float) -> float:
        """The moment from which on trades can be told; `otherwise` when they cannot be told."""
        return otherwise if self._fed_since is None else max(self._line_since, self._fed_since)

    def _is_before(self, number: int, happened: float) -> bool:
        """Whether the trade may be older than the stream, which tells trades from its beginning on."""
        if self._first:
            return number < self._first and happened - DOUBT_SECONDS <= (self._begun or 0.0)
        return happened - DOUBT_SECONDS <= (self._begun or 0.0)

    def _is_in_gap(self, number: int) -> bool:
        return any(gap.after < number < gap.before for gap in self._gaps)

    def _find(self, kind: str, at: float, said: str, true: str) -> None:
        self._report(Finding(kind, at, self._pair, f"stream: {said}", true))
