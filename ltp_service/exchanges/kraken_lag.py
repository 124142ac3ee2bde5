"""How late the line to Kraken is, and each pair on it; pure, moments in monotonic seconds.

What a slow reader gets is old, but it gets everything. One pair may lag while the line does not.
"""

from ltp_service.domain.exchange_clock import NEGLIGIBLE_DELAY_SECONDS
from ltp_service.domain.pairs import Pair


class Lag:
    """What the live trades of one connection showed, in seconds; delays below NEGLIGIBLE_DELAY_SECONDS count as 0."""

    def __init__(self) -> None:
        self.is_late = False
        """Whether anything is late. If not, `of` is 0 for every pair."""
        self._line = 0.0
        self._by_pair: dict[Pair, float] = {}

    def forget(self) -> None:
        """A new connection, of which no trade has shown anything."""
        self.is_late = False
        self._line = 0.0
        self._by_pair.clear()

    def of(self, pair: Pair) -> float:
        """By how much what arrives of `pair` is late."""
        return max(self._line, self._by_pair.get(pair, 0.0))

    def longest(self) -> float:
        """The longest delay of any pair."""
        return max(self._line, max(self._by_pair.values(), default=0.0))

    def answered(self, under_way: float) -> None:
        """An answer may have been under way for so long. That tells how late the line is until the first live trade does."""
        if under_way > NEGLIGIBLE_DELAY_SECONDS:
            self._line = max(self._line, under_way)
            self.is_late = True

    def overstated(self, by: float) -> None:
        """Everything was less late by so many seconds than it seemed."""
        self._line = counted(self._line - by)
        self._by_pair = {pair: counted(lag - by) for pair, lag in self._by_pair.items()}
        self.is_late = self.longest() > 0.0

    def learn(self, pair: Pair, age: float, since_last: float | None) -> tuple[float | None, float | None]:
        """A trade of `pair` arrives `age` seconds after it was made, `since_last` seconds after the last of any pair.

        Earlier messages were as late, so the evidence from them must move back. Returns by how many seconds: for all
        pairs, and for this one; None where it need not.

        The line itself cannot be later than it was at the last trade and the time since. What is beyond that is the
        pair's own, until its next trade shows another lag. That is so too where the whole line may have been as late:
        nothing else tells the two apart.
        """
        lag = counted(age)
        known, line_known = self.of(pair), self._line
        self._line = lag if since_last is None else min(lag, line_known + since_last)
        self._by_pair[pair] = lag
        self.is_late = self.longest() > 0.0
        return (
            self._line if self._line > line_known + NEGLIGIBLE_DELAY_SECONDS else None,
            lag if lag > known + NEGLIGIBLE_DELAY_SECONDS else None,
        )


def counted(lag: float) -> float:
    """Without what is too short to be a delay."""
    return lag if lag > NEGLIGIBLE_DELAY_SECONDS else 0.0
