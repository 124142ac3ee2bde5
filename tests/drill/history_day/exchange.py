"""The exchange of the day: trades reach the line late, some never, and REST lags and loses trades."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from tests.drill.chance.behaviour import Behaviour, Fault
from tests.drill.chance.exchange import KEYS, Exchange, Session
from tests.drill.chance.market import Deal
from tests.drill.chance.schedule import Schedule
from tests.drill.history_day.market import DayTape

LATEST = 0.7
"""Seconds by which news reach the line later than a heartbeat of the same moment, at most."""

LOST_FRAME = 1 / 2_000
"""Chance that the trade channel does not tell of a trade. The ticker does, which shows it where the price is another one."""

LAGS = (0.0, 0.0, 1.0, 3.0, 8.0)
"""Seconds by which REST's trades lag behind, beside its caches."""

LOST_EDGE, MOST_LOST = 0.3, 3
"""Chance that a page begins late or ends early, and by how many trades at most."""

PAGE = 1_000
"""Most trades of a page."""

SNAPSHOTS = (0, 1, 5, 50)
"""Trades with which a subscription begins, so that the shortest cuts leave holes, too. After 0 it says nothing."""

EVENTS = 2_000
"""Of what reached the service so many are remembered, the last ones."""


class DayBehaviour(Behaviour):
    """Hundreds of cuts, looked up quickly, and a lateness that is always there."""

    def now(self, kind: str, moment: float, pair: str | None = None) -> Fault | None:
        """See Behaviour. All faults but the lateness are cuts."""
        if kind == "late_data":
            return self._lateness[int(moment * 1e6) % len(self._lateness)]
        if kind != "cut":
            return None
        place = bisect_right(self._begins, moment) - 1
        return next(
            (each for each in self.faults[max(0, place - 3) : place + 1] if each.touches(moment)), None
        )

    @cached_property
    def _begins(self) -> list[float]:
        return [fault.begin for fault in self.faults]

    @cached_property
    def _lateness(self) -> list[Fault]:
        chance = random.Random(1)
        return [Fault("late_data", 0.0, 1e12, size=chance.uniform(0.0, LATEST)) for _ in range(997)]


class DayExchange(Exchange):
    """Kraken, of which REST forgets some trades for good: all pages but the newest one lack them."""

    def __init__(
        self,
        schedule: Schedule,
        tapes: Mapping[str, DayTape],
        behaviour: Behaviour,
        chance: random.Random,
        forgotten: Mapping[str, frozenset[int]],
    ) -> None:
        """`forgotten` are their ids."""
        self.questions = 0
        """Pages of trades that REST was asked for."""
        self.lost_frames = 0
        self.unseen: dict[str, set[int]] = {pair: set() for pair in tapes}
        """Ids of the trades of which nothing told at their moment that they were made."""
        self._forgotten = forgotten
        super().__init__(schedule, tapes, behaviour, chance)

    def delivered(self, text: str, traded_at: float | None) -> None:
        """See Exchange."""
        super().delivered(text, traded_at)
        if len(self.events) > 2 * EVENTS:
            del self.events[:EVENTS]

    def _snapshot(self, session: Session, channel: str, pair: str) -> None:
        if channel != "trade":
            super()._snapshot(session, channel, pair)
            return
        tape = self.tapes[pair]
        end = tape.place(self.schedule.exchange_time()) + 1
        rows = tape.deals[max(0, end - self.chance.choice(SNAPSHOTS)) : end]
        if rows:
            session.push(self._trades(rows, snapshot=True))

    def _trade(self, deals: Sequence[Deal]) -> None:
        tape = self.tapes[deals[0].pair]
        place = bisect_left(tape.moments, deals[0].moment)
        told: list[tuple[str, str, float | None]] = [
            ("ticker", self._ticker(deals[-1], snapshot=False), None)
        ]
        if self.chance.random() < LOST_FRAME:
            self.lost_frames += 1
            if place and tape.deals[place - 1].price == deals[-1].price:
                self.unseen[deals[0].pair].update(deal.number for deal in deals)
        else:
            trades = self._trades(deals, snapshot=False)
            told.insert(self.chance.randrange(2), ("trade", trades, deals[-1].moment))
        for session in list(self.sessions):
            for channel, frame, traded_at in told:
                if (channel, deals[0].pair) in session.subscribed:
                    session.push_data(frame, traded_at)

    def _result(self, method: str, params: Mapping[str, str], moment: float) -> Any:
        if method != "Trades":
            return super()._result(method, params, moment)
        self.questions += 1
        (pair,) = [pair for pair in KEYS if params["pair"] in (self._altname(pair), KEYS[pair])]
        tape = self.tapes[pair]
        end = tape.place(moment - self.chance.choice(LAGS)) + 1
        count = int(params.get("count", PAGE))
        if "since" in params:
            begin = tape.place(int(params["since"]) / 1e9) + 1
            rows = tape.deals[begin : min(end, begin + count)]
            if self.chance.random() < LOST_EDGE:
                rows = rows[self.chance.randint(0, MOST_LOST) :]
            if self.chance.random() < LOST_EDGE:
                rows = rows[: max(0, len(rows) - self.chance.randint(0, MOST_LOST))]
        else:
            rows = tape.deals[max(0, end - count) : end]
        told = [
            # REST has more digits than the WebSocket, of the same microsecond.
            [deal.price, deal.quantity, deal.moment + 0.2e-6, deal.side[0], "l", "", deal.number]
            for deal in rows
            if "since" not in params or deal.number not in self._forgotten[pair]
        ]
        return {
            KEYS[pair]: told,
            "last": str(round(rows[-1].moment * 1e9)) if rows else params.get("since", "0"),
        }
