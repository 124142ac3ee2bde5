"""ltp watch: prices as they change."""

import signal
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from types import FrameType

import click
from rich.console import Console, Group
from rich.live import Live

from ltp_service.cli.board import Board
from ltp_service.cli.terminal import PAIR, key_of, output, told, url_of, url_option
from ltp_service.client import Disconnected, Prices, PricesError
from ltp_service.client import Event as Happening
from ltp_service.domain.pairs import Pair

WAKE_EVERY_SECONDS = 0.25
"""Seconds between two looks for a signal."""

PAINT_EVERY_SECONDS = 0.25
"""Seconds between two pictures at least: a person reads no faster, and a picture costs milliseconds."""


@click.command(epilog="Example: ltp watch BTC/USD ETH/USD")
@click.argument("pairs", metavar="[PAIR]...", nargs=-1, type=PAIR)
@url_option
@click.pass_obj
def command(environ: Mapping[str, str], pairs: Sequence[Pair], url: Sequence[str]) -> None:
    """Show prices as they change, of all pairs unless some are named.

    A terminal gets a table. Elsewhere, and with TERM=dumb, each change is a line: time, pair, price, state. The price is
    `-` while it may not be trusted. The command connects again by itself, until Ctrl-C ends it. LTP_API_KEY is the key,
    where the service wants one.
    """
    try:
        prices = Prices(url_of(url, environ), api_key=key_of(environ))
        events = prices.stream(list(map(str, pairs)) or None)
    except ValueError as error:
        raise click.UsageError(told(error)) from error
    with prices:
        try:
            console = output()
            if console.is_terminal and not console.is_dumb_terminal:  # a dumb one cannot be painted over
                _paint(events, console)
            else:
                _print(events)
        except PricesError as error:
            raise click.ClickException(told(error)) from error


def _print(events: Iterator[Happening]) -> None:
    board = Board(lambda: datetime.now(UTC))
    for event in events:
        for pair in board.take(event):
            click.echo(board.line(pair))
        if isinstance(event, Disconnected):
            click.echo(f"not connected: {event.reason}", err=True)


def _paint(events: Iterator[Happening], console: Console) -> None:
    """Paints until a signal ends it. One thread listens, so that a slow terminal holds nothing up, and this one paints."""
    listener = Listener(events, Board(lambda: datetime.now(UTC).astimezone()))
    with _noted_signals() as arrived:
        in_ascii = console.options.ascii_only
        with Live(console=console, auto_refresh=False, transient=True) as picture:
            listener.start()
            while not arrived:
                picture.update(listener.drawn(console.width, in_ascii=in_ascii), refresh=True)
                listener.wait()
                time.sleep(
                    PAINT_EVERY_SECONDS
                )  # the pace of the pictures: news that come meanwhile share the next one
        sys.exit(128 + arrived[0])


class Listener(Thread):
    """Puts what happens on a board."""

    def __init__(self, events: Iterator[Happening], board: Board) -> None:
        super().__init__(name="listener", daemon=True)
        self._events, self._board = events, board
        self._between_events = Lock()
        self._news = Event()
        self._error: PricesError | None = None

    def run(self) -> None:
        try:
            for event in self._events:
                with self._between_events:
                    self._board.take(event)
                self._news.set()
        except PricesError as error:
            self._error = error
            self._news.set()

    def drawn(self, width: int, *, in_ascii: bool) -> Group:
        """Renders the board as it is between two events, so that its sentence and its rows tell of the same moment."""
        with self._between_events:
            return self._board.drawn(width, in_ascii=in_ascii)

    def wait(self) -> None:
        """Returns when there is news, or after WAKE_EVERY_SECONDS. Raises what ended the stream."""
        self._news.wait(WAKE_EVERY_SECONDS)
        self._news.clear()
        if self._error is not None:
            raise self._error


@contextmanager
def _noted_signals() -> Generator[list[int]]:
    """Ctrl-C and TERM raise nothing, but stand in the list. An exception may come where Python ignores it, and be lost."""
    arrived: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
