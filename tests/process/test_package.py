"""The wheel, installed outside the checkout: what it holds, and that it runs there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltp_service.settings.config import Config
from tests.ended import PROJECT, ended
from tests.process.demo import Demo
from tests.process.installed import OUT_OF_REACH, Installed, InstallFailed
from tests.process.service import Service, environment
from tests.simulator.client import Simulator

pytestmark = pytest.mark.timeout(300)  # the packages may have to be downloaded

PRICES = """
import sys
from ltp_service import LastPrices
from ltp_service.client import Prices

service, websocket, rest = sys.argv[1:]
with Prices(service) as prices, LastPrices(kraken_websocket_url=websocket, kraken_rest_url=rest) as last_prices:
    told = prices.get("BTC/USD"), last_prices.get("BTC/USD")
print(*(price.price for price in told))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Skips where the packages cannot be had."""
    try:
        return Installed(tmp_path_factory.mktemp("installed"))
    except InstallFailed as error:
        if OUT_OF_REACH not in str(error):
            raise
        # Who works offline has all other tests. With CI=true a skip is a failure.
        pytest.skip(f"the package index is out of reach: {error}")


@pytest.fixture(scope="module")
def simulator(installed: Installed) -> Iterator[Simulator]:
    """The simulated exchange of the wheel."""
    with Simulator.start(python=str(installed.bin / "python"), directory=installed.directory) as running:
        yield running


@pytest.fixture
def served(installed: Installed, exchange: Simulator) -> Iterator[Service]:
    """The service of the wheel, run in an empty folder."""
    process = subprocess.Popen(
        [installed.bin / "ltp", "serve"],
        cwd=installed.directory,
        env=environment(exchange, {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with Service.begun(process, feeds=1) as running:
        yield running


def test_the_wheel_holds_every_file_of_the_package_and_the_settings(installed: Installed) -> None:
    expected = {
        f"{home}{path.relative_to(PROJECT)}"
        for folder, home in (("ltp_service", ""), ("configs", "ltp_service/"))
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - installed.names() == set()
    assert "ltp_service/py.typed" in expected


def test_it_serves_the_prices_and_the_page_and_gives_them_to_programs(
    installed: Installed, served: Service, exchange: Simulator
) -> None:
    exchange.trade("BTC/USD", "115643.70000")
    page = served.get("/", headers={"Accept": "text/html"})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    url = f"http://127.0.0.1:{served.port}"
    assert installed.run(PRICES, url, exchange.v2_url, exchange.rest_url) == "115643.70000 115643.70000\n"
    asked = ended(
        [installed.bin / "ltp", "price", "BTC/USD", "--url", url], cwd=installed.directory, check=True
    )
    assert asked.stdout == "BTC/USD 115643.70000\n"


def test_its_demo_has_a_price_for_each_pair(installed: Installed, tmp_path: Path) -> None:
    demo = Demo(tmp_path, [str(installed.bin / "ltp")], installed.directory)
    pairs = list(map(str, Config().supported_pairs))
    asked = ended([installed.bin / "ltp", "price", *pairs, "--url", demo.url], cwd=installed.directory)
    assert demo.interrupt() == 0
    assert [line.split()[0] for line in asked.stdout.splitlines()] == pairs


def test_nothing_of_the_checkout_is_needed(installed: Installed) -> None:
    where = installed.run("import ltp_service; print(ltp_service.__file__)")
    assert not Path(where.strip()).is_relative_to(PROJECT)
