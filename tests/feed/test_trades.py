"""What all trade collectors share, shown on an exchange that does not exist."""

from decimal import Decimal
from functools import partial

import pytest

from ltp_service.collected.trades import TradeStore
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.trade import MAX_COLLECTED_SYMBOLS, Trade
from ltp_service.feed.contract import Gap, Terms
from ltp_service.feed.messages import Answered, Invalid, Parsed, Request, Traded
from ltp_service.feed.trades import LATENCY_SECONDS, REMEMBERED_OUTAGES, TradeCollector
from tests.fakes import NOON, Script, Step


class Dialect:
    """`trade 7 0.5` is trade 7, traded 0.5 s after noon; `numbered 7 0.5` is the same on an exchange whose trades are
    numbered without a hole; `ok 1` answers request 1, and `no 1` refuses it; `bad` is no frame at all."""

    def write(self, request: Request, request_id: int) -> str:
        return f"{request.verb} {' '.join(request.symbols)}"

    def ping(self, request_id: int) -> str:
        return "ping"

    def parse(self, frame: str) -> Parsed:
        match frame.split():
            case ["trade", number, seconds]:
                at = NOON + float(seconds)
                return Parsed("trade", [Traded("AB", "buy", Decimal(1), Decimal(2), at, number, frame)])
            case ["numbered", number, seconds]:
                at, place = NOON + float(seconds), int(number)
                trade = Traded("AB", "buy", Decimal(1), Decimal(2), at, number, frame, place)
                return Parsed("trade", [trade])
            case ["ok", number]:
                return Parsed("acknowledgement", [Answered(int(number))])
            case ["no", number]:
                return Parsed("refusal", [Answered(int(number), "no such market")])
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
    """The collector on scripted connections. The step `want AB CD` has it follow these symbols from then on."""

    def __init__(self, *connections: list[Step]) -> None:
        self.script = Script(*(map(self._step, one) for one in connections))
        self.store = TradeStore(self.script.equipment.runtime)
        self.collector = MadeUpTrades(["AB"], self.store, self.script.equipment)
        self.problems: list[str | None] = []

    def play(self) -> "Feed":
        self.script.play(self.collector)
        return self

    def look(self) -> None:
        self.problems.append(self.collector.link().problem)

    def _step(self, step: Step) -> Step:
        if step == LOOK:
            return self.look
        if isinstance(step, str) and step.startswith("want"):
            return partial(self.collector.want, step.split()[1:])
        return step


def every_second(frame: str, seconds: int) -> list[Step]:
    """The frame again and again."""
    step: list[Step] = [frame, 1.0]
    return step * seconds


def test_a_made_up_exchange_feeds_the_store() -> None:
    feed = Feed(["ok 1", "trade 7 0"]).play()
    assert feed.store.recent() == [
        Trade("made_up", "AB", "buy", Decimal(1), Decimal(2), NOON, "7", NOON, "trade 7 0")
    ]


def test_a_trade_an_hour_ahead_of_the_others_is_refused_and_costs_itself_alone() -> None:
    feed = Feed(["trade 1 0.5", 1.0, "trade 2 3600", 1.0, "trade 3 2.5"]).play()
    assert [trade.trade_id for trade in feed.store.recent()] == ["3", "1"]
    assert feed.script.meters.refused["future"] == 1


@pytest.mark.parametrize("wrong", [-70.0, 70.0, 600.0, -600.0, 5 * 3600.0, -5 * 3600.0, 1e8])
def test_whatever_this_machines_clock_shows_no_trade_is_refused_and_the_hour_is_an_hour(wrong: float) -> None:
    feed = Feed(
        [
            "trade 1 0",
            5.0,
            "trade 2 5",
            *every_second("pong", 3590),
            lambda: seen.append([trade.trade_id for trade in feed.store.recent()]),
            *every_second("pong", 20),
            lambda: seen.append([trade.trade_id for trade in feed.store.recent()]),
        ]
    )
    seen: list[list[str]] = []
    feed.script.clock.set_wall(NOON + wrong)
    feed.play()

    assert feed.script.meters.refused == {}
    assert seen == [["2", "1"], []]


def test_an_exchange_whose_clock_really_is_elsewhere_after_a_sleep_of_this_machine_is_followed() -> None:
    feed = Feed(["trade 1 0", "trade 2 0", "trade 3 7200", "trade 4 7200"]).play()
    assert [trade.trade_id for trade in feed.store.recent()] == ["4"]


def test_a_hole_in_the_numbers_is_told_with_its_place_and_size(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed(["ok 1", "numbered 7 0", "numbered 8 1", "numbered 12 3", "numbered 13 4"]).play()

    assert feed.collector.gaps()[0] == Gap(NOON + 1, NOON + 3, "AB", 3)
    assert feed.script.meters.missed == {"made_up": 3}
    assert "3 trade(s) of AB are missing between 8 and 12" in caplog.text


def test_a_hole_is_known_when_the_trade_that_shows_it_is_stored() -> None:
    known: list[int] = []
    feed = Feed(["ok 1", "numbered 7 0", "numbered 9 1"])
    feed.store.listener = lambda _: known.append(len(feed.collector.gaps()))
    feed.play()

    assert known == [0, 1]


def test_a_hole_across_a_cut_is_told_beside_the_cut_and_none_where_nothing_was_missed() -> None:
    cut = ["ok 1", "numbered 7 0"]
    feed = Feed([*cut], ["ok 2", "numbered 8 3"], ["ok 3", "numbered 11 9"]).play()

    assert [gap.missing for gap in feed.collector.gaps() if gap.symbol] == [2]
    assert feed.script.meters.missed == {"made_up": 2}


@pytest.mark.parametrize(
    "numbers", [[7, 8, 8, 9], [7, 9, 8, 10], [7], [10, 5, 11]], ids=["twice", "late", "one", "old"]
)
def test_trades_told_twice_or_late_are_no_further_hole(numbers: list[int]) -> None:
    feed = Feed(["ok 1", *(f"numbered {number} {number}" for number in numbers)]).play()

    assert feed.script.meters.missed == ({"made_up": 1} if numbers == [7, 9, 8, 10] else {})


def test_a_new_numbering_is_a_hole_of_unknown_size_and_is_followed_from_then_on() -> None:
    feed = Feed(["ok 1", "numbered 5000000 0", "numbered 1 1", "numbered 2 2", "numbered 4 3"]).play()

    assert [gap.missing for gap in feed.collector.gaps() if gap.symbol] == [None, 1]


def test_a_symbol_that_was_not_wanted_for_a_while_has_no_hole_from_then() -> None:
    feed = Feed(["ok 1", "numbered 7 0", "want", 0.2, "want AB", 0.2, "numbered 50 9"]).play()

    assert feed.script.meters.missed == {}


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
    feed = Feed(["ok 1", "trade 1 0", 5.0], [2.0, lambda: gaps.extend(feed.collector.gaps()), "ok 2", 0.5])
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


def test_a_symbol_that_was_not_wanted_for_a_while_has_a_gap_of_its_own_until_it_is_subscribed_again() -> None:
    look: list[Step] = [lambda: seen.extend(feed.collector.gaps())]
    feed = Feed(["ok 1", "trade 1 0", "want", 1.0, 10.0, "want AB", 1.0, 2.0, *look, "ok 3", 0.5])
    seen: list[Gap] = []
    feed.play()

    assert seen == [Gap(NOON + 1 - LATENCY_SECONDS, None, "AB")]
    assert feed.collector.gaps()[0] == Gap(NOON + 1 - LATENCY_SECONDS, NOON + 14.5, "AB")


def test_a_symbol_that_is_refused_for_a_while_has_a_gap_of_its_own_that_joins_the_cut_before() -> None:
    feed = Feed(["ok 1", "trade 1 0"], [0.5, "no 2", *every_second("pong", 60), "trade 2 62", 0.5]).play()

    cut, refused, _ = feed.collector.gaps()
    assert (cut.symbol, refused.symbol) == (None, "AB")
    assert cut.until is not None
    assert refused.until is not None
    assert refused.since < cut.until
    assert refused.until - cut.until == pytest.approx(60.5, abs=1)


def test_as_many_symbols_as_may_be_collected_can_be_missed_at_once_and_no_gap_is_forgotten() -> None:
    names = list(map(str, range(MAX_COLLECTED_SYMBOLS)))
    all_of_them = " ".join(["want", *names])
    feed = Feed([all_of_them, 0.5, "ok 3", "want", 0.5, all_of_them, 0.5, "ok 5", 0.5]).play()

    assert {gap.symbol for gap in feed.collector.gaps() if gap.until} >= set(names)


def test_symbols_that_come_and_go_for_ever_are_remembered_up_to_a_number() -> None:
    steps: list[Step] = []
    for number in range(REMEMBERED_OUTAGES + 50):
        steps += [f"want {number}", 0.5, "pong"]
    feed = Feed(steps).play()

    assert len([gap for gap in feed.collector.gaps() if gap.symbol]) == REMEMBERED_OUTAGES
