"""Which HTTP proxy stands between this machine and a URL, by the usual environment variables; pure.

`https_proxy` counts for https and wss, `http_proxy` for http and ws, `all_proxy` where the other one is not set. A
name in lower case beats the same one in upper case. `no_proxy` lists what is reached directly: host names (with their
subdomains), addresses and networks in CIDR form, each with a port or without; `*` means all.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ltp_service.domain.errors import Rejected

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

_VARIABLES = {"http": "http_proxy", "ws": "http_proxy", "https": "https_proxy", "wss": "https_proxy"}


class Proxy(NamedTuple):
    """One HTTP proxy. Its text shows no password."""

    scheme: str
    """`http`, or `https` where the proxy itself is reached over TLS."""
    host: str
    """Without brackets."""
    port: int
    username: str = ""
    password: str = ""
    authority: str = ""
    """User, password, host and port, as the variable has them."""

    @property
    def url(self) -> str:
        """With the credentials, for a library that wants a URL."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{'***@' if '@' in self.authority else ''}{host}:{self.port}"


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for `url`, or None where it is reached directly.

    Raises Rejected with the reason `proxy` where a variable does not name an HTTP proxy, but SOCKS for example.
    """
    target = urlsplit(url)
    name, value = _named(_VARIABLES.get(target.scheme, "all_proxy"), environ)
    if not value or _is_exempt(target, _lookup("no_proxy", environ)[1]):
        return None
    return _read(name, value)


def described(url: str, environ: Mapping[str, str]) -> str:
    """How `url` is reached, in one line without secrets: `direct`, the proxy, or why the proxy is refused."""
    try:
        proxy = proxy_for(url, environ)
    except Rejected as error:
        return f"refused: {error}"
    return "direct" if proxy is None else str(proxy)


def _named(variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    name, value = _lookup(variable, environ)
    return (name, value) if value else _lookup("all_proxy", environ)


def _lookup(variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    # An empty variable in lower case cancels the one in upper case.
    name = variable if variable in environ else variable.upper()
    return name, environ.get(name, "").strip()


def _read(name: str, value: str) -> Proxy:
    full = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(full)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme.startswith("socks"):
        raise _refused(name, f"names a {scheme} proxy, and SOCKS is not supported")
    if scheme not in ("http", "https") or not host:
        raise _refused(name, "is not the URL of an HTTP proxy")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(scheme, host, port or _PORTS[scheme], username, password, parts.netloc)


def _refused(name: str, why: str) -> Rejected:
    return Rejected(
        f"{name} {why}: give one like http://proxy.example:3128, or list the host in no_proxy", reason="proxy"
    )


# no_proxy.


def _is_exempt(target: SplitResult, no_proxy: str) -> bool:
    host = (target.hostname or "").rstrip(".")
    port = target.port or _PORTS.get(target.scheme)
    return any(_matches(entry, host, port) for entry in no_proxy.replace(",", " ").lower().split())


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, entry_port = _split_port(entry)
    if entry_port is not None and entry_port != port:
        return False
    address = _address(host)
    if address is not None:
        return _covers(name, address)
    suffix = name.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    else:
        return entry, None
    return name, int(port) if port.isdecimal() else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _covers(entry: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False
