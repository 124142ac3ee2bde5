"""tests.drill: the drill itself must be able to fail, so it is shown wrong answers."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import DEADLINE
from tests.drill.clients import Reading, Served
from tests.drill.proxy import Proxy
from tests.drill.row import SHORT, Row, Stage, in_turn
from tests.drill.rows import ROWS
from tests.drill.run_queue import RunQueue
from tests.drill.truth import TRANSPORT, Mute, Truth
from tests.process.fleet import until
from tests.process.load import Load
from tests.process.service import Service
from tests.simulator.client import Simulator

PAIR = "BTC/USD"
TESTS = Path(__file__).resolve().parent
TTL = 5.0


class Market:
    """A market with three trades: 100 until 20 s ago, 101 until 10 s ago, then 102."""

    def __init__(self) -> None:
        self.now = time.time()
        self.rows = [[self.now - 30, "100", 1], [self.now - 20, "101.0", 2], [self.now - 10, "102.00", 3]]

    def market(self, *pairs: str, after: float | None = None) -> dict[str, dict[str, Any]]:
        return {pair: {"history": [row for row in self.rows if row[0] > (after or 0)]} for pair in pairs}  # type: ignore[operator]


@pytest.fixture
def truth() -> Truth:
    known = Truth(Market(), [PAIR])
    known.catch_up()
    return known


def reading(ago: float, *served: Served) -> Reading:
    moment = time.monotonic() - ago
    return Reading(0, moment, moment, moment + 0.001, None, 200, None, list(served))


def plain(amount: str) -> Served:
    return Served(PAIR, amount, None, None, None, None)


def detailed(amount: str, age: float, trade_id: int, state: str = "live") -> Served:
    return Served(PAIR, amount, state, "kraken:websocket", str(round(1000 * age)), str(trade_id))


def wrong(truth: Truth, *readings: Reading, **rules: Any) -> int:
    return len(truth.wrong(readings, TTL, **rules))


def test_the_last_trade_is_right(truth: Truth) -> None:
    assert not wrong(
        truth, reading(15, plain("101")), reading(1, plain("102.000")), reading(1, detailed("102", 0, 3))
    )


def test_a_price_that_never_was_is_wrong(truth: Truth) -> None:
    assert wrong(truth, reading(1, plain("103"))) == 1


def test_a_price_before_it_was_traded_is_wrong(truth: Truth) -> None:
    assert wrong(truth, reading(15, plain("102"))) == 1


def test_a_plain_price_is_right_for_as_long_as_prices_may_live(truth: Truth) -> None:
    assert not wrong(truth, reading(10 - TTL + 0.5, plain("101")))
    assert wrong(truth, reading(10 - TTL - 0.5, plain("101"))) == 1


def test_a_price_with_detail_is_held_to_its_own_age(truth: Truth) -> None:
    assert not wrong(truth, reading(8, detailed("101", 2.1, 2, "fallback")))
    assert wrong(truth, reading(8, detailed("101", 1.0, 2, "fallback"))) == 1


def test_a_price_may_be_late_by_what_its_programs_waited_for_a_processor() -> None:
    asked: list[float] = []

    def waited(since: float, until: float) -> float:
        asked.append(until - since)
        return 1.0

    truth = Truth(Market(), [PAIR], waited)
    truth.catch_up()
    assert not wrong(truth, reading(8, detailed("101", 1.0, 2)))
    assert wrong(truth, reading(8, detailed("101", 0.5, 2))) == 1
    assert asked[0] == pytest.approx(1.0 + TRANSPORT + 0.001)


def test_of_two_programs_on_one_processor_each_waits() -> None:
    core = min(os.sched_getaffinity(0))
    alone = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    begun = time.monotonic()
    with ExitStack() as stack:
        busy = [stack.enter_context(subprocess.Popen([sys.executable, "-c", alone])) for _ in range(2)]
        for program in busy:
            stack.callback(program.kill)
        run_queue = stack.enter_context(RunQueue(busy[0].pid))
        until(lambda: run_queue.waited(begun, time.monotonic()) > 0.2, DEADLINE, "a wait of 0.2 s")
        assert run_queue.waited(begun, time.monotonic()) < time.monotonic() - begun


def test_a_right_price_of_another_trade_is_wrong(truth: Truth) -> None:
    assert wrong(truth, reading(1, detailed("102", 0, 2))) == 1


def test_a_price_that_goes_back_for_one_reader_is_wrong(truth: Truth) -> None:
    newer, older = reading(9.8, plain("102")), reading(9.7, plain("101"))
    assert wrong(truth, newer, older) == 1
    assert not wrong(truth, newer, older._replace(reader=1))


def test_several_workers_may_differ_for_a_moment(truth: Truth) -> None:
    newer, older = reading(9.8, plain("102")), reading(9.7, plain("101"))
    assert not wrong(truth, newer, older, slack=0.25)


def test_a_pair_that_nothing_was_told_about_may_not_be_called_live(truth: Truth) -> None:
    mute = Mute(frozenset([PAIR]), time.monotonic() - 5, time.monotonic())
    assert wrong(truth, reading(1, detailed("102", 0, 3)), mutes=[mute]) == 1
    assert not wrong(truth, reading(1, detailed("102", 0, 3, "fallback")), mutes=[mute])


def test_a_deaf_subscription_may_go_unnoticed_for_its_time_and_no_longer(truth: Truth) -> None:
    served = reading(6, detailed("101", 0, 2))
    assert not wrong(truth, served, unnoticed=5.0)
    assert wrong(truth, served, unnoticed=3.0) == 1


# The proxy.


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def joined(proxy: Proxy, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through the proxy."""
    near = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    far, _ = listener.accept()
    far.settimeout(5)
    return near, far


def test_a_frozen_proxy_passes_nothing_until_it_thaws(echo: socket.socket) -> None:
    with Proxy(echo.getsockname()[1]) as proxy:
        near, far = joined(proxy, echo)
        with near, far:
            proxy.freeze()
            far.sendall(b"late")
            near.settimeout(0.1)
            with pytest.raises(TimeoutError):
                near.recv(10)
            proxy.freeze(False)
            near.settimeout(5)
            assert near.recv(10) == b"late"


def test_a_corrupting_proxy_spoils_only_what_the_exchange_says(echo: socket.socket) -> None:
    with Proxy(echo.getsockname()[1]) as proxy:
        near, far = joined(proxy, echo)
        with near, far:
            proxy.corrupt()
            far.sendall(b"12345678")
            assert near.recv(10) == b"\xff234567\xff"
            near.sendall(b"12345678")
            assert far.recv(10) == b"12345678"


def test_a_forbidding_proxy_answers_403_and_nothing_reaches_the_exchange(echo: socket.socket) -> None:
    with Proxy(echo.getsockname()[1]) as proxy:
        proxy.forbid()
        line = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
        line.request("GET", "/v2")
        assert line.getresponse().status == 403
        line.close()
        assert (proxy.accepted, proxy.passed) == (1, 0)
        proxy.forbid(False)
        near, far = joined(proxy, echo)
        near.close()
        far.close()


def test_a_cut_ends_both_sides(echo: socket.socket) -> None:
    with Proxy(echo.getsockname()[1]) as proxy:
        near, far = joined(proxy, echo)
        with near, far:
            far.sendall(b"here")
            assert near.recv(10) == b"here"
            proxy.cut()
            assert ended(near)
            assert ended(far)


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except ConnectionResetError:
        return True


# What it builds on.


def test_a_load_knows_who_asked_when_and_what_came_of_it() -> None:
    with (
        Simulator.start() as simulator,
        Service.start(simulator) as service,
        Load(service.port, rate=50, clients=2) as load,
    ):
        load.wait_for_more(10)
    outcomes = load.outcomes()
    assert {outcome.client for outcome in outcomes} == {0, 1}
    assert all(outcome.answer is not None and outcome.answer.status == 200 for outcome in outcomes)
    assert all(outcome.moment <= outcome.asked_at <= outcome.moment + outcome.seconds for outcome in outcomes)


def test_the_market_tells_its_history_after_a_moment() -> None:
    with Simulator.start() as simulator:
        first = simulator.trade(PAIR, "115000.1")
        second = simulator.trade(PAIR, "115000.2")
        history = simulator.market(PAIR, after=first["time"])[PAIR]["history"]
    assert history == [[second["time"], "115000.2", second["trade_id"]]]


def test_a_row_that_is_left_to_other_tests_names_them() -> None:
    assert not [
        each.name for each in ROWS.values() if each.elsewhere and not (TESTS / each.elsewhere).is_file()
    ]


def test_rows_that_need_different_services_cannot_share_one() -> None:
    with pytest.raises(ValueError, match="need different services"):
        in_turn([replace(ROWS["no_ack"], beside="one"), replace(ROWS["frozen"], beside="one")])


def test_what_is_wrong_in_one_of_several_rows_is_said_with_its_name() -> None:
    stage = Stage(SHORT, None, None, None)  # type: ignore[arg-type]  # all that its rows do is to complain
    stage.fed = lambda: True  # type: ignore[method-assign]
    rows = [Row(name, name, partial(_complain, name)) for name in ("one", "other")]

    in_turn(rows).play(stage)

    assert stage.problems == ["one: of one", "other: of other"]


def _complain(name: str, stage: Stage) -> None:
    stage.problems.append(f"of {name}")


def test_seconds_in_which_the_programs_waited_for_a_processor_do_not_count() -> None:
    stage = Stage(SHORT, None, None, None, lambda since, until: 5.0)  # type: ignore[arg-type]
    assert stage.since(time.monotonic() - 7.0) == pytest.approx(2.0, abs=1.0)
    assert stage.until(lambda: True, 1.0, "nothing") == 0.0
