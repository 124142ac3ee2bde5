"""ltp_service.last_prices in processes that were forked from one that had asked already."""

import subprocess
import sys
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.deadline import DEADLINE
from tests.ended import PROJECT
from tests.simulator.client import Simulator

PATCH = "from gevent import monkey; monkey.patch_all()"

MULTIPROCESSING = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=watch, args=("child",))
child.start()
watch("parent")
child.join()
assert child.exitcode == 0
"""

TWICE = """
import os
child = os.fork()
if child == 0:
    assert prices.get_current_price("BTC/USD") == Decimal("100.1")
    grandchild = os.fork()
    watch("child" if grandchild else "grandchild")
    if grandchild:
        assert os.waitpid(grandchild, 0)[1] == 0
    os._exit(0)
watch("parent")
assert os.waitpid(child, 0)[1] == 0
"""


def program(how: str, url: str, rest_url: str, *, patched: bool) -> str:
    begin = f"""
    {PATCH if patched else ""}
    import os, time
    from decimal import Decimal
    from ltp_service.settings.config import Config
    from ltp_service.last_prices import LastPrices

    config = Config(kraken_websocket_url={url!r}, kraken_rest_url={rest_url!r}, kraken_fallback_timeout=25.0)
    prices = LastPrices(["BTC/USD"], config=config)
    assert prices.get_current_price("BTC/USD") == Decimal("100.1")

    def watch(who):
        told = None
        until = time.monotonic() + {DEADLINE}
        while told != Decimal("100.99") and time.monotonic() < until:
            before, told = told, prices.get_current_price("BTC/USD")
            if told != before:
                os.write(1, f"{{who}} {{told}}\\n".encode())  # in one piece, as several processes write
            time.sleep(0.005)
    """
    return dedent(begin) + how


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with Simulator.start() as running:
        running.trade("BTC/USD", "100.1")
        yield running


@pytest.mark.parametrize("patched", [False, True], ids=["threads", "greenlets"])
@pytest.mark.parametrize(
    ("how", "who"),
    [
        (MULTIPROCESSING, ["parent", "child"]),
        (TWICE, ["parent", "child", "grandchild"]),
    ],
    ids=["multiprocessing", "twice"],
)
def test_no_connection_is_shared(exchange: Simulator, how: str, who: list[str], *, patched: bool) -> None:
    text = program(how, exchange.v2_url, exchange.rest_url, patched=patched)
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        first = sorted(run.stdout.readline().split()[0] for _ in who)
        exchange.wait(open=len(who))
        for number in range(2, 100):
            exchange.trade("BTC/USD", f"100.{number:02}")
        told = [(line.split()[0], line.split()[1]) for line in run.stdout]

    assert run.returncode == 0
    assert first == sorted(who)
    assert dict(told) == dict.fromkeys(who, "100.99")
    assert exchange.counters()["connections_total"] == len(who)
