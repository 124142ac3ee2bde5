"""ltp replay: which exchange it becomes, and what it finds in the file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Became, Run

V2 = {"channel": "trade", "data": [{"symbol": "BTC/USD", "price": 1}, {"symbol": "ETH/USD", "price": 2}]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "session.jsonl"
    path.write_text(json.dumps({"dir": "in", "raw": json.dumps(V2)}) + "\n")
    return path


def test_it_becomes_the_simulated_exchange_with_that_recording(file: Path, run: Run, became: Became) -> None:
    told = run("replay", str(file), "--speed", "10", "--port", "9001")
    [(arguments, _)] = became
    assert arguments[1:3] == ["-m", "ltp_service.simulator"]
    options = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    assert options == {"--replay": str(file), "--speed": "10.0", "--port": "9001", "--protocol": "v2"}
    assert told.err == "protocol v2, pairs: BTC/USD,ETH/USD\n"


def test_a_recording_of_protocol_v1_is_served_in_it(file: Path, run: Run, became: Became) -> None:
    frame = [340, [["1.50", "2", "1618678132.377", "s", "l", ""]], "trade", "XBT/USD"]
    file.write_text(json.dumps({"dir": "in", "raw": json.dumps(frame)}))
    assert run("replay", str(file)).err == "protocol v1, pairs: XBT/USD\n"
    [(arguments, _)] = became
    assert arguments[-2:] == ["--protocol", "v1"]


def test_a_command_is_run_for_the_pairs_of_the_recording(file: Path, run: Run, became: Became) -> None:
    run("replay", str(file), "--", "ltp", "serve", "--port", "9000")
    [(arguments, environ)] = became
    assert arguments[arguments.index("--run") + 1 :] == ["ltp", "serve", "--port", "9000"]
    assert environ["SUPPORTED_PAIRS"] == "BTC/USD,ETH/USD"


def test_pairs_that_the_environment_names_stay(file: Path, run: Run, became: Became) -> None:
    run("replay", str(file), "--", "ltp", "serve", SUPPORTED_PAIRS="BTC/USD")
    assert became[0][1]["SUPPORTED_PAIRS"] == "BTC/USD"


@pytest.mark.parametrize(
    ("name", "protocol", "pairs"),
    [
        ("v1_ticker_10pairs_2021-04-17", "v1", 10),
        ("v1_trade_10pairs_2021-04-17", "v1", 2),
        ("v2_ticker_session_ccxt_2026-08-12", "v2", 1),
        ("v2_ticker_trade_status_verbatim_2025-2026", "v2", 2),
    ],
)
def test_the_recorded_sessions_of_kraken_can_be_served(
    name: str, protocol: str, pairs: int, recorded: Callable[[str], Path], run: Run, became: Became
) -> None:
    told = run("replay", str(recorded(f"kraken/{name}.jsonl")))
    assert told.err.startswith(f"protocol {protocol}, pairs: ")
    assert told.err.count("/") == pairs
    assert len(became) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no ticker or trade of Kraken"),
        ('{"dir": "in", "raw": "{\\"topic\\": \\"publicTrade\\"}"}\n', "no ticker or trade of Kraken"),
        ('{"dir": "out", "raw": "{}"}\nnonsense\n', "line 2: no record of a session"),
        ('{"dir": "in"}\n', "line 1: no record of a session"),
        ("[1]\n", "line 1: no record of a session"),
        ('{"dir": "in", "raw": 5}\n', "line 1: no record of a session"),
        ("\udcff\udcfe", "no recording of a session, as it is no text"),
    ],
)
def test_a_file_that_is_no_recording_of_kraken_is_refused(
    content: str, says: str, file: Path, run: Run, became: Became
) -> None:
    file.write_bytes(content.encode(errors="surrogateescape"))
    refused = run("replay", str(file))
    assert (refused.code, refused.out, became) == (1, "", [])
    assert says in refused.err
