"""What time it is at an exchange, learnt from what it sends; pure, `now` in monotonic seconds.

This machine's own clock has no part in it: it may be wrong by hours.
"""

FUTURE = 60.0
"""Seconds by which something may lie ahead of what is known of its exchange's clock; recorded: 0.1."""

STEP = 2.0
"""Seconds by which one message may move what is known forward; a longer step has to be seconded. Recorded: 0.1, and
HTTP's Date has whole seconds."""

_AGREED = 2
"""Times in a row that must disagree with what is known, and agree with one another, before they are believed."""

_AGREED_BEHIND = 10
"""The same for times that lie behind what two have told: what is told late looks like that, too."""

_UNKNOWN, _TOLD_ONCE, _TOLD_TWICE = 0, 1, 2


class ExchangeTime:
    """One exchange's clock. What was told arrived later, so that the newest of all is the nearest."""

    def __init__(self, *, trusting: bool = False, latest: float = FUTURE) -> None:
        """`trusting`: what lies far ahead was judged by another one already, and is believed at once.
        `latest`: seconds for which a message may be under way; later ones in a row show that the clock is ahead."""
        self._latest = latest
        self._trusting = trusting
        self._agreed_ahead = 1 if trusting else _AGREED
        self._ahead: float | None = None
        """What to add to monotonic time for the exchange's unix time."""
        self._trust = _UNKNOWN
        self._other = 0.0
        """What the last ones that disagreed agreed on, and how many they were."""
        self._agreed = 0

    def begin(self) -> None:
        """This machine may have slept: what is told next counts as the first."""
        self._trust = _UNKNOWN

    def learn(self, told: float, now: float) -> float:
        """A message that the exchange wrote at `told`, unix seconds, arrived: by how many seconds it lies ahead of
        what is known, this message included. Below 0: it is that old."""
        ahead = told - now
        known = self._ahead
        if known is None or self._trust == _UNKNOWN:
            self._ahead, self._trust, self._agreed = ahead, _TOLD_ONCE, 0
            return 0.0
        difference = ahead - known
        if -self._latest <= difference <= (FUTURE if self._trusting else STEP):
            self._trust, self._agreed = _TOLD_TWICE, 0
            if difference <= 0.0:
                return difference
        elif not self._is_agreed(ahead, difference < 0.0):
            return difference
        self._ahead, self._trust, self._agreed = ahead, _TOLD_TWICE, 0
        return 0.0

    def at(self, now: float) -> float | None:
        """The exchange's unix time; None before it told any."""
        return None if self._ahead is None else now + self._ahead

    def _is_agreed(self, ahead: float, behind: bool) -> bool:
        same = self._agreed > 0 and abs(ahead - self._other) <= FUTURE
        self._agreed = self._agreed + 1 if same else 1
        self._other = ahead
        if behind:
            return self._agreed >= (_AGREED_BEHIND if self._trust == _TOLD_TWICE else _AGREED)
        return self._agreed >= self._agreed_ahead
