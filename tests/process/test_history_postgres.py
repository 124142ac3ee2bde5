"""A fleet whose history is in PostgreSQL: all answer from it, and one writes it as long as the server is there."""

from collections.abc import Iterator

import pytest

from tests.deadline import DEADLINE
from tests.postgres_server import PostgresServer
from tests.process.fleet import Fleet, Seat, until
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator

PAIR = "BTC/USD"


@pytest.fixture
def fleet(simulator: Simulator, server: RedisServer, own_postgres: PostgresServer) -> Iterator[Fleet]:
    settings = {"REDIS_ADDR": server.address, "HISTORY_URL": own_postgres.new_database()}
    with Fleet(simulator, 2, settings) as running:
        yield running


def ids(seat: Seat) -> list[int]:
    """Of the trades that it tells; none while it cannot ask."""
    rows = seat.get(f"/api/v1/trades?pair={PAIR}&limit=1000").json().get("trades", [])
    return [int(row["trade_id"]) for row in rows if "trade_id" in row]


def trade(simulator: Simulator, fleet: Fleet, price: str) -> int:
    """The id of a trade that is served everywhere."""
    trade_id: int = simulator.trade(PAIR, price)["trade_id"]
    fleet.until_served(PAIR, price)
    return trade_id


def until_told(fleet: Fleet, trade_id: int) -> None:
    until(
        lambda: all(trade_id in ids(seat) for seat in fleet.seats()), DEADLINE, f"trade {trade_id} everywhere"
    )


def test_every_worker_tells_what_the_owner_wrote_whoever_and_whatever_ends(
    simulator: Simulator, own_postgres: PostgresServer, fleet: Fleet
) -> None:
    first = trade(simulator, fleet, "115001.1")
    until_told(fleet, first)

    own_postgres.kill()
    answer = fleet.seats()[0].get(f"/api/v1/trades?pair={PAIR}")
    assert (answer.status, answer.json()["code"]) == (503, "HISTORY_UNAVAILABLE")
    assert "PostgreSQL (HISTORY_URL)" in answer.json()["message"]
    missed = trade(simulator, fleet, "115002.2")
    own_postgres.restart()
    until_told(fleet, missed)

    fleet.kill(fleet.owner().service)
    fleet.until_led()
    last = trade(simulator, fleet, "115003.3")
    until_told(fleet, last)
    (told,) = {tuple(ids(seat)) for seat in fleet.seats()}
    assert list(told) == list(range(told[0], last + 1)), "none is missing"
