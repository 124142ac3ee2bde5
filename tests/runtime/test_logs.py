"""ltp_service.runtime.logs"""

import json
import logging
import os
import pty
import sys
from collections.abc import Iterator
from typing import Any

import gunicorn.config
import pytest

from ltp_service.meters import LOG_LINES_DROPPED
from ltp_service.runtime.line_writer import ATOMIC_WRITE_BYTES, LineWriter
from ltp_service.runtime.logs import (
    JsonFormatter,
    LateLines,
    ServerLog,
    TextFormatter,
    configure,
    envelope,
    style_of,
    timestamp,
)
from ltp_service.runtime.request_id import current_request_id
from ltp_service.version import VERSION
from tests.fakes import NOON, FakeClock, RecordingMeters


@pytest.fixture
def root_log() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def record(message: str = "hello", level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("another.module", level, __file__, 1, message, None, None)
    made.__dict__.update(extra)
    return made


def test_a_line_is_one_json_object_with_the_whole_envelope() -> None:
    line = json.loads(envelope("info", "hello\nworld", "abcdefgh", NOON, {"a": 1}))

    assert line == {
        "timestamp": "2026-09-21T14:13:20.000Z",
        "level": "info",
        "message": "hello\nworld",
        "request_id": "abcdefgh",
        "service": "btc-ltp-service",
        "version": VERSION,
        "fields": {"a": 1},
    }
    assert b"\n" not in envelope("info", "hello\nworld", None, NOON, {})


@pytest.mark.parametrize(
    ("level", "word"), [(logging.WARNING, "warn"), (logging.INFO, "info"), (logging.ERROR, "error")]
)
def test_any_librarys_record_gets_the_same_envelope(level: int, word: str) -> None:
    line = json.loads(JsonFormatter().format(record("x", level)))

    assert line["level"] == word
    assert line["fields"] == {"logger": "another.module"}


def test_a_record_written_during_a_request_carries_its_id() -> None:
    token = current_request_id.set("request-1234")
    try:
        line = json.loads(JsonFormatter().format(record()))
    finally:
        current_request_id.reset(token)

    assert line["request_id"] == "request-1234"


def test_an_exception_stays_inside_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        made = record(exc_info=sys.exc_info())
    text = JsonFormatter().format(made)

    assert "\n" not in text
    assert "ValueError: broken" in json.loads(text)["fields"]["exception"]


def test_each_logger_writes_json(root_log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    configure("info", "json", FakeClock().monotonic, LineWriter(1))
    logging.getLogger("urllib3.somewhere").warning("third %s", "party")
    logging.getLogger("urllib3.somewhere").debug("too quiet")

    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line)["message"] == "third party"


def test_text_style_is_for_people(root_log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    configure("warning", "text", FakeClock().monotonic, LineWriter(1))
    logging.getLogger("a").warning("plain words")

    assert capfd.readouterr().out.endswith("Z WARNING a: plain words\n")


def test_a_terminal_gets_text_and_everything_else_json_unless_the_setting_says() -> None:
    reader, terminal = pty.openpty()
    end, pipe = os.pipe()
    try:
        assert [style_of(each, terminal) for each in ("auto", "json", "text")] == ["text", "json", "text"]
        assert [style_of(each, pipe) for each in ("auto", "json", "text")] == ["json", "json", "text"]
    finally:
        for each in (reader, terminal, end, pipe):
            os.close(each)
    assert style_of("auto", terminal) == "json"  # a closed one


def test_text_has_the_clock_the_request_and_the_count_that_json_has() -> None:
    made = record(created=NOON, held_back=2)
    token = current_request_id.set("request-1234")
    try:
        line = TextFormatter().format(made)
    finally:
        current_request_id.reset(token)

    assert line.startswith(f"{timestamp(NOON)} ")
    assert line.endswith(" (2 more held back) request-1234")


@pytest.mark.parametrize(
    "fields", [{"exception": "\x01" * 50_000}, {"a": "x" * 5_000, "b": "y" * 5_000, "n": 1}]
)
@pytest.mark.parametrize("message", ["short", "é" * 9_000])
def test_a_line_is_never_longer_than_a_pipe_takes_at_once(message: str, fields: dict[str, Any]) -> None:
    line = envelope("error", message, "request-1234", NOON, fields)

    assert len(line) < ATOMIC_WRITE_BYTES
    assert json.loads(line)["fields"].keys() == fields.keys()


def test_a_long_trace_keeps_its_end() -> None:
    made = record(exc_text="x" * 10_000 + "ValueError: broken")
    made.exc_info = (ValueError, ValueError("broken"), None)
    line = json.loads(JsonFormatter().format(made))

    assert line["fields"]["exception"].endswith("ValueError: broken")
    assert line["message"] == "hello"


def test_dropped_lines_are_counted_and_told_when_the_reader_is_back(caplog: pytest.LogCaptureFixture) -> None:
    reader, end = os.pipe()
    writer, meters = LineWriter(end), RecordingMeters()
    late = LateLines(meters, [writer])
    while not writer.dropped:
        writer.write(b"x" * 4000 + b"\n")
    writer.write(b"one\nmore\n")
    late.look()
    late.look()

    assert meters.counted[LOG_LINES_DROPPED].total() == writer.dropped == 3
    assert not caplog.records
    os.set_blocking(reader, False)
    while writer.is_behind():
        os.read(reader, 1 << 16)
        late.look()
    late.look()
    assert "3 log line(s) were dropped" in caplog.text
    assert meters.counted[LOG_LINES_DROPPED].total() == 3
    for descriptor in (reader, end):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("moment", "shown"), [(NOON + 0.9996, "2026-09-21T14:13:20.999Z"), (0.0, "1970-01-01T00:00:00.000Z")]
)
def test_a_moment_is_cut_to_milliseconds(moment: float, shown: str) -> None:
    assert timestamp(moment) == shown


def test_gunicorn_writes_through_our_handler_and_no_access_log_of_its_own() -> None:
    log = ServerLog(gunicorn.config.Config())
    log.access(None, None, {}, None)

    assert log.error_log.propagate
    assert log.error_log.handlers == []
    assert log.access_log.handlers == []
