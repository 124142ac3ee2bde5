"""Who hears an owner, who hears none, and what may be missing after it."""

from ltp_service.feed.contract import Gap
from ltp_service.redis.owner import GAP_MARGIN_SECONDS, HEARD_WITHIN_SECONDS, NO_OWNER_AFTER_SECONDS, Owner

AHEAD = 1_000_000.0
BYBIT = "bybit_trades"


def listener() -> Owner:
    """Two exchanges are collected; the clock of the second one is an hour ahead of the first one's."""
    return Owner({BYBIT: lambda at: at + AHEAD, "binance_trades": lambda at: at + AHEAD + 3600})


def test_a_steady_owner_leaves_no_gap_and_is_never_lost() -> None:
    owner = listener()
    for moment in range(10):
        owner.heard(7, moment)
        assert not owner.lost(moment + NO_OWNER_AFTER_SECONDS / 2)
    assert owner.gaps(BYBIT) == ()


def test_a_silent_owner_is_lost_once_and_leaves_a_gap_until_the_next_word() -> None:
    owner = listener()
    owner.heard(7, 100.0)
    assert [owner.lost(100.0 + NO_OWNER_AFTER_SECONDS), owner.lost(110.0)] == [True, False]
    assert owner.gaps(BYBIT) == ()
    owner.heard(8, 120.0)
    assert owner.gaps(BYBIT) == (Gap(AHEAD + 100.0 - GAP_MARGIN_SECONDS, AHEAD + 120.0 + GAP_MARGIN_SECONDS),)


def test_an_owner_is_heard_for_a_moment_after_each_bulletin() -> None:
    owner = listener()
    moments: list[float] = []
    owner.on_heard = moments.append
    assert owner.heard_lately(100.0) is None
    owner.heard(7, 100.0)
    assert owner.heard_lately(100.0 + HEARD_WITHIN_SECONDS / 2) == 100.0
    assert owner.heard_lately(100.0 + HEARD_WITHIN_SECONDS) is None
    assert moments == [100.0]


def test_another_owner_leaves_a_gap_however_fast_it_took_over() -> None:
    owner = listener()
    owner.heard(7, 100.0)
    owner.heard(8, 100.5)
    assert owner.gaps(BYBIT) == (Gap(AHEAD + 100.0 - GAP_MARGIN_SECONDS, AHEAD + 100.5 + GAP_MARGIN_SECONDS),)


def test_each_exchange_has_the_gaps_in_its_own_time_as_it_was_known_then() -> None:
    ahead = AHEAD
    owner = Owner({BYBIT: lambda at: at + ahead})
    owner.heard(7, 100.0)
    owner.heard(8, 120.0)
    told = owner.gaps(BYBIT)
    ahead += 0.1
    assert owner.gaps(BYBIT) == told
    assert owner.gaps("kraken_trades") == ()
    two = listener()
    two.heard(7, 100.0)
    two.heard(8, 120.0)
    assert [gap.until for name in (BYBIT, "binance_trades") for gap in two.gaps(name)] == [
        told[0].until,
        AHEAD + 3600 + 120.0 + GAP_MARGIN_SECONDS,
    ]


def test_a_process_that_was_cut_off_has_a_gap_of_its_own() -> None:
    owner = listener()
    owner.heard(7, 100.0)
    assert [owner.cut(), owner.cut()] == [True, False]
    owner.heard(7, 100.2)
    assert len(owner.gaps(BYBIT)) == 1


def test_nothing_is_lost_of_which_nothing_was_heard() -> None:
    owner = listener()
    assert not owner.cut()
    assert not owner.lost(1e6)
    owner.heard(7, 1e6)
    assert owner.gaps(BYBIT) == ()
