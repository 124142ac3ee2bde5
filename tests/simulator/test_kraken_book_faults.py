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
