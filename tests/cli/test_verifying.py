"""What ltp verify decides: each lie of a service is found by its name, and nothing of an honest one."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from ltp_service.cli.verifying import prices, trades
from ltp_service.cli.verifying.judge import Judge
from ltp_service.cli.verifying.said import KINDS, Finding, Limits, Said
from ltp_service.cli.verifying.tape import PAGE_TRADES, Tape
from ltp_service.client.sse import EventParser
from ltp_service.client.wire import read_json
from tests.cli.lying_service import (
    ELSEWHERE,
    FEED,
    LIES,
    PAIRS,
    REST,
    CachedAnswers,
    LateHeartbeat,
    LyingService,
    SlowStream,
    Truth,
)
from tests.ended import PROJECT
from tests.fakes import FakeClock

STEP = 0.1
"""Seconds between two looks at the stream."""


class Verified:
    """Judges a service, on a clock that takes no time."""

    def __init__(
        self, lie: Truth | None = None, *, trades: bool = True, skew: float = 0.0, cache: float = 0.0
    ) -> None:
        self.clock = FakeClock()
        self.service = LyingService(self.clock.monotonic, lie or Truth(), trades=trades, skew=skew)
        self.judge = Judge(Limits())
        self.found: list[Finding] = []
        self.is_exchange_away = False
        self._cache, self._ticks, self._etag, self._last_id = cache, 0, "", ""
        self._parser: EventParser | None = None
        self.open()

    def open(self, last_id: str = "", *, knows: bool = True) -> None:
        self._parser = EventParser(last_id)
        self.judge.opened()
        self._read(self.service.hello(last_id, knows=knows))

    def cut(self) -> None:
        self._parser = None
        self.judge.closed()

    def listen(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            self._ticks += 1
            self.service.go_on()
            if self._parser is not None:
                self._read(self.service.stream())
                self.judge.heard(self.clock.monotonic())
            if self._ticks % round(1 / STEP) == 0:
                self._ask()
                if not self.is_exchange_away:
                    self._ask_exchange(PAIRS[self._ticks // 10 % len(PAIRS)])
        self.found += self.judge.take()

    def end(self) -> list[Finding]:
        """What was found, after the exchange has told all of it."""
        for _ in range(10):
            self.clock.advance(1.0)
            for pair in PAIRS:
                self._ask_exchange(pair)
        self.judge.finish()
        self.found += self.judge.take()
        assert not [book for book in self.judge.books.values() if book.prices.pending or book.trades.pending]
        return self.found

    def _read(self, content: bytes) -> None:
        assert self._parser is not None
        now = self.clock.monotonic()
        for event in self._parser.feed(content):
            self.last_id = event.id
            self.judge.event(event.name, read_json(event.data), now - STEP, now)

    def _ask(self) -> None:
        now = self.clock.monotonic()
        for detail in (True, False):
            answer = self.service.answer(detail=detail, etag="" if detail else self._etag)
            if not detail:
                self._etag = answer.headers["etag"]
            self.judge.answered(
                detail=detail,
                status=answer.status,
                headers=answer.headers,
                body=answer.body.encode(),
                asked=now - 0.05,
                answered=now,
            )

    def _ask_exchange(self, pair: str) -> None:
        now, next_page = self.clock.monotonic(), self.judge.books[pair].tape.next_page
        page = self.service.page(pair, next_page, self._cache)
        # The Date of HTTP has whole seconds, so it may be behind by one.
        ahead = self.service.exchange_time - now - 0.9
        self.judge.learn(pair, page, now - self._cache, ahead, is_newest=next_page is None)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_each_lie_is_found_by_its_name(lie: type[Truth]) -> None:
    verified = Verified(lie())
    verified.listen(45.0)
    assert {each.kind for each in verified.end()} == {lie.kind}


def test_one_silence_is_one_finding() -> None:
    verified = Verified(LateHeartbeat())
    verified.listen(45.0)
    assert len(verified.end()) == 1


def test_there_is_a_lie_for_each_kind_of_finding() -> None:
    assert {lie.kind for lie in LIES} == set(KINDS)


def test_the_documents_have_each_kind_of_finding() -> None:
    page = (PROJECT / "docs" / "command-line.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def busy(verified: Verified) -> None:
    verified.listen(40.0)


def quiet(verified: Verified) -> None:
    verified.listen(100.0)


def cut_and_resumed(verified: Verified) -> None:
    verified.listen(15.0)
    verified.cut()
    verified.listen(20.0)
    verified.open(verified.last_id)
    verified.listen(20.0)


def cut_and_not_resumed(verified: Verified) -> None:
    verified.listen(15.0)
    verified.cut()
    verified.listen(20.0)
    verified.open(verified.last_id, knows=False)
    verified.listen(20.0)


def cut_for_a_moment_and_not_resumed(verified: Verified) -> None:
    verified.listen(15.0)
    verified.cut()
    verified.open(verified.last_id, knows=False)
    verified.listen(20.0)


def several_trades_at_once(verified: Verified) -> None:
    for price in ("115700.5", "115700.6", "115700.5", "115699.9"):
        verified.service.trade(PAIRS[0], price)
        verified.service.trade(PAIRS[0], price)
        verified.listen(3.0)


def rest_instead_of_the_feed(verified: Verified) -> None:
    verified.listen(10.0)
    verified.service.source = REST
    verified.listen(40.0)
    verified.service.source, verified.service.is_filling = FEED, True
    verified.listen(5.0)
    verified.service.is_filling = False
    verified.listen(10.0)


def a_price_that_rest_confirms(verified: Verified) -> None:
    verified.service.source = REST
    for _ in range(6):
        verified.service.trade(PAIRS[0], "115700.5")
        verified.listen(5.0)


def late_by_what_the_way_takes(verified: Verified) -> None:
    verified.service.delay = 2.0
    verified.listen(40.0)


def a_clock_that_is_set(verified: Verified) -> None:
    verified.listen(12.0)
    verified.service.skew = 3600.0
    verified.listen(20.0)


def a_pair_without_a_price(verified: Verified) -> None:
    verified.listen(10.0)
    verified.service.unpriced = PAIRS[1]
    verified.listen(20.0)
    verified.service.unpriced = ""
    verified.listen(10.0)


def another_exchange_stands_in(verified: Verified) -> None:
    verified.listen(75.0)  # of an answer without detail a minute before counts
    verified.service.source = ELSEWHERE
    verified.listen(20.0)
    verified.service.source, verified.service.is_filling = FEED, True
    verified.listen(5.0)
    verified.service.is_filling = False
    verified.listen(15.0)


def ends_without_the_feed(verified: Verified) -> None:
    verified.listen(20.0)
    verified.service.source = REST
    verified.listen(20.0)


HONEST = (
    busy,
    cut_and_resumed,
    cut_and_not_resumed,
    cut_for_a_moment_and_not_resumed,
    rest_instead_of_the_feed,
    another_exchange_stands_in,
    ends_without_the_feed,
    late_by_what_the_way_takes,
    a_clock_that_is_set,
    a_pair_without_a_price,
)


@pytest.mark.parametrize("happens", HONEST)
@pytest.mark.parametrize(("skew", "cache"), [(0.0, 0.0), (-10_000.0, 2.0)])
def test_of_an_honest_service_nothing_is_found(
    happens: Callable[[Verified], None], skew: float, cache: float
) -> None:
    verified = Verified(skew=skew, cache=cache)
    happens(verified)
    assert verified.end() == []
    assert all(book.prices.judged > 50 and book.trades.judged > 5 for book in verified.judge.books.values())


@pytest.mark.parametrize("happens", [quiet, several_trades_at_once, a_price_that_rest_confirms])
def test_nor_is_anything_found_in_a_market_that_rests_or_leaps(happens: Callable[[Verified], None]) -> None:
    verified = Verified(trades=False)
    happens(verified)
    assert verified.end() == []


@pytest.mark.parametrize("slowness", [SlowStream, CachedAnswers])
def test_stream_and_answers_may_follow_one_another_by_a_moment(slowness: type[Truth]) -> None:
    verified = Verified(slowness())
    rest_instead_of_the_feed(verified)
    assert verified.end() == []


def test_a_price_older_than_all_that_rest_tells_was_replaced() -> None:
    verified = Verified()
    page = verified.service.page
    verified.service.page = lambda pair, since, cache=0.0: page(pair, since, cache)[-3:]  # type: ignore[method-assign]
    verified.listen(10.0)
    verified.judge.books[PAIRS[0]].prices.say(
        Said("answer", 1010.0, 1010.0, PAIRS[0], Decimal(7), "live", 999, confirmed=1009.9)
    )
    assert [each.kind for each in verified.end()] == ["replaced"]


@pytest.mark.parametrize(("later", "found"), [(0.4, []), (0.6, ["backwards"])])
def test_two_workers_may_be_apart_by_half_a_second(later: float, found: list[str]) -> None:
    verified = Verified(trades=False)
    verified.service.trade(PAIRS[0], "115700.5")
    at = verified.clock.monotonic()
    for moment, back in ((at, 0), (at + later, 1)):
        item = verified.service.item(PAIRS[0], back)
        price, number = Decimal(item["price"]), item["trade_id"]
        said = Said("answer", moment, moment, PAIRS[0], price, "live", number, confirmed=at)
        verified.judge.books[PAIRS[0]].prices.say(said)
    assert [each.kind for each in verified.end()] == found


def test_a_full_page_is_no_proof_that_there_is_no_later_trade() -> None:
    service = LyingService(FakeClock().monotonic, Truth(), trades=False)
    for _ in range(PAGE_TRADES):
        service.trade(PAIRS[0])
    tape, page = Tape(), service.page(PAIRS[0], None)
    tape.add(page, 5.0, is_newest=False)
    assert tape.covered < 5.0
    tape.add(page[1:], 6.0, is_newest=False)
    tape.add(page, 7.0, is_newest=True)
    assert tape.covered == 7.0


def test_what_is_forgotten_while_the_exchange_is_away_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trades, "MOST_TOLD", 10)
    monkeypatch.setattr(trades, "MOST_PENDING", 20)
    monkeypatch.setattr(prices, "MOST_PENDING", 20)
    verified = Verified()
    verified.listen(10.0)
    verified.is_exchange_away = True
    verified.listen(60.0)
    verified.is_exchange_away = False
    assert verified.end() == []
    assert all(book.prices.unjudged and book.trades.unjudged for book in verified.judge.books.values())


def test_what_the_exchange_does_not_tell_is_not_judged() -> None:
    verified = Verified()
    verified.service.page = lambda *_: []  # type: ignore[method-assign]
    verified.listen(20.0)
    assert verified.judge.behind(verified.clock.monotonic()) == list(PAIRS)
