"""How late the line to Kraken is, and each pair on it; pure, moments in monotonic seconds.

A slow reader is sent everything, and reads a picture of the past. One pair may lag while the line does not.
"""

from ltp_service.domain.exchange_clock import NEGLIGIBLE_DELAY_SECONDS
from ltp_service.domain.pairs import Pair


class Lag:
    """What the live trades of one connection showed, in seconds; delays below NEGLIGIBLE_DELAY_SECONDS count as 0."""

    def __init__(self) -> None:
        self.is_known = False
        """Whether anything is late. While it is not, `of` need not be asked."""
        self._line = 0.0
        self._by_pair: dict[Pair, float] = {}

    def forget(self) -> None:
        """A new connection, of which no trade has shown anything."""
        self.is_known = False
        self._line = 0.0
        self._by_pair.clear()

    def of(self, pair: Pair) -> float:
        """By how much what arrives of `pair` is late."""
        return max(self._line, self._by_pair.get(pair, 0.0))

    def longest(self) -> float:
        """By how much what arrives is late, of the latest pair."""
        return max(self._line, max(self._by_pair.values(), default=0.0))

    def learn(self, pair: Pair, age: float, since_last: float | None) -> tuple[float | None, float | None]:
        """A trade of `pair` arrives `age` seconds after it was made, `since_last` seconds after the last of any pair.

        So did what came before it, and what that confirmed. Returns the seconds by which evidence was late without
        that being known: that of all pairs, and that of this one; None where it was known.

        The line itself cannot be later than it was at the last trade and the time since. What is beyond that is the
        pair's own, until its next trade shows another lag.
        """
        lag = age if age > NEGLIGIBLE_DELAY_SECONDS else 0.0
        known, line_known = self.of(pair), self._line
        self._line = lag if since_last is None else min(lag, line_known + since_last)
        self._by_pair[pair] = lag
        self.is_known = self.longest() > 0.0
        return (
            self._line if self._line > line_known + NEGLIGIBLE_DELAY_SECONDS else None,
            lag if lag > known + NEGLIGIBLE_DELAY_SECONDS else None,
        )
