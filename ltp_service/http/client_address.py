"""The client's address, as the outermost trusted proxy saw it.

Trusted proxies append to X-Forwarded-For, to the right of anything that a client wrote. So its values are counted
from the right, and other headers (X-Real-IP, Forwarded) are not read.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

UNNAMED = "unix"
"""The address of a peer at a unix socket. Without a trusted proxy all such peers count as one client."""

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PORT = "(?::[0-9]{1,5})?"
_IPV4 = re.compile(rf"({_OCTET}(?:\.{_OCTET}){{3}}){_PORT}")
_BRACKETED = re.compile(rf"\[([^]]*)\]{_PORT}")
_LOOPBACK_HOST = re.compile(rf"(?i:localhost|127(?:\.{_OCTET}){{3}}|\[::1\]){_PORT}")
_NOT_DIRECT = tuple(
    "origin forwarded via x-forwarded x-real-ip x-original- x-proxy client-ip x-client-ip x-cluster-client-ip"
    " true-client-ip cf- fastly- fly- x-envoy- x-amzn- x-cloud-trace-".split()
)
"""Beginnings of the names of headers that only web pages and proxies send."""
_LONGEST_TEXT = 64
_REMEMBERED_ADDRESSES = 4096


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
    """What the limits count by: an IPv4 address, or the /64 of an IPv6 address, which one client owns."""
    return _network(address) if ":" in address else address


def is_direct_loopback(peer: str, host: str | None, header_names: Iterable[str]) -> bool:
    """Whether the request seems to come from a program on this machine, without a proxy or a web page in between.

    `host` is the Host header, `header_names` the names of all headers. A page whose name was made to point here (DNS
    rebinding) has that name as Host. A unix socket does not count, because its usual peer is a proxy. Nor does another
    loopback address than 127.0.0.1, because sidecars of a mesh use one (Istio: 127.0.0.6). A proxy that adds no header
    and passes on localhost as Host is not noticed, so that this check alone must not protect anything important.
    """
    if _read(peer) not in ("127.0.0.1", "::1") or not is_loopback_host(host or ""):
        return False
    return not any(name.lower().startswith(_NOT_DIRECT) for name in header_names)


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine: localhost, 127.0.0.0/8 or [::1], with any port or none."""
    return bool(len(host) <= _LONGEST_TEXT and _LOOPBACK_HOST.fullmatch(host))


def _read(text: str) -> str | None:
    # The limit keeps a client from filling the cache with long texts.
    return _parse(text.strip(" \t")) if len(text) <= _LONGEST_TEXT else None


@lru_cache(_REMEMBERED_ADDRESSES)
def _parse(text: str) -> str | None:
    if plain := _IPV4.fullmatch(text):
        return plain[1]
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
    try:
        address = IPv6Address(text.partition("%")[0])  # the zone means something on this machine only
    except ValueError:
        return None
    return str(address.ipv4_mapped or address)


@lru_cache(_REMEMBERED_ADDRESSES)
def _network(address: str) -> str:
    return str(IPv6Network((address, 64), strict=False))
