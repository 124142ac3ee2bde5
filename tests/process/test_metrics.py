"""What several workers report together: one after the other tells its story, in this order."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.load import Load
from tests.process.service import FED, Service
from tests.scrape import Scrape, promtool
from tests.simulator.client import Simulator

REQUESTS = 300
RELOADS = 4
WORKERS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the workers count, with what an earlier service left there."""
    folder = tmp_path_factory.mktemp("metrics")
    for name in ("counter_1.db", "gauge_livemax_1.db", "histogram_1.db"):
        (folder / name).write_bytes(b"left over")
    (folder / "notes.txt").write_text("not ours")
    return folder


@pytest.fixture(scope="module")
def service(simulator: Simulator, folder: Path) -> Iterator[Service]:
    with Service.start(
        simulator,
        WEB_CONCURRENCY="2",
        PROMETHEUS_MULTIPROC_DIR=str(folder),
        KRAKEN_RECONNECT_DELAY="10ms",
        LOG_LEVEL="info",
    ) as running:
        yield running


def scrape(service: Service) -> Scrape:
    return Scrape(service.get("/metrics").body.decode())


def wait_for_value(service: Service, expected: float, name: str, **labels: str) -> None:
    """Returns when a scrape shows it. Each worker counts, and makes its text, once a second."""
    service.until(
        lambda: scrape(service).value(name, **labels) == expected, what=f"{name} {labels} == {expected}"
    )


def one_request_more(service: Service) -> float:
    """How many requests for prices were counted, once a scrape shows the one that this makes: a test may be the first one."""
    where = {"path": "/api/v1/ltp", "status_code": "200"}
    count = (scrape(service).value("http_requests_total", **where) or 0.0) + 1
    service.ltp()
    wait_for_value(service, count, "http_requests_total", **where)
    return count


def reload(service: Service) -> None:
    old, feeds = service.worker_pids(), service.messages().count(FED)
    service.signal(signal.SIGHUP)
    service.wait_for_line(FED, count=feeds + 2)
    service.until(lambda: not set(old) & set(service.worker_pids()), what=f"workers {old} end")


def test_a_start_clears_away_what_an_earlier_service_counted(service: Service, folder: Path) -> None:
    kinds = {path.name.rpartition("_")[0] for path in folder.glob("*.db")}

    assert not list(folder.glob("*_1.db"))
    assert {"counter", "histogram", "gauge_livemax"} <= kinds
    assert (folder / "notes.txt").read_text() == "not ours"


def test_the_counters_of_two_workers_add_up_to_the_requests_made(service: Service) -> None:
    with Load(service.port, rate=0, clients=8, keep_alive=False) as load:
        load.wait_for_more(REQUESTS)
    made = len(load.outcomes())
    where = {"method": "GET", "path": "/api/v1/ltp", "status_code": "200"}

    wait_for_value(service, made, "http_requests_total", **where)
    wait_for_value(service, made, "http_request_duration_seconds_count", **where)
    wait_for_value(service, made, "http_request_duration_seconds_bucket", le="+Inf", **where)
    wait_for_value(service, made, "price_requests_total", pair="BTC/USD", cache_result="hit")
    wait_for_value(service, made * 7, "cache_hits_total")


def test_promtool_finds_nothing_to_say_about_two_workers(service: Service) -> None:
    judged = promtool("check", "metrics", text=scrape(service).text)

    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


@pytest.mark.parametrize("query", ["", "?name[]=btc_ltp_uptime_seconds"])
@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text;version=x", "text/plain;version=9"])
def test_a_scrape_is_the_same_however_it_is_asked_for(service: Service, query: str, accept: str) -> None:
    before = scrape(service).names()
    answer = service.get(f"/metrics{query}", {"Accept": accept})

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    # A worker may count something for the first time meanwhile.
    assert before <= Scrape(answer.body.decode()).names() <= scrape(service).names()


def test_gauges_of_two_workers_are_not_added_up(service: Service) -> None:
    seen = scrape(service)

    assert seen.value("websocket_connection_status", exchange="kraken") == 1
    assert seen.value("cache_keys", cache_type="price") == 7
    assert seen.value("application_info") == 1


def test_a_cut_feed_is_told_as_error_and_attempt_per_worker(service: Service, simulator: Simulator) -> None:
    assert simulator.cut("abrupt") == 2
    service.wait_for_line(FED, count=4)
    wait_for_value(service, 2, "websocket_errors_total", exchange="kraken")
    wait_for_value(service, 2, "websocket_reconnection_attempts_total", exchange="kraken")
    wait_for_value(service, 1, "websocket_connection_status", exchange="kraken")


def test_what_killed_workers_counted_stays_and_what_they_showed_goes(service: Service, folder: Path) -> None:
    victims, feeds = service.worker_pids(), service.messages().count(FED)
    before = one_request_more(service)
    service.until(lambda: (scrape(service).value("uptime_seconds") or 0.0) > 2.0)
    killed_at = time.monotonic()
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    service.wait_for_line(FED, count=feeds + 2)
    service.until(lambda: not set(victims) & set(service.worker_pids()))
    after = scrape(service)
    where = {"path": "/api/v1/ltp", "status_code": "200"}

    assert (after.value("uptime_seconds") or 0.0) < time.monotonic() - killed_at
    assert after.value("http_requests_total", **where) == before
    assert not [path for victim in victims for path in folder.glob(f"gauge_live*_{victim}.db")]


def test_a_file_that_cannot_be_read_costs_its_own_numbers_alone(service: Service, folder: Path) -> None:
    where = {"path": "/api/v1/ltp", "status_code": "200"}
    before = one_request_more(service)
    whole = next(folder.glob("histogram_*.db")).read_bytes()
    broken = {
        "counter_1000001.db": b"",
        "gauge_livemax_1000002.db": b"\xff" * 100,
        "histogram_1000003.db": whole[:100],
        "counter_1000004.db": b"\x40\0\0\0\0\0\0\0\x04\0\0\0null    " + bytes(40),
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    pipe = folder / "counter_1000005.db"
    os.mkfifo(pipe)

    def told() -> int:
        assert service.get("/metrics").status == 200
        return sum("the numbers in it are lost" in message for message in service.messages())

    service.until(lambda: told() >= len(broken), what="a word about each broken file")
    assert scrape(service).value("http_requests_total", **where) == before
    for file in (pipe, *map(folder.joinpath, broken)):
        file.unlink()


def test_the_unreadable_file_of_a_worker_that_died_goes_with_it(service: Service, folder: Path) -> None:
    (victim, _), feeds = service.worker_pids(), service.messages().count(FED)
    file = folder / f"counter_{victim}.db"
    os.truncate(file, 0)  # which kills who counts into it, or we do
    os.kill(victim, signal.SIGKILL)
    service.until(lambda: not file.exists(), what="the file goes")
    service.wait_for_line(FED, count=feeds + 1)

    assert service.get("/metrics").status == 200


def test_reloads_lose_no_count_add_two_files_a_worker_and_no_series(service: Service, folder: Path) -> None:
    """`make bench` says what a scrape costs; this, why it costs no more after many reloads."""
    where = {"path": "/api/v1/ltp", "status_code": "200"}
    reload(service)  # first, because a text may be a second old, and show numbers that were lost since
    before = one_request_more(service)
    series = scrape(service).names()
    files = left_by_the_dead(service, folder)
    for number in range(1, RELOADS + 1):
        service.ltp()
        wait_for_value(service, before + number, "http_requests_total", **where)
        reload(service)

    assert scrape(service).value("http_requests_total", **where) == before + RELOADS
    assert scrape(service).names() == series
    most = files + RELOADS * WORKERS * 2
    # The master takes away what a worker only showed, a moment after that worker has ended.
    service.until(lambda: left_by_the_dead(service, folder) <= most, what=f"at most {most} files of the dead")


def left_by_the_dead(service: Service, folder: Path) -> int:
    """Files of workers that have ended."""
    living = {f"_{pid}.db" for pid in service.worker_pids()}
    return sum(not any(file.name.endswith(each) for each in living) for file in folder.glob("*.db"))


def test_several_workers_count_into_a_folder_of_their_own_that_goes_with_them(simulator: Simulator) -> None:
    with Service.start(simulator, WEB_CONCURRENCY="2", PROMETHEUS_MULTIPROC_DIR="") as service:
        service.ltp()
        folders = {counted_into(pid) for pid in service.worker_pids()}
        (folder,) = folders
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_a_folder_that_disappears_costs_numbers_but_neither_a_scrape_nor_the_service(
    simulator: Simulator, tmp_path: Path
) -> None:
    folder = tmp_path / "metrics"
    with Service.start(simulator, WEB_CONCURRENCY="2", PROMETHEUS_MULTIPROC_DIR=str(folder)) as service:
        service.ltp()
        shutil.rmtree(folder)
        assert service.get("/metrics").status == 200

        shutil.rmtree(folder)
        (victim, _), feeds = service.worker_pids(), service.messages().count(FED)
        os.kill(victim, signal.SIGKILL)
        service.wait_for_line(FED, count=feeds + 1)
        service.until(lambda: victim not in service.worker_pids() and len(service.worker_pids()) == 2)
        wait_for_value(service, 7, "cache_keys", cache_type="price")
        assert service.get("/metrics").status == 200


def counted_into(pid: int) -> Path:
    """The folder of the metrics that a process has mapped into its memory."""
    found = re.search(r" (/\S+)/counter_\d+\.db$", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE)
    assert found is not None
    return Path(found[1])
