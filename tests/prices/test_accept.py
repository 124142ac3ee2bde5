"""ltp_service.prices.accept"""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain.tick import REST, WEBSOCKET, Price, Source, Tick
from ltp_service.prices.accept import (
    CLOCK_ERROR_SECONDS,
    RENUMBERED_AFTER_SECONDS,
    REORDERING_SECONDS,
    REST_LEAD_SECONDS,
    adopted,
    agreed,
    compare,
    confirmed,
    merge,
    withdrawn,
)
from tests.fakes import NOON, tick


def hold(*ticks: Tick) -> Price:
    """What is held after these ticks."""
    price: Price | None = None
    for one in ticks:
        outcome = compare(price, one)
        if outcome != "older":
            price = merge(price, one, outcome)
    assert price is not None
    return price


def test_the_first_tick_is_news() -> None:
    assert compare(None, tick()) == "newer"


def test_an_older_trade_never_replaces_a_newer_one() -> None:
    assert compare(hold(tick(traded_at=NOON)), tick("99", traded_at=NOON - 0.001)) == "older"


def test_a_newer_trade_replaces_an_older_one() -> None:
    assert compare(hold(tick(traded_at=NOON)), tick("99", traded_at=NOON + 0.001)) == "newer"


def test_the_same_trade_told_again_is_the_same() -> None:
    assert compare(hold(tick(traded_at=NOON, trade_id=7)), tick(traded_at=NOON, trade_id=7)) == "same"


def test_among_trades_of_one_moment_the_higher_id_is_newer() -> None:
    held = hold(tick(traded_at=NOON, trade_id=7))

    assert compare(held, tick("99", traded_at=NOON, trade_id=8)) == "newer"
    assert compare(held, tick("99", traded_at=NOON, trade_id=6)) == "older"


def test_the_ticker_of_a_trade_with_an_id_adds_nothing() -> None:
    assert compare(hold(tick(traded_at=NOON, trade_id=7)), tick("99", traded_at=NOON)) == "same"


def test_a_trade_with_an_id_completes_the_ticker_of_the_same_moment() -> None:
    assert compare(hold(tick(traded_at=NOON)), tick(traded_at=NOON, trade_id=7)) == "newer"


def test_of_two_tickers_of_one_moment_the_one_that_arrives_later_counts() -> None:
    assert compare(hold(tick(traded_at=NOON)), tick("99", traded_at=NOON)) == "newer"
    assert compare(hold(tick("99", traded_at=NOON)), tick("99.0", traded_at=NOON)) == "same"


def test_a_tick_without_time_that_repeats_the_price_confirms_it() -> None:
    assert compare(hold(tick("100.0")), tick("100.00", received_at=2000.0)) == "same"


def test_a_tick_without_time_may_have_been_overtaken_by_a_trade_that_the_other_source_told() -> None:
    held = hold(tick(traded_at=NOON, received_at=1000.0, source=REST))

    assert compare(held, tick("99", received_at=1000.0 + REORDERING_SECONDS / 2)) == "older"
    assert compare(held, tick("99", received_at=1000.0 + REORDERING_SECONDS)) == "newer"


def test_a_ticker_that_waited_for_its_trade_replaces_an_earlier_trade_of_the_same_feed() -> None:
    held = hold(tick(traded_at=NOON, received_at=1000.0))

    assert compare(held, tick("99", received_at=1000.0 - 0.1)) == "older"
    assert compare(held, tick("99", received_at=1000.0 + REORDERING_SECONDS / 2)) == "newer"


def test_after_ticks_without_time_no_trade_older_than_the_last_timed_one_may_follow() -> None:
    held = hold(tick(traded_at=NOON, received_at=1000.0), tick("99", received_at=1010.0))

    assert held.tick.price == "99"
    assert compare(held, tick("98", traded_at=NOON - 1, received_at=1011.0)) == "older"


def test_a_trade_that_rest_told_first_gets_its_moment_from_the_feed() -> None:
    told = tick(source=REST, traded_at=NOON, trade_id=7)
    dated = hold(told, tick(traded_at=NOON, trade_id=7, received_at=1001.0, happened_at=998.0))
    untimed = hold(tick(source=REST), tick(received_at=1001.0, happened_at=1001.0))  # v1: perhaps a snapshot

    assert (dated.tick.happened_at, dated.confirmed_at, dated.confirmed_by) == (998.0, 1001.0, WEBSOCKET)
    assert untimed.tick.happened_at is None
    assert hold(told, tick(traded_at=NOON, happened_at=998.0)).tick.trade_id == 7


@pytest.mark.parametrize("source", [REST, WEBSOCKET])
def test_what_rest_knew_before_the_newest_evidence_never_replaces_a_price(source: Source) -> None:
    held = confirmed(hold(tick(source=source, received_at=1000.0)), 1005.0, source)

    assert compare(held, tick("99", source=REST, received_at=1004.9)) == "older"
    assert compare(held, tick("99", source=REST, received_at=1005.0)) == "newer"


def test_evidence_never_gets_older() -> None:
    held = hold(tick(received_at=1000.0))

    assert confirmed(held, 999.0, WEBSOCKET) is held
    assert confirmed(held, 1001.0, WEBSOCKET).confirmed_at == 1001.0


def test_beside_a_feed_that_is_alive_rest_changes_nothing() -> None:
    held = hold(tick(received_at=1000.0))

    assert confirmed(held, 1000.0 + REST_LEAD_SECONDS - 0.01, REST) is held
    later = confirmed(held, 1000.0 + REST_LEAD_SECONDS, REST)
    assert (later.confirmed_at, later.confirmed_by) == (1000.0 + REST_LEAD_SECONDS, REST)


def number_of(told: Tick) -> int:
    """The number of a trade that was told with one."""
    assert told.trade_id is not None
    return told.trade_id


def moment_of(told: Tick) -> float:
    """The time of a trade that was told with one."""
    assert told.traded_at is not None
    return told.traded_at


stamps = st.lists(st.floats(-4.5, 4.5), min_size=1, max_size=6)


@given(stamps, st.data())
def test_trades_with_ids_end_at_the_last_one_in_any_order(wrong_by: list[float], data: st.DataObject) -> None:
    told = [
        tick(str(number + 1), traded_at=NOON + number + wrong, trade_id=number)
        for number, wrong in enumerate(wrong_by)
    ]
    newest = -1
    held: Price | None = None
    for one in data.draw(st.permutations(told + told)):
        outcome = compare(held, one)
        assert outcome == (
            "newer" if number_of(one) > newest else "same" if one.trade_id == newest else "older"
        )
        if outcome != "older":
            held = merge(held, one, outcome)
        newest = max(newest, number_of(one))
        assert held is not None
        assert held.tick.trade_id == newest


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_trades_without_ids_only_move_forward_whatever_the_order_of_arrival(moments: list[int]) -> None:
    told = [tick(str(moment + 1), traded_at=NOON + moment) for moment in moments]
    for number in range(1, len(told) + 1):
        assert moment_of(hold(*told[:number]).tick) == NOON + max(moments[:number])


def test_a_trade_stamped_ahead_of_the_others_does_not_keep_them_out() -> None:
    held = hold(tick(traded_at=NOON + 4.5, trade_id=7))

    assert compare(held, tick("99", traded_at=NOON + 0.1, trade_id=8)) == "newer"
    assert compare(held, tick("99", traded_at=NOON + 4.6, trade_id=6)) == "older"
    assert compare(hold(held.tick, tick("99", traded_at=NOON, trade_id=8)), held.tick) == "older"


def test_ids_that_begin_anew_are_told_by_their_times() -> None:
    held = hold(tick(traded_at=NOON, trade_id=7))

    assert compare(held, tick("99", traded_at=NOON + RENUMBERED_AFTER_SECONDS, trade_id=1)) == "older"
    assert compare(held, tick("99", traded_at=NOON + RENUMBERED_AFTER_SECONDS + 0.1, trade_id=1)) == "newer"
    assert compare(held, tick("99", traded_at=NOON + RENUMBERED_AFTER_SECONDS + 0.1, trade_id=7)) == "newer"


def test_the_id_of_the_newest_trade_is_remembered_beyond_a_ticker() -> None:
    held = hold(tick(traded_at=NOON + 4.5, trade_id=7), tick("99", received_at=1010.0))

    assert compare(held, tick("98", traded_at=NOON + 5.0, trade_id=6, received_at=1011.0)) == "older"
    assert compare(held, tick("100.0", traded_at=NOON + 4.5, trade_id=7, received_at=1011.0)) == "older"
    assert compare(held, tick("98", traded_at=NOON + 0.1, trade_id=8, received_at=1011.0)) == "newer"


def test_a_trade_from_before_a_tickers_own_time_is_older_unless_it_is_that_tickers_trade() -> None:
    held = hold(msgspec.structs.replace(tick("99"), told_at=NOON))

    assert compare(held, tick("98", traded_at=NOON - 0.1, trade_id=7)) == "older"
    assert compare(held, tick("98", traded_at=NOON, trade_id=7)) == "newer"
    assert compare(held, tick("99", traded_at=NOON - 1800.0, trade_id=7)) == "newer"


@given(st.permutations([tick(str(n), traded_at=NOON, trade_id=n) for n in range(1, 6)]))
def test_trades_of_one_sweep_end_at_the_last_one_in_any_order(ticks: list[Tick]) -> None:
    assert hold(*ticks).tick.trade_id == 5


@pytest.mark.parametrize(("source", "error"), [(WEBSOCKET, 0.0), (REST, CLOCK_ERROR_SECONDS)])
def test_a_trade_from_before_rest_told_another_price_is_older(source: Source, error: float) -> None:
    held = merge(None, tick("105", source=REST, received_at=1060.0), "newer")

    def told(happened_at: float) -> Tick:
        return tick(
            "99", source=source, traded_at=NOON + 30, received_at=1065.0, happened_at=happened_at - error
        )

    assert compare(held, told(1059.9)) == "older"
    assert compare(held, told(1060.1)) == "newer"


def test_a_trade_after_rest_told_its_price_is_newer() -> None:
    held = merge(None, tick("105", source=REST, received_at=1060.0), "newer")

    assert compare(held, tick("99", traded_at=NOON, received_at=1062.0, happened_at=1062.0)) == "newer"


def test_two_sources_that_round_one_trades_time_differently_tell_of_one_trade() -> None:
    held = merge(None, tick("100", traded_at=NOON + 0.123456, trade_id=7), "newer")

    assert compare(held, tick("100", source=REST, traded_at=NOON + 0.123457, trade_id=7)) == "same"


# What another process tells.


def price(text: str, traded_at: float, at: float, received_at: float | None = None) -> Price:
    """Traded and received at those moments, with evidence of `at`."""
    received = at if received_at is None else received_at
    return confirmed(hold(tick(text, traded_at=traded_at, received_at=received)), at, WEBSOCKET)


def test_what_is_told_first_is_held() -> None:
    told = price("1", NOON, 1000.0)
    assert adopted(None, told) is told


def test_what_the_owner_tells_takes_the_place_of_what_was_held() -> None:
    told = price("2", NOON + 1, 1001.0)
    assert adopted(price("1", NOON, 1000.0), told) is told


def test_evidence_of_the_owner_is_taken_over() -> None:
    told = price("1", NOON, 1009.0, received_at=1000.0)
    assert adopted(price("1", NOON, 1000.0), told) is told


def test_evidence_of_an_owner_whose_feed_is_late_is_taken_over() -> None:
    late = msgspec.structs.replace(tick("2", traded_at=NOON + 1, received_at=1010.0), delay=6.0)
    held = hold(late)
    told = msgspec.structs.replace(held, confirmed_at=1005.0)
    assert adopted(held, told) is told


def test_evidence_that_is_withdrawn_ends_no_sooner_than_the_trade_itself() -> None:
    held = confirmed(hold(tick("2", received_at=1010.0, happened_at=1009.9)), 1015.0, WEBSOCKET)
    assert withdrawn(held, 990.0).confirmed_at == 1009.9
    assert withdrawn(held, 1012.0).confirmed_at == 1012.0


@pytest.mark.parametrize(
    "last",
    [
        tick(traded_at=NOON, trade_id=7, received_at=1000.0, happened_at=999.95),
        tick(traded_at=NOON, received_at=1000.0, happened_at=999.95),
        tick(received_at=1000.0),
    ],
    ids=["a trade with an id", "a trade without one", "a ticker"],
)
def test_a_follower_takes_back_all_that_the_owner_takes_back(last: Tick) -> None:
    held = confirmed(hold(last), 1001.0, WEBSOCKET)
    told = withdrawn(held, 997.0)
    assert told.confirmed_at < last.evidence_at
    assert adopted(held, told) is told


def test_what_the_feed_takes_back_is_not_what_rest_has_told() -> None:
    held = confirmed(hold(tick("2", source=REST, received_at=1010.0)), 1015.0, REST)
    assert withdrawn(held, 1012.0) is held


def test_a_later_trade_is_not_given_up_for_what_the_owner_tells() -> None:
    held = price("2", NOON + 1, 1000.0)
    assert adopted(held, price("1", NOON, 1009.0)) is held


def test_a_later_look_is_not_given_up_for_what_the_owner_knew_before() -> None:
    held = hold(tick("2", source=REST, received_at=1005.0))
    assert adopted(held, hold(tick("1", source=REST, received_at=1000.0))) is held
    later = hold(tick("1", source=REST, received_at=1005.0))
    assert adopted(held, later) is later


def test_newer_evidence_for_the_same_price_is_kept() -> None:
    held = confirmed(price("100.0", NOON, 1000.0), 1009.0, REST)
    told = price("100.00", NOON, 1004.0, received_at=1000.0)
    kept = adopted(held, told)
    assert kept.tick is told.tick
    assert (kept.confirmed_at, kept.confirmed_by) == (1009.0, REST)


def test_newer_evidence_for_another_price_is_not() -> None:
    held = confirmed(price("100.0", NOON, 1000.0), 1009.0, REST)
    told = price("101.0", NOON + 1, 1004.0)
    assert adopted(held, told) is told


@given(
    st.lists(
        st.builds(price, st.sampled_from("12"), st.integers(0, 5).map(NOON.__add__), st.floats(1000, 1010)),
        min_size=2,
        max_size=12,
    ).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told)))
)
def test_processes_that_tell_each_other_the_same_prices_in_any_order_hold_the_same_one(
    orders: tuple[list[Price], list[Price]],
) -> None:
    ends = []
    for order in orders:
        held = order[0]
        for told in order[1:]:
            before, held = held, agreed(held, told)
            assert held.newest_traded_at >= before.newest_traded_at
        ends.append((held.tick.price, held.confirmed_at))
    assert ends[0] == ends[1]


def test_a_neighbours_later_look_counts_and_its_earlier_one_does_not() -> None:
    held = hold(tick("2", source=REST, received_at=1005.0))
    earlier = hold(tick("1", source=REST, received_at=1004.0))
    assert agreed(held, earlier) is held
    assert agreed(earlier, held) is held


@given(
    st.lists(
        st.builds(price, st.sampled_from("12"), st.integers(0, 5).map(NOON.__add__), st.floats(1000, 1010)),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_the_owner_tells_nothing_goes_back_in_exchange_time(told: list[Price]) -> None:
    held: Price | None = None
    newest = 0.0
    for one in told:
        held = adopted(held, one)
        assert held.newest_traded_at >= newest
        newest = held.newest_traded_at


def test_an_id_far_too_high_does_not_keep_later_trades_out() -> None:
    held = hold(tick("1", traded_at=NOON, trade_id=1_000_007))
    assert compare(held, tick("2", traded_at=NOON + 1, trade_id=8)) == "newer"
    assert compare(held, tick("2", traded_at=NOON - 1, trade_id=8)) == "older"
    near = hold(tick("1", traded_at=NOON, trade_id=1_007))
    assert compare(near, tick("2", traded_at=NOON + 1, trade_id=8)) == "older"
