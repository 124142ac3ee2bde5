"""What can go wrong with the simulated order books of Kraken."""

from tests.simulator.book_follower import PAIR, Follower
from tests.simulator.client import Simulator


def test_a_lost_update_shows_in_the_checksum_of_a_later_one(simulator: Simulator, follower: Follower) -> None:
    simulator.change_book("kraken", PAIR, updates=60, gaps=20)
    assert not all(follower.read() for _ in range(20))


def test_a_checksum_can_be_wrong(simulator: Simulator, follower: Follower) -> None:
    simulator.fault("bad_checksum", pair=PAIR)
    simulator.change_book("kraken", PAIR, updates=20)
    assert not follower.read()


def test_a_book_can_be_deaf_while_trades_go_on(simulator: Simulator, follower: Follower) -> None:
    simulator.fault("deaf_channel", channel="book", pair=PAIR)
    simulator.change_book("kraken", PAIR, updates=20)
    simulator.clear()
    simulator.change_book("kraken", PAIR, updates=20)
    assert not follower.read()  # the first that is heard does not join what is known


def test_the_best_prices_so_far_are_told_though_updates_of_them_are_lost(
    simulator: Simulator, follower: Follower
) -> None:
    before = simulator.tops(PAIR)
    simulator.change_book("kraken", PAIR, updates=60, gaps=60)
    told = simulator.tops(PAIR)
    (bid,), (ask,) = simulator.book("kraken", PAIR, 1).values()
    assert told[-1][1:] == [bid, ask]
    assert told[: len(before)] == before
    assert len(told) > len(before)
    assert simulator.tops(PAIR, after=told[-1][0]) == told[-1:]
