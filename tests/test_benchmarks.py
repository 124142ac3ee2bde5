"""That the figures of `make bench` mean what they say; the scenarios themselves run with `--quick`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks.bench import Aim, Bench, Table, markdown, milliseconds, percentile
from benchmarks.crowd import PAIRS, Crowd, Seen, expected_pairs, question_of
from benchmarks.keep_alive import KeepAlive, answer_length
from benchmarks.load import read_wrk
from benchmarks.machine import split_cores
from benchmarks.stream_ways import bare_loop
from tests.deadline import DEADLINE
from tests.process.fleet import until

PROJECT = Path(__file__).resolve().parent.parent

WRK = """Running 3s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     8.81ms    1.71ms  26.11ms   84.11%
    Req/Sec     3.61k   285.77     4.19k    68.33%
  Latency Distribution
     50%    8.60ms
     75%  900.00us
     90%   10.50ms
     99%    1.44s
  21577 requests in 3.00s, 3.37MB read
"""
RATE = "Requests/sec:   7183.21\nTransfer/sec:      1.12MB\n"


class Answers(BaseHTTPRequestHandler):
    """`/` is fine, everything else is refused."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one segment

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", "2")
        self.send_header("ETag", '"abc"')
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is the base class's
        return


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [percentile([4.0, 1.0, 3.0, 2.0], at) for at in (1, 50, 51, 99, 100)] == [1.0, 2.0, 3.0, 4.0, 4.0]


def test_no_percentile_is_made_up_where_nothing_was_measured() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 99)


def test_the_latencies_of_wrk_are_read_in_all_its_units() -> None:
    load = read_wrk(WRK.replace("1.44s", "1.44s ") + RATE)  # as wrk writes seconds
    assert (load.requests, load.per_second, load.failed) == (21577, 7183.21, 0)
    assert (load.p50, load.p99) == (0.0086, 1.44)


def test_refused_and_broken_requests_of_wrk_count_as_failed() -> None:
    refused = "  Non-2xx or 3xx responses: 7\n"
    broken = "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    assert read_wrk(WRK + broken + refused + RATE).failed == 14


def test_an_answer_is_complete_with_its_announced_length_and_no_earlier() -> None:
    assert answer_length(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n") is None
    assert answer_length(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe") == 43
    assert answer_length(b"HTTP/1.1 304 NOT MODIFIED\r\nContent-Length: 5\r\n\r\n") == 48


def test_one_connection_answers_again_and_again(port: int) -> None:
    with KeepAlive(port, "/") as reader:
        assert [reader.get(), reader.get()] == [(200, b"ok")] * 2
        assert (reader.header("etag"), reader.header("Missing")) == ('"abc"', None)


@pytest.mark.parametrize(("path", "failures"), [("/", 0), ("/missing", 1)])
def test_our_own_generator_keeps_the_rate_and_counts_refusals(port: int, path: str, failures: int) -> None:
    options = ["--port", str(port), "--path", path, "--connections", "4", "--seconds", "0.5", "--rate", "100"]
    command = [sys.executable, "-m", "benchmarks.load_generator", *options]
    report = json.loads(subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout)
    assert report["requests"] == 50
    assert 0 < report["per_second"] < 120
    assert report["failed"] == failures * report["requests"]
    assert 0 < report["p50"] <= report["p99"] < 60


def test_bare_applications_run_under_the_settings_of_the_service() -> None:
    differing = """
from runpy import run_path
ours, bare = run_path("gunicorn.conf.py"), run_path("benchmarks/bare_gunicorn.py")
names = ("worker_class", "workers", "keepalive", "logger_class", "worker_connections", "limit_request_fields")
same = [str(ours[name]) == str(bare[name]) for name in names]
print(all(same), "post_request" in bare, "post_fork" in bare, "worker_exit" in bare)
"""
    command = [sys.executable, "-c", differing]
    output = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True, text=True).stdout
    assert output.split() == ["True", "True", "False", "False"]


def test_a_missed_aim_cannot_be_overlooked() -> None:
    table = Table("T", ("what", "ms"), [("a", "1"), ("bb", "22")], [Aim("below 20", kept=False)])
    assert markdown(table) == (
        "## T\n\n| what | ms |\n|------|---:|\n| a    |  1 |\n| bb   | 22 |\n\n- MISSED: below 20"
    )


def test_times_are_written_with_three_digits() -> None:
    assert list(map(milliseconds, (0.00063, 0.0123, 1.191))) == ["0.63 ms", "12.3 ms", "1191 ms"]


def test_three_of_five_clients_of_the_stream_ask_for_everything_and_the_others_for_one_or_two_pairs() -> None:
    asked = [expected_pairs(place) for place in range(100)]
    assert {pairs: asked.count(pairs) for pairs in (7, 1, 2)} == {7: 60, 1: 20, 2: 20}
    told = [question_of(place).partition("pair=")[2] for place in range(100)]
    assert [len(pairs.split(",")) if pairs else len(PAIRS) for pairs in told] == asked


def test_a_crowd_counts_each_event_once_and_reads_its_delay(tmp_path: Path) -> None:
    event = 'id: 1\nevent: price\ndata: {"traded_at":""}\n\n'
    frames = {question_of(place): event * expected_pairs(place) for place in range(40)}
    bench = Bench(split_cores(), tmp_path, quick=True)
    seen: list[Seen] = []

    def arrived() -> bool:
        seen.append(crowd.end())
        return seen[-1].events == times * crowd.sent_per_beat

    with bare_loop(bench, frames) as way, Crowd(bench, way.port, 10, mute=2) as crowd:
        crowd.begin()
        times = way.beat(0.5)
        until(arrived, DEADLINE, "every event")
    assert (times, crowd.sent_per_beat) == (2, 4 * 7 + 2 * 1 + 2 * 2)
    assert seen[-1].frames == pytest.approx(2 * 8)
    assert len(seen[-1].delays) == 2 * 8
    assert max(seen[-1].delays) < DEADLINE
