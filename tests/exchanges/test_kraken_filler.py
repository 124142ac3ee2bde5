"""Missing trades come from the simulator's REST, by real HTTP."""

from decimal import Decimal
from threading import Event

from msgspec.structs import replace

from ltp_service.assembly.prices import wire_prices
from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.kraken_filler import FRAMES_AT_ONCE, LOOK_EVERY_SECONDS, TapeFiller
from ltp_service.rest.pace import CALL_DISTANCE_SECONDS
from ltp_service.settings.config import Config
from tests.fakes import BTC, runtime
from tests.simulator.client import Simulator
from tests.steered_clock import SteeredClock


class Parts:
    """Tape and filler; the feed is not started, so a test hands over what it likes."""

    def __init__(self, exchange: Simulator) -> None:
        config = Config(kraken_websocket_url=exchange.v2_url, kraken_rest_url=exchange.rest_url)
        self.clock = SteeredClock()
        prices = wire_prices(config, runtime(self.clock))
        assert prices.tape
        assert prices.filler
        self.tape: KrakenTape = prices.tape
        self.filler: TapeFiller = prices.filler
        self.source = prices.source
        self.breaker = prices.breaker

    def look(self) -> bool:
        """At the next turn of REST."""
        self.clock.advance(CALL_DISTANCE_SECONDS)
        return self.filler.look()

    def told(self, after: int) -> list[int]:
        return [
            int(each.trade_id) if isinstance(each, Trade) else -each.before_trade_id
            for each in self.tape.following(BTC, after, 5_000)
        ]


def happened(exchange: Simulator, count: int) -> list[Trade]:
    """New trades of the simulator, oldest first."""
    made = [exchange.trade("BTC/USD", f"{115000 + number}.1") for number in range(count)]
    return [
        Trade(
            "kraken", "BTC/USD", "buy", Decimal(1), Decimal(1), each["time"], str(each["trade_id"]), 0.0, ""
        )
        for each in made
    ]


def test_what_a_cut_lost_is_filled_by_id(exchange: Simulator) -> None:
    trades = happened(exchange, 30)
    parts, ids = Parts(exchange), [int(trade.trade_id) for trade in trades]
    parts.tape.add(BTC, [*trades[:5], *trades[25:]])
    assert parts.told(ids[0]) == ids[1:5]

    assert parts.look()
    assert parts.told(ids[0]) == ids[1:]
    assert not parts.look()


def test_a_client_of_an_earlier_process_is_told_the_last_trades(exchange: Simulator) -> None:
    trades = happened(exchange, 30)
    parts, ids = Parts(exchange), [int(trade.trade_id) for trade in trades]
    parts.tape.add(BTC, trades[-1:])
    assert parts.told(ids[0]) == []

    assert parts.look()
    assert parts.told(ids[0]) == ids[1:]


def test_what_rest_cannot_tell_is_a_gap_at_once(exchange: Simulator) -> None:
    (last,) = happened(exchange, 1)
    parts, number = Parts(exchange), int(last.trade_id)
    exchange.restart("BTC/USD", 1.0)
    parts.tape.add(BTC, [last])
    assert parts.told(number - 900) == []

    assert parts.look()
    assert parts.told(number - 900)[0] < 0


def test_a_page_that_ends_before_the_hole_does_not_settle_it(exchange: Simulator) -> None:
    trades = happened(exchange, 3)
    parts, ids = Parts(exchange), [int(trade.trade_id) for trade in trades]
    parts.tape.add(BTC, [replace(trades[0], trade_id=str(ids[2] + 2))])
    assert parts.told(ids[1]) == []

    assert parts.look()
    assert parts.told(ids[1]) == ids[2:3]
    exchange.trade("BTC/USD", "115001.1")
    assert parts.look()
    assert parts.told(ids[1]) == [ids[2], ids[2] + 1, ids[2] + 2]


def test_prices_come_first(exchange: Simulator) -> None:
    trades = happened(exchange, 3)
    parts, ids = Parts(exchange), [int(trade.trade_id) for trade in trades]
    parts.tape.add(BTC, [trades[0], trades[2]])
    parts.told(ids[0])
    parts.source.refresh([BTC])

    assert not parts.filler.look()
    assert parts.look()


def test_a_failing_rest_is_asked_again_after_longer_pauses(exchange: Simulator) -> None:
    trades = happened(exchange, 3)
    parts, ids = Parts(exchange), [int(trade.trade_id) for trade in trades]
    parts.tape.add(BTC, [trades[0], trades[2]])
    parts.told(ids[0])
    exchange.fault("rest_status", status=500)

    assert [parts.look() for _ in range(3)] == [True, False, True]
    assert parts.breaker.state() == ("closed", 0, 0.0)
    exchange.clear()
    parts.told(ids[0])
    assert [parts.look() for _ in range(4)] == [False, False, False, True]
    assert parts.told(ids[0]) == ids[1:]


class Turns(Event):
    """Counts the frames that wait at each of the filler's pauses, until it waits for the next look."""

    def __init__(self, tape: KrakenTape) -> None:
        super().__init__()
        self._tape = tape
        self.left: list[int] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.left.append(len(self._tape.unread))
        return timeout == LOOK_EVERY_SECONDS and len(self.left) > 1


def test_many_frames_are_read_a_few_at_a_time(exchange: Simulator) -> None:
    parts = Parts(exchange)
    parts.tape.unread.extend([("{}", 0.0)] * (2 * FRAMES_AT_ONCE + 1))
    turns = Turns(parts.tape)
    parts.filler.run(turns)
    assert turns.left == [2 * FRAMES_AT_ONCE + 1, FRAMES_AT_ONCE + 1, 1, 0]
