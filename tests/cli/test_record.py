"""ltp record: every frame with its time, in a file that leads to the same prices when it is played again."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ltp_service.assembly.prices import wire_prices
from ltp_service.domain.pairs import read_pair
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.cli.conftest import Run
from tests.deadline import DEADLINE
from tests.simulator.client import Simulator


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "session.jsonl"


@pytest.fixture(scope="module")
def walking() -> Iterator[Simulator]:
    """An exchange on which many trades happen."""
    with Simulator.start("--walk", "100") as running:
        yield running


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def last_prices(file: Path) -> dict[str, str]:
    """Of each pair the price with the highest trade id, every digit, read as plainly as possible."""
    return {pair: trades[max(trades)] for pair, trades in trades_of(file).items()}


def trades_of(file: Path) -> dict[str, dict[int, str]]:
    """Of each pair trade id → price."""
    found: dict[str, dict[int, str]] = {}
    for record in records(file):
        if record["dir"] == "in":
            message = json.loads(record["raw"], parse_float=str)
            for row in message["data"] if message.get("channel") == "trade" else ():
                found.setdefault(row["symbol"], {})[row["trade_id"]] = row["price"]
    return found


def served(simulator: Simulator, pairs: list[str], expected: dict[str, str]) -> dict[str, str]:
    """The prices that the service's price half serves of that exchange: as soon as they are those, else in the end."""
    config = Config(
        kraken_websocket_url=simulator.v2_url,
        kraken_rest_url=simulator.rest_url,
        supported_pairs=tuple(map(read_pair, pairs)),
    )
    parts = wire_prices(config, Runtime())
    manager = CollectorManager(parts.runners)
    manager.start()
    try:
        end, found = time.monotonic() + DEADLINE, dict[str, str]()
        while found != expected and time.monotonic() < end:
            time.sleep(0.02)
            found = {str(pair): price.tick.price for pair, price in parts.store.all().items()}
        return found
    finally:
        manager.stop(DEADLINE)


def test_a_recorded_session_leads_to_the_same_prices_digit_for_digit(
    walking: Simulator, file: Path, run: Run
) -> None:
    pairs = ["BTC/USD", "ETH/USD", "XRP/USD"]
    done = run("record", str(file), *pairs, "--frames", "150", KRAKEN_WEBSOCKET_URL=walking.v2_url)
    assert (done.code, done.out, done.err) == (0, "", f"150 frames in {file}\n")
    expected = last_prices(file)
    assert set(expected) == set(pairs)
    for trades in trades_of(file).values():
        assert sorted(trades) == list(range(min(trades), max(trades) + 1))  # none was left out
    with Simulator.start("--replay", str(file), "--speed", "100") as replaying:
        assert served(replaying, pairs, expected) == expected


def test_each_record_has_its_time_and_direction(walking: Simulator, file: Path, run: Run) -> None:
    before = time.time()
    run("record", str(file), "xbt-usd", "--frames", "5", KRAKEN_WEBSOCKET_URL=walking.v2_url)
    lines = records(file)
    assert [line["dir"] for line in lines] == ["connect", "out", "out", *5 * ["in"]]
    assert lines[0]["url"] == walking.v2_url
    asked = [json.loads(line["raw"])["params"] for line in lines[1:3]]
    assert [(each["channel"], each["symbol"]) for each in asked] == [
        ("ticker", ["BTC/USD"]),
        ("trade", ["BTC/USD"]),
    ]
    times = [line["t"] for line in lines]
    assert before <= times[0]
    assert times == sorted(times)


def test_it_connects_again_and_goes_on_in_the_same_file(exchange: Simulator, file: Path, run: Run) -> None:
    exchange.fault("cut_after", seconds=0.05)
    where = {"KRAKEN_WEBSOCKET_URL": exchange.v2_url, "KRAKEN_RECONNECT_DELAY": "10ms"}
    done = run("record", str(file), "BTC/USD", "--frames", "12", **where)
    assert done.code == 0
    assert exchange.v2_url in done.err
    directions = [line["dir"] for line in records(file)]
    assert directions.count("in") == 12
    assert directions[0] == "connect"
    assert directions[directions.index("close") + 1] == "connect"


def test_a_file_that_exists_is_not_written_over(file: Path, run: Run) -> None:
    file.write_text("mine")
    refused = run("record", str(file), "--seconds", "1", KRAKEN_WEBSOCKET_URL="ws://127.0.0.1:9/v2")
    assert (refused.code, refused.err) == (1, f"Error: {file} exists; remove it, or name another one\n")
    assert file.read_text() == "mine"


def test_a_folder_is_no_file(tmp_path: Path, run: Run) -> None:
    refused = run("record", str(tmp_path), "--seconds", "1")
    assert (refused.code, refused.err) == (1, f"Error: {tmp_path} is a folder; name a file in it\n")


def test_an_exchange_that_is_not_there_is_told_and_ends_in_1(file: Path, run: Run) -> None:
    where = {"KRAKEN_WEBSOCKET_URL": "ws://127.0.0.1:9/v2", "KRAKEN_RECONNECT_DELAY": "10ms"}
    failed = run("record", str(file), "--seconds", "0.1", **where)
    assert failed.code == 1
    assert "Connection refused" in failed.err
    assert failed.err.endswith(f"nothing was recorded, so there is no {file}\n")
    assert not file.exists()


def test_no_pause_between_two_attempts_outlasts_the_recording(
    file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    class Noted(Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return super().wait(min(pauses[-1], 0.1))

    monkeypatch.setattr("ltp_service.cli.record.Event", Noted)
    monkeypatch.setattr("ltp_service.cli.record.Backoff.delay", lambda *_: 60.0)
    run("record", str(file), "--seconds", "0.1", KRAKEN_WEBSOCKET_URL="ws://127.0.0.1:9/v2")
    assert pauses
    assert max(pauses) <= 0.1


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_refused_pair_is_told_and_the_others_are_recorded(
    protocol: str, walking: Simulator, file: Path, run: Run
) -> None:
    url = walking.v2_url if protocol == "v2" else walking.v1_url
    done = run("record", str(file), "BTC/USD", "NO/SUCH", "--frames", "20", KRAKEN_WEBSOCKET_URL=url)
    assert done.code == 1
    assert done.err.count("the exchange refuses NO/SUCH: ") == 1
    assert len(records(file)) >= 20


def test_where_all_pairs_are_refused_it_ends_without_a_file(walking: Simulator, file: Path, run: Run) -> None:
    done = run("record", str(file), "NO/SUCH", KRAKEN_WEBSOCKET_URL=walking.v2_url)
    assert (done.code, file.exists()) == (1, False)


def test_a_dash_is_standard_output(walking: Simulator, run: Run) -> None:
    done = run("record", "-", "BTC/USD", "--frames", "3", KRAKEN_WEBSOCKET_URL=walking.v2_url)
    assert (done.code, done.err) == (0, "3 frames in standard output\n")
    assert [json.loads(line)["dir"] for line in done.out.splitlines()].count("in") == 3
