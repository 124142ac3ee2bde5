"""ltp_service.runtime.pauses"""

from ltp_service.runtime.clock import SHORTEST_SLEEP
from ltp_service.runtime.pauses import WORK_SECONDS, Pauses
from tests.fakes import FakeClock


def test_long_work_pauses_again_and_again_and_short_work_never() -> None:
    clock, sleeps = FakeClock(), list[float]()
    pause = Pauses(clock.monotonic, sleeps.append)
    for _ in range(10):
        pause()
        clock.advance(WORK_SECONDS / 2)

    assert sleeps == [SHORTEST_SLEEP] * 4
