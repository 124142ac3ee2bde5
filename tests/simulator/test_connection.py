"""What a client may do and what it has to bear."""

import socket
from contextlib import ExitStack

from tests.simulator.client import Simulator
from tests.simulator.clients import Client, is_channel, is_method, joined, joined_to


def test_a_hundred_connections_hear_the_same_trade(simulator: Simulator) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(joined(simulator.v2_url)) for _ in range(100)]
        for client in clients:
            client.subscribe_v2("BTC/USD", snapshot=False)
        simulator.wait(subscriptions=100)
        simulator.trade("BTC/USD", "101.5")
        for client in clients:
            assert client.find(is_channel("ticker", "update"))["data"][0]["last"] == 101.5
        simulator.cut()


def test_a_client_that_does_not_read_delays_no_other(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port)) as deaf:
        deaf.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        simulator.wait(open=1)
        simulator.send_text("x", repeat=50_000_000)
        with joined(simulator.v2_url) as client:
            client.subscribe_v2("BTC/USD", snapshot=False)
            client.find(is_method("subscribe", "ticker"))
            simulator.trade("BTC/USD", "115000.1")
            assert client.find(is_channel("ticker", "update"))["data"][0]["last"] == 115000.1


def test_the_sixth_message_within_a_second_closes_with_1008(binance: Client) -> None:
    for number in range(6):
        binance.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert binance.close_code() == 1008


def test_pings_come_and_a_missing_pong_ends_the_connection() -> None:
    settings = ("--binance-ping", "0.05", "--binance-pong", "0.2")
    with Simulator.start(*settings) as simulator:
        with joined_to(simulator, "binance") as client:
            assert simulator.wait(exchange="binance", pongs=3)["connections_open"] == 1
            client.socket.protocol.data_to_send = list  # type: ignore[method-assign]
            assert client.close_code() == 1006
        simulator.wait(exchange="binance", open=0)


def test_the_lifetime_of_a_connection_ends_with_a_close_frame() -> None:
    with Simulator.start("--binance-lifetime", "0.1") as simulator, joined_to(simulator, "binance") as client:
        assert client.close_code() == 1001
