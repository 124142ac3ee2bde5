"""ltp doctor: its lines, its JSON, its exit codes, and that it ends."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from ltp_service.cli import doctor
from ltp_service.cli.checks import feed, own_settings, reach, rehearsal, rest
from ltp_service.cli.checks.finding import Finding, ok
from ltp_service.cli.checks.side_by_side import run_all
from ltp_service.redis.client import REDIS_TIMEOUT_SECONDS
from tests.cli.conftest import Run
from tests.cli.doctor_page import PAGE, names, rows
from tests.conftest import ROOT
from tests.redis_server import free_port
from tests.simulator.client import Simulator

CHOSEN = "correct-horse-battery-staple"

NO_FILES = Path("/nonexistent")

CHECKS = [
    *("settings", "proxies"),
    *(f"kraken: {step}" for step in ("name", "addresses", "handshake", "subscriptions")),
    *(f"kraken REST: {step}" for step in ("name", "addresses", "answer")),
    *("redis", "database", "history", "disk", "port", "open files", "clock"),
]


@pytest.fixture
def sound(exchange: Simulator, tmp_path: Path) -> dict[str, str]:
    """The settings of a service to which nothing is wrong."""
    return {
        "KRAKEN_WEBSOCKET_URL": exchange.v2_url,
        "KRAKEN_REST_URL": exchange.rest_url,
        "COLLECTORS": "",
        "DATABASE_PATH": f"{tmp_path}/ltp.sqlite3",
        "HISTORY_URL": f"sqlite:{tmp_path}/history.sqlite3",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "STREAM_MAX": "10",
    }


def test_where_all_is_well_each_check_has_a_line_and_the_code_is_0(sound: dict[str, str], run: Run) -> None:
    shown = run("doctor", **sound)
    assert (shown.code, shown.err) == (0, "")
    lines = [re.split(r" {2,}", line) for line in shown.out.splitlines()]
    assert [(line[0], line[1]) for line in lines] == [("ok", check) for check in CHECKS]
    assert all("->" not in line[2] for line in lines)


def test_a_warning_ends_in_1_and_has_its_remedy_in_its_line(sound: dict[str, str], run: Run) -> None:
    shown = run("doctor", **sound, CACHE_TLL="45s")
    [line] = [line for line in shown.out.splitlines() if not line.startswith("ok ")]
    assert shown.code == 1
    assert re.fullmatch(r"warning +settings +CACHE_TLL is not .* -> the nearest one is CACHE_TTL", line)


def test_what_is_broken_ends_in_2_also_beside_warnings(sound: dict[str, str], run: Run) -> None:
    shown = run("doctor", **{**sound, "KRAKEN_REST_URL": "http://127.0.0.1:9"}, CACHE_TLL="45s")
    assert shown.code == 2
    assert re.search(r"^broken +kraken REST: addresses ", shown.out, re.MULTILINE)


def test_json_has_the_same_and_the_same_code(sound: dict[str, str], run: Run) -> None:
    shown = run("doctor", "--json", **sound, CACHE_TLL="45s")
    told = json.loads(shown.out)
    assert (shown.code, shown.err, told["level"]) == (1, "", "warning")
    assert [each["check"] for each in told["checks"]] == ["settings", *CHECKS]
    assert told["checks"][1] == {
        "check": "settings",
        "level": "warning",
        "seen": "CACHE_TLL is not a setting and has no effect",
        "remedy": "the nearest one is CACHE_TTL",
    }


def test_no_secret_is_shown(sound: dict[str, str], run: Run) -> None:
    secret = {
        "AUTH_API_KEY": CHOSEN,
        "REDIS_PASSWORD": CHOSEN,
        "CACHE_BACKEND": "redis",
        "REDIS_ADDR": f"127.0.0.1:{free_port()}",
        "HISTORY_URL": f"postgresql://ltp:{CHOSEN}@127.0.0.1:9/ltp",
        "http_proxy": f"http://ltp:{CHOSEN}@127.0.0.1:9",
        "https_proxy": f"socks5://ltp:{CHOSEN}@127.0.0.1:9",
        "LTP_API_KEY": CHOSEN,
    }
    shown = run("doctor", "--url", "http://127.0.0.1:9", **sound | secret)
    assert shown.code == 2
    assert "http://***@127.0.0.1:9" in shown.out
    assert CHOSEN not in shown.out + shown.err


def test_it_writes_no_file(sound: dict[str, str], run: Run, tmp_path: Path) -> None:
    run("doctor", **sound)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--url", "localhost:8080"], ["--steal"], ["now"]])
def test_wrong_usage_ends_in_2(arguments: list[str], run: Run) -> None:
    shown = run("doctor", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert "Usage: ltp doctor" in shown.err


# Settings.


def settings(**environ: str) -> list[Finding]:
    return own_settings.look(environ, NO_FILES)[1]


def test_settings_are_told_with_their_origins(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("cache_ttl: 45s\n")
    (tmp_path / "config.development.yaml").write_text("log_level: debug\n")
    config, [found] = own_settings.look({"PORT": "9000", "STREAM_MAX": "9"}, tmp_path)
    assert config is not None
    assert found.seen.startswith("PORT, STREAM_MAX from environment; CACHE_TTL from config.yaml; ")
    assert "LOG_LEVEL from config.development.yaml; 4" in found.seen


def test_a_misspelt_setting_and_one_that_is_refused() -> None:
    names("a setting is misspelt", settings(KRAKEN_TIMEOUTS="3s"))
    names("a setting is refused", settings(PORT="80800"))
    names("a collector is misspelt", settings(COLLECTORS="bybit_trade"))


def test_settings_that_contradict_each_other(tmp_path: Path) -> None:
    names("several workers without Redis", settings(WEB_CONCURRENCY="2"))
    (tmp_path / "config.yaml").write_text("worker_class: gthread\n")
    names("WORKER_CLASS=gthread in a file", own_settings.look({}, tmp_path)[1])


def test_with_refused_settings_nothing_else_is_looked_at(run: Run) -> None:
    shown = run("doctor", PORT="80800")
    assert [line.split()[:2] for line in shown.out.splitlines()] == [
        ["broken", "settings"],
        ["broken", "all"],
    ]


# Time.


@pytest.fixture
def never() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def test_a_check_that_hangs_or_breaks_is_named_and_hides_no_other(never: Event) -> None:
    def hang() -> Iterator[Finding]:
        never.wait()
        yield ok("redis", "late")

    def crash() -> Iterator[Finding]:
        raise RuntimeError("no such thing")

    done: list[float] = []
    looks = {"redis": hang, "port": crash, "disk": lambda: [ok("disk", "room")]}
    found = run_all(looks, 0.2, done.append)
    names("a check hangs", found)
    names("a check of the doctor breaks", found)
    assert found[2] == ok("disk", "room")
    assert done == [1, 2, 3]


def test_all_of_it_ends_within_30_s_where_everything_is_dead() -> None:
    way = reach.NAME_SECONDS + reach.ADDRESS_SECONDS + 1.0
    assert way + feed.OPEN_SECONDS + rehearsal.FRAMES_SECONDS <= doctor.LONGEST_SECONDS < 30.0
    assert way + rest.ALL_ANSWERS_SECONDS <= doctor.LONGEST_SECONDS
    assert 8 * REDIS_TIMEOUT_SECONDS <= doctor.LONGEST_SECONDS


# The page.


def test_each_fault_on_the_page_is_one_that_a_test_makes() -> None:
    tests = "".join(path.read_text() for path in sorted((ROOT / "tests" / "cli").glob("test_doctor*.py")))
    assert [fault for fault in rows() if f'"{fault}"' not in tests] == []
    assert len(rows()) > 60, f"{PAGE.name} has lost its table"
