"""What every store of the history does, whatever database it lies in."""

from decimal import Decimal

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.history.candles import longer
from ltp_service.history.contract import CANDLE_MINUTES, HistoryStore
from ltp_service.history.coverage import is_covered, proof
from ltp_service.history.rows import Around, Coverage, News, Observation, RecordedTrade, Run
from ltp_service.history.store import PRUNED_AT_ONCE, SqlHistory
from tests.history.databases import Database, FailingEngine, Lost
from tests.history.plain import MINUTE, NOON, PAIR, SECOND, candles_of, each_second, trade

EVER = 2**62
OTHER = Pair("ETH", "EUR")


def at(seconds: float) -> int:
    """So many seconds after noon."""
    return NOON + round(seconds * SECOND)


def run(first: int, last: int, series: int = 0) -> Run:
    """A run of trades that were made at their ids in seconds."""
    return Run(series, first, last, at(first), at(last))


def ids(trades: list[RecordedTrade]) -> list[int]:
    return [each.trade_id for each in trades]


def all_trades(store: HistoryStore, pair: Pair = PAIR) -> list[RecordedTrade]:
    return store.trades(pair, 0, EVER, 1_000_000)


def write(store: HistoryStore, *trades: RecordedTrade, pair: Pair = PAIR) -> int:
    return store.write([News(pair, trades)]).new


def refused(store: HistoryStore, *trades: RecordedTrade) -> list[int]:
    """Writes trades; returns the ids of those that contradict the others."""
    return [each.trade_id for _, each in store.write([News(PAIR, trades)]).contradicting]


def runs(store: HistoryStore) -> list[tuple[int, int]]:
    return [(each.first_trade_id, each.last_trade_id) for each in store.coverage(PAIR).runs]


def exact(store: HistoryStore, *seconds: float) -> list[float]:
    """Those of the moments at which the last price is proven."""
    return [each for each in seconds if proof(store.around(PAIR, at(each)), at(each))]


def test_the_store_fulfils_the_contract(store: SqlHistory) -> None:
    fulfilled: HistoryStore = store  # mypy checks it
    assert fulfilled is store


def test_an_empty_history_knows_nothing(store: HistoryStore) -> None:
    nothing = Coverage((), None, None)
    assert store.around(PAIR, NOON) == Around(None, None, nothing, None)
    assert store.coverage(PAIR) == nothing
    assert store.trades(PAIR, 0, EVER, 10) == []
    assert store.trades_after(PAIR, 0, EVER, 10) == []
    assert store.candles(PAIR, 1, 0, EVER) == []
    assert store.prune(EVER) == 0


def test_what_is_written_is_known_beside_any_moment(store: HistoryStore) -> None:
    first, second = trade(1, 0), trade(2, 10)
    assert write(store, first, second) == 2
    coverage = Coverage((Run(0, 1, 2, NOON, at(10)),), None, None)
    assert store.coverage(PAIR) == coverage
    for seconds, before, after in (
        (-0.000001, None, first),
        (0, first, second),
        (9.999999, first, second),
        (10, second, None),
        (99, second, None),
    ):
        assert store.around(PAIR, at(seconds)) == Around(before, after, coverage, None)


def test_pairs_do_not_mix(store: HistoryStore) -> None:
    assert store.write([News(PAIR, each_second(1, 3)), News(OTHER, each_second(2, 9))]).new == 11
    assert store.coverage(PAIR).runs == (run(1, 3),)
    assert store.coverage(OTHER).runs == (run(2, 9),)
    assert ids(all_trades(store)) == [1, 2, 3]
    assert store.candles(OTHER, 1, 0, EVER) == candles_of(each_second(2, 9), 1)


def test_a_trade_that_is_told_again_is_not_new_and_the_first_one_stays(store: HistoryStore) -> None:
    write(store, trade(7, 0, "100.50"))
    assert write(store, trade(7, 0.000001, "100.5"), trade(7, 0, "100.5")) == 0
    assert str(all_trades(store)[0].price) == "100.50"
    assert store.candles(PAIR, 1, 0, EVER)[0].trades == 1


def test_the_first_of_two_in_the_same_news_stays(store: HistoryStore) -> None:
    assert write(store, trade(8, 1), trade(7, 0.000001, "100.50"), trade(7, 0, "100.5")) == 2
    assert [str(each.price) for each in all_trades(store)] == ["100.50", "100.5"]


def test_trades_come_in_any_order_and_runs_join(store: HistoryStore) -> None:
    write(store, *each_second(1, 3), *each_second(7, 9))
    assert store.coverage(PAIR).runs == (run(1, 3), run(7, 9))
    write(store, trade(5, 5))
    assert store.coverage(PAIR).runs == (run(1, 3), run(5, 5), run(7, 9))
    write(store, trade(6, 6), trade(4, 4))
    assert store.coverage(PAIR).runs == (run(1, 9),)
    assert ids(all_trades(store)) == list(range(1, 10))


def test_older_trades_than_all_that_are_known_are_taken(store: HistoryStore) -> None:
    write(store, *each_second(10, 12))
    write(store, *each_second(5, 6))
    assert store.coverage(PAIR).runs == (run(5, 6), run(10, 12))
    write(store, *each_second(1, 9))
    assert store.coverage(PAIR).runs == (run(1, 12),)


def test_only_the_runs_beside_the_moment_and_the_newest_are_told_with_it(store: HistoryStore) -> None:
    write(store, *(trade(each, each) for each in range(1, 20, 2)))
    assert store.around(PAIR, at(6)).coverage.runs == (run(5, 5), run(7, 7), run(19, 19))
    assert store.around(PAIR, at(19)).coverage.runs == (run(19, 19),)
    assert store.around(PAIR, at(0)).coverage.runs == (run(1, 1), run(19, 19))


def test_a_moment_is_exact_inside_a_run_and_not_beyond_its_last_trade(store: HistoryStore) -> None:
    write(store, *each_second(1, 4), *each_second(7, 11))
    assert exact(store, *range(13), 2.999999, 9.999999) == [1, 2, 3, 7, 8, 9, 10, 2.999999, 9.999999]


def test_sums_keep_every_digit(store: HistoryStore) -> None:
    write(
        store,
        trade(1, 0, "123456789.123456789", "0.00000012"),
        trade(2, 1, "0.00000012", "123456789.123456789"),
        trade(3, 2, "9" * 22 + "." + "9" * 18, "9" * 22 + "." + "9" * 18),
    )
    for minutes in CANDLE_MINUTES:
        [candle] = store.candles(PAIR, minutes, 0, EVER)
        assert [candle] == candles_of(all_trades(store), minutes)
        assert str(candle.volume) == "10000000000000123456789.123456908999999999"


@pytest.mark.parametrize(
    "digits",
    [
        "0.00000012",
        "123456789.123456789",
        "115643.00000",
        "1",
        "1.0",
        "100",
        "9223372036854775807",
        "9223372036854775808",
        "0.9223372036854775808",
        "922337203685477580.70",
        "0." + "0" * 17 + "1234567890123456789012345678901234567890",
        "1234567890123456.789012345678901234567890",
        "0.000000000000000001",
        "0." + "0" * 61 + "7",
        "0." + "0" * 62 + "7",
        "0." + "0" * 63 + "7",
    ],
)
def test_digits_come_back_as_they_were_traded(store: HistoryStore, digits: str) -> None:
    write(store, trade(1, 0, digits, "0.00000012"), trade(2, 1, "115643.00000", digits, "sell"))
    first, second = all_trades(store)
    assert (format(first.price, "f"), first.side) == (digits, "buy")
    assert (format(second.quantity, "f"), second.side) == (digits, "sell")
    assert str(first.quantity) == "1.2E-7"
    assert str(second.price) == "115643.00000"
    assert store.around(PAIR, NOON).before == first
    [candle] = store.candles(PAIR, 1, 0, EVER)
    assert format(candle.open, "f") == digits


def test_a_number_with_an_exponent_keeps_its_value(store: HistoryStore) -> None:
    write(store, trade(1, 0, "1.5E+4", "1E-8"))
    assert all_trades(store) == [trade(1, 0, "15000", "0.00000001")]


def test_evidence_counts_while_its_trade_is_the_newest(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1, 3), at(20), 3)])
    assert store.coverage(PAIR).evidence_until == at(20)
    assert proof(store.around(PAIR, at(20)), at(20))
    assert not proof(store.around(PAIR, at(20.000001)), at(20.000001))
    store.write([News(PAIR, (), at(30), 2)])
    assert store.coverage(PAIR).evidence_until == at(20), "it is for another trade"
    store.write([News(PAIR, (), at(30), 3)])
    store.write([News(PAIR, (), at(25), 3)])
    assert store.coverage(PAIR).evidence_until == at(30), "it never goes back"


def test_evidence_without_a_trade_counts_nothing(store: HistoryStore) -> None:
    assert store.write([News(PAIR, (), at(30), 3), News(PAIR, (), at(30), None)]).new == 0
    assert store.coverage(PAIR) == Coverage((), None, None)


def test_the_next_trade_leaves_the_evidence_and_one_after_a_hole_ends_it(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1, 3), at(20), 3)])
    write(store, trade(4, 21))
    assert store.coverage(PAIR).evidence_until == at(20)
    assert exact(store, 20, 20.5, 21, 22) == [20, 20.5]
    store.write([News(PAIR, (), at(30), 4)])
    write(store, trade(6, 40))
    assert store.coverage(PAIR).evidence_until is None
    assert exact(store, 25) == [], "the exchange may have dropped trade 5 before it"
    write(store, trade(5, 35))
    assert exact(store, 25, 39.999999, 40) == [25, 39.999999]


def test_a_trade_at_a_moment_of_evidence_ends_it(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1, 3), at(20), 3)])
    write(store, trade(4, 20))
    assert store.coverage(PAIR).evidence_until is None


def test_filling_an_older_hole_leaves_the_evidence(store: HistoryStore) -> None:
    store.write([News(PAIR, (*each_second(1, 3), *each_second(6, 7)), at(20), 7)])
    write(store, *each_second(4, 5))
    assert store.coverage(PAIR) == Coverage((run(1, 7),), at(20), None)


def test_an_interval_is_covered_by_one_run_around_it_or_by_evidence(store: HistoryStore) -> None:
    store.write([News(PAIR, (*each_second(1, 30), *each_second(40, 50)), at(100), 50)])
    coverage = store.coverage(PAIR)
    assert is_covered(coverage, at(2.000001), at(29))
    assert not is_covered(coverage, at(2), at(29)), "a trade before the first one may be a second late"
    assert not is_covered(coverage, at(3), at(29.000001)), "one after the last one may be a second early"
    assert not is_covered(coverage, at(28), at(45))
    assert is_covered(coverage, at(45), at(100))
    assert not is_covered(coverage, at(45), at(101))


def test_lower_ids_of_later_trades_begin_a_new_series(store: HistoryStore) -> None:
    write(store, *each_second(1000, 1010))
    write(store, trade(1, 1020), trade(2, 1021))
    old, new = run(1000, 1010), Run(1, 1, 2, at(1020), at(1021))
    assert store.coverage(PAIR) == Coverage((old, new), None, None)
    around = store.around(PAIR, at(1015))
    assert (around.before, around.after) == (trade(1010, 1010), trade(1, 1020))
    assert not proof(around, at(1015))
    write(store, *(trade(each, 1019 + each) for each in range(3, 6)))
    assert exact(store, 1009, 1020.5, 1021, 1022) == [1009, 1020.5, 1021, 1022]
    assert ids(all_trades(store)) == [*range(1000, 1011), 1, 2, 3, 4, 5]
    assert ids(store.trades_after(PAIR, 0, EVER, 10)) == [1, 2, 3, 4, 5], "of the newest series"
    for minutes in CANDLE_MINUTES:
        assert store.candles(PAIR, minutes, 0, EVER) == candles_of(all_trades(store), minutes)


def test_evidence_of_the_old_series_is_none_of_the_new_one(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1000, 1010), at(1015), 1010)])
    write(store, trade(1, 1020))
    assert store.coverage(PAIR).evidence_until is None
    store.write([News(PAIR, (), at(1030), 1)])
    assert store.coverage(PAIR).evidence_until == at(1030)


def test_both_series_may_be_filled_later(store: HistoryStore) -> None:
    write(store, *each_second(1000, 1003), *each_second(1006, 1007))
    write(store, trade(3, 1023))
    assert write(store, *each_second(1004, 1005), trade(1, 1021), trade(2, 1022), trade(1008, 1008)) == 5
    assert store.coverage(PAIR).runs == (run(1000, 1008), Run(1, 1, 3, at(1021), at(1023)))


def test_a_trade_belongs_to_the_series_that_it_fits_best(store: HistoryStore) -> None:
    write(store, *each_second(1000, 1010), trade(1, 1011.5))
    assert write(store, trade(1011, 1011), trade(2, 1011.4)) == 2
    assert store.coverage(PAIR).runs == (run(1000, 1011), Run(1, 1, 2, at(1011.4), at(1011.5)))
    assert ids(all_trades(store)) == [*range(1000, 1012), 2, 1], "in the order of time"


def test_a_known_trade_is_one_with_the_same_time_price_and_quantity(store: HistoryStore) -> None:
    write(store, *each_second(1, 9))
    assert refused(store, trade(5, 5.002), trade(5, 4.998, "100.50", "0.250")) == []
    assert runs(store) == [(1, 9)]
    for contradicting in (trade(2, 2.003), trade(4, 4, "100.6"), trade(6, 6, quantity="0.26"), trade(8, 7.5)):
        assert refused(store, contradicting) == [contradicting.trade_id]
    assert ids(all_trades(store)) == [*range(1, 10)]
    assert all_trades(store)[1] == trade(2, 2), "the first one stays"


def test_a_contradiction_ends_runs_and_evidence_at_its_moment(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1, 20), at(25), 20)])
    assert refused(store, trade(30, 9.5)) == [30]
    assert runs(store) == [(1, 9), (10, 20)]
    assert store.coverage(PAIR) == Coverage((run(1, 9), run(10, 20)), None, None)
    assert exact(store, 7.9, 8, 9, 9.6, 10, 10.9, 11, 18.9) == [7.9, 8, 10, 10.9, 11, 18.9]
    store.write([News(PAIR, (), at(26), 20)])
    assert exact(store, 9.6, 26) == [26], "the newest trade is not concerned"


def test_a_trade_told_with_two_times_is_certain_at_neither(store: HistoryStore) -> None:
    write(store, *each_second(1, 20))
    assert refused(store, trade(8, 14.5)) == [8]
    assert runs(store) == [(1, 8), (9, 14), (15, 20)]
    assert exact(store, 6.9, 8.5, 11, 12.9, 14.6, 17) == [6.9, 11, 12.9, 17]


def test_another_trade_of_a_known_id_leaves_the_recorded_one_as_good_as_it_was(store: HistoryStore) -> None:
    write(store, *each_second(1, 20))
    assert refused(store, trade(8, 14.5, "7.5")) == [8]
    assert runs(store) == [(1, 14), (15, 20)]


def test_evidence_does_not_count_while_something_contradicts_the_newest_trade(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1, 5), at(7), 5)])
    assert refused(store, trade(5, 5.1)) == [5]
    store.write([News(PAIR, (), at(8), 5)])
    assert store.coverage(PAIR).evidence_until is None
    write(store, trade(6, 9))
    store.write([News(PAIR, (), at(12), 6)])
    assert runs(store) == [(1, 5), (6, 6)], "it may be of another numbering"
    assert exact(store, 5, 5.2, 8.9, 9, 9.5) == [9, 9.5]
    store.write([News(PAIR, (trade(7, 13),), at(20), 7)])
    assert exact(store, 8.9, 12.9, 13, 19) == [12.9, 13, 19]


def test_evidence_told_with_a_contradiction_does_not_count(store: HistoryStore) -> None:
    store.write([News(PAIR, (*each_second(1, 9), trade(4, 7.5)), at(12), 9)])
    assert store.coverage(PAIR).evidence_until is None


def test_no_run_is_joined_over_a_contradiction_that_came_earlier(database: Database) -> None:
    store = database.open()
    write(store, *each_second(1, 9), *each_second(15, 20))
    assert refused(store, trade(3, 11.5, "7.5")) == [3]
    store.close()
    store = database.open()
    assert write(store, *each_second(10, 14)) == 5
    assert runs(store) == [(1, 11), (12, 20)]
    assert write(store, trade(21, 21)) == 1
    assert runs(store) == [(1, 11), (12, 21)]


def test_a_break_among_ids_that_are_out_of_order_parts_them_all(store: HistoryStore) -> None:
    mixed = trade(5, 5.9), trade(6, 5.3), trade(7, 5.6), trade(8, 5.2)
    write(store, *each_second(1, 4), *mixed, *each_second(9, 12))
    assert runs(store) == [(1, 12)]
    assert refused(store, trade(2, 5.5, "7.5")) == [2]
    assert store.coverage(PAIR).runs[0] == run(1, 4)
    assert runs(store) == [(1, 4), (5, 5), (6, 6), (7, 7), (8, 8), (9, 12)]
    assert exact(store, 5.3, 5.4, 5.5, 5.55) == []


def test_times_are_never_out_of_order_by_more_than_the_slack(store: HistoryStore) -> None:
    write(store, trade(10, 10))
    assert write(store, trade(12, 9.1)) == 1
    assert refused(store, trade(14, 8.2)) == [14], "10 is more than a second later"
    assert refused(store, trade(8, 10.2)) == [8], "12 is more than a second earlier"


# Ids that begin anew, and pass those that are known.


def test_ids_that_restarted_lower_are_not_joined_with_those_they_have_passed(store: HistoryStore) -> None:
    """The history ends at 100. The exchange restarts at 50 and trades on to 159 meanwhile."""
    old = [trade(each, each, str(each)) for each in range(80, 101)]
    new = [trade(each, 100 + each, f"9{each}") for each in range(50, 161)]
    write(store, *old)
    write(store, *new[60:110])
    assert runs(store) == [(80, 100), (110, 159)]

    told = refused(store, *new[:110])
    assert told == [*range(50, 101)]
    assert runs(store) == [(80, 100), (101, 159)]
    assert exact(store, 98.9, 99, 130, 180, 201, 202, 203, 257) == [98.9, 99, 201, 202, 203, 257]
    write(store, new[110])
    assert runs(store) == [(80, 100), (101, 160)]


def test_the_page_that_shows_it_may_come_before_the_one_that_goes_on(database: Database) -> None:
    store = database.open()
    write(store, *(trade(each, each, str(each)) for each in range(80, 101)), trade(110, 210, "9110"))
    assert len(refused(store, *(trade(each, 100 + each, f"9{each}") for each in range(50, 101)))) == 51
    store.close()
    write(database.open(), *(trade(each, 100 + each, f"9{each}") for each in range(101, 110)))
    assert runs(store) == [(80, 100), (101, 110)]
    assert exact(store, 130, 180, 200.5) == []


def test_a_restart_that_was_joined_is_parted_once_it_shows(store: HistoryStore) -> None:
    write(store, *(trade(each, each, str(each)) for each in range(80, 101)))
    write(store, *(trade(each, 100 + each, f"9{each}") for each in range(101, 110)))
    assert exact(store, 150) == [150], "nothing shows it yet"
    refused(store, *(trade(each, 100 + each, f"9{each}") for each in range(90, 105)))
    assert runs(store) == [(80, 100), (101, 109)]
    assert exact(store, 150, 195) == []


def test_ids_that_go_back_by_a_few_at_once_are_not_taken_for_known_ones(store: HistoryStore) -> None:
    write(store, *(trade(each, each / 10, str(each)) for each in range(90, 101)))
    again = [trade(98, 10.4, "598"), trade(99, 10.6, "599"), trade(100, 10.9, "5100")]
    assert [refused(store, each) for each in again] == [[98], [99], [100]]
    write(store, trade(101, 13, "5101"))
    assert runs(store) == [(90, 100), (101, 101)]
    assert exact(store, 10, 10.5, 12) == []


def test_a_known_id_more_than_a_second_after_the_newest_trade_begins_a_series(store: HistoryStore) -> None:
    write(store, *each_second(1, 9))
    assert write(store, trade(5, 10.1), trade(6, 11)) == 2
    assert store.coverage(PAIR).runs == (run(1, 9), Run(1, 5, 6, at(10.1), at(11)))


# Trades that are stamped ahead.


def test_what_follows_a_trade_that_was_stamped_ahead_is_not_proven_away(store: HistoryStore) -> None:
    """106, 107 stamped 40 s ahead, and 108 to 119 on time: those cannot be recorded, and nothing says that 106 lasted."""
    write(store, *(trade(each, each - 106) for each in range(100, 107)), trade(107, 40))
    told = [refused(store, trade(each, (each - 107) * 2)) for each in range(108, 120)]
    assert told == [[each] for each in range(108, 120)]
    write(store, *(trade(each, each - 80) for each in range(120, 130)))
    assert runs(store) == [(100, 106), (107, 107), (120, 129)]
    assert exact(store, -3, 1, 10, 20, 39, 40, 41, 43) == [-3, 40, 41, 43]


def test_a_trade_that_contradicts_all_others_is_not_taken(store: HistoryStore) -> None:
    write(store, *each_second(10, 12), *each_second(20, 22))
    assert refused(store, trade(15, 5)) == [15]
    assert refused(store, trade(30, 15)) == [30]
    assert store.coverage(PAIR).runs == (run(10, 12), run(20, 22))
    assert write(store, *each_second(13, 19)) == 7
    assert runs(store) == [(10, 15), (16, 22)], "15 s stay in doubt"


def test_a_missing_trade_may_be_a_second_out_of_order(store: HistoryStore) -> None:
    """1 at 0 s, 3 at 59.8 s with evidence to 130 s. 2 is missing, and was made at 60.3 s."""
    store.write([News(PAIR, (trade(1, 0), trade(3, 59.8)), at(130), 3)])
    assert not is_covered(store.coverage(PAIR), at(60), at(120))
    assert write(store, trade(2, 60.3)) == 1
    assert store.around(PAIR, at(70)).before == trade(2, 60.3)
    assert is_covered(store.coverage(PAIR), at(60), at(120))
    assert exact(store, 61, 130) == [61, 130]


def test_an_id_that_no_trade_can_have_is_not_taken(store: HistoryStore) -> None:
    assert write(store, trade(-1, 1), trade(2**63, 2), trade(2**64, 3), trade(2**40, 4)) == 1
    assert ids(all_trades(store)) == [2**40]


def test_pages_of_trades_follow_one_another(store: HistoryStore) -> None:
    write(store, *each_second(1, 200), trade(202, 202))
    assert ids(store.trades(PAIR, at(10), at(15), 100)) == [10, 11, 12, 13, 14]
    assert ids(store.trades(PAIR, at(10), at(15), 2)) == [10, 11]
    assert store.trades(PAIR, at(10), at(15), 0) == []
    assert ids(store.trades_after(PAIR, 11, at(15), 100)) == [12, 13, 14]
    assert ids(store.trades_after(PAIR, 150, EVER, 2)) == [151, 152]
    assert ids(store.trades_after(PAIR, 0, EVER, 2)) == [1, 2]
    assert ids(store.trades_after(PAIR, 201, EVER, 2)) == [202], "the trade 201 is not known"
    assert store.trades_after(PAIR, 202, EVER, 2) == []


def test_a_later_id_with_an_earlier_time_follows_too(store: HistoryStore) -> None:
    write(store, trade(9, 50), trade(10, 60), trade(11, 59.9), trade(12, 61))
    assert ids(store.trades_after(PAIR, 10, EVER, 10)) == [11, 12]


def test_candles_are_those_of_the_trades_however_they_came(store: HistoryStore) -> None:
    trades = [trade(each, each * 37.1, f"{100 + each % 7}.{each}", f"0.{each}") for each in range(1, 200)]
    write(store, *trades[50:100])
    write(store, *trades[120:])
    write(store, *trades[100:120])
    write(store, *trades[:50:2])
    write(store, *trades[1:50:2])
    for minutes in CANDLE_MINUTES:
        assert store.candles(PAIR, minutes, 0, EVER) == candles_of(trades, minutes)
    for minutes in (5, 15, 60, 240, 1440):
        assert longer(store.candles(PAIR, 1, 0, EVER), minutes) == candles_of(trades, minutes)


def test_candles_are_told_from_a_start_to_before_an_end(store: HistoryStore) -> None:
    write(store, *(trade(each, each * 60) for each in range(5)))
    found = store.candles(PAIR, 1, NOON + MINUTE, NOON + 3 * MINUTE)
    assert [candle.start for candle in found] == [NOON + MINUTE, NOON + 2 * MINUTE]


def test_the_last_observation_is_told(store: HistoryStore) -> None:
    first = Observation(Decimal("115643.00000"), at(0), at(5), None, "REST")
    second = Observation(Decimal("0.00000012"), at(10), at(10), at(9), "WEBSOCKET")
    store.write([News(PAIR, observation=first), News(PAIR, observation=second)])
    assert store.around(PAIR, at(-1)).observation is None
    told = store.around(PAIR, at(9)).observation
    assert told == first
    assert str(told.price) == "115643.00000"
    assert store.around(PAIR, at(10)).observation == second
    assert store.around(OTHER, at(10)).observation is None


def test_an_observation_is_told_before_the_first_trade_and_after_the_last(store: HistoryStore) -> None:
    write(store, trade(10, 10), trade(11, 11))
    first, second = (Observation(Decimal(5), at(seen), at(seen), None, "REST") for seen in (5, 20))
    store.write([News(PAIR, observation=first), News(PAIR, observation=second)])
    assert store.around(PAIR, at(6)).observation == first
    assert store.around(PAIR, at(21)).observation == second
    # Between two trades only they decide.
    assert store.around(PAIR, at(10.5)).observation is None


def test_an_observation_goes_on(store: HistoryStore) -> None:
    seen = Observation(Decimal("5.0"), at(0), at(5), None, "REST")
    for until in (5, 9, 7):
        store.write([News(PAIR, observation=seen._replace(evidence_until=at(until)))])
    store.write([News(PAIR, observation=seen._replace(price=Decimal(6), evidence_until=at(50)))])
    assert store.around(PAIR, at(6)).observation == seen._replace(evidence_until=at(9))


def test_pruning_leaves_the_last_trade_before_the_moment_with_its_minute(store: HistoryStore) -> None:
    trades = [trade(each, each * 20) for each in range(1, 20)]
    store.write([News(PAIR, tuple(trades), at(500), 19)])
    before = store.coverage(PAIR)
    candles = {minutes: store.candles(PAIR, minutes, 0, EVER) for minutes in CANDLE_MINUTES}
    assert store.prune(at(215)) == 8
    assert store.prune(at(215)) == 0
    assert ids(all_trades(store)) == list(range(9, 20)), "trade 10, at 200 s, is in the minute from 180 s"
    assert store.coverage(PAIR) == before._replace(kept_from=at(180))
    assert proof(store.around(PAIR, at(215)), at(215))
    assert store.around(PAIR, at(170)).before is None
    assert {minutes: store.candles(PAIR, minutes, 0, EVER) for minutes in CANDLE_MINUTES} == candles


def test_a_trade_that_would_be_pruned_is_not_taken(store: HistoryStore) -> None:
    write(store, *(trade(each, each * 20) for each in range(1, 20) if each != 3))
    store.prune(at(215))
    known = store.coverage(PAIR)
    assert write(store, trade(3, 60), trade(5, 100), trade(20, 400)) == 1
    assert store.coverage(PAIR).runs[0] == known.runs[0]
    assert store.coverage(PAIR).kept_from == at(180)


def test_everything_is_pruned_but_the_last_minute(store: HistoryStore) -> None:
    write(store, *(trade(each, each * 20) for each in range(1, 20)))
    assert store.prune(EVER) == 17
    assert ids(all_trades(store)) == [18, 19]
    assert write(store, trade(20, 400)) == 1
    assert store.coverage(PAIR).runs == (Run(0, 1, 20, at(20), at(400)),)


def test_pruning_takes_turns(store: HistoryStore) -> None:
    many = PRUNED_AT_ONCE + 3_500
    write(store, *(trade(each, each / 10) for each in range(many)))
    write(store, *each_second(1, 90), pair=OTHER)
    first = store.prune(EVER)
    assert PRUNED_AT_ONCE * 0.8 < first <= PRUNED_AT_ONCE + 90
    assert store.coverage(PAIR).kept_from == all_trades(store)[0].traded_at
    deleted = first
    while more := store.prune(EVER):
        deleted += more
    assert deleted == many - many % 600 + 59, "the last started minutes are left"


def test_a_minute_with_too_many_trades_is_pruned_whole(store: HistoryStore) -> None:
    many = PRUNED_AT_ONCE + 10
    write(store, *(trade(each, each / 1000) for each in range(many)), trade(many, 100))
    assert store.prune(EVER) == many


def test_pruning_passes_over_a_change_of_series(store: HistoryStore) -> None:
    write(store, *each_second(1000, 1010), trade(1, 2000), trade(2, 3000))
    assert store.prune(at(2500)) == 11
    assert store.coverage(PAIR).kept_from == at(2000)
    assert store.around(PAIR, at(1500)).before is None
    assert store.around(PAIR, at(1500)).after == trade(1, 2000)
    store.write([News(PAIR, (), at(3500), 2)])
    assert exact(store, 2500, 3000, 3500) == [2500, 3000, 3500]


def test_observations_are_pruned_but_for_the_last(store: HistoryStore) -> None:
    for each in range(5):
        store.write([News(PAIR, observation=Observation(Decimal(each), at(each), at(each), None, "REST"))])
    assert store.prune(at(3.5)) == 3
    assert store.prune(at(3.5)) == 0
    assert store.around(PAIR, at(2.5)).observation is None
    assert store.around(PAIR, at(3.5)).observation == Observation(Decimal(3), at(3), at(3), None, "REST")


def test_another_process_reads_what_was_written(database: Database) -> None:
    store, other = database.open(), database.open()
    assert other.coverage(PAIR).runs == ()
    write(store, *each_second(1, 3))
    assert other.coverage(PAIR).runs == (run(1, 3),)
    write(store, trade(4, 4))
    assert other.coverage(PAIR).runs == (run(1, 4),)
    assert other.around(PAIR, at(9)).before == trade(4, 4)


def test_two_writers_may_take_turns(database: Database) -> None:
    stores = [database.open() for _ in range(3)]
    for each in range(1, 30):
        write(stores[each % 3], trade(each, each), trade(each - 1, each - 1))
    assert stores[0].coverage(PAIR).runs == (run(0, 29),)
    assert stores[1].candles(PAIR, 1, 0, EVER) == candles_of(each_second(0, 29), 1)


def test_a_writer_that_was_away_reads_again_what_is_known(database: Database) -> None:
    store, other = database.open(), database.open()
    write(store, *each_second(1, 3))
    write(other, *each_second(4, 6))
    assert write(store, *each_second(5, 8)) == 2
    assert store.coverage(PAIR).runs == (run(1, 8),)
    assert store.candles(PAIR, 1440, 0, EVER) == candles_of(each_second(1, 8), 1440)


@pytest.mark.parametrize("is_committed", [False, True])
def test_what_a_failed_transaction_knew_is_forgotten(database: Database, is_committed: bool) -> None:
    engine = FailingEngine(database.engine())
    store = SqlHistory(engine)
    write(store, *each_second(1, 3))
    engine.fails_before_commit, engine.fails_after_commit = not is_committed, is_committed
    with pytest.raises(Lost):
        store.write([News(PAIR, each_second(4, 6), at(6.5), 6), News(OTHER, each_second(1, 2))])
    assert store.coverage(PAIR).runs == (run(1, 6 if is_committed else 3),)
    assert write(store, *each_second(5, 7)) == (1 if is_committed else 3)
    known = [*range(1, 8)] if is_committed else [1, 2, 3, 5, 6, 7]
    assert ids(all_trades(store)) == known
    assert store.coverage(PAIR).evidence_until == (at(6.5) if is_committed else None)
    for minutes in CANDLE_MINUTES:
        assert store.candles(PAIR, minutes, 0, EVER) == candles_of(all_trades(store), minutes)


def test_all_of_a_write_is_recorded_or_nothing(store: SqlHistory) -> None:
    write(store, *each_second(1, 3))
    spoiled = trade(9, 9)._replace(price="no number")  # type: ignore[arg-type]
    with pytest.raises(Exception):  # noqa: B017, PT011 - of what kind does not matter
        store.write([News(OTHER, each_second(1, 3)), News(PAIR, (spoiled,))])
    assert all_trades(store, OTHER) == []
    assert write(store, *each_second(1, 3), pair=OTHER) == 3


def test_the_size_grows(store: SqlHistory) -> None:
    write(store, *each_second(1, 3))
    before = store.size()
    assert before > 0
    write(store, *each_second(4, 5_000))
    assert store.size() > before


def test_a_closed_store_opens_again(store: SqlHistory) -> None:
    write(store, *each_second(1, 3))
    store.close()
    assert store.coverage(PAIR).runs == (run(1, 3),)
    store.close()
    assert write(store, *each_second(3, 4)) == 1
