"""One decision about proxies for REST and for every WebSocket, by the variables that curl and requests know."""

import pytest

from ltp_service.domain.errors import Rejected
from ltp_service.runtime.proxies import Proxy, described, proxy_for
from tests.tables import by_result

REST = "https://api.kraken.com/0/public"
SOCKET = "wss://ws.kraken.com/v2"


def shown(url: str, **environ: str) -> str | None:
    proxy = proxy_for(url, environ)
    return str(proxy) if proxy else None


def test_without_variables_every_url_is_reached_directly() -> None:
    assert proxy_for(REST, {}) is None


@pytest.mark.parametrize("url", [REST, SOCKET])
def test_what_is_encrypted_follows_https_proxy(url: str) -> None:
    assert shown(url, https_proxy="http://tls:3128", http_proxy="http://plain:3128") == "http://tls:3128"


@pytest.mark.parametrize("url", ["http://api.kraken.com/", "ws://ws.kraken.com/v2"])
def test_what_is_plain_follows_http_proxy(url: str) -> None:
    assert shown(url, https_proxy="http://secure:3128", http_proxy="http://plain:3128") == "http://plain:3128"


def test_all_proxy_counts_where_nothing_else_does() -> None:
    assert shown(REST, all_proxy="http://all:8080", http_proxy="http://plain:3128") == "http://all:8080"


def test_the_name_in_lower_case_beats_the_one_in_upper_case_even_when_it_is_empty() -> None:
    assert shown(REST, HTTPS_PROXY="http://upper:1", https_proxy="http://lower:2") == "http://lower:2"
    assert shown(REST, HTTPS_PROXY="http://upper:1") == "http://upper:1"
    assert shown(REST, HTTPS_PROXY="http://upper:1", https_proxy="") is None


def test_a_proxy_without_a_scheme_or_a_port_is_a_plain_one_on_port_80() -> None:
    assert shown(REST, https_proxy="proxy.example:3128") == "http://proxy.example:3128"
    assert shown(REST, https_proxy="proxy.example") == "http://proxy.example:80"


def test_credentials_are_read_and_never_shown() -> None:
    proxy = proxy_for(REST, {"https_proxy": "http://me:p%40ss@[::1]:3128/"})
    assert proxy == Proxy("http", "::1", 3128, "me", "p@ss", "me:p%40ss@[::1]:3128")
    assert str(proxy) == "http://***@[::1]:3128"
    assert proxy.url == "http://me:p%40ss@[::1]:3128"


def test_what_no_proxy_lists_is_reached_directly() -> None:
    for no_proxy, url in by_result(
        {
            REST: [
                *"* api.kraken.com API.Kraken.com kraken.com .kraken.com *.kraken.com api.kraken.com:443".split(),
                *("localhost , kraken.com", "localhost kraken.com"),
            ],
            SOCKET: ["ws.kraken.com"],
            "http://127.0.0.1:8001/": ["127.0.0.1", "127.0.0.1:8001"],
            "http://127.3.2.1:8001/": ["127.0.0.0/8"],
            "https://10.1.200.7/": ["10.1.2.3/16"],
            "http://[::1]:8001/": ["::1", "[::1]:8001"],
            "wss://[fd12::7]/v2": ["fd00::/8"],
            "http://[::ffff:10.1.2.3]/": ["10.0.0.0/8"],
        }
    ):
        assert shown(url, all_proxy="http://all:8080", no_proxy=no_proxy) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        *((no_proxy, REST) for no_proxy in ("", "notkraken.com", "raken.com", "api.kraken.com:80", ".")),
        ("api.kraken.com", "https://kraken.com/"),
        ("10.0.0.0/8", "http://11.0.0.1/"),
        *((no_proxy, "http://127.0.0.1/") for no_proxy in ("0.0.1", "fd00::/8")),
        ("10.0.0.0/99", "http://10.0.0.1/"),
    ],
)
def test_what_no_proxy_does_not_list_goes_through_the_proxy(no_proxy: str, url: str) -> None:
    assert shown(url, all_proxy="http://all:8080", no_proxy=no_proxy) == "http://all:8080"


@pytest.mark.parametrize("url", ["socks5://me:secret@proxy:1080", "socks5h://proxy:1080", "SOCKS4://proxy"])
def test_socks_is_refused_with_its_remedy_and_without_its_password(url: str) -> None:
    with pytest.raises(Rejected, match=r"HTTPS_PROXY.*SOCKS is not supported.*no_proxy") as caught:
        proxy_for(REST, {"HTTPS_PROXY": url})
    assert caught.value.reason == "proxy"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["http://", "ftp://proxy:21", "http://[::1", "http://proxy:port"])
def test_what_is_no_proxy_is_refused_and_never_passed_over(value: str) -> None:
    with pytest.raises(Rejected, match="all_proxy is not the URL of an HTTP proxy"):
        proxy_for(REST, {"all_proxy": value})


def test_a_refused_proxy_is_no_matter_where_it_is_not_needed() -> None:
    assert shown(REST, all_proxy="socks5://proxy:1080", no_proxy="kraken.com") is None


def test_how_a_url_is_reached_is_told_without_secrets() -> None:
    assert described(SOCKET, {}) == "direct"
    assert described(SOCKET, {"https_proxy": "http://anna:s3cret@proxy:3128"}) == "http://***@proxy:3128"
    assert described(SOCKET, {"https_proxy": "socks5://anna:s3cret@proxy:1080"}).startswith(
        "refused: https_proxy names a socks5 proxy, and SOCKS is not supported"
    )
    assert "s3cret" not in described(SOCKET, {"https_proxy": "socks5://anna:s3cret@proxy:1080"})
