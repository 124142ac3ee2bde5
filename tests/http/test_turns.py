"""Requests wait when they have used up the time between two looks at the sockets."""

from ltp_service.http.turns import TURN_SECONDS, Turns
from tests.fakes import FakeClock


class Hub:
    """Looks at its sockets whenever a request sleeps."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.rounds = 0
        self.turns = Turns(lambda: self.rounds, self.clock.monotonic, self._sleep)

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0, "with 0 gevent looks at no socket"
        self.rounds += 1

    def ask(self, cost: float) -> int:
        """One request of `cost` seconds; tells how often the sockets were looked at before it."""
        self.turns.wait()
        self.clock.advance(cost)
        return self.rounds


def test_requests_of_one_turn_follow_each_other() -> None:
    hub = Hub()

    assert {hub.ask(TURN_SECONDS / 5) for _ in range(5)} == {0}


def test_after_a_turn_of_requests_the_sockets_are_looked_at_before_the_next() -> None:
    hub = Hub()

    assert [hub.ask(TURN_SECONDS / 2) for _ in range(6)] == [0, 0, 1, 1, 2, 2]


def test_a_request_longer_than_a_turn_is_one_turn() -> None:
    hub = Hub()

    assert [hub.ask(3 * TURN_SECONDS) for _ in range(3)] == [0, 1, 2]


def test_time_between_rounds_of_the_hub_counts_for_no_one() -> None:
    hub = Hub()
    hub.ask(TURN_SECONDS)
    hub.rounds += 1
    hub.clock.advance(10 * TURN_SECONDS)

    assert [hub.ask(TURN_SECONDS / 2) for _ in range(2)] == [1, 1]
