"""Some hundred pairs by a wildcard: the price half of the service, whole, against the simulated exchange over real sockets."""

from collections.abc import Iterator

import pytest

from ltp_service.assembly.prices import PriceParts, wire_prices
from ltp_service.domain.pair_choice import read_choice
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST, WEBSOCKET
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import ETH, eventually
from tests.simulator.client import Simulator

COUNT = 300
NEW = Pair("PAAC", "USD")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """It refuses large batches, takes no more than 250 symbols in a connection, and does not list NEW yet."""
    faults = ("refuse_batch=60", "symbol_limit=250", f'pair_status={{"pair":"{NEW}","status":"delisted"}}')
    with Simulator.start("--pairs", str(COUNT), *(f"--fault={fault}" for fault in faults)) as running:
        yield running


@pytest.fixture
def prices(simulator: Simulator) -> Iterator[PriceParts]:
    config = Config(
        kraken_websocket_url=simulator.v2_url,
        kraken_rest_url=simulator.rest_url,
        kraken_reconnect_delay=0.01,
        kraken_fallback_timeout=1.0,
        supported_pairs=(read_choice("ETH/USD"), read_choice("*")),
    )
    parts = wire_prices(config, Runtime())
    manager = CollectorManager(parts.runners)
    manager.start()
    yield parts
    manager.stop(DEADLINE)


def sources(prices: PriceParts) -> list[str]:
    return sorted(price.confirmed_by for price in prices.store.all().values())


def test_every_listed_pair_has_a_price_whatever_the_exchange_refuses_and_new_listings_are_followed(
    simulator: Simulator, prices: PriceParts
) -> None:
    eventually(lambda: sources(prices) == [REST] * (COUNT - 1 - 250) + [WEBSOCKET] * 250)
    served = prices.served.pairs
    assert served[0] == ETH
    assert list(served[1:]) == sorted(served[1:], key=str)
    assert NEW not in served

    simulator.fault("pair_status", on=False, pair=str(NEW))
    eventually(lambda: NEW in prices.served)
    eventually(lambda: NEW in prices.store.all())
    simulator.fault("pair_status", pair=str(NEW), status="delisted")
    eventually(lambda: prices.quotes.look([NEW])[0].verdict.state == "stale")
    assert NEW in prices.served
