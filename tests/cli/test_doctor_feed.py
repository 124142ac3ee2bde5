"""ltp doctor on the exchanges' feeds: each fault of the way and of the feed is named in its line."""

import re
import socket
import ssl
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from ltp_service.cli.checks import feed, reach, rehearsal
from ltp_service.cli.checks.certificates import judge_life
from ltp_service.cli.checks.finding import ClockReading, Observation, worst
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.settings.config import Config
from tests.cli.doctor_page import lines, names
from tests.cli.hostile import at, hostile, saying_nothing
from tests.drill.certificates import Authority
from tests.drill.proxy import Proxy
from tests.simulator.client import Simulator
from tests.swallowing import swallowing
from tests.websocket_peer import frame, read_request, shake_hands

LOOPBACK = "127.0.0.1"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is not waited for long. Where it comes, a busy machine may be late with it."""
    monkeypatch.setattr(reach, "NAME_SECONDS", 0.5)
    monkeypatch.setattr(reach, "ADDRESS_SECONDS", 1.0)
    monkeypatch.setattr(feed, "OPEN_SECONDS", 2.0)
    monkeypatch.setattr(rehearsal, "FRAMES_SECONDS", 2.0)


def seen(url: str, *, proxies: dict[str, str] | None = None, **more: Any) -> list[Observation]:
    """What is seen of Kraken's feed at that URL."""
    settings = {"kraken_websocket_url": url, "collectors": (), **more.pop("settings", {})}
    world = Surroundings(Config.model_validate(settings), proxies or {}, **more)
    [kraken] = feed.feeds(world.config)
    return list(feed.look(kraken, world))


def of_pairs(exchange: Simulator, *pairs: str, url: str | None = None) -> list[Observation]:
    return seen(url or exchange.v2_url, settings={"supported_pairs": pairs or ("BTC/USD", "ETH/USD")})


def level(observations: list[Observation]) -> str:
    return worst(lines(observations))


# All is well.


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_feed_without_fault_is_ok_from_its_name_to_its_frames(exchange: Simulator, protocol: str) -> None:
    found = seen(getattr(exchange, f"{protocol}_url"))
    told = {each.check: each.seen for each in lines(found)}
    assert level(found) == "ok"
    assert list(told) == [f"kraken: {step}" for step in ("name", "addresses", "handshake", "subscriptions")]
    assert re.fullmatch(
        r"14 accepted within \d+\.\d s, (14|7) of them have .*", told["kraken: subscriptions"]
    )


def test_the_time_in_an_answer_of_the_feed_is_a_reading_of_its_clock(exchange: Simulator) -> None:
    [reading] = [each for each in of_pairs(exchange) if isinstance(each, ClockReading)]
    assert (reading.ahead, reading.precision < 1.0) == (0.0, True)


def test_price_sources_are_looked_at_and_may_lack_a_pair(exchange: Simulator) -> None:
    settings = {
        "kraken_websocket_enabled": False,
        "collectors": (),
        "price_sources": ("kraken", "coinbase", "bitstamp"),
        "coinbase_websocket_url": exchange.coinbase_url,
        "bitstamp_websocket_url": exchange.bitstamp_url,
        "supported_pairs": ("BTC/USD", "BTC/CHF"),
    }
    config = Config.model_validate(settings)
    for each in feed.feeds(config):
        found = list(feed.look(each, Surroundings(config, {})))
        assert level(found) == "ok"
        assert any("CHF" in line.seen.upper() and "refused" in line.seen for line in lines(found))


def test_other_exchanges_are_looked_at_too_and_cost_no_more_than_a_warning(exchange: Simulator) -> None:
    urls = {"bybit_websocket_url": exchange.bybit_url, "binance_websocket_url": "ws://127.0.0.1:9/stream"}
    every = ("bybit_trades", "binance_trades", "bybit_books")
    config = Config.model_validate({"collectors": every, "kraken_websocket_enabled": False, **urls})
    found = {each.subject: list(feed.look(each, Surroundings(config, {}))) for each in feed.feeds(config)}
    assert {name: level(observations) for name, observations in found.items()} == {
        "bybit_trades": "ok",
        "binance_trades": "warning",
        "bybit_books": "ok",
    }


# The name and its addresses.


def _not_found(*_: object) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_is_not_found() -> None:
    names("the exchange's name is not found", seen("wss://ws.example.test/v2", resolve=_not_found))


@pytest.mark.usefixtures("impatient")
def test_a_name_server_that_does_not_answer() -> None:
    answer = Event()

    def hang(*_: object) -> list[Any]:
        answer.wait()
        return []

    names("the name server does not answer", seen("wss://ws.example.test/v2", resolve=hang))
    answer.set()


@pytest.mark.usefixtures("impatient")
def test_an_address_that_swallows_syns_beside_a_good_one(exchange: Simulator) -> None:
    with swallowing() as dead:
        both = at(("::1", dead.getsockname()[1]), (LOOPBACK, exchange.port))
        found = seen(f"ws://ws.example.test:{exchange.port}/v2", resolve=both)
    names("of two addresses one swallows SYNs", found)
    assert lines(found)[0].seen.endswith(": AAAA ::1, A 127.0.0.1")
    assert level(found) == "warning"


@pytest.mark.usefixtures("impatient")
def test_all_addresses_swallow_syns() -> None:
    with swallowing() as dead:
        found = seen("wss://ws.example.test/v2", resolve=at(("::1", dead.getsockname()[1])))
    names("all addresses swallow SYNs", found)


def test_nothing_listens_at_the_address() -> None:
    names("nothing listens at the address", seen("ws://127.0.0.1:9/v2"))


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def shown(authority: Authority, exchange: Simulator) -> Callable[[Any], list[Observation]]:
    """What is seen of the exchange behind TLS with that context."""
    trust = ssl.create_default_context(cafile=str(authority.file))

    def look(context: ssl.SSLContext) -> list[Observation]:
        with Proxy(exchange.port, context) as server:
            resolve = at((LOOPBACK, server.port))
            return seen(f"wss://localhost:{server.port}/v2", resolve=resolve, trust=trust)

    return look


def test_a_good_certificate_is_told_with_its_days(authority: Authority, shown: Any) -> None:
    found = shown(authority.issue())
    assert level(found) == "ok"
    [told] = [each.seen for each in lines(found) if each.check == "kraken: TLS"]
    assert re.fullmatch(r"certificate good for \d{4} days", told)


def test_an_expired_certificate(authority: Authority, shown: Any) -> None:
    names("an expired certificate", shown(authority.issue(expired=True)))


def test_a_certificate_of_another_name(authority: Authority, shown: Any) -> None:
    names("a certificate for another name", shown(authority.issue("elsewhere.example")))


def test_a_certificate_of_an_unknown_authority(authority: Authority, shown: Any) -> None:
    names("a certificate of an unknown authority", shown(authority.self_signed()))


def test_a_certificate_that_ends_soon_is_a_warning() -> None:
    names("a certificate that ends within three days", [judge_life("kraken: TLS", 100_000.0)])


def test_a_port_that_speaks_no_tls() -> None:
    with hostile(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        names("a port that does not speak TLS", seen(f"wss://127.0.0.1:{server.getsockname()[1]}/v2"))


@pytest.mark.usefixtures("impatient")
def test_a_server_that_takes_connections_and_says_nothing() -> None:
    with hostile(saying_nothing) as server:
        found = seen(f"wss://127.0.0.1:{server.getsockname()[1]}/v2")
    names("a server that takes connections and says nothing", found)


# The handshake.


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("the handshake is answered with 429 and Retry-After", {"status": 429, "retry_after": 120}),
        ("the handshake is answered with 403", {"status": 403}),
        ("the handshake is answered with 451", {"status": 451}),
        ("the handshake is answered with 502", {"status": 502}),
        ("each new connection is closed at once", {}),
    ],
)
def test_a_handshake_that_is_refused(exchange: Simulator, fault: str, answer: dict[str, Any]) -> None:
    exchange.fault("refuse", **answer)
    names(fault, of_pairs(exchange))


def test_a_path_without_a_websocket(exchange: Simulator) -> None:
    names("the path of the URL is wrong", seen(f"ws://127.0.0.1:{exchange.port}/v3/v2"))


def test_an_answer_that_is_no_handshake() -> None:
    def page(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    with hostile(page) as server:
        found = seen(f"ws://127.0.0.1:{server.getsockname()[1]}/v2")
    names("a web page answers the handshake", found)


# The proxy.


def test_a_proxy_that_wants_a_password() -> None:
    def refuse(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with hostile(refuse) as server:
        variables = {"https_proxy": f"http://{LOOPBACK}:{server.getsockname()[1]}"}
        found = seen("wss://ws.example.test/v2", proxies=variables, resolve=at(server.getsockname()))
    names("the proxy wants a password", found)


def test_a_proxy_behind_tls(exchange: Simulator) -> None:
    variables = {"http_proxy": f"https://{LOOPBACK}:{exchange.port}"}
    names("the proxy is reached over TLS", seen("ws://ws.example.test/v2", proxies=variables))


def test_a_socks_proxy_is_refused() -> None:
    found = reach.proxies(["wss://ws.example.test/v2"], {"https_proxy": "socks5://user:secret@10.0.0.1:1080"})
    assert "secret" not in str(names("a SOCKS proxy in the environment", list(found)))


def test_ways_without_fault_are_told_without_secrets() -> None:
    variables = {"https_proxy": "http://user:secret@10.0.0.1:3128", "no_proxy": "api.example.test"}
    found = reach.proxies(["wss://ws.example.test/v2", "https://api.example.test/"], variables)
    assert [each.seen for each in found] == [
        "ws.example.test: through http://***@10.0.0.1:3128",
        "api.example.test: direct",
    ]


# The subscriptions.


def test_a_pair_that_the_exchange_refuses(exchange: Simulator) -> None:
    found = of_pairs(exchange, "BTC/USD", "ZZZ/USD")
    assert [each.level for each in lines(found)].count("broken") == 1
    names("the feed refuses a pair", found)


def test_a_pair_that_protocol_v1_refuses(exchange: Simulator) -> None:
    names("the feed refuses a pair", of_pairs(exchange, "BTC/USD", "ZZZ/USD", url=exchange.v1_url))


@pytest.mark.usefixtures("impatient")
def test_a_subscription_that_is_not_answered(exchange: Simulator) -> None:
    exchange.fault("no_ack", pair="ETH/USD")
    names("a subscription is not answered", of_pairs(exchange))


@pytest.mark.usefixtures("impatient")
def test_a_pair_that_is_accepted_and_silent(exchange: Simulator) -> None:
    exchange.fault("deaf_pair", pair="ETH/USD")
    names("a pair is accepted and silent", of_pairs(exchange))


@pytest.mark.usefixtures("impatient")
def test_one_channel_that_is_silent_is_a_warning(exchange: Simulator) -> None:
    exchange.fault("deaf_channel", channel="trade", pair="ETH/USD")
    names("one channel of a pair is accepted and silent", of_pairs(exchange))


def sending(*frames: bytes) -> Callable[[socket.socket], None]:
    """A WebSocket that sends these texts and nothing else."""

    def send(client: socket.socket) -> None:
        shake_hands(client)
        client.sendall(b"".join(map(frame, frames)))
        saying_nothing(client)

    return send


@pytest.mark.usefixtures("impatient")
def test_a_connection_on_which_nothing_comes() -> None:
    with hostile(sending()) as server:
        found = seen(f"ws://127.0.0.1:{server.getsockname()[1]}/v2")
    names("the connection is open, and no frame comes", found)


def test_a_connection_that_is_cut_again_and_again(exchange: Simulator) -> None:
    exchange.fault("no_ack")
    exchange.fault("cut_after", seconds=0.1, exchange="kraken")
    names("the connection is cut again and again", of_pairs(exchange))


def test_an_exchange_that_matches_no_orders(exchange: Simulator) -> None:
    exchange.fault("status", system="maintenance")
    found = of_pairs(exchange)
    exchange.fault("status", on=False)
    names("the exchange is in maintenance", found)


@pytest.mark.usefixtures("impatient")
def test_frames_that_cannot_be_used() -> None:
    with hostile(sending(b'{"channel":"ticker","data":[{"symbol":"BTC/USD","last":"\xff"}]}')) as server:
        names("a frame cannot be used", seen(f"ws://127.0.0.1:{server.getsockname()[1]}/v2"))
