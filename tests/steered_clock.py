"""A clock for code that sleeps: the sleep takes no time and moves the clock."""

from tests.fakes import FakeClock


class SteeredClock(FakeClock):
    """`slept` holds what was asked of `sleep`, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
