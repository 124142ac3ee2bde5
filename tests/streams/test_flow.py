"""Trades: each one once and in order, or a gap."""

from decimal import Decimal
from itertools import pairwise

import pytest

from ltp_service.collected.kraken_tape import HOLE_FILL_SECONDS, TRADES_PER_PAIR, KrakenTape
from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.trade import Trade
from ltp_service.feed.contract import Gap, Link
from ltp_service.prices.accept import CLOCK_ERROR_SECONDS
from ltp_service.runtime.moments import rfc3339
from ltp_service.streams.event_ids import LONGEST_ID
from ltp_service.streams.flow import FRAME_EVERY_SECONDS, TRADES_A_FRAME, TRADES_EVERY_SECONDS, Flow, Wording
from ltp_service.streams.pump import HURRY_SECONDS, LOOK_EVERY_SECONDS
from ltp_service.streams.question import ExchangeQuestion, MarketQuestion
from ltp_service.streams.tapes import KrakenPairs
from tests.fakes import BTC, ETH, NOON
from tests.streams.room import PRICES, TRADES, Event, Room, Wire

ALL = MarketQuestion((BTC,), "all")
BYBIT = ExchangeQuestion("BTCUSDT", ("bybit",), "trades")
HOLE_FILL_TURNS = int(HOLE_FILL_SECONDS / LOOK_EVERY_SECONDS) + 2
"""Turns after which a hole on Kraken's tape is given up."""
BOOKS = ExchangeQuestion("BTCUSDT", ("bybit",), "books")


def told(events: list[Event]) -> list[object]:
    """Ids of trades, and (after, before) of gaps."""
    return [
        event.data["trade_id"]
        if event.name == "trade"
        else (event.data["after_trade_id"], event.data["before_trade_id"])
        for event in events
        if event.name in ("trade", "gap")
    ]


def listen(room: Room, wire: Wire, turns: int = 40) -> list[Event]:
    for _ in range(turns):
        room.turn(LOOK_EVERY_SECONDS)
    return wire.events()


@pytest.fixture
def room() -> Room:
    """With three trades of BTC/USD on Kraken's tape."""
    room = Room()
    for number in (1, 2, 3):
        room.tape.trade(number)
    return room


def test_a_trade_is_told_with_its_digits_and_nothing_before_hello(room: Room) -> None:
    client = room.join(TRADES)
    assert client.names() == ["hello"]
    room.turn(1)
    room.tape.trade(4, price="115643.10")
    room.turn()

    (event,) = client.events()
    assert event.data == {
        "pair": "BTC/USD",
        "price": "115643.10",
        "quantity": "0.0000001",
        "side": "buy",
        "traded_at": "2026-09-21T14:13:20.000000Z",
        "trade_id": 4,
    }


def test_a_new_price_tells_that_there_is_a_trade(room: Room) -> None:
    client = room.join(TRADES)
    room.turn(1)
    client.events()
    room.tape.on_news = lambda _: None  # the tape has not read it yet
    room.tape.trade(4)
    room.trade("100.10")
    room.turn()

    assert told(client.events()) == [4]


def test_trades_are_never_conflated_and_those_of_one_moment_go_together(room: Room) -> None:
    client = room.join(TRADES)
    room.turn(1)
    client.events()
    sends = client.sends
    for number in range(4, 24):
        room.tape.trade(number)
        room.tape.trade(number, ETH)
    room.turn()

    assert client.sends == sends + 1
    assert [event.data["trade_id"] for event in client.events() if event.data["pair"] == "BTC/USD"] == list(
        range(4, 24)
    )


def test_trades_do_not_wait_for_the_pace_of_prices(room: Room) -> None:
    client = room.join(TRADES)
    room.turn(1)
    client.events()
    for number in range(4, 14):
        room.tape.trade(number)
        room.turn(TRADES_EVERY_SECONDS)
        assert told(client.events()) == [number]


def test_a_flood_is_told_to_the_end(room: Room) -> None:
    client = room.join(TRADES)
    room.turn(1)
    for number in range(4, 4 + 5 * TRADES_A_FRAME):
        room.tape.trade(number)

    assert told(listen(room, client)) == list(range(4, 4 + 5 * TRADES_A_FRAME))


def test_a_pair_does_not_wait_for_the_flood_of_another(room: Room) -> None:
    client = room.join(TRADES)
    room.turn(1)
    client.events()
    room.tape.trade(4, ETH)
    for number in range(4, 4 + 20 * TRADES_A_FRAME):
        room.tape.trade(number)
    heard: list[Event] = []
    while not any(event.data["pair"] == "ETH/USD" for event in heard):
        room.turn(TRADES_EVERY_SECONDS)
        assert len(heard) < 19 * TRADES_A_FRAME
        heard += client.events()


def test_prices_keep_their_pace_beside_a_flood_of_trades(room: Room) -> None:
    client = room.join(ALL)
    room.turn(1)
    client.events()
    frames = 20
    for number in range(4, 4 + frames * TRADES_A_FRAME):
        room.tape.trade(number)
    heard, waited = [], []
    for frame in range(frames + 2):
        price = f"100.{10 + frame}"
        room.trade(price)
        room.turn(TRADES_EVERY_SECONDS)
        came = client.events()
        heard += [event.name for event in came]
        if any(event.name == "price" and event.data["amount"] == price for event in came):
            waited.append(frame)
    assert heard.count("trade") == frames * TRADES_A_FRAME
    # The newest price at once, then each 0.1 s, however many trades are left.
    pace = round(FRAME_EVERY_SECONDS / TRADES_EVERY_SECONDS)
    assert waited[0] <= 1
    assert all(pace <= later - before <= pace + 1 for before, later in pairwise(waited))


def test_a_hole_is_waited_for_and_then_told(room: Room) -> None:
    client = room.join(TRADES)
    room.tape.trade(6)
    room.tape.trade(7, ETH)
    assert told(listen(room, client, HOLE_FILL_TURNS - 2)) == [(None, 7), 7]

    assert told(listen(room, client)) == [(3, 6), 6]


def test_a_worker_that_knew_no_trade_at_hello_names_what_may_be_missing_before_the_first_one() -> None:
    """As one that begins, and then reads in Redis the last trades of each pair."""
    room = Room()
    client = room.join(TRADES)
    room.clock.advance(60)
    room.tape.trade(20, made_at=NOON + 59)
    room.tape.trade(21, made_at=NOON + 60)
    room.tape.trade(1, ETH, made_at=NOON + 60)
    heard = told(listen(room, client))
    assert sorted(map(str, heard)) == sorted(map(str, [(None, 20), 20, 21, 1]))


@pytest.mark.parametrize("ahead", [-600.0, 0.0, 600.0])
def test_whether_a_first_trade_is_from_before_hello_is_known_by_the_exchanges_clock(ahead: float) -> None:
    room = Room()
    room.clock.set_wall(NOON + ahead)
    after, before = (room.join(MarketQuestion((pair,), "trades")) for pair in (BTC, ETH))
    for pair in (BTC, ETH):
        room.trade("100", pair, traded_at=NOON)  # Kraken's clock is right
    room.tape.trade(20, BTC, made_at=NOON)
    room.tape.trade(20, ETH, made_at=NOON - CLOCK_ERROR_SECONDS - 0.1)
    heard = listen(room, after), listen(room, before)
    assert tuple(map(told, heard)) == ([(None, 20), 20], [20])


def test_a_client_behind_goes_on_where_it_is(room: Room) -> None:
    client, other = room.join(TRADES), room.join(TRADES)
    room.turn(1)
    client.events()
    client.room = 30
    for number in range(4, 150):
        room.tape.trade(number)
        room.turn(0.05)
    assert told(other.events()) == list(range(4, 150))
    client.room = 1 << 30

    assert told(listen(room, client)) == list(range(4, 150))


def test_every_id_resumes_there(room: Room) -> None:
    room.tape.trade(53, ETH)
    client = room.join(TRADES)
    room.turn(1)
    for number in range(4, 8):
        room.tape.trade(number)
        room.tape.trade(number + 50, ETH)
    events = [*client.events(), *listen(room, client)]
    everything = [(event.data["pair"], event.data["trade_id"]) for event in events if event.name == "trade"]

    for index, event in enumerate(events):
        again = listen(room, room.join(TRADES, event.id))
        assert again[0].data["resumed"] is True
        seen = [(one.data["pair"], one.data["trade_id"]) for one in again if one.name == "trade"]
        assert sorted(seen) == sorted(everything[index:])


def test_an_id_of_another_order_of_the_pairs_resumes(room: Room) -> None:
    room.tape.trade(1, ETH)
    last = room.join(TRADES).events()[-1].id
    room.tape.trade(4)
    other = MarketQuestion((ETH, BTC), "all")

    hello, *_ = events = listen(room, room.join(other, last))
    assert told(events) == [4]
    assert hello.data["pairs"] == ["ETH/USD", "BTC/USD"]


@pytest.mark.parametrize("garbage", ["x", "t1.x.AA", "p1.2c85095c.1790000000000"])
def test_an_id_that_cannot_be_read_gives_a_gap_per_pair(room: Room, garbage: str) -> None:
    events = listen(room, room.join(TRADES, garbage))

    assert events[0].data["resumed"] is False
    assert [(event.data["pair"], *told([event])) for event in events[1:3]] == [
        ("BTC/USD", (None, 4)),
        ("ETH/USD", (None, None)),
    ]


@pytest.mark.parametrize("question", [TRADES, PRICES, BYBIT], ids=["trades", "prices", "another_exchange"])
def test_who_is_cut_off_between_the_gaps_of_a_hello_is_told_all_of_them_again(
    room: Room, question: MarketQuestion | ExchangeQuestion
) -> None:
    hello, *gaps = [event for event in room.join(question, "x").events() if event.name != "price"]
    assert [event.name for event in gaps] == ["gap"] * (1 if question is BYBIT else 2)
    assert {event.id for event in (hello, *gaps[:-1])} == {"x"}
    assert gaps[-1].id != "x"
    again = room.join(question, hello.id).events()
    assert [event.data for event in again if event.name == "gap"] == [event.data for event in gaps]


@pytest.mark.parametrize(
    "asked", ["a\nid: b", "\xe9", "x" * (LONGEST_ID + 1)], ids=["lines", "no_ascii", "long"]
)
def test_an_id_that_no_event_can_carry_is_not_told_again(room: Room, asked: str) -> None:
    hello, *_ = room.join(TRADES, asked).events()
    assert hello.id == "-"
    assert room.join(TRADES, hello.id).events()[0].data["resumed"] is False


def test_what_has_fallen_off_the_tape_is_a_gap_and_the_rest_is_told(room: Room) -> None:
    question = MarketQuestion((BTC,), "trades")
    (hello,) = room.join(question).events()
    newest = TRADES_PER_PAIR + 6
    for number in range(4, newest + 1):
        room.tape.trade(number)

    events = listen(room, room.join(question, hello.id))
    assert events[0].data["resumed"] is False
    assert told(events) == [(3, 7), *range(7, newest + 1)]


def test_after_a_restart_the_first_trade_tells_what_is_missing(room: Room) -> None:
    question = MarketQuestion((BTC,), "trades")
    last = room.join(question).events()[-1].id
    empty = Room()
    client = empty.join(question, last)
    assert client.events()[0].data["resumed"] is False
    for number in (8, 9):
        empty.tape.trade(number)

    assert told(listen(empty, client, HOLE_FILL_TURNS)) == [(3, 8), 8, 9]


def test_what_falls_off_before_a_client_that_was_told_nothing_hears_it_is_a_gap() -> None:
    room, question = Room(), MarketQuestion((BTC,), "trades")
    (hello,) = room.join(question).events()
    for number in range(8, 8 + TRADES_PER_PAIR):
        room.tape.trade(number)
    client = room.join(question, hello.id)
    for number in range(8 + TRADES_PER_PAIR, 11 + TRADES_PER_PAIR):
        room.tape.trade(number)

    assert told(listen(room, client)) == [(None, 8), (7, 11), *range(11, 11 + TRADES_PER_PAIR)]


def test_ids_that_begin_anew_are_told_from_there(room: Room) -> None:
    question = MarketQuestion((BTC,), "trades")
    room.tape.trade(10_000)
    last = room.join(question).events()[-1].id
    other = Room()
    other.tape.trade(1)
    client = other.join(question, last)
    other.tape.trade(2)

    assert told(listen(other, client)) == [(None, 2), 2]


def test_a_client_that_heard_more_elsewhere_is_told_nothing_twice(room: Room) -> None:
    question = MarketQuestion((BTC,), "trades")
    ahead = room.join(question)
    room.turn(1)
    room.tape.trade(4)
    room.turn()
    last = ahead.events()[-1].id
    late = Room()  # another worker, which has not heard of trade 4 yet
    for number in (1, 2, 3):
        late.tape.trade(number)
    client = late.join(question, last)
    assert told(listen(late, client)) == []
    for number in (4, 5):
        late.tape.trade(number)

    assert told(listen(late, client)) == [5]


def test_a_bye_names_what_the_client_has_and_not_what_it_missed(room: Room) -> None:
    room.tape.trade(1, ETH)
    client = room.join(TRADES)
    room.turn(1)
    client.events()
    last = 4 + 3 * TRADES_A_FRAME
    client.room = 0
    for number in range(4, last):
        room.tape.trade(number)
    room.turn(1)
    client.room = 1 << 30
    room.turn(HURRY_SECONDS)
    room.pump.end()
    room.turn()
    events = client.events()
    assert events[-1].name == "bye"

    again = Room()
    again.tape.trade(1, ETH)
    for number in range(1, last):
        again.tape.trade(number)
    assert [*told(events), *told(listen(again, again.join(TRADES, events[-1].id)))] == list(range(4, last))


def test_prices_and_trades_can_come_together(room: Room) -> None:
    client = room.join(ALL)
    room.turn(1)
    client.events()
    room.trade("101")
    room.tape.trade(4)
    room.turn()

    trade, price = client.events()
    assert (trade.name, price.name) == ("trade", "price")
    assert trade.id == price.id


# Other exchanges.


def trade_there(room: Room, trade_id: str, exchange: str = "bybit") -> None:
    one = Trade(exchange, "BTCUSDT", "sell", Decimal("64103.90"), Decimal("0.5"), NOON, trade_id, NOON, "")
    assert room.trades.put(one)


def test_trades_of_another_exchange_are_told_and_resumed(room: Room) -> None:
    trade_there(room, "a")
    client = room.join(BYBIT)
    room.turn(1)
    trade_there(room, "b")
    trade_there(room, "x", "binance")
    room.turn()
    hello, event = client.events()

    assert (hello.data["symbol"], hello.data["exchanges"]) == ("BTCUSDT", ["bybit"])
    assert event.data == {
        "exchange": "bybit",
        "symbol": "BTCUSDT",
        "price": "64103.90",
        "quantity": "0.5",
        "side": "sell",
        "traded_at": "2026-09-21T14:13:20.000000Z",
        "trade_id": "b",
    }
    again = listen(room, room.join(BYBIT, hello.id))
    assert again[0].data["resumed"] is True
    assert told(again) == ["b"]


def test_a_trade_that_is_not_kept_any_more_gives_a_gap(room: Room) -> None:
    trade_there(room, "a")
    last = room.join(BYBIT).events()[-1].id
    other = Room()
    trade_there(other, "c")
    client = other.join(BYBIT, last)

    hello, gap = client.events()
    assert hello.data["resumed"] is False
    assert (gap.name, gap.data["exchange"]) == ("gap", "bybit")


def missed(room: Room, *gaps: Gap) -> None:
    """The collector of Bybit tells these gaps from now on."""
    link = Link("bybit_trades", "active", True, 2, 2, None, None, {}, gaps=gaps)
    room.links = [("bybit", link)]


def moments(events: list[Event]) -> list[tuple[str | None, str | None]]:
    """From when to when each gap is."""
    return [(event.data["from"], event.data["to"]) for event in events if event.name == "gap"]


def after_noon(seconds: int) -> str:
    return rfc3339(NOON + seconds)


@pytest.mark.parametrize("symbol", [None, "BTCUSDT"], ids=["of_all", "of_one"])
def test_a_time_without_a_line_to_the_exchange_or_for_the_symbol_is_a_gap(
    room: Room, symbol: str | None
) -> None:
    trade_there(room, "a")
    client = room.join(BYBIT)
    hello, *_ = listen(room, client)
    missed(room, Gap(NOON + 1, NOON + 2, symbol), Gap(NOON + 3, None, symbol), Gap(NOON, NOON, "ETHUSDT"))
    trade_there(room, "b")
    told_at_once = listen(room, client)

    assert moments(told_at_once) == [(after_noon(1), after_noon(2))]
    assert [each.name for each in told_at_once if each.name != "heartbeat"] == ["gap", "trade"]
    again = room.join(BYBIT, hello.id)
    now = rfc3339(room.clock.wall())
    told_later = listen(room, again)
    assert told_later[0].data["resumed"] is False
    assert moments(told_later) == [(after_noon(3), now), (after_noon(1), after_noon(2))]
    assert told(told_later)[-1] == "b"


def test_a_hole_is_told_before_the_trade_that_shows_it(room: Room) -> None:
    trade_there(room, "1")
    client = room.join(BYBIT)
    listen(room, client)
    missed(room, Gap(NOON - 1, NOON, "BTCUSDT", 3))
    trade_there(room, "5")
    room.turn(TRADES_EVERY_SECONDS)  # and the next look at everything is not due

    assert client.names() == ["gap", "trade"]


def test_of_two_gaps_that_end_together_the_longer_one_is_told(room: Room) -> None:
    trade_there(room, "a")
    client = room.join(BYBIT)
    listen(room, client)
    missed(room, Gap(NOON + 3, NOON + 5), Gap(NOON + 1, NOON + 5, "BTCUSDT"))

    assert moments(listen(room, client)) == [(after_noon(1), after_noon(5))]


@pytest.mark.parametrize(("ended", "is_told"), [(NOON, True), (NOON - 10, False)], ids=["just_now", "before"])
def test_a_gap_that_may_have_been_told_after_the_last_trade_is_told_to_who_resumes_there(
    room: Room, ended: float, is_told: bool
) -> None:
    trade_there(room, "a")
    last = room.join(BYBIT).events()[-1].id
    missed(room, Gap(NOON - 11, ended))
    again = listen(room, room.join(BYBIT, last))

    assert again[0].data["resumed"] is not is_told
    assert len(moments(again)) == is_told


def test_nothing_is_resumed_whole_across_a_gap_that_is_over(room: Room) -> None:
    trade_there(room, "a")
    client = room.join(BYBIT)
    hello, *_ = listen(room, client)
    missed(room, Gap(NOON + 1, NOON + 2))
    room.turn(LOOK_EVERY_SECONDS)
    again = listen(room, room.join(BYBIT, hello.id))

    assert again[0].data["resumed"] is False
    assert moments(again) == [(after_noon(1), after_noon(2))]


def test_a_client_that_was_told_no_trade_of_an_exchange_yet_learns_that_some_may_be_missing(
    room: Room,
) -> None:
    last = room.join(BYBIT).events()[-1].id
    missed(room, Gap(NOON + 1, NOON + 2))
    room.turn(LOOK_EVERY_SECONDS)
    trade_there(room, "a")
    again = room.join(BYBIT, last)
    now = rfc3339(room.clock.wall())
    events = listen(room, again)

    assert events[0].data["resumed"] is False
    assert moments(events) == [(None, now)]
    assert told(events)[1:] == ["a"]


def test_trades_that_were_dropped_before_they_were_told_are_a_gap(room: Room) -> None:
    trade_there(room, "0")
    client = room.join(BYBIT)
    room.turn(1)
    client.room = 0
    for number in range(1, 1500):
        trade_there(room, str(number))
        if number in (1, 1499):
            room.turn(1)
    client.room = 1 << 30

    assert told(listen(room, client)) == ["1", ("1", "500"), *map(str, range(500, 1500))]


def test_the_best_prices_of_a_book_are_told_and_whether_it_is_in_sync(room: Room) -> None:
    client = room.join(BOOKS)
    assert client.events()[1].data["in_sync"] is False
    level = (Decimal("100.50"), Decimal(2))
    asks = [(Decimal(101), Decimal("1E-7"))]
    room.books.replace("bybit", BookSnapshot("BTCUSDT", 1, [level], asks, NOON), room.clock.monotonic())
    room.turn(LOOK_EVERY_SECONDS)

    (event,) = client.events()
    assert event.data == {
        "exchange": "bybit",
        "symbol": "BTCUSDT",
        "in_sync": True,
        "best_bid": {"price": "100.50", "size": "2"},
        "best_ask": {"price": "101", "size": "0.0000001"},
        "changed_at": "2026-09-21T14:13:20.000000Z",
    }
    room.books.lose("bybit", ["BTCUSDT"])
    room.turn(LOOK_EVERY_SECONDS)
    (event,) = client.events()
    assert (event.data["in_sync"], event.data["best_bid"]) == (False, None)


def test_a_client_that_was_told_no_trade_yet_learns_that_some_may_be_missing(room: Room) -> None:
    client = room.join(TRADES)
    before = listen(room, client)[0].id
    for number in range(51, 54):
        room.tape.trade(number, ETH)

    again = listen(room, room.join(TRADES, before))
    assert again[0].data["resumed"] is False
    assert {"pair": "ETH/USD", "after_trade_id": None, "before_trade_id": 51} in [
        {name: event.data[name] for name in ("pair", "after_trade_id", "before_trade_id")}
        for event in again
        if event.name == "gap"
    ]
    assert [event.data["trade_id"] for event in again if event.name == "trade"] == [51, 52, 53]


def test_clients_hear_of_numbers_that_begin_anew_in_step_and_behind(room: Room) -> None:
    def trade(trade_id: int, at: float) -> Trade:
        return Trade("kraken", "BTC/USD", "buy", Decimal(1), Decimal(1), at, str(trade_id), NOON, "")

    tape = KrakenTape(lambda *_: [], room.clock)
    tape.put(trade(9000, NOON))
    wording = Wording(lambda _: b"{}", bytes, str, bool, lambda _: [], room.clock.wall)
    flow = Flow(wording, [], KrakenPairs(tape, [BTC], "x", lambda *_: True))
    behind = flow.position
    assert not flow.lags()

    tape.put(trade(7, NOON + 1))
    assert flow.lags()
    for frame in (flow.next(0.0), flow.since(behind)[0]):
        assert frame.counts == (("gap", 1), ("trade", 1))
        assert b'"after_trade_id":9000,"before_trade_id":7' in frame.content
    assert not flow.lags()


def test_a_heartbeat_counts_no_evidence_for_a_price_that_is_told_later(room: Room) -> None:
    flow = room.sources.open(PRICES)
    room.trade("100")
    room.sources.look()
    begun = flow.position
    room.clock.advance(3.0)
    room.trade("101")  # and nothing looks before the heartbeat
    in_step = flow.next(room.clock.monotonic(), beat=True)
    behind, _ = flow.since(begun)
    for frame in (in_step, behind):
        assert b'"100"' in frame.content
        assert b'"101"' not in frame.content
        assert b'"BTC/USD":3000' in frame.content


def test_a_heartbeat_among_many_trades_brings_the_prices_of_which_it_tells(room: Room) -> None:
    flow = room.sources.open(ALL)
    room.sources.look()
    flow.next(room.clock.monotonic())
    for number in range(4, 4 + 2 * TRADES_A_FRAME):
        room.tape.trade(number)
    room.trade("100")
    room.sources.look()
    flow.next(room.clock.monotonic())
    room.trade("101")
    room.sources.look()
    frame = flow.next(room.clock.monotonic(), beat=True)
    assert b'"101"' in frame.content
    assert frame.counts[-1][0] == "heartbeat"
