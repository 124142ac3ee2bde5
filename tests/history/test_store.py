"""What every store of the history does, whatever database it lies in."""

from decimal import Decimal

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.history.candles import longer
from ltp_service.history.contract import CANDLE_MINUTES, HistoryStore
from ltp_service.history.coverage import is_covered, is_exact
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
    return store.write([News(pair, trades)])


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
    assert store.write([News(PAIR, each_second(1, 3)), News(OTHER, each_second(2, 9))]) == 11
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
    write(store, *each_second(1, 3), *each_second(6, 7))
    exact = {seconds: is_exact(store.around(PAIR, at(seconds)), at(seconds)) for seconds in range(9)}
    assert [seconds for seconds, is_so in exact.items() if is_so] == [1, 2, 6]


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
    assert is_exact(store.around(PAIR, at(20)), at(20))
    assert not is_exact(store.around(PAIR, at(20.000001)), at(20.000001))
    store.write([News(PAIR, (), at(30), 2)])
    assert store.coverage(PAIR).evidence_until == at(20), "it is for another trade"
    store.write([News(PAIR, (), at(30), 3)])
    store.write([News(PAIR, (), at(25), 3)])
    assert store.coverage(PAIR).evidence_until == at(30), "it never goes back"


def test_evidence_without_a_trade_counts_nothing(store: HistoryStore) -> None:
    assert store.write([News(PAIR, (), at(30), 3), News(PAIR, (), at(30), None)]) == 0
    assert store.coverage(PAIR) == Coverage((), None, None)


def test_the_next_trade_leaves_the_evidence_and_one_after_a_hole_ends_it(store: HistoryStore) -> None:
    store.write([News(PAIR, each_second(1, 3), at(20), 3)])
    write(store, trade(4, 21))
    assert store.coverage(PAIR).evidence_until == at(20)
    assert not is_exact(store.around(PAIR, at(22)), at(22))
    store.write([News(PAIR, (), at(30), 4)])
    write(store, trade(6, 40))
    assert store.coverage(PAIR).evidence_until is None
    assert not is_exact(store.around(PAIR, at(25)), at(25)), "the exchange may have dropped trade 5 before it"
    write(store, trade(5, 35))
    assert is_exact(store.around(PAIR, at(25)), at(25))


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
    assert is_covered(coverage, at(2), at(30))
    assert not is_covered(coverage, at(1), at(30)), "more may have been traded at the first one's moment"
    assert not is_covered(coverage, at(2), at(31))
    assert not is_covered(coverage, at(29), at(41))
    assert is_covered(coverage, at(45), at(100))
    assert not is_covered(coverage, at(45), at(101))


def test_lower_ids_of_later_trades_begin_a_new_series(store: HistoryStore) -> None:
    write(store, *each_second(1000, 1010))
    write(store, trade(1, 1020), trade(2, 1021))
    old, new = run(1000, 1010), Run(1, 1, 2, at(1020), at(1021))
    assert store.coverage(PAIR) == Coverage((old, new), None, None)
    around = store.around(PAIR, at(1015))
    assert (around.before, around.after) == (trade(1010, 1010), trade(1, 1020))
    assert not is_exact(around, at(1015))
    assert is_exact(store.around(PAIR, at(1020.5)), at(1020.5))
    assert ids(all_trades(store)) == [*range(1000, 1011), 1, 2]
    assert ids(store.trades_after(PAIR, 0, EVER, 10)) == [1, 2], "of the newest series"
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


def test_a_known_id_at_about_its_time_begins_no_series(store: HistoryStore) -> None:
    write(store, trade(1, 0), trade(2, 1))
    assert write(store, trade(1, 1.9)) == 0
    assert len(store.coverage(PAIR).runs) == 1


def test_a_trade_that_contradicts_all_others_is_not_taken(store: HistoryStore) -> None:
    write(store, *each_second(10, 12), *each_second(20, 22))
    assert write(store, trade(15, 5)) == 0
    assert write(store, trade(30, 15)) == 0
    assert store.coverage(PAIR).runs == (run(10, 12), run(20, 22))


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
    assert is_exact(store.around(PAIR, at(215)), at(215))
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
    many = PRUNED_AT_ONCE + 300
    write(store, *(trade(each, each / 10) for each in range(many)))
    write(store, *each_second(1, 90), pair=OTHER)
    first = store.prune(EVER)
    assert PRUNED_AT_ONCE * 0.8 < first <= PRUNED_AT_ONCE + 90
    assert store.coverage(PAIR).kept_from == all_trades(store)[0].traded_at
    deleted = first
    while more := store.prune(EVER):
        deleted += more
    assert deleted == many - 500 + 59, "the last started minutes are left"


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
    assert is_exact(store.around(PAIR, at(2500)), at(2500))


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
