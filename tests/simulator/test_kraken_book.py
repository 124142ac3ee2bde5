"""The simulated order books of Kraken."""

from decimal import Decimal

from tests.exchanges.kraken_book_market import DEPTH
from tests.simulator.book_follower import PAIR, Follower
from tests.simulator.client import Simulator
from tests.simulator.clients import Client


def test_hundreds_of_updates_verify_and_end_with_the_true_book(
    simulator: Simulator, follower: Follower
) -> None:
    simulator.change_book("kraken", PAIR, updates=400)
    price = simulator.market(PAIR)[PAIR]["price"]
    simulator.trade(PAIR, f"{Decimal(price) + 5:.2f}")  # the book follows
    true = simulator.book("kraken", PAIR, DEPTH)
    wanted = [[Decimal(part) for part in row] for row in true["bids"]]
    while [[Decimal(part) for part in row] for row in follower.bids.items()] != wanted:
        assert follower.read()
    assert follower.updates > 200


def test_a_depth_that_is_not_offered_is_refused(v1: Client, v2: Client) -> None:
    v2.subscribe_v2(PAIR, channel="book", depth=11)
    assert v2.reads("Subscription depth not supported")
    v1.send({"event": "subscribe", "pair": [PAIR], "subscription": {"name": "book", "depth": 42}})
    assert v1.reads("Subscription depth not supported")
