"""Prices and AsyncPrices against the fake service, on real sockets."""

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest

from ltp_service.client import (
    AsyncPrices,
    Disconnected,
    Event,
    KeyRefused,
    Price,
    Prices,
    PricesError,
    PriceStale,
    PriceUnavailable,
    RateLimited,
    SomeUnavailable,
    Trade,
    Unavailable,
    UnknownPair,
    Unreachable,
    stream,
)
from ltp_service.client.testing import FakeService
from tests.deadline import DEADLINE, generous
from tests.ended import ended
from tests.patched import run_patched

pytest_plugins = ["ltp_service.client.pytest_plugin"]

Get = Callable[..., Price]


def get_blocking(url: str | list[str], pair: str, **more: Any) -> Price:
    with Prices(url, **more) as prices:
        return prices.get(pair)


def get_on_asyncio(url: str | list[str], pair: str, **more: Any) -> Price:
    async def ask() -> Price:
        async with AsyncPrices(url, **more) as prices:
            return await prices.get(pair)

    return asyncio.run(ask())


both = pytest.mark.parametrize("get", [get_blocking, get_on_asyncio])


@pytest.fixture
def service(fake_service: FakeService) -> FakeService:
    fake_service.set_price("BTC/USD", "115643.10", age=1.5, trade_id=7)
    fake_service.set_price("TINY/USD", "0.0000001234")
    return fake_service


@pytest.fixture
def closed_port() -> Iterator[str]:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@both
def test_a_price_has_its_digits_age_and_source(service: FakeService, get: Get) -> None:
    price = get(service.url, "BTC/USD", max_age=5)
    assert (price.amount, price.price, price.state) == (Decimal("115643.1"), "115643.10", "live")
    assert (price.source, price.trade_id) == ("kraken:websocket", 7)
    assert 1.5 <= price.age < 5
    assert get(service.url, "TINY/USD").price == "0.0000001234"


@both
@pytest.mark.parametrize(
    ("steer", "error", "text"),
    [
        (lambda s: s.set_state("BTC/USD", "stale", age=42), PriceStale, "42.* s old"),
        (lambda s: s.set_price("BTC/USD", "1", state="fallback", age=6), PriceStale, "6.* s old"),
        (lambda s: s.set_state("NEW/USD", "unknown"), PriceUnavailable, "NEW/USD"),
        (lambda s: None, UnknownPair, "NEW/USD"),
        (lambda s: s.refuse(429, retry_after=3), RateLimited, "after 3 s"),
        (lambda s: s.refuse(401, code="API_KEY_INVALID"), KeyRefused, "api_key"),
        (lambda s: s.refuse(502), Unreachable, "http://"),
    ],
    ids=["stale", "too old", "never seen", "not served", "limited", "key", "no service"],
)
def test_an_error_says_the_cause_and_what_to_do(
    service: FakeService, get: Get, steer: Callable[[FakeService], None], error: type[PricesError], text: str
) -> None:
    steer(service)
    pair = "NEW/USD" if "NEW" in text else "BTC/USD"
    with pytest.raises(error, match=text) as raised:
        get(service.url, pair, max_age=5)
    assert type(raised.value) is error


@both
def test_bases_are_tried_in_turn(service: FakeService, closed_port: str, get: Get) -> None:
    assert get([closed_port, service.url], "BTC/USD").price == "115643.10"
    with pytest.raises(Unreachable, match="refused"):
        get(closed_port, "BTC/USD")


def test_the_base_that_has_the_price_is_taken(service: FakeService) -> None:
    with FakeService() as stale, Prices([stale.url, service.url]) as prices:
        stale.set_price("BTC/USD", "1", state="stale", age=100)
        assert prices.get("BTC/USD").price == "115643.10"
        prices.get("BTC/USD")
        assert len(service.requests) == 2
        assert (
            len(stale.requests) == 2
        )  # the price, and how old it is; afterwards the other base is asked first


def test_a_key_goes_into_the_header_alone(service: FakeService) -> None:
    with FakeService(api_key="secret") as closed:
        closed.set_price("BTC/USD", "1")
        assert get_blocking(closed.url, "BTC/USD", api_key="secret").price == "1"
        assert "secret" not in closed.requests[0][0]
        with pytest.raises(KeyRefused):
            get_blocking(closed.url, "BTC/USD", api_key="wrong")
        with closing(Prices(closed.url).stream()) as stream, pytest.raises(KeyRefused):
            next(stream)


def test_many_prices_come_by_pair_and_what_is_missing_is_told(service: FakeService) -> None:
    with Prices(service.url) as prices:
        assert list(prices.get_many(["TINY/USD", "BTC/USD"])) == ["TINY/USD", "BTC/USD"]
        assert list(prices.get_many()) == ["BTC/USD", "TINY/USD"]
        with pytest.raises(SomeUnavailable) as raised:
            prices.get_many(["BTC/USD", "NEW/USD"])
    assert raised.value.prices["BTC/USD"].price == "115643.10"
    assert isinstance(raised.value.errors["NEW/USD"], UnknownPair)


def test_threads_share_prices(service: FakeService) -> None:
    found: list[Price] = []
    with Prices(service.url) as prices:
        threads = [Thread(target=lambda: found.append(prices.get("BTC/USD"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
    assert len(found) == 8


def collect_blocking(url: str, count: int, between: Callable[[Event], None]) -> list[Event]:
    told = []
    with Prices(url) as prices, closing(prices.stream(["BTC/USD"], events="all")) as stream:
        for event in stream:
            told.append(event)
            between(event)
            if len(told) == count:
                break
    return told


def collect_on_asyncio(url: str, count: int, between: Callable[[Event], None]) -> list[Event]:
    async def collect() -> list[Event]:
        told = []
        async with AsyncPrices(url) as prices:
            stream = prices.stream(["BTC/USD"], events="all")
            async for event in stream:
                told.append(event)
                between(event)
                if len(told) == count:
                    break
            await stream.aclose()
        return told

    return asyncio.run(collect())


collecting = pytest.mark.parametrize("collect", [collect_blocking, collect_on_asyncio])


@collecting
def test_a_stream_resumes_after_a_cut(service: FakeService, collect: Callable[..., list[Event]]) -> None:
    def between(event: Event) -> None:
        if isinstance(event, Price) and len(service.requests) == 1 and event.trade_id == 7:
            service.trade("BTC/USD", "1")
        elif isinstance(event, Trade) and event.trade_id == 1:
            service.cut()
            service.trade("BTC/USD", "2")

    told = collect(service.url, 6, between)
    assert [event.trade_id for event in told if isinstance(event, Trade)] == [1, 2]
    assert sum(isinstance(event, Disconnected) for event in told) == 1


@collecting
def test_a_frozen_service_is_told(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, collect: Callable[..., list[Event]]
) -> None:
    monkeypatch.setattr(stream, "SILENCE", 0.5)  # the drill holds the real one

    def between(event: Event) -> None:
        if isinstance(event, Price):
            service.freeze()

    _, told = collect(service.url, 2, between)
    assert isinstance(told, Disconnected)
    assert "no event for 0.5 s" in told.reason


@collecting
def test_a_stream_over_tls_is_judged_by_the_same_clock(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, collect: Callable[..., list[Event]]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FakeService(tls=context, heartbeat=0.2) as service:
        service.set_price("BTC/USD", "1", state="stale")
        with pytest.raises(Unreachable, match="certificate"):
            get_blocking(service.url, "BTC/USD")
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        wake = Timer(0.7, service.trade, ("BTC/USD", "2"))  # some heartbeats later
        wake.start()
        unavailable, *told = collect(service.url, 3, lambda _: None)
        wake.join()
    assert [type(unavailable), *map(type, told)] == [Unavailable, Trade, Price]
    assert isinstance(told[1], Price)
    assert told[1].age < generous()


def test_the_end_of_a_generator_frees_its_connection(service: FakeService) -> None:
    with Prices(service.url) as prices:
        stream = prices.stream()
        next(stream)
        service.wait_for_streams()
        stream.close()
        service.trade("BTC/USD", "1")
        until_no_stream(service)
        assert len(service.requests) == 1


def test_close_ends_the_streams_of_other_threads(service: FakeService) -> None:
    prices = Prices(service.url)
    told: list[Event] = []
    thread = Thread(target=lambda: told.extend(prices.stream()))
    thread.start()
    service.wait_for_streams()
    prices.close()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    with pytest.raises(ValueError, match="closed"):
        prices.get("BTC/USD")


def until_no_stream(service: FakeService) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            service.wait_for_streams(1, 0.01)
        except TimeoutError:
            return
        service.trade("BTC/USD", "1")  # what is sent to a closed end is noticed
    pytest.fail("the stream is still open")


FORK = """
import os, sys
from ltp_service.client import Disconnected, Price, Prices, Trade
from ltp_service.client.testing import FakeService

def next_of(stream, kind):
    return next(event for event in stream if isinstance(event, kind))

with FakeService() as service:
    service.set_price("BTC/USD", "1")
    prices = Prices(service.url)
    stream = prices.stream(["BTC/USD"], events="all")
    assert next_of(stream, Price).price == "1"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        assert prices.get("BTC/USD").price == "1"
        assert isinstance(next(stream), Disconnected)
        assert next_of(stream, Price).price == "1"
        os.write(write, b"x")
        assert next_of(stream, Trade).trade_id == 1
        os._exit(0)
    os.read(read, 1)
    service.trade("BTC/USD", "2")
    assert isinstance(trade := next(stream), Trade), trade
    assert os.waitpid(child, 0)[1] == 0
    service.trade("BTC/USD", "3")
    assert next_of(stream, Trade).trade_id == 2
    stream.close()
print("done")
"""


FORK_ON_ASYNCIO = """
import asyncio, os
from ltp_service.client import AsyncPrices, Disconnected, Price, Trade
from ltp_service.client.testing import FakeService

async def next_of(stream, kind):
    async for event in stream:
        if isinstance(event, kind):
            return event

with FakeService() as service:
    service.set_price("BTC/USD", "1")
    prices = AsyncPrices(service.url)
    stream = prices.stream(["BTC/USD"], events="all")
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(anext(stream)).price == "1"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        async def go_on():
            assert (await prices.get("BTC/USD")).price == "1"
            assert isinstance(await anext(stream), Disconnected)
            assert (await next_of(stream, Price)).price == "1"
            os.write(write, b"x")
            assert (await next_of(stream, Trade)).trade_id == 1
        asyncio.new_event_loop().run_until_complete(go_on())
        os._exit(0)
    os.read(read, 1)
    service.trade("BTC/USD", "2")
    assert isinstance(trade := loop.run_until_complete(anext(stream)), Trade), trade
    assert os.waitpid(child, 0)[1] == 0
    service.trade("BTC/USD", "3")
    assert loop.run_until_complete(next_of(stream, Trade)).trade_id == 2
    loop.run_until_complete(stream.aclose())
    loop.close()
print("done")
"""


@pytest.mark.parametrize("program", [FORK, FORK_ON_ASYNCIO], ids=["blocking", "asyncio"])
def test_a_child_of_a_fork_has_connections_of_its_own(program: str) -> None:
    done = ended([sys.executable, "-c", program])
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_it_works_where_gevent_has_patched_everything(service: FakeService) -> None:
    code = f"""
    import gevent, sys
    from ltp_service.client import Price, Prices
    prices = Prices({service.url!r})
    ticks = []
    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.05)
    beside = gevent.spawn(tick)
    stream = prices.stream(["BTC/USD"])
    assert next(stream).price == "115643.10"
    waiting = gevent.spawn(next, stream)
    assert prices.get("BTC/USD").price == "115643.10"
    gevent.sleep(0.5)
    assert len(ticks) > 5
    prices.close()
    gevent.joinall([waiting], timeout={DEADLINE})
    print(waiting.dead)
    """
    assert run_patched(code) == "True"


def test_importing_it_loads_no_server_and_nothing_else_of_the_package() -> None:
    code = """
import sys
import ltp_service.client, ltp_service.client.testing
ours = {name for name in sys.modules if name.startswith("ltp_service.") and ".client" not in name}
outside = {"flask", "gunicorn", "gevent", "werkzeug", "msgspec", "pydantic", "requests", "redis"} & set(sys.modules)
print(sorted(ours | outside))
"""
    assert ended([sys.executable, "-c", code], check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Prices("localhost"),
        lambda: Prices([]),
        lambda: Prices("http://x", max_age=0),
        lambda: Prices("http://x", api_key="a\r\nb"),
        lambda: Prices("http://x").get("BTC/USD,ETH/USD"),
        lambda: Prices("http://x").get_many([]),
        lambda: Prices("http://x").stream(events="books"),  # type: ignore[arg-type]
    ],
    ids=["no URL", "no base", "no age", "a line in the key", "two pairs", "no pair", "unknown events"],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"write|give|leave|must"):
        wrong()
