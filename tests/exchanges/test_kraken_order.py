"""Which trade replaces which, told by two channels of which each may be late: never back, and at last the newest."""

from collections.abc import Sequence
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain.tick import REST
from ltp_service.exchanges.kraken_tickers import OTHER_CHANNEL_WITHIN_SECONDS
from ltp_service.feed.loop import TEND_EVERY_SECONDS
from ltp_service.prices.freshness import PriceState, judge
from ltp_service.prices.quarantine import HOLD_SECONDS, Quarantine
from tests.exchanges.kraken_frames import (
    BEAT,
    BEGUN,
    V1,
    V1_ACKS,
    V1_BEAT,
    V2,
    V2_ACKS,
    Fed,
    Step,
    ack,
    beats,
    row,
    ticker,
    trade,
    trades,
    v1_ack,
    v1_ticker,
    v1_trade,
    v1_trades,
)
from tests.fakes import BTC, NOON, tick


class Played(Fed):
    """With what was served after each step."""

    def __init__(self, url: str, *connections: Sequence[Step], quarantine: Quarantine | None = None) -> None:
        self.prices: list[str] = []
        """Each price served, once in a row."""
        self.ended_at = BEGUN
        looks = ([step for one in steps for step in (one, self._look)] for steps in connections)
        super().__init__(url, *looks, pairs=(BTC,), quarantine=quarantine)

    @property
    def told(self) -> tuple[str, int | None, float | None]:
        """Price, id and seconds since the beginning of the trade that is served at last."""
        tick = self.held.tick
        moment = None if tick.traded_at is None else round(tick.traded_at - NOON, 6)
        return tick.price, tick.trade_id, moment

    @property
    def state(self) -> PriceState:
        return judge(self.held, self.ended_at, 30.0, "online").state

    def _look(self, _: Fed) -> None:
        held = self.store.all().get(BTC)
        if held is not None and self.prices[-1:] != [held.tick.price]:
            self.prices.append(held.tick.price)
        self.ended_at = self.script.clock.monotonic()


# Row d.


def test_v1_trades_that_follow_two_tickers_never_take_the_price_back() -> None:
    played = Played(
        V1,
        [
            *V1_ACKS,
            v1_trade("99", 0.0),
            v1_ticker("99"),
            5.0,
            v1_ticker("100"),
            0.03,
            v1_ticker("101"),
            0.03,
            v1_trade("100", 5.0),
            0.3,
            v1_trade("101", 5.03),
            *beats(3),
        ],
    )

    assert played.prices == ["99", "100", "101"]
    assert played.told == ("101", None, 5.03)


# The other half of row e: which price is served when the trade channel is deaf.


def test_a_v1_ticker_whose_trade_does_not_come_is_served_after_a_second_and_is_a_doubt_until_then() -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("99", 0.0), v1_ticker("99"), 0.4, v1_ticker("100")]
    played = Played(V1, [*frames, 0.2, V1_BEAT, 0.2, V1_BEAT])
    assert (played.told, played.confirmed_at) == (("99", None, 0.0), 0.0)

    played = Played(V1, [*frames, *beats(2)])
    assert played.told == ("100", None, None)
    assert played.confirmed_at > 1.4


def test_once_the_trade_channel_has_kept_silent_tickers_wait_no_more_until_it_speaks() -> None:
    frames: list[Step] = [*V2_ACKS, trade("99", 1, 0.0), 0.4, ticker("100", 0.4), *beats(2, BEAT)]
    played = Played(V2, [*frames, ticker("101", 2.4)])
    assert played.told == ("101", None, None)

    played = Played(V2, [*frames, trade("101", 3, 2.4), ticker("102", 2.5), 0.2])
    assert played.told == ("101", 3, 2.4)


def test_a_late_v1_ticker_of_a_trade_before_the_last_is_not_served_and_leaves_a_doubt() -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("99", 0.0), 5.0, v1_trade("100", 5.0), v1_trade("101", 5.1)]
    played = Played(V1, [*frames, v1_ticker("101"), v1_ticker("100"), *beats(3)])

    assert played.prices == ["99", "100", "101"]
    assert played.doubts.unsettled({}, played.ended_at) == [BTC]
    assert played.confirmed_at < 5.2


def test_a_ticker_that_the_exchange_dates_before_the_last_trade_or_ticker_tells_nothing_new() -> None:
    frames: list[Step] = [*V2_ACKS, trade("100", 7, 5.0), ticker("99", 4.9), *beats(2, BEAT)]
    assert Played(V2, frames).told == ("100", 7, 5.0)

    tickers: list[Step] = [6.0, ticker("101", 6.0), ticker("102", 5.9), *beats(2, BEAT)]
    assert Played(V2, [*V2_ACKS, trade("100", 7, 0.0), *tickers]).prices == ["100", "101"]


def test_a_ticker_stamped_far_ahead_does_not_keep_later_ones_out() -> None:
    frames: list[Step] = [*V2_ACKS, trade("100", 7, 0.0), ticker("100", 4.5), 1.0, ticker("101", 1.0)]

    assert Played(V2, [*frames, *beats(2, BEAT)]).prices == ["100", "101"]


def test_after_a_cut_a_ticker_of_the_same_price_waits_for_the_trade_that_it_may_be_of() -> None:
    acks = [ack("ticker"), ack("trade")]
    first: list[Step] = [*acks, trade("100", 7, 0.0), BEAT]
    again: list[Step] = [*acks, ticker("100", 5.0, "snapshot"), TEND_EVERY_SECONDS, BEAT]
    unsaid = Played(V2, first, again)
    assert (unsaid.held.tick.trade_id, unsaid.confirmed_at) == (7, 0.0)

    told = Played(V2, first, [*again, trades(row("100", 9, 3.0), kind="snapshot"), TEND_EVERY_SECONDS, BEAT])
    assert told.held.tick.trade_id == 9
    assert told.confirmed_at > 1.0


def test_the_first_ticker_of_a_connection_waits_for_the_last_trades_because_it_may_come_from_a_cache() -> (
    None
):
    from_a_cache = ticker("99", 0.0, "snapshot")
    played = Played(
        V2, [*V2_ACKS, from_a_cache, 0.02, trades(row("100", 7, -5.0), kind="snapshot"), 1.0, None]
    )

    assert played.prices == ["100"]
    assert played.told == ("100", 7, -5.0)
    assert Played(V2, [*V2_ACKS, from_a_cache, 0.5, None]).prices == []
    assert Played(V2, [*V2_ACKS, from_a_cache, 1.0, None]).prices == ["99"]


def test_tickers_are_served_at_once_where_the_trade_channel_is_not_accepted_within_a_second() -> None:
    early: list[Step] = [ack("ticker"), ticker("99", 0.0), 0.5]
    assert Played(V2, early).prices == []
    later: list[Step] = [*early, 0.5, None, ticker("100", 1.0)]
    assert Played(V2, later).prices == ["99", "100"]


def test_tickers_are_served_at_once_where_the_trade_channel_is_refused() -> None:
    refusal = '{"error":"not supported","method":"subscribe","success":false,"symbol":"BTC/USD"}'
    frames: list[Step] = [ack("ticker"), refusal, ticker("99", 0.0), 0.2, ticker("100", 0.2)]
    assert Played(V2, frames).prices == ["99", "100"]


def test_trades_that_come_long_after_a_later_ticker_was_served_do_not_take_the_price_back() -> None:
    frames: list[Step] = [*V2_ACKS, trade("99", 1, 0.0), 0.5, ticker("102", 0.5), *beats(3, BEAT)]
    played = Played(V2, [*frames, trade("100", 2, 0.3), trade("101", 3, 0.4), trade("102", 4, 0.5)])

    assert played.prices == ["99", "102"]
    assert played.told == ("102", 4, 0.5)


# Row i.


@pytest.mark.parametrize("ticker_first", [True, False])
def test_a_snapshot_of_now_beside_a_trade_of_half_an_hour_ago_is_a_quiet_market(ticker_first: bool) -> None:
    snapshots = [ticker("100", 0.0, "snapshot"), trades(row("100", 7, -1800.0), kind="snapshot")]
    played = Played(V2, [*V2_ACKS, *(snapshots if ticker_first else snapshots[::-1]), *beats(1, BEAT)])

    assert played.told == ("100", 7, -1800.0)
    assert played.state == "quiet"
    assert played.refused == {}


@pytest.mark.parametrize("ticker_first", [True, False])
def test_of_two_snapshots_that_disagree_the_trade_counts_and_a_doubt_is_left(ticker_first: bool) -> None:
    snapshots = [ticker("99", 0.0, "snapshot"), trades(row("100", 7, -1800.0), kind="snapshot")]
    played = Played(V2, [*V2_ACKS, *(snapshots if ticker_first else snapshots[::-1]), *beats(2, BEAT)])

    assert played.told == ("100", 7, -1800.0)
    assert played.doubts.unsettled({}, played.ended_at) == [BTC]
    assert played.confirmed_at == 0.0


def test_a_ticker_makes_no_price_live() -> None:
    told: list[Step] = [ack("ticker"), ticker("99", 0.0), 1.0, ticker("100", 1.0), BEAT]
    told_v1: list[Step] = [v1_ack("ticker"), v1_ticker("99"), 1.0, v1_ticker("100"), V1_BEAT]
    for url, frames in ((V2, told), (V1, told_v1)):
        played = Played(url, frames)
        assert played.price == "100"
        assert (played.held.tick.traded_at, played.held.tick.happened_at) == (None, None)
        assert played.state != "live"


# Row j.


def test_rows_that_stand_newest_first_are_ordered_by_their_ids() -> None:
    history = [row(f"{100 + number}", number, number - 60.0) for number in range(50)]
    for rows in (history, history[::-1]):
        played = Played(V2, [*V2_ACKS, trades(*rows, kind="snapshot")])
        assert played.told == ("149", 49, -11.0)
        assert Played(V2, [*V2_ACKS, trades(*rows)]).told == ("149", 49, -11.0)


def test_of_two_rows_of_one_moment_the_higher_id_is_newer() -> None:
    sweep = [row("100", 7, 0.0), row("101", 8, 0.0)]

    assert Played(V2, [*V2_ACKS, trades(*sweep)]).told == ("101", 8, 0.0)
    assert Played(V2, [*V2_ACKS, trades(*sweep[::-1])]).told == ("101", 8, 0.0)


def test_v1_rows_that_stand_newest_first_are_ordered_by_their_times() -> None:
    history = [(f"{100 + number}", number - 60.0) for number in range(50)]

    for rows in (history, history[::-1]):
        assert Played(V1, [*V1_ACKS, v1_trades(*rows)]).told == ("149", None, -11.0)


def test_of_v1_rows_of_one_moment_the_one_at_the_newer_end_of_the_frame_counts() -> None:
    sweep = [("100", -1.0), ("101", 0.0), ("102", 0.0)]

    assert Played(V1, [*V1_ACKS, v1_trades(*sweep)]).told == ("102", None, 0.0)
    assert Played(V1, [*V1_ACKS, v1_trades(*sweep[::-1])]).told == ("102", None, 0.0)
    assert Played(V1, [*V1_ACKS, v1_trades(*sweep[1:])]).told == ("102", None, 0.0)


# Row k.


def test_where_a_frame_has_the_numbers_from_before_a_new_count_its_newest_time_counts() -> None:
    sweep = trades(row("95", 5_000_001, 4.9), row("100", 1, 5.0))
    fed = Fed(V2, [*V2_ACKS, trade("90", 5_000_000, 0.0), 5.0, sweep, 1.0, trade("95", 5_000_001, 4.9)])

    assert (fed.price, fed.refused["older"]) == ("100", 1)


def test_a_v1_trade_told_again_after_another_one_of_its_moment_is_no_news() -> None:
    for first in ([v1_trade("100"), v1_trade("101")], [v1_trades(("100", 0.0), ("101", 0.0))]):
        fed = Fed(V1, [*V1_ACKS, v1_trade("99", -1.0), *first, v1_ticker("101"), v1_trade("100")])

        assert (fed.price, fed.refused["older"]) == ("101", 1)


@pytest.mark.parametrize("url", [V1, V2])
def test_a_late_ticker_of_the_price_before_forgets_no_print_that_is_held_back(url: str) -> None:
    v1_print: list[Step] = [v1_trade("130", 1.0), v1_ticker("130"), v1_ticker("100")]
    v2_print: list[Step] = [trade("130", 2, 1.0), ticker("130", 1.0), ticker("100", 0.0)]
    before, told = ([*V1_ACKS, v1_trade("99.9", -1.0), v1_trade("100")], v1_print)
    if url == V2:
        before, told = [*V2_ACKS, trade("100")], v2_print
    fed = Fed(url, [*before, 1.0, *told, HOLD_SECONDS + 0.1, None], quarantine=Quarantine(0.05))

    assert fed.price == "130"


def test_of_tickers_that_arrive_together_the_one_of_the_newest_time_counts() -> None:
    burst = [ticker("102", 1.6), ticker("100", 0.0)]
    fed = Fed(V2, [*V2_ACKS, trade("100"), 2.0, burst, OTHER_CHANNEL_WITHIN_SECONDS, None])

    assert fed.price == "102"


def test_a_trade_from_before_rest_told_another_price_takes_it_not_back_and_leaves_a_doubt_if_it_was_shortly_before() -> (
    None
):
    def rest_tells(fed: Fed) -> None:
        fed.store.put(tick("131", source=REST, received_at=fed.script.clock.monotonic()))

    for seconds, price, reason in ((3.5, "131", None), (4.5, "131", "contested"), (5.0, "130", None)):
        fed = Fed(V2, [*V2_ACKS, trade("100"), 5.0, rest_tells, trade("130", 2, seconds)])

        assert (fed.price, fed.reason) == (price, reason)


def test_a_trade_stamped_ahead_of_the_others_does_not_keep_later_ones_out() -> None:
    played = Played(
        V2, [*V2_ACKS, trade("100", 7, 4.5), 0.1, trade("101", 8, 0.1), 0.1, trade("102", 9, 0.2)]
    )
    assert (played.prices, played.told) == (["100", "101", "102"], ("102", 9, 0.2))

    played = Played(V2, [*V2_ACKS, trades(row("100", 7, 4.5), row("101", 8, 0.1))])
    assert played.told == ("101", 8, 0.1)


# Row l.


def watched() -> Quarantine:
    return Quarantine(0.05, lambda _: ())


@pytest.mark.parametrize("between", [[], [v1_ticker("150")]])
def test_a_second_v1_trade_at_the_price_of_a_held_print_releases_it(between: list[Step]) -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("100", 0.0), v1_ticker("100"), 5.0]
    held: list[Step] = [v1_trade("150", 5.0), *between]
    played = Played(V1, [*frames, *held], quarantine=watched())
    assert played.told == ("100", None, 0.0)

    played = Played(V1, [*frames, *held, 0.002, v1_trade("150", 5.002)], quarantine=watched())
    assert played.told == ("150", None, 5.002)


def test_the_first_v1_trades_of_a_connection_are_its_present_state_before_any_acknowledgement() -> None:
    told = Played(
        V1, [*V1_ACKS, v1_trade("100", 0.0)], [9.0, v1_trade("150", 9.0)], quarantine=watched()
    ).told
    assert told == ("150", None, 9.0)


def test_two_trades_of_one_frame_at_two_moments_confirm_each_other() -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("100", 0.0), 5.0, v1_trades(("150", 5.0), ("151", 5.002))]
    assert Played(V1, frames, quarantine=watched()).told == ("151", None, 5.002)

    frames = [*V2_ACKS, trade("100", 1, 0.0), trades(row("150", 2, 1.0), row("151", 3, 1.002))]
    assert Played(V2, frames, quarantine=watched()).told == ("151", 3, 1.002)

    sweep: list[Step] = [*V2_ACKS, trade("100", 1, 0.0), trades(row("150", 2, 1.0), row("151", 3, 1.0))]
    assert Played(V2, sweep, quarantine=watched()).told == ("100", 1, 0.0)


def rest_tells(price: str, number: int, seconds: float) -> Step:
    """REST told this trade."""

    def tell(fed: Fed) -> None:
        now = fed.script.clock.monotonic()
        fed.store.put(tick(price, source=REST, traded_at=NOON + seconds, trade_id=number, received_at=now))

    return tell


@pytest.mark.parametrize(
    "told",
    [
        [trade("151", 3, 5.0), rest_tells("150", 2, 4.9)],
        [trade("151", 3, 5.0), trade("150", 2, 4.9)],
        [rest_tells("150", 2, 4.9), trade("151", 3, 5.0)],
    ],
    ids=["by REST", "by the feed, late", "by REST before it"],
)
def test_a_print_is_not_alone_where_rest_or_a_late_frame_tells_the_trade_before_it(
    told: list[Step],
) -> None:
    played = Played(
        V2, [*V2_ACKS, trade("100", 1, 0.0), 5.0, *told, TEND_EVERY_SECONDS, BEAT], quarantine=watched()
    )
    assert (played.prices, played.told) == (["100", "150", "151"], ("151", 3, 5.0))


# The whole kind: any interleaving of the two channels, each late by up to half a second by itself.

moves = st.lists(st.tuples(st.floats(0.0, 0.4), st.integers(-2, 2)), min_size=1, max_size=8)
delays = st.lists(st.floats(0.0, 0.45), min_size=16, max_size=16)


class Market:
    """True trades, each with a price of its own unless it repeats the last one."""

    def __init__(self, told: Sequence[tuple[float, int]]) -> None:
        self.rows: list[tuple[str, int, float]] = [("100", 1, 0.0)]
        moment = 2.0
        for pause, move in told:
            moment = round(moment + 0.001 + pause, 6)
            price = str(int(self.rows[-1][0]) + move)
            self.rows.append((price, len(self.rows) + 1, moment))

    def steps(self, url: str, late: Sequence[float], twice: Sequence[int]) -> list[Step]:
        """Frames in the order of their arrival: each channel in order of its own, with the pauses between them."""
        arriving: list[tuple[float, str]] = []
        for shift, tell in ((0, _trade_frame), (8, _ticker_frame)):
            last = 0.0
            for number, one in enumerate(self.rows[1:]):
                last = max(last, one[2] + late[shift + number])
                arriving += [(last, tell(url, one))] * (2 if shift + number in twice else 1)
        steps: list[Step] = []
        now = 0.0
        for moment, frame in sorted(arriving, key=itemgetter(0)):  # each channel stays in order
            steps += [moment - now, frame]
            now = moment
        return steps


def _trade_frame(url: str, one: tuple[str, int, float]) -> str:
    return trade(*one) if url == V2 else v1_trade(one[0], one[2])


def _ticker_frame(url: str, one: tuple[str, int, float]) -> str:
    return ticker(one[0], one[2]) if url == V2 else v1_ticker(one[0])


def goes_forward(prices: Sequence[str], true: Sequence[str]) -> bool:
    """Whether `prices` can be read off the true ones from left to right."""
    rest = iter(true)
    return all(price in rest for price in prices)


@pytest.mark.parametrize("url", [V1, V2])
@given(moves, delays, st.lists(st.integers(0, 15), max_size=4))
def test_however_the_two_channels_interleave_the_price_never_goes_back_and_ends_at_the_newest(
    url: str, told: list[tuple[float, int]], late: list[float], twice: list[int]
) -> None:
    market = Market(told)
    first = market.rows[0]
    begin: list[Step] = [
        *(V2_ACKS if url == V2 else V1_ACKS),
        _trade_frame(url, first),
        _ticker_frame(url, first),
    ]
    end = beats(2, BEAT if url == V2 else V1_BEAT)
    played = Played(url, [*begin, *market.steps(url, late, twice), *end])

    assert goes_forward(played.prices, [price for price, _, _ in market.rows])
    price, number, moment = market.rows[-1]
    assert played.told == (price, number if url == V2 else None, moment)
    assert played.confirmed_at > moment


@pytest.mark.parametrize("deaf", ["trade", "ticker"])
@given(moves, delays)
def test_a_deaf_channel_costs_no_price(deaf: str, told: list[tuple[float, int]], late: list[float]) -> None:
    market = Market(told)
    begin: list[Step] = [*V2_ACKS, _trade_frame(V2, market.rows[0]), _ticker_frame(V2, market.rows[0])]
    frames = market.steps(V2, late, ())
    heard: list[Step] = [BEAT if isinstance(step, str) and f'"{deaf}"' in step else step for step in frames]
    played = Played(V2, [*begin, *heard, *beats(2, BEAT)])

    assert goes_forward(played.prices, [price for price, _, _ in market.rows])
    assert played.price == market.rows[-1][0]


# The edges of what a ticker is told apart by.


def test_a_ticker_snapshot_stamped_ahead_does_not_keep_later_tickers_out() -> None:
    snapshot = ticker("99", 4.0, "snapshot")
    played = Played(V2, [*V2_ACKS, trade("99", 1, 0.0), 5.0, snapshot, ticker("100", 3.9), *beats(2, BEAT)])

    assert played.prices == ["99", "100"]


def test_a_trade_channel_that_speaks_without_an_acknowledgement_is_waited_for() -> None:
    frames: list[Step] = [ack("ticker"), trade("99", 1, 0.0), 1.0, ticker("100", 1.0), 0.2]

    assert Played(V2, frames).prices == ["99"]


def test_a_late_ticker_of_a_trade_that_shared_its_frame_with_a_later_one_is_known_as_such() -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("99", 0.0), 5.0, v1_trades(("100", 5.0), ("101", 5.1))]
    played = Played(V1, [*frames, v1_ticker("101"), v1_ticker("100"), *beats(2)])

    assert played.prices == ["99", "101"]
    assert played.doubts.unsettled({}, played.ended_at) == [BTC]


def test_a_ticker_that_the_trade_channel_is_past_leaves_no_doubt() -> None:
    frames: list[Step] = [*V2_ACKS, trade("99", 1, 0.0), 1.0, ticker("100", 1.0), 0.2, trade("101", 3, 1.1)]
    played = Played(V2, [*frames, 0.4, BEAT, TEND_EVERY_SECONDS, None])

    assert played.prices == ["99", "101"]
    assert played.confirmed_at == pytest.approx(1.6)


def test_a_ticker_whose_trade_channel_tells_something_else_leaves_a_doubt() -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("99", 0.0), 2.0, v1_ticker("103"), 0.5, v1_trade("100", 1.1)]
    played = Played(V1, [*frames, *beats(3)])

    assert played.prices == ["99", "100"]
    assert played.doubts.unsettled({}, played.ended_at) == [BTC]
    assert played.confirmed_at == pytest.approx(1.1, abs=0.01)  # that late it came
    # A trade at the ticker's price that seems to be older explains nothing: the one before it may be stamped ahead.
    played.doubts.answered(tick("103", source=REST, received_at=played.ended_at), "older", played.ended_at)
    assert BTC in played.doubts


def test_a_ticker_far_ahead_of_a_late_trade_channel_never_takes_the_price_back() -> None:
    late: list[Step] = [
        step
        for pause, price, moment in ((0.5, "100", 1.1), (0.7, "101", 1.2), (0.2, "102", 1.3))
        for step in (pause, v1_trade(price, moment))
    ]
    frames: list[Step] = [*V1_ACKS, v1_trade("99", 0.0), 2.0, v1_ticker("103"), *late, 0.4]
    played = Played(V1, [*frames, v1_trade("103", 1.4), *beats(2)])

    assert played.prices == ["99", "100", "101", "102", "103"]


def test_a_price_that_returns_after_a_while_is_news_from_the_ticker_alone() -> None:
    frames: list[Step] = [*V1_ACKS, v1_trade("100", 0.0), 3.0, v1_trade("101", 3.0), v1_ticker("101"), 5.0]

    assert Played(V1, [*frames, v1_ticker("100"), *beats(2)]).prices == ["100", "101", "100"]


@pytest.mark.parametrize("url", [V1, V2])
def test_a_ticker_without_a_time_that_comes_seconds_after_its_trade_is_a_doubt_and_not_served(
    url: str,
) -> None:
    told = [("99", 1, 0.0), ("100", 2, 5.0), ("101", 3, 5.3)]
    first, second, third = (_trade_frame(url, one) for one in told)
    frames: list[Step] = [*(V2_ACKS if url == V2 else V1_ACKS), first, 5.0, second, 0.3, third, 1.2]
    late = ticker("100") if url == V2 else v1_ticker("100")
    played = Played(url, [*frames, late, *beats(4, BEAT if url == V2 else V1_BEAT)])

    assert (played.prices, played.reason) == (["99", "100", "101"], "contested")


def two_tickers(url: str) -> list[Step]:
    """Two tickers without a time, of which the trade channel tells nothing for more than a second."""
    begin = [*(V2_ACKS if url == V2 else V1_ACKS), _trade_frame(url, ("99", 1, 0.0))]
    tell = ticker if url == V2 else v1_ticker
    return [*begin, 5.0, tell("100"), 0.5, 0.5, 0.2, tell("101"), 0.3]


@pytest.mark.parametrize("url", [V1, V2])
def test_a_trade_that_comes_seconds_after_its_ticker_takes_no_later_ticker_back(url: str) -> None:
    begin, beat = two_tickers(url), BEAT if url == V2 else V1_BEAT
    late = _trade_frame(url, ("100", 2, 5.0))
    played = Played(url, [*begin, late, *beats(1, beat)])
    assert (played.prices, played.reason) == (["99", "100", "101"], "contested")

    last = ("101", 3, 6.2)
    played = Played(url, [*begin, late, 1.2, _trade_frame(url, last), *beats(2, beat)])
    assert (played.prices, played.reason) == (["99", "100", "101"], None)
    assert played.told == ("101", 3 if url == V2 else None, 6.2)


def test_a_price_that_returns_after_two_tickers_is_news_from_the_trade_channel() -> None:
    played = Played(V1, [*two_tickers(V1), 2.0, v1_trade("100", 8.4), *beats(1)])

    assert (played.prices, played.reason) == (["99", "100", "101", "100"], None)


def test_a_trade_whose_price_no_ticker_told_is_news_after_two_tickers() -> None:
    played = Played(V1, [*two_tickers(V1), v1_trade("102", 6.4), *beats(1)])

    assert (played.prices, played.reason) == (["99", "100", "101", "102"], None)


def test_of_a_tickers_and_a_trades_one_moment_the_ticker_may_tell_of_a_later_part() -> None:
    frames: list[Step] = [*V2_ACKS, trade("100", 1, 0.0), ticker("101", 0.0), *beats(2, BEAT)]

    assert Played(V2, frames).prices == ["100", "101"]


def test_of_two_tickers_of_one_moment_the_later_one_counts() -> None:
    frames: list[Step] = [*V2_ACKS, trade("99", 1, 0.0), 1.0, ticker("100", 1.0), ticker("101", 1.0)]

    assert Played(V2, [*frames, *beats(2, BEAT)]).prices == ["99", "101"]
