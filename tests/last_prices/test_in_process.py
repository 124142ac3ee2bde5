"""LastPrices over real sockets, against the simulated exchange."""

import logging
import os
import pickle
import re
import threading
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from ltp_service.domain.errors import InvalidParameter, PriceStale, PriceUnavailable, UnknownPair
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.contract import Equipment
from ltp_service.feed.dialing import Dialer
from ltp_service.last_prices import LastPrices, SomeUnavailable
from ltp_service.runtime.runners import CollectorManager
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import BTC, RecordingMeters, eventually, in_threads, kraken_collector, memory_store
from tests.patched import run_patched
from tests.simulator.client import Simulator
from tests.websocket_peer import frame


def settings(exchange: Simulator, url: str, **more: object) -> Config:
    return Config(
        **{  # type: ignore[arg-type]
            "kraken_websocket_url": url,
            "kraken_rest_url": exchange.rest_url,
            "kraken_reconnect_delay": 0.01,
            **more,
        }
    )


@pytest.fixture(params=["v1", "v2"])
def config(request: pytest.FixtureRequest, exchange: Simulator) -> Config:
    return settings(exchange, exchange.v1_url if request.param == "v1" else exchange.v2_url)


def test_the_first_question_waits_for_the_last_trade(exchange: Simulator, config: Config) -> None:
    exchange.trade("BTC/USD", "115643.00000")
    with LastPrices(["BTC/USD", "ETH/USD"], config=config) as prices:
        assert prices.get_current_price("BTC/USD") == Decimal(115643)


def test_a_trade_is_seen_without_asking_again(exchange: Simulator, config: Config) -> None:
    exchange.trade("BTC/USD", "123456.0")  # a trade far from the last one would be held back for two seconds
    with LastPrices(["BTC/USD"], config=config) as prices:
        for _ in range(2):  # the second one remembers what it gave
            prices.get_current_price("BTC/USD")
        exchange.trade("BTC/USD", "123456.7")
        eventually(lambda: prices.get("BTC/USD").price == "123456.7")
        assert prices.get_current_price("BTC/USD") == Decimal("123456.7")
        assert prices.get_current_price("XXBTZUSD") == Decimal("123456.7")


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_every_digit_survives_the_whole_way(protocol: str) -> None:
    wire = {"AAA/USD": "0.00000012", "BBB/USD": "123456789.123456789", "CCC/USD": "115643.00000"}
    names = [argument for pair in wire for argument in ("--pair", pair)]
    with Simulator.start(*names) as exchange:
        for pair, price in wire.items():
            exchange.trade(pair, price)
        url = exchange.v1_url if protocol == "v1" else exchange.v2_url
        with LastPrices(list(wire), config=settings(exchange, url)) as prices:
            for pair, price in wire.items():
                assert prices.get_current_price(pair) == Decimal(price)


def test_a_pair_that_was_not_given_is_unknown_and_nonsense_is_invalid(exchange: Simulator) -> None:
    with LastPrices(["BTC/USD"], config=settings(exchange, exchange.v2_url)) as prices:
        with pytest.raises(UnknownPair):
            prices.get_current_price("ETH/USD")
        with pytest.raises(InvalidParameter):
            prices.get_current_price("nonsense!")


def test_without_pairs_any_listed_one_is_served_from_the_first_question_on(
    exchange: Simulator, config: Config
) -> None:
    with LastPrices(config=config) as prices:
        for pair in ("XRP/USD", "KSM/BTC"):
            exchange.trade(pair, "0.0123")
            assert prices.get_current_price(pair) == Decimal("0.0123")
            exchange.trade(pair, "0.0124")
            eventually(lambda pair=pair: prices.get(pair).price == "0.0124")  # type: ignore[misc]
        assert prices.get("KSM/BTC").source == "kraken:websocket"


def test_a_pair_that_the_feed_refuses_and_its_list_lacks_is_unknown_at_once(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltp_service.prices.quotes.FIRST_PRICE_WAIT_SECONDS", 10 * DEADLINE)
    exchange.fault("rest_status", status=503)
    with LastPrices(config=settings(exchange, exchange.v2_url)) as prices:
        for pair in ("NOSUCH/USD", "BTC/NOSUCH"):
            with pytest.raises(UnknownPair, match=f"{pair}: Kraken lists no such pair"):
                prices.get(pair)


@pytest.mark.parametrize("pairs", [None, ["BTC/USD", "NOSUCH/USD"]], ids=["any", "given"])
def test_a_pair_that_the_exchange_does_not_list_is_unknown(
    exchange: Simulator, pairs: list[str] | None
) -> None:
    with LastPrices(pairs, config=settings(exchange, exchange.v2_url)) as prices:
        with pytest.raises(UnknownPair, match="NOSUCH/USD: Kraken lists no such pair"):
            prices.get_current_price("NOSUCH/USD")
        with pytest.raises(SomeUnavailable, match="NOSUCH/USD: Kraken lists no such pair") as refused:
            prices.get_many(["BTC/USD", "NOSUCH/USD"])
        assert list(refused.value.prices) == ["BTC/USD"]
        assert type(refused.value.errors["NOSUCH/USD"]) is UnknownPair


def test_a_price_tells_its_text_state_age_time_and_source(exchange: Simulator) -> None:
    exchange.trade("BTC/USD", "115643.0")
    with LastPrices("btc-usd,ETH/USD", config=settings(exchange, exchange.v2_url)) as prices:
        prices.get("BTC/USD")
        traded = exchange.trade("BTC/USD", "115643.10000")
        eventually(lambda: prices.get("BTC/USD").price == "115643.10000")
        price = prices.get("XXBTZUSD")

        assert (price.pair, price.amount, price.state) == ("BTC/USD", Decimal("115643.1"), "live")
        assert price.source == "kraken:websocket"
        assert 0 <= price.age < DEADLINE
        assert price.traded_at is not None
        assert price.traded_at.timestamp() == pytest.approx(traded["time"], abs=0.001)
        assert price.trade_id == traded["trade_id"]


def test_many_prices_come_by_their_canonical_names(exchange: Simulator, config: Config) -> None:
    with LastPrices(["BTC/USD", "ETH/USD"], config=config) as prices:
        assert list(prices.get_many()) == ["BTC/USD", "ETH/USD"]
        assert list(prices.get_many("ETHUSD")) == ["ETH/USD"]
    with LastPrices(config=config) as prices, pytest.raises(InvalidParameter, match="name the pairs"):
        prices.get_many()


def test_a_pickled_copy_begins_anew(exchange: Simulator, config: Config) -> None:
    exchange.trade("BTC/USD", "100000.7")
    with (
        LastPrices(["BTC/USD"], config=config) as prices,
        pickle.loads(pickle.dumps(prices)) as copy,  # noqa: S301 - our own
    ):
        assert copy.get_current_price("BTC/USD") == Decimal("100000.7")
    late = pickle.loads(pickle.dumps(prices))  # noqa: S301
    with pytest.raises(PriceUnavailable, match="this LastPrices was closed"):
        late.get("BTC/USD")


def test_without_the_websocket_prices_come_from_rest(exchange: Simulator) -> None:
    exchange.trade("ETH/USD", "4000.5")
    config = settings(exchange, exchange.v2_url)
    with LastPrices(use_websocket=False, config=config) as prices:
        price = prices.get("ETH/USD")
    assert (price.price, price.state, price.source) == ("4000.5", "fallback", "kraken:rest")


def test_settings_come_by_keyword(exchange: Simulator) -> None:
    with LastPrices(
        kraken_websocket_url=exchange.v2_url, kraken_rest_url=exchange.rest_url, cache_ttl="10s"
    ) as prices:
        assert prices.get_current_price("BTC/USD") > 0


def test_settings_beside_a_config_are_refused() -> None:
    with pytest.raises(TypeError, match="either config or cache_ttl"):
        LastPrices(config=Config(), cache_ttl=5)


def test_nothing_is_connected_before_the_first_question(exchange: Simulator) -> None:
    before = exchange.counters()["connections_total"]
    prices = LastPrices(["BTC/USD"], config=settings(exchange, exchange.v2_url))
    prices.close()

    assert exchange.counters()["connections_total"] == before


def test_after_the_end_every_question_is_refused_and_the_link_is_gone(exchange: Simulator) -> None:
    prices = LastPrices(["BTC/USD"], config=settings(exchange, exchange.v2_url))
    prices.get_current_price("BTC/USD")
    prices.close()
    prices.close()

    with pytest.raises(PriceUnavailable):
        prices.get_current_price("BTC/USD")
    exchange.wait(open=0)


def test_a_pair_that_the_exchange_does_not_list_any_more_raises_and_says_so(exchange: Simulator) -> None:
    with LastPrices(["BTC/USD", "ETH/USD"], config=settings(exchange, exchange.v2_url)) as prices:
        prices.get_current_price("BTC/USD")
        exchange.fault("pair_status", pair="BTC/USD", status="delisted")

        def refused() -> str:
            try:
                prices.get_current_price("BTC/USD")
            except PriceStale as error:
                return str(error)
            return ""

        eventually(lambda: refused() == "BTC/USD: the exchange does not list it any more")
        assert prices.get_current_price("ETH/USD") > 0


def test_a_dead_exchange_raises_and_says_why_without_a_hint_for_the_service(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    nowhere = "127.0.0.1:9"
    config = Config(
        kraken_websocket_url=f"ws://{nowhere}/v2",
        kraken_rest_url=f"http://{nowhere}/0/public",
        kraken_max_retries=0,
    )
    with (
        LastPrices(["BTC/USD"], config=config) as prices,
        pytest.raises(
            PriceUnavailable, match=r"no source has given a price yet.*WebSocket: .*REST: .*refused"
        ),
    ):
        prices.get_current_price("BTC/USD")
    assert "cannot be reached" in caplog.text
    assert "make demo" not in caplog.text


def test_a_stale_price_is_refused_with_its_age_and_the_cause(exchange: Simulator) -> None:
    config = settings(
        exchange, exchange.v2_url, cache_ttl=2.0, kraken_max_retries=0, kraken_request_timeout=0.2
    )
    with LastPrices(["BTC/USD"], config=config) as prices:
        prices.get_current_price("BTC/USD")
        exchange.fault("freeze")
        exchange.fault("rest_status", status=503)

        def refusal() -> str:
            try:
                prices.get_current_price("BTC/USD")
            except PriceStale as error:
                return str(error)
            return ""

        eventually(lambda: "s old, more than 2 s" in refusal())
        assert re.search(r"WebSocket: connected, active, last heard [2-9].* s ago; REST: ", refusal())
        assert re.fullmatch(
            r"<LastPrices of BTC/USD; WebSocket: connected, last heard [2-9].* s ago>", repr(prices)
        )
    assert repr(prices) == "<LastPrices of BTC/USD; closed>"


def test_the_log_of_the_program_has_the_same_complaint_once(
    exchange: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    def complain() -> int:
        caplog.clear()
        for _ in range(3):
            log = logging.getLogger("ltp_service.feed.loop")
            log.warning("away", extra={"once_a_minute": ("redis", "away")})
        return caplog.text.count("away")

    with LastPrices("BTC/USD", config=settings(exchange, exchange.v2_url)) as prices:
        prices.get("BTC/USD")
        assert complain() == 1
    assert complain() == 3


def test_a_pair_that_was_given_twice_is_one(exchange: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    twice = ["BTC/USD", "XBTUSD"]
    with LastPrices(twice, config=settings(exchange, "ws://127.0.0.1:9/v2")) as prices:
        prices.get_current_price("BTC/USD")
        eventually(lambda: "falling back to REST" in caplog.text)


def test_many_threads_may_ask_at_once(exchange: Simulator, config: Config) -> None:
    exchange.trade("BTC/USD", "100000.1")
    answers: list[Decimal] = []
    with (
        LastPrices(["BTC/USD"], config=config) as prices,
        in_threads(50, lambda: answers.append(prices.get_current_price("BTC/USD"))),
    ):
        pass
    assert answers == [Decimal("100000.1")] * 50


def test_it_works_in_a_patched_process_too(exchange: Simulator) -> None:
    exchange.trade("BTC/USD", "98765.4")
    printed = run_patched(
        """
        import sys
        import gevent
        from ltp_service.settings.config import Config
        from ltp_service.last_prices import LastPrices
        config = Config(kraken_websocket_url=sys.argv[1], kraken_rest_url=sys.argv[2])
        with LastPrices(["BTC/USD"], config=config) as prices:
            asked = [gevent.spawn(prices.get_current_price, "XXBTZUSD") for _ in range(10)]
            gevent.joinall(asked, timeout=10, raise_error=True)
            print({str(greenlet.value) for greenlet in asked})
        """,
        exchange.v2_url,
        exchange.rest_url,
    )

    assert Decimal(printed.strip("{}'")) == Decimal("98765.4")


def open_files() -> int:
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


class Feed:
    """One pair's feed over a real socket, as the manager runs it."""

    def __init__(self, url: str) -> None:
        self.meters = RecordingMeters()
        world = Runtime(meters=self.meters, sleep=lambda _: None)
        self.store = memory_store(world.clock)
        equipment = Equipment(
            partial(WebSocketConnection, Dialer(url, timeout=5.0), poll_interval=0.02),
            Backoff(0.01, 5, world),
            world,
            10.0,
        )
        self.collector = kraken_collector(url, (BTC,), self.store, equipment)
        self._manager = CollectorManager((self.collector,))

    def __enter__(self) -> Self:
        self._manager.start()
        self.wait_active(1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._manager.stop(5.0)

    def wait_active(self, generation: int) -> None:
        """Until that many connections were made and the last one delivers."""

        def active() -> bool:
            link = self.collector.link()
            return link.generation >= generation and link.state == "active"

        eventually(active)

    def wait_price(self, price: str) -> None:
        eventually(lambda: self.store.all()[BTC].tick.amount == Decimal(price))


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_link_cut_twenty_times_comes_back_without_a_trace(exchange: Simulator, protocol: str) -> None:
    with Feed(exchange.v1_url if protocol == "v1" else exchange.v2_url) as feed:
        threads, files = threading.active_count(), open_files()
        for turn in range(20):
            exchange.cut("abrupt" if turn % 2 else "clean")
            feed.wait_active(turn + 2)
            exchange.trade("BTC/USD", f"{100_000 + turn}.5")
            feed.wait_price(f"{100_000 + turn}.5")
        eventually(lambda: (threading.active_count(), open_files()) == (threads, files))

        assert feed.collector.link().generation == 21
        assert feed.meters.refused == {}


def test_hostile_bytes_on_a_real_socket_are_counted_and_the_feed_goes_on(exchange: Simulator) -> None:
    with Feed(exchange.v2_url) as feed:
        exchange.trade("BTC/USD", "100000.1")
        feed.wait_price("100000.1")
        exchange.send_text("{")
        exchange.send_text("[", repeat=20_000)
        exchange.send_binary(b"\x00\xff")
        exchange.send_bytes(frame(b"\xff\xfe"))
        exchange.send_text('{"channel":"ticker","data":[{"symbol":"BTC/USD","last":1e99999999}]}')
        exchange.trade("BTC/USD", "100000.2")
        feed.wait_price("100000.2")
        expected = {"malformed": 2, "binary": 1, "encoding": 1, "out_of_range": 1}
        assert feed.meters.refused == expected
        assert feed.collector.link().generation == 1

        exchange.send_bytes(frame(b"", length=64 * 1024 * 1024))
        feed.wait_active(2)
        exchange.trade("BTC/USD", "100000.3")
        feed.wait_price("100000.3")
        assert feed.meters.failures == ["too_large"]
        assert feed.meters.refused == expected
