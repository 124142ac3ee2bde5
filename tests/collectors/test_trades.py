"""What all trade collectors share, shown on an exchange that does not exist."""

from decimal import Decimal

import pytest

from ltp_service.collectors.contract import Gap, Terms
from ltp_service.collectors.events import Answered, Invalid, Parsed, Request, Traded
from ltp_service.collectors.trades import TradeCollector
from ltp_service.errors import BadFrame
from ltp_service.stores.trades import TradeStore
from ltp_service.trade import Trade
from tests.fakes import NOON, Script, Step


class Dialect:
    """`trade 7 0.5` is trade 7, traded 0.5 s after noon; `ok 1` answers request 1; `bad` is no frame at all."""

    def write(self, request: Request, request_id: int) -> str:
        return f"{request.verb} {' '.join(request.symbols)}"

    def ping(self, request_id: int) -> str:
        return "ping"

    def parse(self, frame: str) -> Parsed:
        match frame.split():
            case ["trade", number, seconds]:
                at = NOON + float(seconds)
                return Parsed("trade", [Traded("AB", "buy", Decimal(1), Decimal(2), at, number, frame)])
            case ["ok", number]:
                return Parsed("acknowledgement", [Answered(int(number))])
            case ["invalid"]:
                return Parsed("trade", [Invalid("not_positive", "0")])
            case ["pong"]:
                return Parsed("pong", ())
        raise BadFrame("nothing known", reason="shape")


class MadeUpTrades(TradeCollector):
    """The least that an exchange needs."""

    name, exchange, url, channel = "made_up_trades", "made_up", "wss://made.up", "trades"
    dialect, terms = Dialect(), Terms(ping_every=20.0)


LOOK = "look at the collector"
"""A step: has it a problem now?"""


class Feed:
    """The collector on scripted connections."""

    def __init__(self, *connections: list[Step]) -> None:
        self.script = Script(*([self.look if step == LOOK else step for step in one] for one in connections))
        self.store = TradeStore(self.script.clock, self.script.observer)
        self.collector = MadeUpTrades(["AB"], self.store, self.script.equipment)
        self.problems: list[str | None] = []

    def play(self) -> "Feed":
        self.script.play(self.collector)
        return self

    def look(self) -> None:
        self.problems.append(self.collector.link().problem)


def test_a_made_up_exchange_feeds_the_store() -> None:
    feed = Feed(["ok 1", "trade 7 0"]).play()
    assert feed.store.recent() == [
        Trade("made_up", "AB", "buy", Decimal(1), Decimal(2), NOON, "7", NOON, "trade 7 0")
    ]


def test_a_trade_half_a_second_in_the_future_is_taken_and_one_of_an_hour_is_not() -> None:
    feed = Feed(["trade 1 0.5", "trade 2 3600"]).play()
    assert [trade.trade_id for trade in feed.store.recent()] == ["1"]
    assert feed.script.observer.refused["future"] == 1


def every_second(frame: str, seconds: int) -> list[Step]:
    """The frame again and again."""
    step: list[Step] = [frame, 1.0]
    return step * seconds


@pytest.mark.parametrize("useless", ["trade 1 0", "invalid", "bad"])
def test_ten_seconds_of_arrivals_without_one_stored_trade_are_a_problem(useless: str) -> None:
    feed = Feed(["trade 1 0", *every_second(useless, 9), LOOK, *every_second(useless, 3), LOOK])
    feed.play()
    early, late = feed.problems
    assert early is None
    assert late is not None
    assert late.startswith("receives and has stored nothing for 1")


def test_one_stored_trade_ends_the_problem() -> None:
    useless = every_second("bad", 12)
    feed = Feed([*useless, LOOK, "trade 5 1", LOOK, *useless, LOOK]).play()
    assert [problem is None for problem in feed.problems] == [False, True, False]


def test_a_quiet_market_after_a_few_duplicates_is_no_problem() -> None:
    feed = Feed(["trade 1 0", "trade 1 0", *every_second("pong", 30), LOOK]).play()
    assert feed.problems == [None]


def test_a_cut_is_a_gap_until_everything_is_subscribed_again() -> None:
    feed = Feed(
        ["ok 1", "trade 1 0", 5.0],
        [2.0, lambda: gaps.extend(feed.collector.gaps()), "ok 2", 0.5],
    )
    gaps: list[Gap] = []
    feed.play()
    assert gaps == [Gap(NOON - 1.0, None)]
    first, last = feed.collector.gaps()
    down = 5.0 + feed.script.stop.waits[0] + 2.0 + 0.5  # noticed at the next look
    assert first == Gap(NOON - 1.0, NOON + down)
    assert last.until is None


def test_connections_that_fail_again_and_again_are_one_gap() -> None:
    feed = Feed(["ok 1", "trade 1 0"], [0.5], [0.5], ["ok 4", 0.5]).play()
    gaps = feed.collector.gaps()
    assert len(gaps) == 2
    assert gaps[0].since == NOON - 1.0
    assert gaps[0].until is not None
    assert gaps[0].until > gaps[0].since + 2


def test_the_first_connection_begins_without_a_gap() -> None:
    feed = Feed([0.5, "ok 1", lambda: seen.extend(feed.collector.gaps())])
    seen: list[Gap] = []
    feed.play()
    assert seen == []
