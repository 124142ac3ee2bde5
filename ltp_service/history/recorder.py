"""Records Kraken's trades: twice a second it hands over what came to a native thread, which writes it."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Event

import msgspec

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.history.evidence import View, micros
from ltp_service.history.writer import MOST_WAITING, Batch, Frame, Page, Report, Writer
from ltp_service.meters import HISTORY_LOST, HISTORY_REFUSED, HISTORY_ROWS
from ltp_service.runtime.runtime import Runtime
from ltp_service.runtime.spawn import NativeThread

log = logging.getLogger(__name__)

WRITE_EVERY_SECONDS = 0.5
"""Seconds between two batches."""

STUCK_SECONDS = 15.0
"""Seconds after which a write that has not ended is a problem. A server has 10 s for a statement."""

KEPT_SECONDS = 5.0
"""Seconds of trades that a process keeps while another one writes: longer than it takes to notice that it has ended."""


class RecorderState(msgspec.Struct, frozen=True):
    """Whether recording works."""

    writes: bool
    """False where another process writes, and while nothing can be written."""
    problem: str | None
    """Why nothing can be written; None when it can, or when another process does it."""
    undeleted: str | None
    """Why trades that are too old stay; None where they do not."""
    waiting: int
    """Trades that wait to be written."""
    lag: float
    """Seconds for which the oldest of them has waited."""
    lost: int
    """Trades that were dropped unwritten."""
    size: int | None
    """Bytes of the history, where this process writes it."""


class Recorder:
    """Runner: takes the frames and trades that others append, and has them written."""

    name = "history"

    def __init__(
        self,
        writer: Writer,
        thread: NativeThread,
        look: Callable[[], View],
        leads: Callable[[], bool],
        runtime: Runtime,
    ) -> None:
        """`look` gives what is known now. `leads` returns whether this process runs the feed."""
        self._writer = writer
        self._thread = thread
        self._look = look
        self._leads = leads
        self._clock = runtime.clock
        self._meters = runtime.meters
        self.frames: deque[Frame] = deque(maxlen=MOST_WAITING)
        """Frames of the trade channel that wait to be handed over. The feed appends, and no more. While a write does not end,
        the oldest are dropped uncounted when it is full, which leaves a hole."""
        self._pages: deque[Page] = deque(maxlen=MOST_WAITING)
        self._report = Report(writes=False)
        self._lost = 0
        self._size: int | None = None
        self._busy_since: float | None = None
        """Monotonic second in which the batch was handed over that is being written now."""
        self._failing = False
        self._ahead: float | None = None
        self.jumped: set[Pair] = set()
        """Pairs that may have holes since the back-fill looked last. It takes them out."""

    def take(self, pair: Pair, trades: Sequence[Trade], as_of: float | None = None) -> None:
        """Has trades recorded that came in another way than by the feed. Only appends.

        `as_of`: the monotonic second at which they were the newest of all; None where they may not have been.
        """
        self._pages.append(Page(pair, trades, as_of))

    @property
    def unproven(self) -> Mapping[Pair, float]:
        """The pairs of which the present subscription may have missed a trade before it began, and when that was."""
        return self._report.unproven

    def exchange_now(self) -> int | None:
        """The exchange's time in unix microseconds, as this process has learnt it from the exchange; None before that."""
        return None if self._ahead is None else micros(self._clock.monotonic() + self._ahead)

    def is_writing(self) -> bool:
        """Whether this process writes the history, and nothing is in the way."""
        return self._report.writes and self._report.problem is None

    def is_settled(self) -> bool:
        """Whether everything that was taken is written, too."""
        idle = self._busy_since is None and not self._pages and not self._report.waiting
        return idle and self.is_writing()

    def state(self) -> RecorderState:
        """How recording goes now."""
        report, now = self._report, self._clock.monotonic()
        begun = self._busy_since
        busy = 0.0 if begun is None else now - begun
        lag = max(busy, 0.0 if report.oldest is None else now - report.oldest)
        problem = report.problem
        if problem is None and busy > STUCK_SECONDS:
            problem = f"a write has not ended for {busy:.0f} s; look at the disk or the server (HISTORY_URL)"
        waiting = report.waiting + (len(self.frames) if begun is not None else 0)
        size = self._size if report.writes else None
        return RecorderState(report.writes, problem, report.undeleted, waiting, lag, self._lost, size)

    def run(self, stop: Event) -> None:
        """Writes until `stop` is set, and what came until then."""
        try:
            while not stop.wait(WRITE_EVERY_SECONDS):
                self.turn()
            self.turn()
        finally:
            self._thread.run(self._writer.close)

    def turn(self) -> None:
        """Hands over what came since the last turn, and waits until it was tried to write it."""
        batch = self._batch()
        self._busy_since = batch.view.now
        try:
            report = self._thread.run(partial(self._writer.turn, batch))
        finally:
            self._busy_since = None
        self._note(report)

    def _batch(self) -> Batch:
        # Nothing may come between: the frames have to be all of those that had arrived when the view was made.
        leads, view = self._leads(), self._look()
        self._ahead = view.ahead
        if leads and (self._report.writes or self._report.problem):
            frames = [self.frames.popleft() for _ in range(len(self.frames))]
        else:
            frames = []
            while self.frames and (not leads or view.now - self.frames[0][1] > KEPT_SECONDS):
                self.frames.popleft()
        pages = [self._pages.popleft() for _ in range(len(self._pages))]
        return Batch(frames, pages, view, leads)

    def _note(self, report: Report) -> None:
        self._report = report
        self._lost += report.lost
        self._size = self._size if report.size is None else report.size
        self.jumped |= report.jumped
        self._meters.count(HISTORY_ROWS, amount=report.rows)
        if report.lost:
            self._meters.count(HISTORY_LOST, amount=report.lost)
        if report.refused_last is not None:
            self._meters.count(HISTORY_REFUSED, amount=report.refused)
            pair, trade = report.refused_last
            log.warning(
                "%d trades are not recorded, because they contradict what is recorded or the exchange's clock; the last one:"
                " %s, id %d, unix time %.6f",
                report.refused,
                pair,
                trade.trade_id,
                trade.traded_at / 1e6,
                extra={"once_a_minute": ("history refused",)},
            )
        if report.problem:
            log.error(
                "the history is not written: %s; %d trades wait, %d were dropped",
                report.problem,
                report.waiting,
                self._lost,
                extra={"once_a_minute": ("history",)},
            )
        elif self._failing:
            log.info("the history is written again")
        self._failing = report.problem is not None
        if report.undeleted:
            log.error(
                "the history is written, but trades older than HISTORY_KEEP are not deleted: %s",
                report.undeleted,
                extra={"once_a_minute": ("history undeleted",)},
            )
