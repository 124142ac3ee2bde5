"""What the control door does: trades, cuts, raw bytes, waiting, accounts."""

import threading

import pytest
from websockets.exceptions import ConnectionClosed

from tests.deadline import DEADLINE
from tests.simulator.client import Simulator, SimulatorError
from tests.simulator.clients import SPOT, Client, is_method, rest, result


def test_a_price_that_cannot_be_one_and_an_older_trade_do_not_move_the_market(simulator: Simulator) -> None:
    good = simulator.trade("BTC/USD", "115000.1")
    for bad in ("NaN", "-1", "0", "1e400", "9" * 5000):
        simulator.trade("BTC/USD", bad)
    simulator.trade("BTC/USD", "114000.0", time=good["time"] - 10)
    assert simulator.market("BTC/USD")["BTC/USD"]["price"] == "115000.1"


def test_a_silent_trade_moves_the_market_and_no_socket(simulator: Simulator, v2: Client) -> None:
    v2.subscribe_v2("BTC/USD", snapshot=False)
    v2.find(is_method("subscribe", "ticker"))
    simulator.trade("BTC/USD", "99000.5", silent=True)
    assert v2.hears_nothing()
    assert result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0] == "99000.5"


@pytest.mark.parametrize(
    ("how", "code", "seen"),
    [("abrupt", 1000, 1006), ("reset", 1000, 1006), ("clean", 1001, 1001), ("clean", 1012, 1012)],
)
def test_a_cut_ends_every_connection_with_its_code(
    simulator: Simulator, v1: Client, v2: Client, how: str, code: int, seen: int
) -> None:
    simulator.wait(open=2)
    assert simulator.cut(how, code) == 2
    assert simulator.counters()["connections_open"] == 0
    assert v1.close_code() == v2.close_code() == seen


def test_a_cut_of_one_exchange_leaves_others(simulator: Simulator, bybit: Client, binance: Client) -> None:
    before = simulator.counters()
    for exchange in SPOT:
        simulator.wait(exchange=exchange, open=1)
    bybit.send({"op": "ping"})
    bybit.subscribe_to_trades()
    assert simulator.wait(exchange="bybit", subscriptions=1)["subscriptions"] == {
        "publicTrade": {"BTCUSDT": 1}
    }
    assert simulator.cut(exchange="bybit") == 1
    assert bybit.close_code() == 1006
    assert simulator.counters("bybit")["connections_open"] == 0
    assert simulator.counters("binance")["connections_open"] == 1
    assert simulator.counters() == before
    with pytest.raises(SimulatorError, match="no exchange 'okx'"):
        simulator.cut(exchange="okx")


def test_raw_text_binary_and_bytes_arrive_as_sent(simulator: Simulator, v1: Client) -> None:
    simulator.wait(open=1)
    v1.text()
    simulator.send_text("{broken")
    assert v1.text() == "{broken"
    simulator.send_text("x", repeat=300_000, fragments=1000)
    assert v1.text() == "x" * 300_000
    simulator.send_binary(b"\x00\xff")
    assert v1.socket.recv(DEADLINE) == b"\x00\xff"
    simulator.send_bytes(b"\x81\x02\xff\xff")
    with pytest.raises(ConnectionClosed):
        v1.text()


def test_waiting_in_vain_says_what_was_reached(simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match=r"not reached within 0.05 s: .*connections_open"):
        simulator.wait(timeout=0.05, open=17)


@pytest.mark.parametrize(
    ("exchange", "question", "method"),
    [("kraken", "/0/public/Time", "Time"), ("binance", "/api/v3/depth?symbol=BTCUSDT", "depth")],
)
def test_waiting_ends_at_its_number(simulator: Simulator, exchange: str, question: str, method: str) -> None:
    calls = sum(simulator.counters(exchange)["rest_calls"].values())
    timer = threading.Timer(0.02, rest, (simulator, question))
    timer.start()
    assert simulator.wait(exchange=exchange, rest_calls=calls + 1)["rest_calls"][method] >= 1
    timer.join()
