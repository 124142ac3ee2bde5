"""A clock that stands still until a test, or a sleep, moves it."""


class SteeredClock:
    """Both clocks of `ltp_service.clock.Clock`, and a sleep that takes no time; `slept` holds what was asked of it."""

    def __init__(self, wall: float = 1_000_000.0) -> None:
        self.monotonic_seconds = 50.0
        self.wall_seconds = wall
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.monotonic_seconds

    def wall(self) -> float:
        return self.wall_seconds

    def advance(self, seconds: float) -> None:
        self.monotonic_seconds += seconds
        self.wall_seconds += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
