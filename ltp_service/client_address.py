"""Who asks: the address that the last trusted hop saw.

Whatever a client writes into X-Forwarded-For stands to the left of what our own proxies append. So the
header is counted from the right, and no other header (X-Real-IP, Forwarded) is looked at.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

UNNAMED = "unix"
"""Stands for a peer without an address: a unix socket. Without a trusted proxy all of them are one client."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PORT = "(?::[0-9]{1,5})?"
_IPV4 = re.compile(rf"({_OCTET}(?:\.{_OCTET}){{3}}){_PORT}")
_BRACKETED = re.compile(rf"\[([^]]*)\]{_PORT}")
_LONGEST = 64
_REMEMBERED = 4096


def client_address(peer: str, forwarded_for: str | None, trusted_hops: int) -> str:
    """The client's address without a port: plain IPv4, or IPv6 in its shortest form.

    `peer` is REMOTE_ADDR, `forwarded_for` all lines of X-Forwarded-For joined by commas. Where the header has fewer
    values than there are trusted hops, or no address in that place, the answer is the peer's own address.
    """
    if trusted_hops and forwarded_for:
        values = forwarded_for.rsplit(",", trusted_hops)
        if len(values) >= trusted_hops and (address := _read(values[-trusted_hops])):
            return address
    return _read(peer) or UNNAMED


def limit_key(address: str) -> str:
    """What the limits count by: an IPv4 address, or the /64 of an IPv6 address, for one client owns all of it."""
    return _network(address) if ":" in address else address


def is_direct_loopback(peer: str, *proxy_headers: str | None) -> bool:
    """Whether somebody on this machine asks without a proxy between.

    `proxy_headers`: X-Forwarded-For and whatever else a proxy may add, None where it did not come. A unix
    socket does not count: its usual peer is a proxy, which speaks for strangers.
    """
    if any(header is not None for header in proxy_headers):
        return False
    address = _read(peer) or UNNAMED
    return address == "::1" or address.startswith("127.")


def _read(text: str) -> str | None:
    # The bound keeps a client from filling the cache with long texts.
    return _parse(text.strip(" \t")) if len(text) <= _LONGEST else None


@lru_cache(_REMEMBERED)
def _parse(text: str) -> str | None:
    if plain := _IPV4.fullmatch(text):
        return plain[1]
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
    try:
        address = IPv6Address(text.partition("%")[0])  # the zone is this machine's affair
    except ValueError:
        return None
    return str(address.ipv4_mapped or address)


@lru_cache(_REMEMBERED)
def _network(address: str) -> str:
    return str(IPv6Network((address, 64), strict=False))
