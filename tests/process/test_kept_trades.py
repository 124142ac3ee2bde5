"""Kraken's trades out of a service as it is run for real: each is told once and in order, whatever was cut meanwhile."""

from tests.process.service import Service
from tests.process.stream import Stream
from tests.simulator.client import Simulator

PATH = "/api/v1/stream?events=trades&pair=BTC/USD"

MORE_THAN_A_SNAPSHOT = 130
"""Trades of which the trade channel repeats only the last 50 when it is subscribed again."""

Row = tuple[int, str, str, str]
"""Id, price, quantity and side."""


def trades(simulator: Simulator, count: int) -> None:
    for number in range(count):
        simulator.trade("BTC/USD", f"1156{number:03}.5", volume=f"0.{number + 1:08}")


def tape(simulator: Simulator, after: int) -> list[Row]:
    rows = simulator.kraken_trades("BTC/USD", after)["rows"]
    return [(trade_id, price, volume, side) for trade_id, price, volume, side, _ in rows]


def has_trades(service: Service) -> bool:
    """Whether any trade is known that a stream could go on with."""
    return bool(service.get("/collectors/trades?exchange=kraken&symbol=BTCUSD").json()["trades"])


def told(stream: Stream, until: int) -> list[Row]:
    """All up to the trade with that id. Fails on a gap."""
    found: list[Row] = []
    while not found or found[-1][0] < until:
        event = stream.until(lambda event: event.name in ("trade", "gap"))
        assert event.name == "trade", event
        data = event.data
        found.append((data["trade_id"], data["price"], data["quantity"], data["side"]))
    return found


def test_what_happened_during_a_cut_and_a_restart_is_told_once_and_in_order(simulator: Simulator) -> None:
    with Service.start(simulator) as service, Stream(service.port, PATH) as stream:
        stream.named("hello")
        last = simulator.trade("BTC/USD", "115650.1")["trade_id"]
        assert told(stream, last)[-1][0] == last

        simulator.fault("refuse")
        simulator.cut()
        trades(simulator, MORE_THAN_A_SNAPSHOT)
        simulator.clear()
        missed = tape(simulator, last)
        assert told(stream, missed[-1][0]) == missed
        seen = stream.last_id

    trades(simulator, MORE_THAN_A_SNAPSHOT)
    with Service.start(simulator) as service:
        service.until(lambda: has_trades(service), what="the first trades after the restart")
        with Stream(service.port, PATH, {"Last-Event-ID": seen}) as stream:
            assert stream.named("hello").data["resumed"] is True
            missed = tape(simulator, missed[-1][0])
            assert len(missed) == MORE_THAN_A_SNAPSHOT
            assert told(stream, missed[-1][0]) == missed
