"""Coinbase: every recorded frame, and connections whose heartbeats prove the last trade or a hole."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ltp_service.domain.pairs import Pair
from ltp_service.exchanges.bitstamp import BitstampLastTrades
from ltp_service.exchanges.coinbase import CoinbaseLastTrades, Dialect
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.feed.messages import Invalid, LastTrade, LastTradeId, Refused
from tests.exchanges.feeds import Find, frames
from tests.exchanges.last_trades import LastTrades, Step, labels, look, problem, with_pauses
from tests.fakes import BTC, ETH, NOON

RECORDED = "coinbase/exchange_matches_ticker_2021-04-17.jsonl"
FOO = Pair("FOO", "USD")


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(NOON + seconds, UTC).isoformat().replace("+00:00", "Z")


def match(number: int, price: object = "50000.10", at: float = 0.0, kind: str = "match") -> str:
    """Synthetic, in the shape of the recorded ones."""
    told = {"type": kind, "trade_id": number, "side": "sell", "size": "0.04", "price": price}
    return json.dumps({**told, "product_id": "BTC-USD", "sequence": 9, "time": moment(at)})


def last_match(number: int, price: str = "50000.10", at: float = -7200.0) -> str:
    return match(number, price, at, "last_match")


def beat(last: int | None, at: float = 0.0) -> str:
    """Synthetic, in the shape that the documentation has."""
    told = {"type": "heartbeat", "sequence": 90, "product_id": "BTC-USD", "time": moment(at)}
    return json.dumps(told if last is None else {**told, "last_trade_id": last})


def accepted(*products: str) -> str:
    channels = [{"name": name, "product_ids": products or ["BTC-USD"]} for name in ("matches", "heartbeat")]
    return json.dumps({"type": "subscriptions", "channels": channels})


def asked(feed: LastTrades, verb: str) -> list[tuple[str, str]]:
    """Channel and product of each request."""
    requests = [request for request in map(json.loads, feed.script.sent) if request["type"] == verb]
    return [(*request["channels"], *request["product_ids"]) for request in requests]


def test_each_recorded_frame_has_a_known_kind(recorded: Find) -> None:
    kinds = Counter(Dialect().parse(frame).kind for frame in frames(recorded(RECORDED)))
    assert kinds == {"ticker": 107, "trade": 107, "acknowledgement": 3}


def test_after_a_recorded_session_every_product_shows_its_last_trade_with_its_digits(recorded: Find) -> None:
    texts = frames(recorded(RECORDED))
    told = [m for m in map(json.loads, texts) if m["type"] in ("match", "last_match")]
    last = {row["product_id"]: (row["price"], row["trade_id"]) for row in told}
    pairs = [Pair(*product.split("-")) for product in last]
    feed = LastTrades(CoinbaseLastTrades, with_pauses(recorded(RECORDED)), pairs=pairs)
    ticks = {f"{p.base}-{p.quote}": price.tick for p, price in feed.store.all().items()}
    assert {product: (tick.price, tick.trade_id) for product, tick in ticks.items()} == last
    assert all(tick.amount == Decimal(tick.price) for tick in ticks.values())
    assert {tick.source for tick in ticks.values()} == {"coinbase:websocket"}
    assert feed.script.meters.refused == {}


def test_each_product_is_asked_for_alone_because_one_bad_name_would_refuse_them_all() -> None:
    feed = LastTrades(CoinbaseLastTrades, [0.5], pairs=(BTC, FOO))
    assert asked(feed, "subscribe") == [
        ("matches", "BTC-USD"),
        ("heartbeat", "BTC-USD"),
        ("matches", "FOO-USD"),
        ("heartbeat", "FOO-USD"),
    ]


def test_it_follows_the_pairs_when_they_change() -> None:
    feed = LastTrades(CoinbaseLastTrades, [accepted(), lambda feed: feed.collector.follow([ETH]), 0.2])
    assert asked(feed, "unsubscribe") == [("matches", "BTC-USD"), ("heartbeat", "BTC-USD")]
    assert asked(feed, "subscribe")[2:] == [("matches", "ETH-USD"), ("heartbeat", "ETH-USD")]


@pytest.mark.parametrize(
    ("kind", "dollar", "tether"),
    [(CoinbaseLastTrades, "BTC-USD", "BTC-USDT"), (BitstampLastTrades, "btcusd", "btcusdt")],
)
def test_usdt_is_another_quote_currency_than_usd(
    kind: type[LastTradeCollector], dollar: str, tether: str
) -> None:
    assert (kind.symbol_of(BTC), kind.symbol_of(Pair("BTC", "USDT"))) == (dollar, tether)


def test_a_heartbeat_with_the_id_of_the_held_trade_confirms_it_and_no_other_frame_does() -> None:
    ticker = '{"type":"ticker","product_id":"BTC-USD","price":"1"}'
    steps: list[Step] = [
        accepted(),
        last_match(20),
        3.0,
        ticker,
        1.0,
        look,
        beat(20, 4.0),
        look,
        2.0,
        ticker,
        look,
    ]
    feed = LastTrades(CoinbaseLastTrades, steps)
    assert feed.seen == [("50000.10", 4.0), ("50000.10", 0.0), ("50000.10", 2.0)]


@pytest.mark.parametrize("last", [0, None])
def test_a_heartbeat_that_tells_no_id_is_life_of_the_product_and_no_evidence(last: int | None) -> None:
    beats: list[Step] = [step for second in range(1, 16) for step in (1.0, beat(last, second))]
    feed = LastTrades(CoinbaseLastTrades, [accepted(), last_match(20), *beats, look])
    assert feed.seen == [("50000.10", 15.0)]
    assert feed.script.meters.missed == {}


def test_before_the_connection_told_the_last_trade_a_heartbeat_confirms_nothing_and_shows_no_hole() -> None:
    second: list[Step] = [accepted(), 5.0, beat(20, 5.0), look, 1.0, beat(25, 6.0), 1.0, beat(26, 7.0)]
    feed = LastTrades(CoinbaseLastTrades, [accepted(), last_match(20)], second)
    ((_, age),) = feed.seen
    assert age >= 5.0
    assert feed.script.meters.missed == {}


def test_a_hole_that_heartbeats_tell_twice_is_subscribed_anew_and_counted() -> None:
    hole: list[Step] = [match(21, at=1.0), 1.0, beat(24, 2.0), 1.0, look, beat(25, 3.0), 0.2]
    feed = LastTrades(
        CoinbaseLastTrades,
        [accepted(), last_match(20), 1.0, *hole, last_match(25, "50001.00"), beat(25, 3.2), look],
    )
    assert feed.seen == [("50000.10", 2.0), ("50001.00", 0.0)]
    assert asked(feed, "unsubscribe") == [("matches", "BTC-USD"), ("heartbeat", "BTC-USD")]
    assert feed.script.meters.missed == {"coinbase": 4}


def test_a_trade_that_comes_after_its_heartbeat_is_no_hole() -> None:
    steps: list[Step] = [
        accepted(),
        last_match(20),
        1.0,
        beat(21, 1.0),
        match(21, at=1.0),
        1.0,
        beat(21, 2.0),
        look,
    ]
    feed = LastTrades(CoinbaseLastTrades, steps)
    assert feed.seen == [("50000.10", 0.0)]
    assert feed.script.meters.missed == {}


def test_a_second_hole_within_a_minute_replaces_the_connection() -> None:
    first: list[Step] = [accepted(), last_match(20), 1.0, beat(30, 1.0), 1.0, beat(31, 2.0), 0.2]
    second: list[Step] = [
        last_match(20),
        1.0,
        beat(32, 3.2),
        1.0,
        beat(33, 4.2),
        look,  # never reached: the connection is replaced before
    ]
    feed = LastTrades(CoinbaseLastTrades, [*first, *second], [last_match(33)])
    assert (feed.seen, len(feed.script.made)) == ([], 2)


def test_a_product_whose_heartbeats_stop_is_subscribed_anew() -> None:
    other = '{"type":"ticker","product_id":"BTC-USD"}'
    silent: list[Step] = [4.0, other, 4.0, other, 4.0, other]
    feed = LastTrades(CoinbaseLastTrades, [accepted(), last_match(20), *silent])
    assert asked(feed, "unsubscribe") == [("matches", "BTC-USD"), ("heartbeat", "BTC-USD")]


@pytest.mark.parametrize("price", ["-1", "NaN", None, 50000.1])
def test_a_trade_that_cannot_be_used_ends_the_evidence_until_a_usable_one(price: object) -> None:
    good: list[Step] = [accepted(), last_match(20), beat(20), 1.0]
    bad: list[Step] = [
        match(21, price, 1.0),
        labels,
        2.0,
        beat(21, 3.0),
        look,
        match(22, "50002.00", 3.0),
        look,
        labels,
    ]
    feed = LastTrades(CoinbaseLastTrades, [*good, *bad])
    assert feed.seen == [
        {"BTC-USD": "unusable"},
        ("50000.10", 3.0),
        ("50002.00", 0.0),
        {"BTC-USD": "active"},
    ]
    assert isinstance(Dialect().parse(match(21, price)).events[0], Invalid)


def test_a_trade_that_is_told_again_is_no_evidence_while_it_is_doubted() -> None:
    good: list[Step] = [accepted(), last_match(19), match(20)]
    feed = LastTrades(CoinbaseLastTrades, [*good, 0.2, match(21, "NaN", 0.2), match(20), 2.8, look])
    assert feed.seen == [("50000.10", 3.0)]


@pytest.mark.parametrize("reason", ["FOO-USD is not a valid product", "Invalid product ID provided"])
def test_a_refused_pair_is_told_and_costs_its_neighbours_nothing(reason: str) -> None:
    refusal = json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason})
    steps: list[Step] = [
        accepted("BTC-USD"),
        last_match(20),
        refusal,
        8.0,
        beat(20, 8.0),
        4.0,
        beat(20, 12.0),
        look,
        labels,
    ]
    feed = LastTrades(CoinbaseLastTrades, steps, pairs=(BTC, FOO))
    price, told = feed.seen
    assert price == ("50000.10", 0.0)
    assert told == {"BTC-USD": "active", "FOO-USD": f"refused: Failed to subscribe: {reason}"}
    assert asked(feed, "subscribe").count(("matches", "FOO-USD")) == 1


def test_an_exchange_that_has_none_of_the_pairs_is_of_no_use_and_says_so() -> None:
    refusal = '{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}'
    feed = LastTrades(CoinbaseLastTrades, [refusal, problem], pairs=[FOO])
    assert feed.seen == ["the exchange has none of the pairs that are served"]


def test_a_refusal_is_of_the_product_that_it_names() -> None:
    told = {"type": "error", "message": "Failed to subscribe", "reason": "FOO-USD is not a valid product"}
    (refusal,) = Dialect().parse(json.dumps(told)).events
    assert refusal == Refused("Failed to subscribe: FOO-USD is not a valid product", None, "FOO-USD")


def test_an_older_trade_never_replaces_a_newer_one() -> None:
    feed = LastTrades(CoinbaseLastTrades, [last_match(20), match(22, "3"), match(21, "2"), look])
    assert feed.seen == [("3", 0.0)]


def test_what_a_late_line_says_is_evidence_of_an_earlier_moment() -> None:
    steps: list[Step] = [accepted(), last_match(20), beat(20), 1.0, beat(20, 1.0), 8.0, beat(20, 2.0), look]
    feed = LastTrades(CoinbaseLastTrades, steps)
    assert feed.seen == [("50000.10", pytest.approx(7.0, abs=0.1))]


def test_a_heartbeat_and_a_match_are_read_with_their_times() -> None:
    assert Dialect().parse(beat(20, 1.5)).events == (LastTradeId("BTC-USD", 20, NOON + 1.5),)
    (trade,) = Dialect().parse(match(7, at=2.25)).events
    assert trade == LastTrade("BTC-USD", "50000.10", Decimal("50000.10"), NOON + 2.25, 7)


@pytest.mark.parametrize("frame", ['{"type":"new_thing","x":[1]}', '{"kind":1}', "{}"])
def test_a_type_that_is_not_known_means_nothing(frame: str) -> None:
    parsed = Dialect().parse(frame)
    assert (parsed.kind, tuple(parsed.events)) == ("unknown", ())
