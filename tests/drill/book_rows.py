"""What goes wrong with Kraken's order books, each of which is checked: no best price is told that is not true."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.drill.books import BookWatch, Tops, streamed, wrong_books
from tests.drill.listener import Listener
from tests.drill.row import PAIRS, Stage, row

PAIR = "ETH/USD"
BOOKS = {"COLLECTORS": "kraken_books"}
ELSEWHERE = "process/test_collectors.py"

AT_ONCE = 0.5
"""Seconds from a frame that does not fit to an answer without its book."""

COUNTED = 2.0
"""Seconds within which a mismatch is among the metrics, which workers write once a second."""

HABIT = 31.0
"""Seconds of updates after which the service knows how long a book is silent as a rule."""

DEAF = 6.0
"""Seconds of silence after which a book that changed several times a second is doubted: five, and the time to look."""

FRESH = 10.0
"""Seconds between two tries to get a book that does not come."""


@row(
    "book_checksum",
    "the checksums of one order book are wrong",
    settings=BOOKS,
    elsewhere=ELSEWHERE,
)
def checksum(stage: Stage) -> None:
    with _watched(stage) as watch, stage.faulty():
        stage.simulator.fault("bad_checksum", pair=PAIR)
        start = time.monotonic()
        stage.simulator.change_book("kraken", PAIR, 20)
        lost = _until(stage, watch, start, 5.0, in_sync=False)
        stage.hold(stage.tempo.of(10.0, 2.0))
        cleared = time.monotonic()
        in_vain = [each for each in watch.of(PAIR, lost, cleared) if each.problem is None]
        stage.simulator.clear()
        back = _until(stage, watch, cleared, 20.0, in_sync=True)
        _check_others(stage, watch, start, back)
    stage.check(
        lost - start <= AT_ONCE + stage.waited(start, lost), f"out of sync after {lost - start:.2f} s"
    )
    stage.check(not in_vain, f"{len(in_vain)} times in sync meanwhile")
    stage.remarks.append(f"in sync again {back - cleared:.1f} s after it ended")


@row(
    "book_gap",
    "updates of one order book are lost, one at a time",
    settings=BOOKS,
    elsewhere=ELSEWHERE,
)
def gap(stage: Stage) -> None:
    times, counted, away = int(stage.tempo.of(5, 3)), 0, []
    with _watched(stage) as watch, stage.faulty():
        begun = time.monotonic()
        for _ in range(times):
            known, start = _mismatches(stage), time.monotonic()
            stage.simulator.fault("sequence_gap", pair=PAIR, exchange="kraken")
            stage.simulator.change_book("kraken", PAIR, 20)
            stage.hold(COUNTED)
            if _mismatches(stage) > known:
                counted += 1
                lost = watch.first(PAIR, start, in_sync=False) or time.monotonic()
                away.append(_until(stage, watch, lost, 30.0, in_sync=True) - lost)
        _check_others(stage, watch, begun, time.monotonic())
    # No reader can see a lost update that the next one overwrites.
    stage.check(2 * counted >= times, f"{counted} of {times} lost updates did not fit to the next checksum")
    stage.remarks.append(f"in sync again after {', '.join(f'{each:.1f}' for each in away)} s")


@row("book_deaf", "the order book of one pair falls silent", settings=BOOKS, walk=120.0, long=True)
def deaf(stage: Stage) -> None:
    stage.hold(HABIT)
    with _watched(stage, {PAIR: DEAF}) as watch, stage.faulty():
        stage.simulator.fault("deaf_channel", channel="book", pair=PAIR, exchange="kraken")
        start = time.monotonic()
        lost = _until(stage, watch, start, 4 * DEAF, in_sync=False)
        stage.hold(12.0)
        cleared = time.monotonic()
        in_vain = [each for each in watch.of(PAIR, lost, cleared) if each.problem is None]
        stage.simulator.clear()
        back = _until(stage, watch, cleared, 2 * FRESH, in_sync=True)
        _check_others(stage, watch, start, back)
    stage.check(lost - start <= DEAF, f"out of sync after {lost - start:.1f} s")
    stage.check(not in_vain, f"{len(in_vain)} times in sync meanwhile")
    stage.check(back - cleared <= FRESH + 1.0, f"in sync again {back - cleared:.1f} s after it ended")


@contextmanager
def _watched(stage: Stage, unnoticed: Mapping[str, float] | None = None) -> Iterator[BookWatch]:
    """Reads all books inside of it, in answers and on a stream, and judges them afterwards."""
    with tempfile.TemporaryDirectory() as folder, BookWatch(stage.service) as watch:
        stage.until(
            lambda: all(watch.first(pair, 0.0, in_sync=True) for pair in PAIRS), 30.0, "all books in sync"
        )
        begun = time.monotonic() - 1.0
        listener = Listener.start(stage.service.port, Path(folder) / "told", "/api/v1/stream?books=true")
        try:
            yield watch
            stage.hold(1.0)
            told = list(streamed(listener.stop()))
        finally:
            listener.kill()
    answers = [each for each in watch.readings if each.asked_at >= begun]
    tops = {pair: Tops(stage.simulator.tops(pair)) for pair in PAIRS}
    wrong = wrong_books([*answers, *told], tops, stage.tempo.transport, unnoticed or {}, stage.waited)
    stage.problems.extend(f"{one.moment - stage.faulty_from:+.3f} s: {one.why}" for one in wrong[:5])
    good = sum(1 for each in (*answers, *told) if each.problem is None)
    stage.check(
        not wrong and bool(told),
        f"{good:,} books called in sync in {len(answers):,} answers and {len(told):,} events, {len(wrong)} of them wrong",
    )


def _until(stage: Stage, watch: BookWatch, since: float, within: float, *, in_sync: bool) -> float:
    """The moment of the first answer with the book in sync, or out of it."""
    what = f"the book {'in' if in_sync else 'out of'} sync"
    stage.until(lambda: watch.first(PAIR, since, in_sync=in_sync) is not None, within, what)
    return watch.first(PAIR, since, in_sync=in_sync) or time.monotonic()


def _check_others(stage: Stage, watch: BookWatch, since: float, until: float) -> None:
    others = [each for pair in PAIRS if pair != PAIR for each in watch.of(pair, since, until)]
    lost = [each for each in others if each.problem is not None]
    stage.check(not lost, f"the other books out of sync in {len(lost)} answers")


def _mismatches(stage: Stage) -> int:
    """How many updates did not fit to their checksum so far."""
    name = 'btc_ltp_websocket_invalid_messages_total{exchange="kraken_books",reason="checksum"} '
    text = stage.service.get("/metrics").body.decode()
    found = [line for line in text.splitlines() if line.startswith(name)]
    return int(float(found[0].removeprefix(name))) if found else 0
