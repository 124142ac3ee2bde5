import pytest

from ltp_service.http.client_address import UNNAMED, client_address, is_direct_loopback, limit_key

CLIENT = "203.0.113.9"
"""Whose address the proxy sees, whatever he writes."""

PROXY = "127.0.0.1"

Lines = list[tuple[str, str]]

SPOOFS: dict[str, Lines] = {
    name: [("X-Forwarded-For", line) for line in lines]
    for name, lines in {
        "none": [],
        "one": ["198.51.100.1"],
        "loopback": ["127.0.0.1"],
        "the proxy": [PROXY],
        "broadcast": ["255.255.255.255"],
        "private": ["10.0.0.1"],
        "list": ["198.51.100.1, 198.51.100.2"],
        "list without blanks": ["198.51.100.1,198.51.100.2"],
        "long list": [", ".join(f"198.51.100.{number}" for number in range(200))],
        "two headers": ["198.51.100.1", "198.51.100.2"],
        "two headers of lists": ["198.51.100.1, 198.51.100.2", "198.51.100.3, 198.51.100.4"],
        "port": ["198.51.100.1:4444"],
        "port of nothing": [":80"],
        "IPv6": ["2001:db8::1"],
        "IPv6 loopback": ["::1"],
        "IPv6 in brackets": ["[2001:db8::1]"],
        "IPv6 with port": ["[2001:db8::1]:80"],
        "IPv6 with zone": ["fe80::1%eth0"],
        "open bracket": ["[2001:db8::1"],
        "IPv4-mapped": ["::ffff:198.51.100.1"],
        "IPv4-mapped loopback": ["::ffff:127.0.0.1"],
        "leading zeros": ["0127.0.0.1"],
        "hexadecimal": ["0x7f.1"],
        "one number": ["2130706433"],
        "three numbers": ["127.0.1"],
        "too large": ["256.256.256.256"],
        "full-width digits": ["\uff11\uff12\uff17.0.0.1"],
        "garbage": ["garbage"],
        "unknown": ["unknown"],
        "quoted": ['"198.51.100.1"'],
        "open quote": ['"198.51.100.1'],
        "empty": [""],
        "commas": [",,,,"],
        "trailing comma": ["198.51.100.1,"],
        "NUL": ["198.51.100.1\0"],
        "tab": ["\t198.51.100.1\t"],
        "megabyte": ["1" * 1_000_000],
    }.items()
} | {
    "X-Real-IP": [("X-Real-IP", "198.51.100.1")],
    "Forwarded": [("Forwarded", "for=198.51.100.1;proto=https")],
    "X_Forwarded_For": [("X_Forwarded_For", "198.51.100.1")],
}


def forwarded_for(lines: Lines) -> str | None:
    """X-Forwarded-For as WSGI gives it: its lines joined."""
    values = [value for name, value in lines if name == "X-Forwarded-For"]
    return ",".join(values) if values else None


def through(lines: Lines, *seen: str) -> str | None:
    """X-Forwarded-For after proxies that append the address which they saw."""
    return ", ".join(value for value in (forwarded_for(lines), *seen) if value is not None)


def test_no_spoof_changes_the_address_behind_proxies_nor_without_one() -> None:
    for lines in SPOOFS.values():
        for peer in (PROXY, ""):  # the latter on a unix socket
            assert client_address(peer, through(lines, CLIENT), 1) == CLIENT
        assert client_address(PROXY, through(lines, CLIENT, "192.0.2.7"), 2) == CLIENT
        assert client_address(CLIENT, forwarded_for(lines), 0) == CLIENT


@pytest.mark.parametrize(
    ("seen", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:4444", "1.2.3.4"),
        (" 1.2.3.4\t", "1.2.3.4"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[::1]:80", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:102:304]:80", "1.2.3.4"),
        ("fe80::1%" + "e" * 56, "fe80::1"),
    ],
)
def test_one_address_has_one_spelling(seen: str, address: str) -> None:
    assert client_address(PROXY, seen, 1) == address
    assert client_address(seen, None, 0) == address


def test_what_is_no_address_leaves_the_peer() -> None:
    for seen in [
        *("", ",", "unknown", "_hidden", "01.2.3.4", "1.2.3", "1.2.3.256", "1.2.3.4:", "1.2.3.4:123456"),
        *("1.2.3.4.5", "[1.2.3.4]", "[::1", "::1]", "[::1]80", "2001:db8::1::2", "1.2.3.4\n", "1.2.3.4 5"),
        *("\u0661.2.3.4", " " * 100 + "1.2.3.4", "fe80::1%" + "e" * 57),
    ]:
        assert client_address("192.0.2.1", f"198.51.100.1,{seen}", 1) == "192.0.2.1"


def test_a_request_that_came_past_the_outer_proxy_counts_for_the_inner_one() -> None:
    assert client_address("192.0.2.1", "198.51.100.1", 2) == "192.0.2.1"


@pytest.mark.parametrize("peer", ["", "@", "/run/nginx.sock"])
def test_a_unix_socket_without_a_trusted_proxy_is_one_client(peer: str) -> None:
    assert client_address(peer, "198.51.100.1", 0) == UNNAMED
    assert limit_key(UNNAMED) == UNNAMED


def test_the_limits_count_an_ipv4_address_alone() -> None:
    assert limit_key("203.0.113.9") == "203.0.113.9"


def test_the_limits_count_an_ipv6_customer_once() -> None:
    assert (
        limit_key("2001:db8:1:2::1") == limit_key("2001:db8:1:2:ffff:ffff:ffff:ffff") == "2001:db8:1:2::/64"
    )
    assert limit_key("2001:db8:1:3::1") != limit_key("2001:db8:1:2::1")


OURS = ("Host", "User-Agent", "Accept", "X-Request-ID", "traceparent", "X-Bootstrap-Token")


def test_a_program_on_this_machine_is_direct() -> None:
    for host in [
        "localhost",
        "LocalHost:8080",
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.8.9.10:1",
        "[::1]",
        "[::1]:8080",
    ]:
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"]:
            assert is_direct_loopback(peer, host, OURS)


def test_nobody_else_is_direct() -> None:
    for peer in [
        "",
        *"203.0.113.9 127.0.0.6 127.8.9.10 128.0.0.1 :: ::2 127.0.0.1.example 1.127.0.0".split(),
    ]:
        assert not is_direct_loopback(peer, "localhost", OURS)


def test_a_name_that_was_made_to_point_here_is_not_direct() -> None:
    for host in [
        *(None, "", "localhost\n", " localhost"),
        *"evil.example localhost.evil.example evil.example:8080 localhost@evil.example".split(),
        *"127.0.0.1.evil.example 127.1 2130706433 0x7f.0.0.1 127.0.0.256 128.0.0.1 0.0.0.1".split(),
        *"::1 [::1 [::2] [::1].evil.example localhost: localhost:x localhost,localhost".split(),
        *"localhost:8080:8080 l\u014fcalhost 127.0.0.\u0661".split(),
    ]:
        assert not is_direct_loopback("127.0.0.1", host, OURS)


def test_whoever_came_through_a_proxy_or_a_page_is_not_direct() -> None:
    for header in (
        "X-Forwarded-For x-forwarded-host X-Forwarded-Proto X-Real-IP Forwarded Via Origin"
        " X-Envoy-External-Address CF-Connecting-IP True-Client-IP X-Original-Forwarded-For"
    ).split():
        assert not is_direct_loopback("127.0.0.1", "localhost", (*OURS, header))
