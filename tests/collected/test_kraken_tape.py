"""Kraken's trades by their ids: each is told once, in order, or named as missing."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ltp_service.collected.kraken_tape import (
    HOLE_FILL_SECONDS,
    RENUMBERED_FROM,
    TRADES_PER_PAIR,
    KrakenTape,
    TapeGap,
    Want,
)
from ltp_service.domain.trade import Trade
from tests.fakes import BTC, ETH, NOON
from tests.steered_clock import SteeredClock


def trade(trade_id: int, at: float | None = None) -> Trade:
    timestamp = NOON + trade_id if at is None else at
    return Trade(
        "kraken", "BTC/USD", "buy", Decimal("100.10"), Decimal(1), timestamp, str(trade_id), NOON, ""
    )


def tape_of(ids: Sequence[int], clock: SteeredClock | None = None) -> KrakenTape:
    tape = KrakenTape(lambda *_: [], clock or SteeredClock())
    for trade_id in ids:
        tape.put(trade(trade_id))
    return tape


def told(tape: KrakenTape, after: int, limit: int = 5_000) -> list[int | tuple[int, int]]:
    """Ids of trades, and both ends of gaps."""
    return [
        int(each.trade_id) if isinstance(each, Trade) else (each.after_trade_id, each.before_trade_id)
        for each in tape.following(BTC, after, limit)
    ]


@given(st.permutations(range(1, 30)), st.sets(st.integers(1, 29)), st.integers(1, 29), st.integers(1, 5))
def test_from_anywhere_each_id_is_told_once_in_order_or_named_as_missing(
    order: list[int], lost: set[int], after: int, limit: int
) -> None:
    clock = SteeredClock()
    arrived = [each for each in order if each not in lost]
    tape = tape_of([*arrived, *arrived[:5]], clock)
    told(tape, after)
    clock.advance(HOLE_FILL_SECONDS)

    last, newest = after, max(arrived, default=0)
    while last < newest:
        for each in tape.following(BTC, last, limit):
            if isinstance(each, TapeGap):
                assert (each.after_trade_id, each.before_trade_id > last + 1) == (last, True)
                assert lost.issuperset(range(last + 1, each.before_trade_id))
                last = each.before_trade_id - 1
            else:
                assert int(each.trade_id) == last + 1
                last += 1
        told(tape, last)
        clock.advance(HOLE_FILL_SECONDS)
    assert told(tape, newest) == []


def test_trades_after_a_hole_are_held_back_until_it_is_filled(clock: SteeredClock) -> None:
    tape = tape_of([1, 2, 6, 7], clock)
    assert told(tape, 1) == [2]
    assert tape.wanted() == [Want(BTC, 2, NOON + 2, 6)]

    tape.put(trade(4))
    assert told(tape, 2) == []
    tape.put(trade(3))
    tape.put(trade(5))
    assert told(tape, 2) == [3, 4, 5, 6, 7]
    assert tape.wanted() == []


def test_a_hole_that_stays_is_told_as_a_gap(clock: SteeredClock) -> None:
    tape = tape_of([1, 2, 6, 7], clock)
    told(tape, 1)
    clock.advance(HOLE_FILL_SECONDS)

    assert tape.following(BTC, 2, 1)[0] == TapeGap(BTC, 2, 6, NOON + 2, NOON + 6)
    assert [tape.can_follow(BTC, after) for after in (1, 4, 5, 6)] == [False, False, True, True]
    assert told(tape, 1) == [2, (2, 6), 6, 7]
    assert tape.wanted() == []


def test_what_rest_does_not_know_is_given_up_at_once(clock: SteeredClock) -> None:
    tape = tape_of([2, 6], clock)
    told(tape, 2)
    (want,) = tape.wanted()
    tape.give_up(want)

    assert told(tape, 2) == [(2, 6), 6]


def test_a_client_that_comes_back_from_before_the_oldest_trade_waits_for_rest(clock: SteeredClock) -> None:
    tape = tape_of([50, 51], clock)
    assert tape.can_follow(BTC, 40)
    assert told(tape, 40) == []
    assert tape.wanted() == [Want(BTC, 40, None, 50)]

    for trade_id in range(41, 50):
        tape.put(trade(trade_id))
    assert told(tape, 40) == [*range(41, 52)]


def test_the_last_1000_trades_are_kept_and_what_is_older_is_a_gap_at_once(clock: SteeredClock) -> None:
    tape = tape_of(range(1, TRADES_PER_PAIR + 101), clock)
    assert tape.can_follow(BTC, 100)
    assert told(tape, 100) == [*range(101, TRADES_PER_PAIR + 101)]

    assert not tape.can_follow(BTC, 50)
    assert not tape.put(trade(5))
    far = tape_of([5000], clock)
    assert not far.can_follow(BTC, 3999)
    assert told(far, 3999) == [(3999, 5000), 5000]


def test_before_the_first_trade_nothing_is_said_to_be_here() -> None:
    assert not tape_of([]).can_follow(BTC, 40)


def test_holes_that_no_stream_asks_for_are_not_wanted(clock: SteeredClock) -> None:
    tape = tape_of([1, 3], clock)
    assert tape.wanted() == []
    told(tape, 1)
    assert len(tape.wanted()) == 1
    clock.advance(6.0)
    assert tape.wanted() == []


def test_an_exchange_that_numbers_anew_begins_a_new_tape(clock: SteeredClock) -> None:
    tape = tape_of([RENUMBERED_FROM * 2], clock)
    tape.put(trade(7, at=NOON + RENUMBERED_FROM * 2 + 1))

    assert (tape.oldest(BTC), tape.newest(BTC)) == (7, 7)
    assert not tape.can_follow(BTC, RENUMBERED_FROM * 2)
    assert told(tape, RENUMBERED_FROM * 2) == [(RENUMBERED_FROM * 2, 7), 7]


def test_a_trade_that_comes_late_does_not_begin_a_new_tape(clock: SteeredClock) -> None:
    tape = tape_of([RENUMBERED_FROM * 2, 7, 0, -1], clock)
    assert (tape.oldest(BTC), tape.newest(BTC)) == (7, RENUMBERED_FROM * 2)


def test_frames_are_read_when_something_asks_and_news_are_told(clock: SteeredClock) -> None:
    read: list[tuple[str, float]] = []
    heard: list[object] = []

    def reader(frame: str, at: float) -> list[tuple[object, Trade]]:
        read.append((frame, at))
        return [(ETH, trade(int(frame)))]

    tape = KrakenTape(reader, clock)  # type: ignore[arg-type]  # any pair will do
    tape.on_news, tape.share = heard.append, heard.append
    tape.unread.append(("1", clock.monotonic()))
    clock.advance(2.0)
    assert read == []

    assert tape.newest(ETH) == 1
    assert read == [("1", clock.wall() - 2.0)]
    assert heard == [trade(1), ETH]
    tape.put(trade(1))
    assert heard == [trade(1), ETH, BTC]


def test_the_newest_come_first_of_one_pair_or_of_all(clock: SteeredClock) -> None:
    tape = tape_of([3, 1, 2], clock)
    assert [each.trade_id for each in tape.recent(BTC, 2)] == ["3", "2"]
    assert [each.trade_id for each in tape.recent(None, 9)] == ["3", "2", "1"]
    assert tape.recent(ETH, 9) == []


def test_a_full_tape_has_no_place_for_older_trades_and_says_so_at_once(clock: SteeredClock) -> None:
    tape = tape_of(range(100, 100 + TRADES_PER_PAIR), clock)

    assert told(tape, 95, limit=2) == [(95, 100), 100]
    assert tape.wanted() == []


def test_a_hole_behind_others_has_a_second_more_for_each(clock: SteeredClock) -> None:
    tape = tape_of([1, 3], clock)
    told(tape, 1)
    tape.add(ETH, [trade(1), trade(3)])
    tape.following(ETH, 1, 9)
    clock.advance(HOLE_FILL_SECONDS)

    assert told(tape, 1) == [(1, 3), 3]
    assert tape.following(ETH, 1, 9) == []
    clock.advance(1.0)
    assert len(tape.following(ETH, 1, 9)) == 2


def test_what_comes_in_another_way_than_by_the_feed_is_handed_to_the_history_known_or_not(
    clock: SteeredClock,
) -> None:
    tape, recorded = tape_of([1], clock), list[object]()
    tape.record = lambda pair, trades: recorded.append((pair, list(trades)))
    tape.add(BTC, [trade(1), trade(2)])
    tape.put(trade(2))

    assert recorded == [(BTC, [trade(1), trade(2)]), (BTC, [trade(2)])]
    assert told(tape, 1) == [2]


def test_of_a_page_for_the_history_only_what_lies_between_known_trades_is_taken(clock: SteeredClock) -> None:
    tape, heard = tape_of([3, 6], clock), list[object]()
    tape.on_news = heard.append
    tape.complete(BTC, [trade(2), trade(4), trade(5), trade(7)])
    tape.complete(ETH, [trade(4)])
    tape.complete(BTC, [trade(4)])

    assert told(tape, 3) == [4, 5, 6]
    assert (tape.oldest(BTC), tape.newest(ETH), heard) == (3, None, [BTC])
