"""An exchange's clock, learnt from its trades, to a minute; pure, `now` in monotonic seconds.

This machine's wall clock is not used, because it may be wrong by hours.
"""

TIME_TOLERANCE_SECONDS = 60.0
"""Seconds by which a trade's time may differ from its exchange's known clock; recorded: 0.1."""

LONGEST_STEP_SECONDS = 2.0
"""Seconds by which one message may move what is known forward; a longer step has to be seconded. Recorded: 0.1, and
HTTP's Date has whole seconds."""

_AGREED = 2
"""Times in a row that must disagree with the known clock, and agree with one another, before they are believed."""

_AGREED_BEHIND = 10
"""The same for times behind a clock that two trades agreed on: trades that arrive late look the same."""

_UNKNOWN, _TOLD_ONCE, _TOLD_TWICE = 0, 1, 2


class ExchangeTime:
    """One exchange's clock. A message arrives after its time, so the largest difference is the most exact one."""

    def __init__(self, *, trusting: bool = False, latest: float = TIME_TOLERANCE_SECONDS) -> None:
        """`trusting`: what lies far ahead was judged by another one already, and is believed at once.
        `latest`: seconds for which a message may be under way; later ones in a row show that the clock is ahead."""
        self._latest = latest
        self._longest_step = TIME_TOLERANCE_SECONDS if trusting else LONGEST_STEP_SECONDS
        self._agreed_ahead = 1 if trusting else _AGREED
        self._ahead: float | None = None
        """Seconds to add to monotonic time for the exchange's unix time."""
        self._trust = _UNKNOWN
        self._other = 0.0
        """The difference that the last disagreeing times agreed on; `_agreed` counts them."""
        self._agreed = 0

    def begin(self) -> None:
        """Forgets the trust: this machine may have slept, so the next time counts as the first."""
        self._trust = _UNKNOWN

    def learn(self, told: float, now: float) -> float:
        """Learns from a message that the exchange wrote at `told`, unix seconds, and that arrived at `now`.

        Returns the seconds by which `told` lies ahead of the known clock; below 0 is the message's age.
        """
        ahead = told - now
        known = self._ahead
        if known is None or self._trust == _UNKNOWN:
            self._ahead, self._trust, self._agreed = ahead, _TOLD_ONCE, 0
            return 0.0
        difference = ahead - known
        if -self._latest <= difference <= self._longest_step:
            self._trust, self._agreed = _TOLD_TWICE, 0
            if difference <= 0.0:
                return difference
        elif not self._is_agreed(ahead, difference < 0.0):
            return difference
        self._ahead, self._trust, self._agreed = ahead, _TOLD_TWICE, 0
        return 0.0

    def at(self, now: float) -> float | None:
        """The exchange's unix time; None before its first message."""
        return None if self._ahead is None else now + self._ahead

    def _is_agreed(self, ahead: float, behind: bool) -> bool:
        same = self._agreed > 0 and abs(ahead - self._other) <= TIME_TOLERANCE_SECONDS
        self._agreed = self._agreed + 1 if same else 1
        self._other = ahead
        if behind:
            return self._agreed >= (_AGREED_BEHIND if self._trust == _TOLD_TWICE else _AGREED)
        return self._agreed >= self._agreed_ahead
