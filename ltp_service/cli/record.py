"""ltp record: what Kraken sends, with times, in a file that `ltp replay` serves again."""

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from threading import Event
from typing import TextIO

import click
from msgspec import MsgspecError

from ltp_service.cli.terminal import PAIR, Amount, track
from ltp_service.domain.errors import BadFrame, ExchangeError, Unreachable
from ltp_service.domain.pairs import Pair
from ltp_service.exchanges import kraken_v1, kraken_v2
from ltp_service.exchanges.kraken import CHANNELS, is_v2
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.dialing import Dialer
from ltp_service.feed.messages import Refused, Request
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config, load_config

READ_SECONDS = 0.2
"""The longest wait of a read in seconds. After it the recorder checks whether the recording is over."""

MOST_FRAMES_AT_ONCE = 1000


@click.command(epilog="Example: ltp record session.jsonl BTC/USD --seconds 60")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("pairs", metavar="[PAIR]...", nargs=-1, type=PAIR)
@click.option("--seconds", type=Amount(0, min_open=True), help="Stop after this many seconds.")
@click.option("--frames", type=click.IntRange(1), help="Stop after this many frames of the exchange.")
@click.pass_obj
def command(
    environ: Mapping[str, str], file: Path, pairs: Sequence[Pair], seconds: float | None, frames: int | None
) -> None:
    """Record what the exchange sends into FILE.

    Dials KRAKEN_WEBSOCKET_URL as the service does, subscribes tickers and trades of the pairs (those of SUPPORTED_PAIRS
    unless some are named), and writes each frame that comes or goes as a line of JSON with its time. It connects again by
    itself, and goes on until Ctrl-C unless an option says when to stop. FILE must not exist yet, and is kept only when
    something was recorded. `-` is standard output. The exit code is 1 when nothing was recorded, or when the exchange
    refused a pair.
    """
    config, runtime = load_config(environ), Runtime()
    name = "standard output" if str(file) == "-" else str(file)
    with track(f"recording {name}", frames or seconds) as show, _opened(file) as lines:
        tape = Tape(lines, runtime, seconds, frames, show)
        recorder = Recorder(config, pairs or config.pairs_to_try, tape, runtime)
        try:
            recorder.run()
        except OSError as error:
            raise click.ClickException(f"{name}: {error.strerror or error}") from error
        finally:
            if lines is not sys.stdout and (recorder.hears_nothing or not tape.frames):
                file.unlink()
                click.echo(f"nothing was recorded, so there is no {name}", file=sys.stderr)
            else:
                click.echo(f"{_number(tape.frames)} in {name}", file=sys.stderr)
    click.get_current_context().exit(1 if recorder.refused or not tape.frames else 0)


@contextmanager
def _opened(file: Path) -> Generator[TextIO]:
    """A new file, or standard output. Raises ClickException where it cannot be made."""
    if str(file) == "-":
        yield sys.stdout
        return
    try:
        lines = file.open("x", encoding="utf-8")
    except FileExistsError as error:
        if file.is_dir():
            raise click.ClickException(f"{file} is a folder; name a file in it") from error
        raise click.ClickException(f"{file} exists; remove it, or name another one") from error
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror or error}") from error
    with lines:
        yield lines


def _number(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"


class Tape:
    """The file: a line for each record, with `t` (unix seconds), `dir` and `raw`, written at once."""

    def __init__(
        self,
        lines: TextIO,
        runtime: Runtime,
        seconds: float | None,
        frames: int | None,
        show: Callable[[float], None],
    ) -> None:
        """The tape is full after `seconds` or `frames`; None sets no bound. `show` is called with the part that is done."""
        self._lines, self._clock, self._show = lines, runtime.clock, show
        self._seconds, self._most = seconds, frames
        self._begun = runtime.clock.monotonic()
        self.frames = 0
        """The number of frames from the exchange so far."""

    def write(self, direction: str, **more: str) -> None:
        """Writes one record. Raises OSError."""
        record = {"t": self._clock.wall(), "dir": direction, **more}
        self._lines.write(f"{json.dumps(record)}\n")
        self._lines.flush()

    def take(self, frames: Sequence[str]) -> None:
        """Writes frames of the exchange, as many as there is room for. Raises OSError."""
        room = len(frames) if self._most is None else self._most - self.frames
        for frame in frames[:room]:
            self.write("in", raw=frame)
            self.frames += 1

    def seconds_left(self) -> float:
        """Seconds until the recording ends by its time limit."""
        if self._seconds is None:
            return inf
        return max(0.0, self._begun + self._seconds - self._clock.monotonic())

    def is_full(self) -> bool:
        """Whether the recording is over."""
        lasted = self._clock.monotonic() - self._begun
        self._show(self.frames if self._most is not None else lasted)
        is_late = self._seconds is not None and lasted >= self._seconds
        return is_late or (self._most is not None and self.frames >= self._most)


class Recorder:
    """Dials, subscribes and reads, and again after each end, until the tape is full."""

    def __init__(self, config: Config, pairs: Sequence[Pair], tape: Tape, runtime: Runtime) -> None:
        self._url = config.kraken_websocket_url
        self._dialer = Dialer(self._url, timeout=config.kraken_websocket_timeout)
        self._idle_timeout = config.kraken_idle_timeout
        self._tape, self._clock = tape, runtime.clock
        self._backoff = Backoff(config.kraken_reconnect_delay, config.kraken_max_reconnect_tries, runtime)
        self._stop = Event()
        dialect = kraken_v2 if is_v2(config) else kraken_v1
        symbols = tuple(map(dialect.symbol_of, pairs))
        self._parse, self._symbols = dialect.parse, symbols
        self.refused: dict[str | None, str] = {}
        """The exchange's words by symbol; by None where it named no symbol."""
        self._requests = [
            dialect.write(Request("subscribe", channel, symbols), number)
            for number, channel in enumerate(CHANNELS, 1)
        ]

    @property
    def hears_nothing(self) -> bool:
        """Whether the exchange has refused all pairs."""
        return self.refused.keys() >= set(self._symbols)

    def run(self) -> None:
        """Returns when the tape is full, or all pairs are refused. Raises OSError when it cannot be written."""
        while not self._is_over():
            self._tape.write("connect", url=self._url)
            try:
                self._session(WebSocketConnection(self._dialer, self._stop, poll_interval=READ_SECONDS))
            except ExchangeError as error:
                self._tape.write("close", note=str(error))
                click.echo(str(error), file=sys.stderr)
                pause = self._backoff.delay(error.retry_after or 0.0)
                self._stop.wait(min(pause, self._tape.seconds_left()))

    def _session(self, connection: WebSocketConnection) -> None:
        """One connection, until the tape is full. Raises ExchangeError when the connection ends before."""
        try:
            for request in self._requests:
                connection.send(request)
                self._tape.write("out", raw=request)
            heard = self._clock.monotonic()
            while not self._is_over():
                frames = self._read(connection)
                if frames:
                    heard = self._clock.monotonic()
                    self._tape.take(frames)
                    self._note_refusals(frames)
                elif self._clock.monotonic() - heard > self._idle_timeout:
                    raise Unreachable(f"no frame for {self._idle_timeout:g} s", reason="silent")
        finally:
            connection.close()

    def _is_over(self) -> bool:
        return self._tape.is_full() or self.hears_nothing

    def _note_refusals(self, frames: Sequence[str]) -> None:
        """Reports each refused pair once."""
        for frame in frames:
            try:
                events = self._parse(frame).events
            except (BadFrame, MsgspecError, ValueError, RecursionError):
                continue  # it is recorded as it came
            for event in events:
                if isinstance(event, Refused) and event.symbol not in self.refused:
                    self.refused[event.symbol] = event.message
                    click.echo(
                        f"the exchange refuses {event.symbol or 'a question'}: {event.message}", err=True
                    )

    def _read(self, connection: WebSocketConnection) -> Sequence[str]:
        try:
            frames = connection.receive(MOST_FRAMES_AT_ONCE)
        except BadFrame as error:  # no text, so it cannot be kept
            self._tape.write("note", note=str(error))
            return ()
        if frames:
            self._backoff.forgive()
        return frames
