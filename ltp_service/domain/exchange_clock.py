"""An exchange's clock, to a fraction of a second, learnt from the messages that it sends; pure, `now` in monotonic seconds.

This machine's wall clock is not used, because it may be wrong by hours. A message is written before it arrives, so the
clock shows at least the time in it. An answer is written after its question, so that the clock was no further than that
when the question was asked. Between these two the clock is unsure, and an age is the largest that it leaves possible.

An answer that the exchange wrote late looks like one that was under way for long, on a line whose trades are as late.
Only another answer tells these two apart. Until it comes, ages are too large by the time that the first one took. Where no
answer has a time, nothing shows by how much the least delayed message was late.
"""

CLOCK_TOLERANCE_SECONDS = 5.0
"""Seconds by which a time may lie ahead of the known clock and is still believed. Recorded: 0.5."""

NEGLIGIBLE_DELAY_SECONDS = 0.25
"""Seconds that do not count as a delay: Kraken's trades take 0.03 to 0.11 s, a little more in a burst (recorded)."""

AGREES_WITHIN_SECONDS = 0.5
"""Seconds by which messages may differ that agree with what was known before a step ahead."""

MESSAGES_THAT_TAKE_A_STEP_BACK = 3
"""Such messages in a row that take the step back: it was made by trades that were stamped ahead."""

DRIFT_PER_SECOND = 1e-4
"""Seconds per second by which the known difference is lowered: a fast monotonic clock must not make messages late."""


class ExchangeClock:
    """A single message far from the known clock may be wrong; two in a row that agree are believed.

    Messages that lag behind the clock by the same time may be late, or the clock is ahead. They are late, if two messages
    had told that clock. One alone is not believed against two that agree.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        """Least seconds to add to monotonic time for the exchange's unix time."""
        self._learnt_at = 0.0
        self._unsure = 0.0
        """Seconds by which `_ahead` may be too low: what the answer to a question leaves open."""
        self._messages = 0
        """How many messages sent at their own time agree with `_ahead`, at most 2. At 0 it may be far too low."""
        self._is_answered_twice = False
        """Whether two answers agree on `_ahead`."""
        self._other: tuple[float, float] | None = None
        """The time in the last message that did not agree, and its arrival in monotonic seconds."""
        self._before: tuple[float, float] | None = None
        """`_ahead` and `_unsure` before the last step ahead, or as another answer told them."""
        self._back = 0
        """Messages in a row that agree with that."""

    def answered(self, told: float, asked_at: float, now: float) -> float:
        """The exchange wrote `told`, unix seconds, in its answer to a request made at `asked_at`, monotonic.

        Returns the longest time in seconds for which the answer can have been under way.
        """
        ahead, most = self._at(now), told - asked_at
        if ahead is None or not self._messages or most < ahead - CLOCK_TOLERANCE_SECONDS:
            self._set(told - now, now, now - asked_at)
            self._messages, self._is_answered_twice, self._other, self._before = 1, False, None, None
        elif told - now > ahead + self._unsure + NEGLIGIBLE_DELAY_SECONDS:
            self._is_seconded(told, now)
        elif most >= ahead:
            if abs(told - now - ahead) <= AGREES_WITHIN_SECONDS:
                self._is_answered_twice, self._other = True, None
            least = max(ahead, told - now)
            self._set(least, now, min(ahead + self._unsure, most) - least)
        elif self._messages < 2 and not self._is_answered_twice:
            self._before, self._back = (told - now, now - asked_at), 0
        return min(now - asked_at, self._longest(told, now))

    def heard(self, told: float, now: float) -> float | None:
        """The exchange wrote `told`, unix seconds, when it sent the message that arrives now.

        Messages that arrive together do not agree with each other: one bad frame may hold several.
        Returns the longest time in seconds for which it can have been under way; None when `told` cannot be true.
        """
        if self._ahead is None or not self._messages:
            self.happened(told, now)
            self._messages = 1
            return self.age(told, now)
        if self._before is not None and self._is_step_back(told - now, self._before[0]):
            self._step_back(told - now, now)
        delay = now - told + self._ahead - DRIFT_PER_SECOND * (now - self._learnt_at)
        if delay < -NEGLIGIBLE_DELAY_SECONDS - self._unsure:
            believed = self._is_seconded(told, now) or -delay <= CLOCK_TOLERANCE_SECONDS + self._unsure
            return 0.0 if believed else None
        if delay > CLOCK_TOLERANCE_SECONDS and self._messages < 2 and not self._is_answered_twice:
            # The message is late, unless the known clock was ahead.
            self._is_seconded(told, now)
            return self._longest(told, now)
        self._messages, self._other = 2, None
        if delay >= 0:
            return delay + self._unsure
        self._ahead, self._learnt_at, self._unsure = told - now, now, max(0.0, self._unsure + delay)
        return self._unsure

    def happened(self, told: float, now: float) -> bool:
        """Learns that an event of `told`, unix seconds, had happened by `now`. False when that cannot be true.

        An event whose message was refused stays refused when it is told again, if the clock is known by messages.
        """
        ahead = self._at(now)
        if ahead is None or not self._messages:
            self._set(told - now if ahead is None else max(told - now, ahead), now, 0.0)
            return True
        beyond = told - now - ahead
        if beyond > NEGLIGIBLE_DELAY_SECONDS + self._unsure:
            is_known_to_disagree = self._messages > 1 and self._other is not None and self._other[0] == told
            is_agreed = not is_known_to_disagree and self._is_agreed(told, now)
            return is_agreed or beyond <= CLOCK_TOLERANCE_SECONDS + self._unsure
        if beyond > 0:
            self._set(told - now, now, self._unsure - beyond)
        return True

    def no_later(self, told: float, now: float) -> float | None:
        """`told`, unix seconds, but no later than the exchange's time now; None where it cannot be true."""
        ahead = self._at(now)
        if ahead is None or not self._messages:
            return told
        latest = now + ahead + self._unsure
        return min(told, latest) if told <= latest + CLOCK_TOLERANCE_SECONDS else None

    def is_known(self) -> bool:
        """Whether `age` can answer."""
        return self._messages > 0

    def is_unsure(self) -> bool:
        """Whether another answer may tell much more exactly how old everything is."""
        return self._messages > 0 and self._unsure > NEGLIGIBLE_DELAY_SECONDS

    def age(self, told: float, now: float) -> float | None:
        """The most seconds since `told`, unix seconds, that are possible; None while the clock is not known."""
        return self._longest(told, now) if self._messages else None

    def least(self, now: float) -> float | None:
        """The unix seconds that the clock shows at least; None while it is not known."""
        ahead = self._at(now)
        return now + ahead if ahead is not None and self._messages else None

    def _longest(self, told: float, now: float) -> float:
        ahead = self._at(now)
        return 0.0 if ahead is None else max(0.0, now + ahead + self._unsure - told)

    def _at(self, now: float) -> float | None:
        return None if self._ahead is None else self._ahead - DRIFT_PER_SECOND * (now - self._learnt_at)

    def _set(self, ahead: float, now: float, unsure: float) -> None:
        self._ahead, self._learnt_at, self._unsure = ahead, now, max(0.0, unsure)

    def _is_seconded(self, told: float, now: float) -> bool:
        """Whether the last disagreeing message, of another trade, agrees with this one; else remembers this one."""
        other = self._other
        if other is not None and other[0] != told and other[1] < now and self._is_agreed(told, now):
            return True
        self._other = told, now
        return False

    def _is_agreed(self, told: float, now: float) -> bool:
        """Whether the last disagreeing message agrees with this one; then both are believed."""
        if self._other is None:
            return False
        before = self._other[0] - self._other[1]
        if abs(told - now - before) > CLOCK_TOLERANCE_SECONDS:
            return False
        known, agreed = self._at(now), min(told - now, before)
        if known is not None and told - now > known:
            self._before, self._back = (known, self._unsure), 0
            self._set(agreed, now, 0.0)
        else:
            self._step_back(agreed, now)
        self._messages, self._is_answered_twice, self._other = 1, False, None
        return True

    def _is_step_back(self, ahead: float, before: float) -> bool:
        """Whether so many messages agree with what was known before the last step ahead that it was wrong."""
        self._back = self._back + 1 if abs(ahead - before) <= AGREES_WITHIN_SECONDS else 0
        return self._back >= MESSAGES_THAT_TAKE_A_STEP_BACK

    def _step_back(self, ahead: float, now: float) -> None:
        """Makes the clock as unsure as it was before the last step ahead, where it shows the same again."""
        before, self._before = self._before, None
        is_same = before is not None and abs(ahead - before[0]) <= AGREES_WITHIN_SECONDS
        self._set(ahead, now, sum(before) - ahead if before and is_same else 0.0)
