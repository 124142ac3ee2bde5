"""One line per request, soon."""

import json
from threading import Event

import pytest

from ltp_service.http.access_log import MAX_WAITING_LINES, AccessLog, Row, open_access_log
from ltp_service.runtime.line_writer import LineWriter
from tests.fakes import NOON


def row(path: str = "/api/v1/ltp", traceparent: str | None = None) -> Row:
    return (NOON, "request-1234", "GET", path, 200, 0.00025, True, 2, traceparent)


def written(style: str, *rows: Row) -> list[bytes]:
    """The lines of a log that was told to end."""
    pieces: list[bytes] = []
    log = AccessLog(style, pieces.append)
    for each in rows:
        log.append(each)
    stop = Event()
    stop.set()
    log.run(stop)
    return b"".join(pieces).splitlines(keepends=True)


def test_a_request_is_one_line_with_its_fields() -> None:
    (line,) = written("json", row("/a\nb"))

    told = json.loads(line)
    assert (told["message"], told["request_id"]) == ("HTTP request processed", "request-1234")
    assert told["timestamp"] == "2026-09-21T14:13:20.000Z"
    assert told["fields"] == {
        "http_method": "GET",
        "http_path": "/a\nb",
        "http_status_code": 200,
        "duration_ms": 0.25,
        "cache_hit": True,
        "pairs_count": 2,
        "trace_id": None,
    }


def test_a_trace_goes_on_in_the_log() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    (line,) = written("json", row(traceparent=f"00-{trace}-00f067aa0ba902b7-01"))

    assert json.loads(line)["fields"]["trace_id"] == trace


def test_a_request_in_text_style_is_one_line_whatever_its_path() -> None:
    (line,) = written("text", row("/a\nb\x1b[31m"))

    assert b"\x1b" not in line
    assert line.startswith(b"2026-09-21T14:13:20.000Z INFO")


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_key_in_a_path_is_masked_but_for_its_prefix(style: str) -> None:
    (line,) = written(style, row("/auth/api-keys/ltp_abcdefgh" + "x" * 35))

    assert b"ltp_abcdefgh***" in line
    assert b"xxx" not in line


def test_many_lines_are_written_at_once_and_in_order() -> None:
    pieces: list[bytes] = []
    log = AccessLog("json", pieces.append)
    for number in range(MAX_WAITING_LINES):
        log.append(row(f"/{number}"))
    log.settle()

    (piece,) = pieces
    paths = [json.loads(line)["fields"]["http_path"] for line in piece.splitlines()]
    assert paths == [f"/{number}" for number in range(MAX_WAITING_LINES)]


def test_a_lone_line_does_not_wait_for_others() -> None:
    pieces: list[bytes] = []
    log = AccessLog("json", pieces.append)
    log.append(row())

    class OneTurn(Event):
        turns = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.turns += 1
            return self.turns > 1

    log.run(OneTurn())

    assert len(pieces) == 1


def test_a_level_above_info_keeps_requests_out_of_the_log() -> None:
    assert open_access_log("warning", "json") is None
    assert open_access_log("info", "json") is not None


def test_lines_go_where_all_lines_go(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("json", LineWriter(1).write)
    for _ in range(MAX_WAITING_LINES):
        log.append(row())
    log.settle()

    assert len(capfd.readouterr().out.splitlines()) == MAX_WAITING_LINES
