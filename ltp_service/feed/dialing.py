"""Opens the way to an exchange: addresses, TCP, proxy, TLS and WebSocket handshake, all before one deadline.

Nothing here waits longer than LOOK_EVERY_SECONDS without a look at the deadline and at the order to stop. The sockets do not
block, so it is the same in a greenlet and in a thread.

Source: RFC 8305 (of several addresses the first one that answers is taken)
"""

import os
import selectors
import socket
import ssl
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import cache
from itertools import chain, zip_longest
from threading import Event, Thread
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from ltp_service.domain.errors import Rejected, Unreachable
from ltp_service.feed import handshake
from ltp_service.runtime.http_dates import read_moment, read_retry_after
from ltp_service.runtime.proxies import Proxy, proxy_for

LOOK_EVERY_SECONDS = 0.05
"""Seconds between looks at the deadline and at the order to stop."""

NEXT_ADDRESS_AFTER_SECONDS = 0.25
"""Seconds that an address has before the next one is tried beside it."""

STAY_AWAY_SECONDS = 60.0
"""Seconds to stay away from an exchange's edge that refuses us, at least: less would not end it."""

Address = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""As `getaddrinfo` tells it: family, type, protocol, name, socket address."""

T = TypeVar("T")

Resolve = Callable[[str, int], Sequence[Address]]

Step = Literal["proxy", "name", "connection", "tls", "handshake"]
"""`proxy` is the choice of the proxy and its tunnel."""

_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)]


def resolve(host: str, port: int) -> Sequence[Address]:
    """All addresses of a host, the system's favourite first. Raises OSError or UnicodeError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Dialer:
    """Opens one WebSocket after the other to the same URL."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        trust: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`environ` names the proxies."""
        self.url = url
        self._environ = environ
        self._parts = urlsplit(url)
        self._host = self._parts.hostname or ""
        self._port = self._parts.port or (443 if self._parts.scheme == "wss" else 80)
        self._timeout = timeout
        self._trust = trust
        self._resolve = resolve
        self._lookup: Future[Sequence[Address]] | None = None
        """The one under way, which an earlier attempt may have begun: a name server that hangs costs one thread."""
        self._broken: set[object] = set()
        """Addresses that took a connection and opened no WebSocket on it. They are tried last."""
        self.step: Step = "proxy"
        """Where the newest attempt is, or was when it ended."""

    def dial(self, stop: Event) -> tuple[socket.socket, bytes]:
        """A socket on which the WebSocket is open, and what came after the handshake already.

        Raises Unreachable, also within LOOK_EVERY_SECONDS of `stop` being set, and Rejected.
        """
        attempt = _Attempt(self.url, self._timeout, stop)
        proxy = self._proxy()
        try:
            if proxy is None:
                opened = self._connect(self._host, self._port, attempt)
            else:
                opened = self._connect(proxy.host, proxy.port, attempt)
                self._tunnel(opened, proxy, attempt)
            opened = self._secure(opened, attempt)
            return opened, self._shake_hands(opened, attempt)
        except BaseException as error:
            attempt.give_up()
            if attempt.address and not stop.is_set():
                self._broken.add(attempt.address)
            if isinstance(error, OSError | ValueError):
                raise translate(error, f"{self.url}: {attempt.step}") from error
            raise

    # The steps.

    def _proxy(self) -> Proxy | None:
        self.step = "proxy"
        proxy = proxy_for(self.url, self._environ)
        if proxy is not None and proxy.scheme != "http":
            raise Rejected(
                f"{self.url}: the proxy {proxy} is reached over TLS, which is not supported for a WebSocket:"
                f" give one like http://{proxy.host}:3128, or list {self._host} in no_proxy",
                reason="proxy",
            )
        return proxy

    def _connect(self, host: str, port: int, attempt: "_Attempt") -> socket.socket:
        self.step, attempt.step = "name", f"looking up {host}"
        addresses = self._sorted(self._look_up(host, port, attempt))
        told = ", ".join(str(each[4][0]) for each in addresses)
        self.step, attempt.step = "connection", f"connecting to {host} ({told})"
        opened, attempt.address = _Race(addresses, attempt).run()
        return attempt.holds(opened)

    def _look_up(self, host: str, port: int, attempt: "_Attempt") -> Sequence[Address]:
        lookup = self._lookup = self._lookup or _begin(lambda: self._resolve(host, port))
        while not lookup.done():
            attempt.check()
            wait([lookup], LOOK_EVERY_SECONDS)
        self._lookup = None
        try:
            return lookup.result()
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{self.url}: {attempt.step}: {error}", reason="name_resolution") from error

    def _sorted(self, addresses: Sequence[Address]) -> list[Address]:
        self._broken.intersection_update(address[4] for address in addresses)
        return sorted(in_turn(addresses), key=lambda address: address[4] in self._broken)

    def _tunnel(self, opened: socket.socket, proxy: Proxy, attempt: "_Attempt") -> None:
        self.step, attempt.step = "proxy", f"asking the proxy {proxy} for a tunnel"
        credentials = (proxy.username, proxy.password) if proxy.username or proxy.password else None
        request = handshake.connect_request(self._host, self._port, credentials)
        answer, surplus = attempt.ask(opened, request)
        if not 200 <= answer.status < 300:
            remedy = ": are user name and password in its variable?" if answer.status == 407 else ""
            raise Unreachable(
                f"{self.url}: the proxy {proxy} answered CONNECT with HTTP {answer.status}{remedy}",
                reason="proxy",
            )
        if surplus:
            raise ValueError("it sent more than its answer")

    def _secure(self, opened: socket.socket, attempt: "_Attempt") -> socket.socket:
        if self._parts.scheme != "wss":
            return opened
        self.step, attempt.step = "tls", "TLS handshake"
        trust = self._trust or _public_authorities()
        secured = trust.wrap_socket(opened, server_hostname=self._host, do_handshake_on_connect=False)
        attempt.until_done(attempt.holds(secured), secured.do_handshake)
        return secured

    def _shake_hands(self, opened: socket.socket, attempt: "_Attempt") -> bytes:
        self.step, attempt.step = "handshake", "WebSocket handshake"
        key = b64encode(os.urandom(16)).decode()
        answer, surplus = attempt.ask(opened, handshake.upgrade_request(self._parts, key))
        if answer.status != 101:
            raise refused(self.url, answer)
        if not handshake.accepts(answer, key):
            raise ValueError("the answer is not that of a WebSocket")
        self._broken.discard(attempt.address)
        return surplus


class _Attempt:
    """One way from a name to a WebSocket. `step` says where it is, for people."""

    def __init__(self, url: str, timeout: float, stop: Event) -> None:
        self.step = ""
        self.address: object = None
        """What the race ended with."""
        self._url = url
        self._timeout = timeout
        self._ends_at = time.monotonic() + timeout
        self._stop = stop
        self._opened: socket.socket | None = None

    def holds(self, opened: socket.socket) -> socket.socket:
        """From now on giving up closes this socket."""
        self._opened = opened
        return opened

    def give_up(self) -> None:
        """Closes what is open."""
        if self._opened is not None:
            self._opened.close()

    def check(self) -> None:
        """Raises Unreachable when the time is over, or the order to stop has come."""
        if self._stop.is_set():
            raise Unreachable(f"{self._url}: told to stop: {self.step}", reason="stopped")
        if time.monotonic() >= self._ends_at:
            raise Unreachable(f"{self._url}: {self.step}: not within {self._timeout:g} s", reason="timeout")

    def until_done(self, opened: socket.socket, operation: Callable[[], T]) -> T:
        """Repeats what would have to wait until it need not."""
        while True:
            self.check()
            try:
                return operation()
            except ssl.SSLWantWriteError:
                _wait(opened, selectors.EVENT_WRITE)
            except (ssl.SSLWantReadError, BlockingIOError):
                _wait(opened, selectors.EVENT_READ)

    def ask(self, opened: socket.socket, request: bytes) -> tuple[handshake.Answer, bytes]:
        """Sends an HTTP request; the head of the answer, and what came after it."""
        self.until_done(opened, lambda: opened.send(request))  # some hundred bytes into an empty buffer
        received = b""
        while (read := handshake.read_head(received)) is None:
            piece = self.until_done(opened, lambda: opened.recv(4096))
            if not piece:
                raise ConnectionResetError(f"closed after {len(received)} bytes")
            received += piece
        return read


def _wait(opened: socket.socket, event: int) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(opened, event)
        selector.select(LOOK_EVERY_SECONDS)


class _Race:
    """Tries addresses one beside the other until the first one answers; the rest are left."""

    def __init__(self, addresses: Iterable[Address], attempt: _Attempt) -> None:
        self._waiting = deque(addresses)
        self._attempt = attempt
        self._running: dict[socket.socket, Address] = {}
        self._error: OSError | None = None
        """The first address's: the others are often only the lack of a route."""

    def run(self) -> tuple[socket.socket, object]:
        """The socket that connected, and its address. Raises OSError when none does."""
        next_at = time.monotonic()
        try:
            while self._waiting or self._running:
                self._attempt.check()
                if self._waiting and (time.monotonic() >= next_at or not self._running):
                    self._start(self._waiting.popleft())
                    next_at = time.monotonic() + NEXT_ADDRESS_AFTER_SECONDS
                if winner := self._first_connected():
                    return winner, self._running.pop(winner)[4]
        finally:
            for loser in self._running:
                loser.close()
        raise self._error or OSError("the name has no address")

    def _start(self, address: Address) -> None:
        family, kind, protocol, _, name = address
        try:
            runner = socket.socket(family, kind, protocol)
        except OSError as error:  # no IPv6 here, or no file left
            self._error = self._error or error
            return
        self._running[runner] = address
        try:
            for level, option in _OPTIONS:
                runner.setsockopt(level, option, 1)
            runner.setblocking(False)
            runner.connect(name)
        except BlockingIOError:
            pass  # it is under way
        except OSError as error:
            self._failed(runner, error)

    def _first_connected(self) -> socket.socket | None:
        with selectors.DefaultSelector() as selector:
            for runner in self._running:
                selector.register(runner, selectors.EVENT_WRITE)
            ready = [key.fileobj for key, _ in selector.select(LOOK_EVERY_SECONDS)] if self._running else []
        for runner in [each for each in self._running if each in ready]:
            code = runner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return runner
            self._failed(runner, OSError(code, os.strerror(code)))
        return None

    def _failed(self, runner: socket.socket, error: OSError) -> None:
        self._error = self._error or error
        del self._running[runner]
        runner.close()


def in_turn(addresses: Iterable[Address]) -> list[Address]:
    """The families in turn, beginning with the system's favourite: one that is broken costs one step."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [each for each in chain.from_iterable(zip_longest(*families.values())) if each is not None]


def refused(url: str, answer: handshake.Answer) -> Unreachable | Rejected:
    """What an answer other than 101 means."""
    text = f"{url} answered the handshake with HTTP {answer.status}"
    if answer.status == 451:
        return Rejected(f"{text}: not available from this location", reason="restricted_location")
    date = read_moment(answer.headers.get("date")) or None  # a server that tells 1970 does not know the time
    wanted = read_retry_after(answer.headers.get("retry-after"), date, time.time())
    if answer.status in (403, 429):
        return Unreachable(text, reason="handshake_status", retry_after=max(STAY_AWAY_SECONDS, wanted or 0.0))
    return Unreachable(text, reason="handshake_status", retry_after=wanted)


def translate(error: Exception, text: str) -> Unreachable:
    """An error of the system or of TLS in our own words."""
    known: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, "timeout"),
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
        (ConnectionError, "closed"),
        (OSError, "network"),
    )
    reason = next((reason for kind, reason in known if isinstance(error, kind)), "protocol")
    return Unreachable(f"{text}: {str(error) or type(error).__name__}", reason=reason)


def _begin(look_up: Callable[[], Sequence[Address]]) -> "Future[Sequence[Address]]":
    future: Future[Sequence[Address]] = Future()

    def run() -> None:
        try:
            future.set_result(look_up())
        except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it again
            future.set_exception(error)

    Thread(target=run, name="name lookup", daemon=True).start()
    return future


@cache
def _public_authorities() -> ssl.SSLContext:
    """Reading them takes 40 ms in which nothing else gets a turn: once is enough."""
    return ssl.create_default_context()
