"""Compares each price that was told with the exchange's trades; pure."""

from bisect import bisect_right
from collections import defaultdict, deque

from ltp_service.cli.verifying.said import Finding, Limits, Report, Said, moment
from ltp_service.cli.verifying.tape import Known, Tape

REST = "kraken:rest"
"""The source that vouches for a price and not for the id beside it."""

LONGEST_PLAIN_AGE = 60.0
"""Seconds that the evidence of an answer without detail may be old, which says no age."""

PLAIN_CACHE_SECONDS, WORKERS_APART_SECONDS = 1.0, 0.5
"""Seconds for which a cache may keep an answer without detail, and by which two workers may be apart."""

SAME_TIME_SECONDS = 0.001
"""Seconds by which two tellings of a trade's time may differ, because they are rounded."""

MOST_PENDING = 20_000
"""Prices of a pair that wait for the exchange's REST; a service says ten a second."""

MOST_FLOORS = 64


class PriceJudge:
    """The prices of one pair. They wait until REST tells all trades up to the moment at which they were said."""

    def __init__(self, limits: Limits, tape: Tape, report: Report) -> None:
        self._limits, self._tape, self._report = limits, tape, report
        self._pending: deque[Said] = deque()
        self._floors: dict[tuple[str, int], deque[tuple[float, int]]] = defaultdict(
            lambda: deque(maxlen=MOST_FLOORS)
        )
        """For each reader: the moment from which on it knew a trade, and the id of that trade."""
        self._ahead = 0.0
        self.judged = 0
        self.unjudged = 0
        """The number of prices that REST cannot confirm: their trades are older than its answers, or left out of them."""

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def oldest(self) -> float | None:
        """The moment of the oldest waiting price; None without one."""
        return self._pending[0].since if self._pending else None

    def say(self, said: Said) -> None:
        if len(self._pending) >= MOST_PENDING:
            self._pending.popleft()
            self.unjudged += 1
        self._pending.append(said)

    def judge(self, ahead: float) -> None:
        """Judges what can be judged by now. `ahead`: seconds to add to monotonic ones for the exchange's unix time, at
        least."""
        self._ahead = ahead
        until = self._tape.covered - self._limits.rest_lag
        while self._pending and self._pending[0].at <= until:
            self._judge(self._pending.popleft())

    def _judge(self, said: Said) -> None:
        self.judged += 1
        names_trade = said.trade_id is not None and said.source != REST
        places = self._by_id(said) if names_trade else self._by_price(said)
        if places:
            self._check_direction(said, places)

    def _confirmed(self, said: Said) -> float:
        """The exchange's unix time at which it was the last price, as it was said; the earliest that this can mean."""
        confirmed = said.since - LONGEST_PLAIN_AGE if said.confirmed is None else said.confirmed
        return self._ahead + min(confirmed, said.since) - self._limits.late

    def _by_id(self, said: Said) -> list[int]:
        assert said.trade_id is not None  # noqa: S101 - for the type checker
        known = self._tape.get(said.trade_id)
        if known is None:
            self._unknown(said, said.trade_id)
            return []
        if known.price != said.price:
            self._other_price(said, said.trade_id, known)
            return []
        if said.traded_at is not None and abs(said.traded_at - known.time) > SAME_TIME_SECONDS:
            self._find("wrong-time", said, f"trade {said.trade_id} was at {moment(known.time)}")
        self._check_replaced(said, said.trade_id)
        return [said.trade_id]

    def _unknown(self, said: Said, number: int) -> None:
        newest = self._tape.newest
        if newest is None or number > newest:
            self._invented(said, f"the last trade is {newest}")
        elif not self._check_replaced(said, number):
            self.unjudged += 1

    def _other_price(self, said: Said, number: int, known: Known) -> None:
        true = f"trade {number} was at {known.price:f}"
        if said.price in (0, 1):
            self._find("sentinel", said, true)
        elif (other := self._tape.nearest(said.price, number)) is not None:
            self._find("wrong-id", said, f"{true}, and that price is of trade {other}")
        else:
            self._find("digits", said, true)

    def _check_replaced(self, said: Said, number: int) -> bool:
        following = self._tape.after(number)
        if following is None or following[1].time >= self._confirmed(said):
            return False
        self._replaced(said, *following)
        return True

    def _replaced(self, said: Said, number: int, known: Known) -> None:
        before = self._confirmed(said) + self._limits.late - known.time
        self._find("replaced", said, f"trade {number} at {known.price:f} was {before:.1f} s before that")

    def _by_price(self, said: Said) -> list[int]:
        earliest = self._confirmed(said)
        places = self._tape.last_at(said.price, earliest)
        if places:
            return places
        older = self._tape.nearest(said.price, self._tape.newest or 0)
        following = None if older is None else self._tape.after(older)
        if following is not None:
            self._replaced(said, *following)
        elif self._tape.reaches(earliest):
            self._invented(said, "no trade had this price")
        else:
            self.unjudged += 1
        return []

    def _invented(self, said: Said, true: str) -> None:
        self._find("sentinel" if said.price in (0, 1) else "invented", said, true)

    def _check_direction(self, said: Said, places: list[int]) -> None:
        """The newest trade that this price can be has to be as new as the oldest that an earlier one can have been."""
        is_stream = said.by in ("stream", "heartbeat")
        apart = WORKERS_APART_SECONDS + (PLAIN_CACHE_SECONDS if said.state is None else 0.0)
        floors = self._floors["stream" if is_stream else "answer", said.line]
        known = len(floors)
        if not is_stream:  # there the order is certain
            known = bisect_right(floors, said.since - apart, key=lambda each: each[0])
        floor = floors[known - 1][1] if known else 0
        if places[-1] < floor:
            true = f"trade {floor} was said before"
            self._find("hidden" if said.by == "304" else "backwards", said, true)
        newest = floors[-1][1] if floors else 0
        if places[0] > newest:
            floors.append((said.at, places[0]))

    def _find(self, kind: str, said: Said, true: str) -> None:
        self._report(Finding(kind, said.at, said.pair, str(said), true))
