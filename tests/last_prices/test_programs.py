"""LastPrices in the programs of others: each gets the right number, or an error that says why."""

import os
import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.ended import PROJECT, ended
from tests.simulator.client import Simulator

SAMPLES = [
    program
    for page in ("README.md", "docs/in-process.md")
    for program in re.findall(
        r"^```python\n(.*?)^```", (PROJECT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
]

POOL = """
import multiprocessing
from decimal import Decimal
from ltp_service import LastPrices

prices = LastPrices(["BTC/USD"])

def ask(pair):
    return prices.get_current_price(pair)

if __name__ == "__main__":
    assert ask("BTC/USD") == Decimal("100.1")
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        assert pool.map(ask, ["BTC/USD"] * 4) == [Decimal("100.1")] * 4
        assert pool.map(prices.get_current_price, ["BTC/USD"]) == [Decimal("100.1")]
    prices.close()
    print("asked")
"""

ASYNCIO = """
import asyncio
from decimal import Decimal
from ltp_service import LastPrices

async def main():
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    beside = asyncio.create_task(others())
    with LastPrices() as prices:
        first = await asyncio.to_thread(prices.get, "BTC/USD")
        assert first.amount == Decimal("100.1")
        assert turns > 0  # the first question waits for the exchange, and the loop does not
        assert prices.get_current_price("BTC/USD") == Decimal("100.1")
    beside.cancel()
    print("asked")

asyncio.run(main())
"""


@pytest.fixture
def environment(exchange: Simulator) -> dict[str, str]:
    """Of a program whose own settings are named as the service's are."""
    exchange.trade("BTC/USD", "100.1")
    return {
        **os.environ,
        "KRAKEN_WEBSOCKET_URL": exchange.v2_url,
        "KRAKEN_REST_URL": exchange.rest_url,
        "PORT": "tcp://x",
        "LOG_LEVEL": "TRACE",
        "ENVIRONMENT": "prod",
        "PYTHONPATH": str(PROJECT),
    }


@pytest.mark.parametrize(
    "program",
    [POOL.format(method="fork"), POOL.format(method="spawn"), ASYNCIO],
    ids=["fork pool", "spawn pool", "asyncio"],
)
def test_a_program_gets_the_price_beside_its_own_settings(
    environment: dict[str, str], tmp_path: Path, program: str
) -> None:
    (tmp_path / "program.py").write_text(program)
    done = ended([sys.executable, "program.py"], cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (0, "asked\n"), done.stderr


@pytest.mark.parametrize("sample", SAMPLES, ids=["README", "three lines", "errors"])
def test_a_sample_of_the_pages_prints_a_price(
    environment: dict[str, str], tmp_path: Path, sample: str
) -> None:
    done = ended([sys.executable, "-c", sample], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "100.1" in done.stdout


def test_the_samples_of_the_pages_have_strict_types(tmp_path: Path) -> None:
    for number, sample in enumerate(SAMPLES):
        (tmp_path / f"sample_{number}.py").write_text(sample)
    cache = str(PROJECT / ".mypy_cache")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "",
        "--cache-dir",
        cache,
        str(tmp_path),
    ]
    done = ended(command, env={"MYPYPATH": str(PROJECT)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_is_light_and_patches_nothing() -> None:
    program = """
        import sys
        from ltp_service import LastPrices
        from ltp_service.client import Prices
        heavy = "flask gunicorn gevent requests pydantic yaml redis sqlite3 websocket prometheus_client"
        print([name for name in heavy.split() if name in sys.modules])
        import os
        os.environ |= {"CACHE_TTL": "20s"}
        LastPrices(["BTC/USD"])
        from gevent import monkey
        print([name for name in ("flask", "gunicorn") if name in sys.modules], monkey.is_module_patched("socket"))
    """
    done = ended([sys.executable, "-c", dedent(program)])
    assert done.stdout == "[]\n[] False\n", done.stderr
