"""ltp watch: a table at a terminal, lines elsewhere, and no price shown as present that is not."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from threading import Event, Thread

import pytest
from rich.console import Console, Group

from ltp_service.cli.board import Board
from ltp_service.cli.watch import Listener
from ltp_service.client import Price
from ltp_service.client.testing import FakeService
from tests.cli.screen import Screen
from tests.deadline import DEADLINE
from tests.ended import PROJECT, ended

WATCH = [sys.executable, "-m", "ltp_service", "watch", "--url"]


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        running.set_price("BTC/USD", "115643.10")
        running.set_price("ETH/USD", "4128.07")
        yield running


@contextmanager
def lines_of(*arguments: str) -> Iterator[Iterator[list[str]]]:
    """The words of each line that it prints, without the time."""
    command = [*WATCH, *arguments]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield (line.split()[1:] for line in process.stdout)
        finally:
            process.kill()


def test_without_a_terminal_each_change_is_a_line_and_a_price_that_is_not_trusted_none(
    service: FakeService,
) -> None:
    with lines_of(service.url, "BTC/USD") as lines:
        assert next(lines) == ["BTC/USD", "115643.10", "live"]
        service.set_price("BTC/USD", "115643.20")
        assert next(lines) == ["BTC/USD", "115643.20", "live"]
        service.set_state("BTC/USD", "stale")
        assert next(lines) == ["BTC/USD", "-", "stale"]
        service.set_price("BTC/USD", "115643.30")
        assert next(lines) == ["BTC/USD", "115643.30", "live"]
        service.cut()
        assert next(lines) == ["BTC/USD", "-", "not-live"]
        assert next(lines) == ["BTC/USD", "115643.30", "live"]


def test_at_a_terminal_it_is_a_table_that_says_which_prices_are_not_present(service: FakeService) -> None:
    with Screen([*WATCH, service.url]) as screen:
        screen.wait_for("2 of 2 prices may be trusted")
        screen.wait_for("115643.10")
        service.set_state("BTC/USD", "stale")
        screen.wait_for("(115643.10)")
        screen.wait_for("1 of 2 prices may be trusted")
        service.close()
        screen.wait_for("(4128.07)")
        screen.wait_for("NOT LIVE since ")


def test_a_picture_shows_no_event_half() -> None:
    begun, go_on = Event(), Event()

    def slow_clock() -> datetime:
        begun.set()
        go_on.wait(DEADLINE)
        return datetime.now(UTC)

    told = Price("BTC/USD", Decimal("1.5"), "1.5", "live", "kraken:websocket", 0.1, datetime.now(UTC), 7)
    listener = Listener(iter([told]), Board(slow_clock))
    pictures: list[Group] = []
    painter = Thread(target=lambda: pictures.append(listener.drawn(110, in_ascii=True)))
    listener.start()
    assert begun.wait(DEADLINE)
    painter.start()
    painter.join(0.1)  # what it would need without waiting for the event's end is far less
    assert pictures == []
    go_on.set()
    painter.join(DEADLINE)
    text = StringIO()
    Console(file=text, width=110).print(*pictures)
    assert "1 of 1 prices may be trusted" in text.getvalue()
    assert "1.5" in text.getvalue()


def test_a_terminal_that_cannot_be_painted_over_is_given_lines(service: FakeService) -> None:
    with Screen([*WATCH, service.url, "BTC/USD"], term="dumb") as screen:
        screen.wait_for("Z BTC/USD 115643.10 live")


@pytest.mark.parametrize(("keys", "number", "code"), [("\x03", None, 130), ("", signal.SIGTERM, 143)])
def test_the_end_gives_the_terminal_its_cursor_back_and_leaves_no_price_on_it(
    keys: str, number: signal.Signals | None, code: int, service: FakeService
) -> None:
    with Screen([*WATCH, service.url]) as screen:
        screen.wait_for("2 of 2 prices may be trusted")
        if number is not None:
            screen.process.send_signal(number)
        screen.type(keys)
        assert screen.wait_for_exit() == code
        assert screen.written.rfind("\x1b[?25h") > screen.written.rfind("\x1b[?25l")
        lines = screen.written[screen.written.rfind("PAIR") :].count("\n")
        erased = screen.written[screen.written.rfind("\x1b[?25h") :].count("\x1b[2K")
        assert erased >= lines
    assert "Traceback" not in screen.written


def test_a_service_that_refuses_for_good_ends_it_with_the_reason() -> None:
    with FakeService(api_key="secret") as service:
        refused = ended([*WATCH, service.url])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Error: " in refused.stderr
    assert "key" in refused.stderr
