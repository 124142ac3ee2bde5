"""Running simulators, and clients of them."""

from collections.abc import Iterator

import pytest

from tests.simulator.book_follower import Follower
from tests.simulator.client import Simulator
from tests.simulator.clients import SPOT, Client, joined, joined_to


@pytest.fixture(scope="module")
def process() -> Iterator[Simulator]:
    with Simulator.start("--pair", "AAPLx/USD") as running:
        yield running


@pytest.fixture
def simulator(process: Simulator) -> Iterator[Simulator]:
    yield process
    process.clear()
    process.cut()


@pytest.fixture(scope="module")
def lively_process() -> Iterator[Simulator]:
    with Simulator.start("--heartbeat", "0.05") as running:
        yield running


@pytest.fixture
def lively(lively_process: Simulator) -> Iterator[Simulator]:
    """A simulator whose heartbeats are 0.05 s apart."""
    yield lively_process
    lively_process.clear()
    lively_process.cut()


@pytest.fixture
def v1(simulator: Simulator) -> Iterator[Client]:
    with joined(simulator.v1_url) as client:
        yield client


@pytest.fixture
def v2(simulator: Simulator) -> Iterator[Client]:
    with joined(simulator.v2_url) as client:
        yield client


@pytest.fixture
def bybit(simulator: Simulator) -> Iterator[Client]:
    with joined_to(simulator, "bybit") as client:
        yield client


@pytest.fixture
def binance(simulator: Simulator) -> Iterator[Client]:
    with joined_to(simulator, "binance") as client:
        yield client


@pytest.fixture(params=SPOT)
def spot(request: pytest.FixtureRequest, simulator: Simulator) -> Iterator[Client]:
    """A client of Bybit, and one of Binance."""
    with joined_to(simulator, request.param) as client:
        yield client


@pytest.fixture(params=("kraken", *SPOT))
def client(request: pytest.FixtureRequest, simulator: Simulator) -> Iterator[Client]:
    """A client of each exchange, of Kraken's v2 after its greeting."""
    with joined_to(simulator, request.param) as client:
        if client.exchange == "kraken":
            client.text()
        yield client


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def follower(request: pytest.FixtureRequest, v1: Client, v2: Client) -> Follower:
    """Has the snapshot of its book, in either protocol."""
    follower = Follower(v2 if request.param else v1, is_v2=request.param)
    follower.subscribe()
    assert follower.read()
    return follower
