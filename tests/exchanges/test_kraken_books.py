"""Kraken's order books: every digit, every checksum, and nothing told of a book that is out of sync."""

import json
import random
from decimal import Decimal

import pytest

from ltp_service.collected.books import BookStore
from ltp_service.domain.book import BookChange, BookSnapshot, OrderBook, checksum_of
from ltp_service.exchanges.kraken_book_frames import DialectV1, DialectV2
from ltp_service.exchanges.kraken_books import KrakenBooks, KrakenBooksV1
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.contract import Equipment
from ltp_service.feed.messages import Invalid, Request
from tests.deadline import IN_FULL
from tests.exchanges.feeds import Feed, Find, Step, frames, problem
from tests.exchanges.kraken_book_market import (
    Half,
    Line,
    ReferenceBook,
    Update,
    checksum,
    numbers,
    v1_snapshot,
    v2_snapshot,
    v2_update,
)
from tests.exchanges.kraken_frames import BEAT
from tests.fakes import NOON, FakeClock, RecordingMeters, ScriptedStop, runtime

UPDATES = 100_000 if IN_FULL else 2_000

BIDS: Half = {"99.5": "1.00000000", "99.0": "0.50000000"}
ASKS: Half = {"100.5": "2.00000000", "101.0": "0.25000000"}


def acknowledged(symbol: str = "BTC/USD", verb: str = "subscribe") -> str:
    result = {"channel": "book", "depth": 10, "symbol": symbol}
    return json.dumps({"method": verb, "result": result, "success": True})


def snapshot(symbol: str = "BTC/USD", bids: Half = BIDS, asks: Half = ASKS) -> str:
    return v2_snapshot(symbol, bids, asks, checksum(bids, asks))


def update(bids: Half, told: int | None = None) -> str:
    """New bids of BTC/USD, with the checksum of the book that BIDS and ASKS were before unless another is told."""
    right = checksum({price: size for price, size in (BIDS | bids).items() if size.strip("0.")}, ASKS)
    return v2_update(Update("BTC/USD", bids, {}, right if told is None else told))


def sized(size: str, seconds: float) -> str:
    """Another size of BTC/USD's best bid, told `seconds` after noon."""
    told = checksum(BIDS | {"99.5": size}, ASKS)
    return v2_update(Update("BTC/USD", {"99.5": size}, {}, told), NOON + seconds)


def fed(*steps: Step) -> Feed:
    return Feed(KrakenBooks, [acknowledged(), *steps], symbols=("BTC/USD",)).play()


def beats(seconds: float) -> list[Step]:
    """A connection that lives, and on which nothing else comes."""
    return [1.0, BEAT] * int(seconds)


def btc_in_sync(feed: Feed) -> None:
    feed.seen.append(feed.in_sync("BTC/USD"))


def verbs(feed: Feed) -> list[str]:
    return [request["method"] for request in feed.requests]


# The protocols.


def test_the_recorded_session_of_protocol_v1_verifies_to_the_last_checksum(recorded: Find) -> None:
    book, verified, two_sided = OrderBook(), 0, 0
    for frame in frames(recorded("kraken/v1_book10_xbtusd_2023-08-30.jsonl")):
        for event in DialectV1().parse(frame).events:
            if isinstance(event, BookSnapshot):
                assert (event.symbol, event.depth) == ("BTC/USD", 10)
                book.replace(event, 0.0)
            elif isinstance(event, BookChange):
                verified += 1
                two_sided += bool(event.bids and event.asks)
                assert event.checksum is not None
                number = book.view(1).update_id + 1
                numbered = BookChange(
                    event.symbol, number, number, event.bids, event.asks, event.changed_at, event.checksum
                )
                assert book.change(numbered, 0.0) == "applied"
    assert (verified, two_sided) == (979, 1)


def test_the_checksum_is_that_of_a_book_as_texts_whatever_its_digits() -> None:
    for symbol, middle, decimals in (("BTC/USD", 271_200, 1), ("ADA/BTC", 712, 8)):
        book = ReferenceBook(symbol, middle, decimals, random.Random(1))
        bids, asks = map(numbers, book.top())
        assert checksum_of(bids, asks) == book.checksum()


def test_the_depth_is_asked_for_and_given_back_in_both_protocols() -> None:
    request = Request("subscribe", "book", ("BTC/USD", "DOGE/USD"))
    told = json.loads(DialectV2().write(request, 7))
    params = {"channel": "book", "symbol": ["BTC/USD", "DOGE/USD"], "depth": 10, "snapshot": True}
    assert told == {"method": "subscribe", "params": params, "req_id": 7}
    told = json.loads(DialectV1().write(request, 7))
    assert told["pair"] == ["XBT/USD", "XDG/USD"]
    assert told["subscription"] == {"name": "book", "depth": 10}


@pytest.mark.parametrize(
    "row",
    [
        '{"price":99.5,"qty":-1}',
        '{"price":"99.5","qty":1}',
        '{"price":null,"qty":1}',
        '{"price":99.5}',
    ],
)
def test_an_update_with_a_level_that_cannot_be_read_names_its_book(row: str) -> None:
    text = f'{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{row}],"asks":[],"checksum":1}}]}}'
    (event,) = DialectV2().parse(text).events
    assert isinstance(event, Invalid)
    assert event.symbol == "BTC/USD"


def test_an_update_that_nothing_can_check_names_its_book() -> None:
    unchecked = update({}).replace('"checksum"', '"sum"')
    v1 = '[336,{"b":[["99.5","1","1693415330.621700"]]},"book-10","XBT/USD"]'
    for events in (DialectV2().parse(unchecked).events, DialectV1().parse(v1).events):
        assert [(type(event), event.symbol) for event in events if isinstance(event, Invalid)] == [
            (Invalid, "BTC/USD")
        ]


def test_an_empty_book_of_protocol_v1_is_in_sync_and_has_no_prices() -> None:
    told = {"depth": 10, "name": "book"}
    accepted = {
        "event": "subscriptionStatus",
        "pair": "XBT/USD",
        "subscription": told,
        "status": "subscribed",
    }
    empty = v1_snapshot("BTC/USD", {}, {}, None)
    feed = Feed(KrakenBooksV1, [json.dumps(accepted), empty, btc_in_sync], symbols=("BTC/USD",)).play()
    assert feed.seen == [True]
    assert (feed.view("BTC/USD").bids, feed.view("BTC/USD").asks) == ((), ())


# The book.


def test_a_level_that_is_pushed_out_of_the_depth_is_gone_though_nothing_says_so() -> None:
    bids = {f"{99 - step}.0": "1.00000000" for step in range(10)}
    better = {"99.5": "2.00000000"}
    left = dict(list((better | bids).items())[:10])
    news = v2_update(Update("BTC/USD", better, {}, checksum(left, ASKS)))
    feed = fed(snapshot(bids=bids), news, btc_in_sync)
    assert feed.seen == [True]
    assert [str(price) for price, _ in feed.view("BTC/USD").bids] == list(left)


def test_a_wrong_checksum_puts_the_book_out_of_sync_at_once_and_it_is_subscribed_anew() -> None:
    news = {"99.6": "1.00000000"}
    feed = fed(
        snapshot(),
        btc_in_sync,
        update(news, told=1),
        btc_in_sync,
        2.0,
        acknowledged(verb="unsubscribe"),
        acknowledged(),
        snapshot(bids=news | BIDS),
        btc_in_sync,
    )
    assert feed.seen == [True, False, True]
    assert verbs(feed) == ["subscribe", "unsubscribe", "subscribe"]
    assert feed.script.meters.refused["checksum"] == 1
    assert feed.view("BTC/USD").bids[0] == (Decimal("99.6"), Decimal(1))


def test_a_snapshot_with_a_wrong_checksum_is_not_believed() -> None:
    feed = fed(v2_snapshot("BTC/USD", BIDS, ASKS, 1), btc_in_sync, problem, *beats(11), problem)
    assert feed.seen == [False, None, "1 order book(s) out of sync for 10 s: BTC/USD"]


@pytest.mark.parametrize(
    "text",
    [
        '{"channel":"book","type":"update","data":[{"symbol":"BTC/U',
        v2_update(Update("BTC/USD", {}, {}, 0))[:80],
    ],
)
def test_a_frame_that_cannot_be_read_may_be_a_missed_update(text: str) -> None:
    feed = fed(snapshot(), text, btc_in_sync)
    assert feed.seen == [False]


def test_a_book_that_never_stays_in_sync_is_subscribed_less_and_less_often() -> None:
    again: list[Step] = [acknowledged(verb="unsubscribe"), acknowledged(), snapshot(), update({}, told=1)]
    steps: list[Step] = [snapshot(), update({}, told=1)]
    for wait in (1, 2, 4, 8):
        steps += [*beats(wait), *again]
    feed = fed(*steps, *beats(15))
    subscribed = verbs(feed).count("subscribe")
    assert subscribed == 5
    assert feed.script.meters.refused["checksum"] == 5


V1_ANSWER = {"event": "subscriptionStatus", "pair": "XBT/USD", "subscription": {"depth": 10, "name": "book"}}
REFUSED = "Currency pair not supported"


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (KrakenBooks, acknowledged(verb="unsubscribe")),
        (KrakenBooks, json.dumps({"error": REFUSED, "success": False, "symbol": "BTC/USD"})),
        (KrakenBooksV1, json.dumps(V1_ANSWER | {"status": "unsubscribed"})),
        (KrakenBooksV1, json.dumps(V1_ANSWER | {"status": "error", "errorMessage": REFUSED})),
    ],
)
def test_a_book_is_out_of_sync_from_the_end_of_its_subscription_until_a_new_one_brings_it(
    kind: type[KrakenBooks], end: str
) -> None:
    begin: list[Step] = [acknowledged(), snapshot()]
    if kind is KrakenBooksV1:
        begin = [json.dumps(V1_ANSWER | {"status": "subscribed"}), v1_snapshot("BTC/USD", BIDS, ASKS, None)]
    ended: list[Step] = [btc_in_sync, end, btc_in_sync, *beats(11), problem]
    feed = Feed(kind, [*begin, *ended, *begin, btc_in_sync, problem], symbols=("BTC/USD",)).play()

    lost = "1 order book(s) out of sync for 10 s: BTC/USD"
    assert feed.seen == [True, False, lost, True, None]


def test_a_subscription_that_exists_already_is_no_loss_of_its_book() -> None:
    again = json.dumps({"error": "Already subscribed", "success": False, "symbol": "BTC/USD"})
    feed = fed(snapshot(), again, btc_in_sync)
    assert feed.seen == [True]


def test_the_end_of_a_book_that_is_followed_no_longer_is_no_loss_of_the_others() -> None:
    feed = fed(snapshot(), acknowledged("ETH/USD", verb="unsubscribe"), btc_in_sync)
    assert feed.seen == [True]


def test_updates_that_come_late_end_the_connection_and_every_book_with_it() -> None:
    feed = fed(
        snapshot(),
        *(sized(f"{number}.00000000", 0.0) for number in range(2, 5)),
        btc_in_sync,
        *beats(6),
        sized("5.00000000", 6.0),
        btc_in_sync,
        *beats(6),
        sized("6.00000000", 6.5),
        btc_in_sync,
    )
    assert feed.seen == [True, True]  # the connection ended before the last look
    assert feed.script.meters.refused["late"] == 1


def delay(feed: Feed) -> None:
    feed.seen.append(round(feed.collector.link().delay, 2))


def test_the_newest_update_tells_how_late_the_feed_is() -> None:
    late: list[Step] = [3.0, sized("2.0", 0.2), delay, *beats(1), delay]
    feed = fed(snapshot(), sized("1.5", 0.0), delay, *late, sized("3.0", 3.9), delay)
    assert feed.seen == [0, 2.8, 2.8, 0]


@pytest.mark.parametrize(
    ("told_at", "arrives_after", "late"),
    [
        pytest.param(0.5, 3.0, 3.0, id="late"),
        pytest.param(2.5, 3.0, 1.0, id="written late"),
        pytest.param(-900.0, 0.2, 0.0, id="of a still book"),
        pytest.param(-900.0, 1.0, 1.0, id="of a still book, answered late"),
    ],
)
def test_the_first_snapshot_of_a_book_is_at_most_as_late_as_it_is_old_and_was_asked_long_ago(
    told_at: float, arrives_after: float, late: float
) -> None:
    first = v2_update(Update("ETH/USD", BIDS, ASKS, checksum(BIDS, ASKS)), NOON + told_at)

    def want(feed: Feed) -> None:
        feed.collector.want(("BTC/USD", "ETH/USD"))

    added: list[Step] = [
        want,
        0.5,
        BEAT,
        arrives_after,
        acknowledged("ETH/USD"),
        first.replace("update", "snapshot"),
    ]
    feed = fed(snapshot(), sized("1.5", 0.0), *added, delay)
    assert feed.seen == [late]


def test_books_that_are_silent_for_equally_long_are_asked_about_together() -> None:
    symbols = ("BTC/USD", "ETH/USD", "SOL/USD")
    begun: list[Step] = [text for symbol in symbols for text in (acknowledged(symbol), snapshot(symbol))]
    feed = Feed(KrakenBooks, [*begun, *beats(32)], symbols=symbols).play()

    asked = [(request["method"], request["params"]["symbol"]) for request in feed.requests]
    assert asked == [(verb, list(symbols)) for verb in ("subscribe", "unsubscribe", "subscribe")]


def test_a_deaf_book_is_told_from_a_still_one_by_its_levels() -> None:
    def silence(*after: Step) -> Feed:
        return fed(snapshot(), *beats(31), acknowledged(verb="unsubscribe"), acknowledged(), *after)

    assert silence(snapshot()).script.meters.deaf["kraken"] == 0
    assert silence(snapshot(bids={"98.0": "1.00000000"})).script.meters.deaf["kraken"] == 1


# Everything together.


@pytest.mark.parametrize("is_v2", [True, False])
def test_books_are_the_references_whenever_they_are_in_sync(is_v2: bool) -> None:
    """Thousands of updates of two books, some lost, some with a wrong checksum, some torn."""
    clock, meters, store = FakeClock(), RecordingMeters(), BookStore()
    line = Line(clock, is_v2, UPDATES // 2, seed=20261129)
    compared = 0

    def look() -> None:
        nonlocal compared
        for symbol in line.books:
            view = store.view(symbol, "kraken", 50)
            if view is None or not view.in_sync:
                continue
            assert symbol not in line.spoilt
            compared += 1
            bids, asks = line.told[symbol]
            assert (list(view.bids), list(view.asks)) == (numbers(bids), numbers(asks))

    line.look = look
    stop = ScriptedStop(clock)
    stop.meanwhile = stop.set
    world = runtime(clock, meters)
    kind = KrakenBooks if is_v2 else KrakenBooksV1
    collector = kind(list(line.books), store, Equipment(lambda _: line, Backoff(1.0, 5, world), world, 10.0))
    collector.run(stop)

    assert line.lost >= UPDATES / 1000
    assert line.bad >= UPDATES / 1000
    assert line.subscriptions > 2 + line.bad / 2
    assert compared > 1.4 * UPDATES / 2
