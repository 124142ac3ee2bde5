"""The program: its options, its help, the command that it runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest

from ltp_service.simulator.faults import TABLE
from ltp_service.simulator.market import STANDARD_PAIRS
from tests.deadline import DEADLINE
from tests.ended import ended
from tests.simulator.client import PROJECT, Simulator
from tests.simulator.clients import is_channel, is_method, joined, kraken_rest, result


def test_it_loads_nothing_of_the_service() -> None:
    program = "import sys; import ltp_service.simulator.__main__; print(*sys.modules)"
    loaded = ended([sys.executable, "-c", program], check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("ltp_service.")}
    assert {name for name in ours if not name.startswith("ltp_service.simulator")} == set()
    assert "ltp_service.simulator.market" in ours


def test_help_lists_every_fault() -> None:
    command = [sys.executable, "-m", "ltp_service.simulator", "--help"]
    text = ended(command, check=True).stdout
    assert [name for name in TABLE if f"\n  {name} (" not in text] == []


def test_faults_and_pairs_are_taken_from_the_command_line() -> None:
    faults = ("--fault", "refuse_pair=BTC/USD", "--fault", 'rest_status={"status":503}')
    with Simulator.start("--pair", "SOL/USD", "--pairs", "25", *faults) as simulator:
        assert kraken_rest(simulator, "Time")[0] == 503
        with joined(simulator.v2_url) as client:
            client.subscribe_v2("BTC/USD", "SOL/USD")
            assert client.find(is_method("subscribe", success=False))["symbol"] == "BTC/USD"
            assert client.find(is_channel("ticker", "snapshot"))["data"][0]["symbol"] == "SOL/USD"
        simulator.clear()
        assert len(result(simulator, "AssetPairs")) == 25


def test_run_gives_the_child_its_addresses_passes_signals_on_and_returns_its_code() -> None:
    child = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print(os.environ['KRAKEN_WEBSOCKET_URL'], os.environ['KRAKEN_REST_URL'], flush=True)\n"
        "signal.pause()"
    )
    command = [sys.executable, "-m", "ltp_service.simulator", "--walk", "--run", sys.executable, "-c", child]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert process.stdout.readline().split() == [addresses["kraken_v2"], addresses["kraken_rest"]]
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 7


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux's kernel tells a process that its parent has died"
)
def test_the_child_of_a_killed_exchange_is_told_to_end_and_only_the_folder_stays(tmp_path: Path) -> None:
    child = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('told'))\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    command = [
        sys.executable,
        "-m",
        "ltp_service.simulator",
        "--hold-signals",
        "--run",
        sys.executable,
        "-c",
        child,
    ]
    pipe, environment = subprocess.PIPE, {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)][1] == "ready\n"
        process.kill()
        _, errors = process.communicate(timeout=DEADLINE)  # returns when the child has closed them, too
    assert errors == "told\n"
    assert [folder.match("ltp-simulated-*") for folder in tmp_path.iterdir()] == [True]


def test_signals_are_held_back_from_a_child_that_asks_for_it() -> None:
    child = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
    options = ["--hold-signals", "--run", sys.executable, "-c", child]
    done = ended([sys.executable, "-m", "ltp_service.simulator", *options], check=True)
    assert done.stdout.splitlines()[1] == "[2, 15]"


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = ended([sys.executable, "-m", "ltp_service.simulator", "--port", str(port)])
    said = f"127.0.0.1:{port} cannot be used: Address already in use\n"
    assert (refused.returncode, refused.stderr) == (1, said)


def test_a_command_that_is_not_there_is_one_line() -> None:
    refused = ended([sys.executable, "-m", "ltp_service.simulator", "--run", "no-such-program"])
    assert (refused.returncode, refused.stderr) == (
        127,
        "cannot run no-such-program: No such file or directory\n",
    )


def test_run_gives_the_child_the_addresses_of_all_exchanges_and_leads_through_no_proxy() -> None:
    names = ("KRAKEN_WEBSOCKET_URL", "BYBIT_WEBSOCKET_URL", "BINANCE_WEBSOCKET_URL", "no_proxy")
    child = f"import os; print(*(os.environ[name] for name in {names}))"
    command = [sys.executable, "-m", "ltp_service.simulator", "--run", sys.executable, "-c", child]
    lines = ended(command, check=True, env={"NO_PROXY": "example.org"}).stdout.splitlines()
    addresses = json.loads(lines[0])
    *urls, without_proxy = lines[1].split()
    assert urls == [addresses[key] for key in ("kraken_v2", "bybit", "binance")]
    assert without_proxy == "example.org,127.0.0.1"
    assert urlsplit(addresses["bybit"]).path == "/v5/public/spot"
    assert urlsplit(addresses["binance"]).path == "/stream"


def test_what_run_records_is_apart_from_the_users_history_and_goes_away() -> None:
    child = "import os; print(os.environ['HISTORY_URL']); open(os.environ['HISTORY_URL'][7:], 'w').close()"
    command = [sys.executable, "-m", "ltp_service.simulator", "--run", sys.executable, "-c", child]
    with TemporaryDirectory() as folder:
        mine = Path(folder, "mine.sqlite3")
        lines = ended(command, check=True, env={"HISTORY_URL": f"sqlite:{mine}"}).stdout.splitlines()
        assert not mine.exists()
    kind, _, path = lines[1].partition(":")
    assert (kind, Path(path).exists(), Path(path).parent.exists()) == ("sqlite", False, False)


def test_what_run_keeps_beside_goes_away_unless_the_user_says_where_it_is() -> None:
    child = "import os; print(os.environ['DATABASE_PATH'])"
    command = [sys.executable, "-m", "ltp_service.simulator", "--run", sys.executable, "-c", child]
    theirs = Path(ended(command, check=True, env={}).stdout.splitlines()[1])
    assert (theirs.is_absolute(), theirs.parent.exists()) == (True, False)
    mine = ended(command, check=True, env={"DATABASE_PATH": "data/mine.sqlite3"}).stdout.splitlines()[1]
    assert mine == "data/mine.sqlite3"


def test_the_exchanges_clock_is_ahead_of_ours_on_request() -> None:
    with Simulator.start("--clock-ahead", "600") as running:
        ahead = running.trade("BTC/USD", "118000.0")["time"] - time.time()
        assert 590 < ahead < 610
        assert int(result(running, "Time")["unixtime"]) - time.time() > 590
        assert running.exchange_trade("binance", "BTCUSDT", "118000")["time"] - time.time() > 590


def test_the_default_pairs_of_the_service_are_listed() -> None:
    defaults = {"BTC/USD", "BTC/EUR", "BTC/CHF", "BTC/CAD", "ETH/USD", "LTC/USD", "XRP/USD"}
    assert defaults <= {pair.name for pair in STANDARD_PAIRS}
