"""What time it is at the exchange of the last prices, to a fraction of a second; pure, `now` in monotonic seconds.

It is learnt from what the exchange sends. This machine's own clock has no part in it: it may be wrong by hours.
Everything is written before it arrives, so that the largest difference to the time of arrival is the nearest.
"""

FUTURE = 5.0
"""Seconds by which a time may lie ahead of what is known and is still believed. Recorded: 0.5."""

EXACT = 0.25
"""Seconds of a delay that is none: Kraken's trades take 0.03 to 0.11 s, and a little more when there are many."""

NEAR = 0.5
"""Seconds by which messages may differ that agree with what was known before a step ahead."""

WAY_BACK = 3
"""Such messages in a row that take the step back: it was made by trades that were stamped ahead."""

SINKS = 1e-4
"""Seconds per second by which what is known sinks, so that a monotonic clock that runs fast makes nothing late."""


class ExchangeClock:
    """One message far from what is known may be wrong; two in a row that agree are not."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """What to add to monotonic time for the exchange's unix time: no less than that."""
        self._learnt_at = 0.0
        self._unsure = 0.0
        """Seconds by which it may be more than that: for how long what told it may have been under way."""
        self._messages = 0
        """How many messages of their own moment agree with it, up to two. Without one it may be far too low."""
        self._other: tuple[float, float] | None = None
        """What the last message told that did not agree, and when."""
        self._before: float | None = None
        """What was known before the last step ahead."""
        self._back = 0
        """Messages in a row that agree with that."""

    def answered(self, told: float, asked_at: float, now: float) -> None:
        """The exchange wrote `told`, unix seconds, in an answer to what it was asked at `asked_at`."""
        ahead = self._at(now)
        if ahead is None or not self._messages or told - asked_at < ahead - FUTURE:
            self._set(told - now, now, now - asked_at)
            self._messages = 1
        elif told - now > ahead:
            self._set(told - now, now, min(self._unsure - (told - now - ahead), now - asked_at))

    def heard(self, told: float, now: float) -> float | None:
        """The exchange wrote `told` in a message of its own moment, which arrives: for how many seconds it was under
        way; None when it cannot be.
        """
        if self._ahead is None or not self._messages:
            self.happened(told, now)
            self._messages = 1
            return self.age(told, now)
        if self._is_step_back(told - now):
            self._set(told - now, now, self._unsure)
        delay = now - told + self._ahead - SINKS * (now - self._learnt_at)
        if delay < -EXACT:
            return 0.0 if self._is_seconded(told, now) or -delay <= FUTURE + self._unsure else None
        if delay > FUTURE and self._messages < 2:
            # It is late, unless what is known was too much.
            return self.age(told, now) if self._is_seconded(told, now) else delay
        self._messages, self._other = 2, None
        if delay >= 0:
            return delay
        self._set(told - now, now, self._unsure + delay)
        return 0.0

    def happened(self, told: float, now: float) -> bool:
        """Something that happened at `told`, any time ago, is known at `now`; False when that cannot be."""
        ahead = self._at(now)
        if ahead is None or not self._messages:
            self._set(told - now if ahead is None else max(told - now, ahead), now, 0.0)
            return True
        beyond = told - now - ahead
        if beyond > EXACT:
            return self._is_agreed(told, now) or beyond <= FUTURE + self._unsure
        if beyond > 0:
            self._set(told - now, now, self._unsure - beyond)
        return True

    def no_later(self, told: float, now: float) -> float:
        """`told`, or the latest moment that it can be at the exchange by now."""
        ahead = self._at(now)
        return told if ahead is None or not self._messages else min(told, now + ahead + self._unsure)

    def is_known(self) -> bool:
        """Whether ages can be told."""
        return self._messages > 0

    def age(self, told: float, now: float) -> float | None:
        """For how many seconds `told` has been past; None while too little is known."""
        ahead = self._at(now)
        return max(0.0, now + ahead - told) if ahead is not None and self._messages else None

    def _at(self, now: float) -> float | None:
        return None if self._ahead is None else self._ahead - SINKS * (now - self._learnt_at)

    def _set(self, ahead: float, now: float, unsure: float) -> None:
        self._ahead, self._learnt_at, self._unsure = ahead, now, max(0.0, unsure)

    def _is_seconded(self, told: float, now: float) -> bool:
        """Whether the last message that did not agree told of another trade and said the same; else this is the last."""
        if self._other is not None and self._other[0] != told and self._is_agreed(told, now):
            return True
        self._other = told, now
        return False

    def _is_agreed(self, told: float, now: float) -> bool:
        """Whether the last message that did not agree said the same; then it is believed."""
        if self._other is None:
            return False
        before = self._other[0] - self._other[1]
        if abs(told - now - before) > FUTURE:
            return False
        known = self._at(now)
        self._set(min(told - now, before), now, 0.0)
        self._messages, self._other = 1, None
        self._before, self._back = (known, 0) if known is not None and told - now > known else (None, 0)
        return True

    def _is_step_back(self, ahead: float) -> bool:
        """Whether so many messages agree with what was known before the last step ahead that it was wrong."""
        if self._before is None:
            return False
        self._back = self._back + 1 if abs(ahead - self._before) <= NEAR else 0
        if self._back < WAY_BACK:
            return False
        self._before = None
        return True
