"""Kraken's tape through a real Redis: what the owner hears, the others tell, and what they missed they know."""

import time
from dataclasses import dataclass

import pytest

from ltp_service.assembly.prices import share_tape
from ltp_service.collected.kraken_tape import KrakenTape, Want
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.kraken import tape_reader
from ltp_service.prices.served import ServedPairs
from ltp_service.redis.topic import EPOCH_KEY, Topic, open_line
from ltp_service.runtime.clock import SystemClock
from ltp_service.settings.config import Config
from tests.fakes import BTC
from tests.redis_server import RedisServer

FRAME = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":0.00000012340,"qty":0.10,'
    '"ord_type":"limit","trade_id":%d,"timestamp":"2026-09-25T17:48:26.844359Z"}]}'
)


@dataclass(frozen=True)
class Process:
    """One process's tape, and its line to the fleet."""

    tape: KrakenTape
    shared: Topic

    def hear(self, *ids: int) -> None:
        """As its feed does."""
        self.tape.unread.extend((FRAME % each, time.monotonic()) for each in ids)
        self.tape.settle()
        assert self.shared.tell(7)

    def told(self, after: int) -> list[tuple[str, str, str]]:
        return [
            (each.trade_id, f"{each.price:f}", f"{each.quantity:f}")
            for each in self.tape.following(BTC, after, 50)
            if isinstance(each, Trade)
        ]


@pytest.fixture
def server(server: RedisServer) -> RedisServer:
    server.run("SET", EPOCH_KEY, 7)
    return server


def process(server: RedisServer) -> Process:
    config = Config(redis_addr=server.address)
    line = open_line(config, time.monotonic)
    line.clock.measure()
    tape = KrakenTape(tape_reader(ServedPairs(config.supported_pairs)), SystemClock())
    return Process(tape, share_tape(tape, line))


def test_a_lost_bulletin_is_a_hole_that_the_other_process_fills(server: RedisServer) -> None:
    owner, other = process(server), process(server)
    subscription = server.client().subscribe(owner.shared.channel)
    for ids in ((1, 2), (3,), (4, 5)):
        owner.hear(*ids)
    for number in range(3):
        message = subscription.receive(5)
        assert isinstance(message, tuple)
        if number != 1:
            other.shared.take(message[1])

    assert other.told(1) == [("2", "0.00000012340", "0.10")]
    (want,) = other.tape.wanted()
    assert want == Want(BTC, 2, want.since, 4)
    other.tape.add(BTC, owner.tape.following(BTC, 2, 1))  # type: ignore[arg-type]  # there is no gap
    assert other.told(1) == owner.told(1)
    assert [each[0] for each in owner.told(1)] == ["2", "3", "4", "5"]


def test_a_new_process_goes_on_from_what_redis_holds(server: RedisServer) -> None:
    owner, late = process(server), process(server)
    owner.hear(1, 2, 3)
    late.shared.load()

    assert late.tape.newest(BTC) == 3
    late.hear(4)
    assert [each[0] for each in late.told(1)] == ["2", "3", "4"]
