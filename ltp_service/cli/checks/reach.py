"""The way to a host: proxies, its name, and each of its addresses."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from ltp_service.cli.checks.finding import Finding, broken, ok, warning, wrong
from ltp_service.cli.checks.side_by_side import each
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.domain.errors import Rejected
from ltp_service.feed.dialing import NEXT_ADDRESS_AFTER_SECONDS, Address
from ltp_service.runtime.proxies import described, proxy_for

NAME_SECONDS = 5.0
"""Seconds for the name server: most systems ask a second one after five."""

ADDRESS_SECONDS = 3.0
"""Seconds for an address to take a connection. Around the world and back is 0.4 s."""

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_KINDS = {socket.AF_INET: "A", socket.AF_INET6: "AAAA"}


class Knock(NamedTuple):
    """What one address did."""

    address: str
    seconds: float | None
    """Seconds until it took the connection; None when it did not."""
    problem: str = ""


class Way(NamedTuple):
    """How a URL is reached."""

    addresses: Sequence[Address]
    """The addresses of the host, or of the proxy before it."""
    is_open: bool
    """Whether one of them takes connections."""


CLOSED = Way((), is_open=False)


def proxies(urls: Sequence[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    """One line for each way, direct or through which proxy, and one for each variable that names none."""
    ways: dict[str, list[str]] = {}
    for url in urls:
        ways.setdefault(described(url, environ), []).append(urlsplit(url).hostname or url)
    for way, hosts in ways.items():
        told = ", ".join(dict.fromkeys(hosts))
        if way.startswith("refused: "):
            seen, _, remedy = way.removeprefix("refused: ").partition(": ")
            yield broken("proxies", f"{told}: {seen}", remedy)
        else:
            yield ok("proxies", f"{told}: {way if way == 'direct' else f'through {way}'}")


def reach(
    subject: str, url: str, world: Surroundings, *, essential: bool = True
) -> tuple[list[Finding], Way]:
    """Looks the host of `url` up, or its proxy, and knocks at each address."""
    try:
        proxy = proxy_for(url, world.environ)
    except Rejected:
        return [], CLOSED  # `proxies` tells it
    target = urlsplit(url)
    host, port = (target.hostname or "", _port(target)) if proxy is None else (proxy.host, proxy.port)
    check = f"{subject}: name"
    looked_up = _look_up(host, port, world)
    if isinstance(looked_up, str):
        remedy = "is the name right, and does this machine reach a name server (/etc/resolv.conf)?"
        return [wrong(check, f"{host}: {looked_up}", remedy, essential=essential)], CLOSED
    addresses = list(dict.fromkeys(looked_up))
    knocks = list(knock_all(addresses))
    findings = [
        ok(check, f"{host}: {_by_kind(addresses)}"),
        judge_addresses(f"{subject}: addresses", knocks, essential=essential),
    ]
    return findings, Way(addresses, any(each.seconds is not None for each in knocks))


def _port(target: SplitResult) -> int:
    return target.port or _PORTS[target.scheme]


def _look_up(host: str, port: int, world: Surroundings) -> Sequence[Address] | str:
    """The addresses, or why there are none."""
    try:
        (addresses,) = each([lambda: world.resolve(host, port)], NAME_SECONDS)
    except (OSError, UnicodeError) as error:
        return f"not found ({error.strerror if isinstance(error, OSError) and error.strerror else error})"
    if addresses is None:
        return f"the name server did not answer within {NAME_SECONDS:g} s"
    return addresses or "has no address"


def _by_kind(addresses: Sequence[Address]) -> str:
    kinds: dict[str, list[str]] = {}
    for address in addresses:
        kinds.setdefault(_KINDS.get(socket.AddressFamily(address[0]), "?"), []).append(str(address[4][0]))
    return ", ".join(f"{kind} {' '.join(found)}" for kind, found in kinds.items())


def knock_all(addresses: Sequence[Address]) -> Iterator[Knock]:
    """Connects to all of them at once."""
    looks: list[Callable[[], Knock]] = [lambda address=address: _knock(address) for address in addresses]  # type: ignore[misc]
    for address, knocked in zip(addresses, each(looks, ADDRESS_SECONDS + 1.0), strict=True):
        yield knocked or Knock(str(address[4][0]), None, _silent())


def _silent() -> str:
    return f"does not answer within {ADDRESS_SECONDS:g} s"


def _knock(address: Address) -> Knock:
    family, kind, protocol, _, name = address
    told = str(name[0])
    started = time.monotonic()
    try:
        with socket.socket(family, kind, protocol) as connecting:
            connecting.settimeout(ADDRESS_SECONDS)
            connecting.connect(name)
    except TimeoutError:
        return Knock(told, None, _silent())
    except OSError as error:
        return Knock(told, None, (error.strerror or os.strerror(error.errno or 0)).lower())
    return Knock(told, time.monotonic() - started)


def judge_addresses(check: str, knocks: Sequence[Knock], *, essential: bool) -> Finding:
    """One line for all addresses of a host."""
    good = [
        f"{knock.address} takes {1000 * knock.seconds:.0f} ms"
        for knock in knocks
        if knock.seconds is not None
    ]
    bad = [f"{knock.address} {knock.problem}" for knock in knocks if knock.seconds is None]
    seen = ", ".join([*bad, *good])
    if not good:
        remedy = (
            "is the address right, does something listen there, and does the firewall let this machine out?"
        )
        return wrong(check, seen, remedy, essential=essential)
    if bad:
        remedy = (
            "mend the route to that address or take it out of DNS: the others are used, but each connection may lose"
            f" {NEXT_ADDRESS_AFTER_SECONDS:g} s"
        )
        return warning(check, seen, remedy)
    return ok(check, seen)
