"""HTTP GET with a total deadline.

requests has none: its timeout starts again with each byte and does not include name resolution. So each call runs
on its own thread (a greenlet in a patched process). The caller waits no longer than the deadline, and then the
socket of the call is shut down.
"""

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from socket import SHUT_RDWR, gaierror, socket
from threading import BoundedSemaphore, Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import urlencode

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, ProtocolError, ReadTimeoutError

from ltp_service.domain.errors import Rejected, Unreachable
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.http_dates import read_moment, read_retry_after
from ltp_service.runtime.proxies import Proxy, proxy_for

MAX_CALLS = 16
"""Most calls at the same time, including calls past their deadline that still hang in name resolution."""

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Default for the most bytes of a body; Kraken's AssetPairs has 1 MB (recorded)."""

_PIECE_BYTES = 64 * 1024

_ASKED_THE_SERVER = {"MISS", "EXPIRED", "BYPASS", "DYNAMIC"}
"""Values of CF-Cache-Status for an answer that is not from the cache (Cloudflare, "Cloudflare cache responses")."""

_KEPT_TOO_LONG = {"STALE", "UPDATING"}
"""The same for one that the cache has kept for longer than its lifetime; only `Age` tells for how long."""

_UNCACHED = {"no-store", "no-cache"}

_INVALID = (exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.MissingSchema)

_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((gaierror, NameResolutionError), "name_resolution"),
    ((ssl.SSLError, exceptions.SSLError), "tls"),
    ((TimeoutError, ReadTimeoutError, requests.Timeout), "timeout"),
    ((ConnectionRefusedError,), "refused"),
    ((ConnectionError, HTTPException, ProtocolError, exceptions.ChunkedEncodingError), "closed"),
)


class HttpAnswer(NamedTuple):
    """An answer of any status but a redirect."""

    status: int
    content_type: str
    """Lower case, without parameters; empty when there is none."""
    retry_after: float | None
    """Seconds, from either form of the header."""
    body: bytes
    """Empty unless the status is 200, because the page of an error is not needed and may never end."""
    date: float | None = None
    """The Date header, in unix seconds of the server's clock."""
    cached_for: float | None = None
    """Most seconds that the answer may have been in a cache; None where the headers do not tell."""


class HttpClient:
    """One requests.Session, safe from any thread or greenlet.

    Certificates are always checked, against `ca_file` if it is given, else against the public authorities.
    `environ` names the proxy to use (proxies.py). It does not read .netrc and keeps no cookies.
    """

    def __init__(
        self,
        clock: Clock,
        user_agent: str,
        *,
        ca_file: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._clock = clock
        self._environ = environ
        self._slots = BoundedSemaphore(MAX_CALLS)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # Without compression the limit on bytes read is also the limit on bytes held.
        self._session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        adapter = _Adapter(_trust(ca_file or DEFAULT_CA_BUNDLE_PATH), pool_maxsize=MAX_CALLS)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def get(
        self, url: str, params: Mapping[str, str], deadline_seconds: float, *, body_cap: int = MAX_BODY_BYTES
    ) -> HttpAnswer:
        """The answer, within `deadline_seconds` from now, name resolution included.

        Raises Unreachable with reason `timeout`, `name_resolution`, `refused`, `tls`, `closed`, `network`, `proxy`,
        `too_large` or `redirect`, and Rejected for a URL or a proxy that cannot be asked.
        """
        started = time.monotonic()
        if not self._slots.acquire(timeout=max(0.0, deadline_seconds)):
            raise _late(url, deadline_seconds)
        call = _Call(lambda: self._exchange(url, params, deadline_seconds, body_cap))
        self._start(call)
        try:
            return call.answer.result(max(0.0, started + deadline_seconds - time.monotonic()))
        except TimeoutError:
            raise _late(url, deadline_seconds) from None
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _translated(error, url, deadline_seconds) from error
        finally:
            call.caller_left()

    def close(self) -> None:
        """Closes the idle connections; calls under way end by their deadline."""
        self._session.close()

    def _start(self, call: "_Call") -> None:
        try:
            Thread(target=self._run, args=(call,), name="http-get", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            self._slots.release()
            raise Unreachable(f"no call without a thread: {error}", reason="network") from error

    def _run(self, call: "_Call") -> None:
        _RUNNING.set(call)
        try:
            call.run()
        finally:
            self._slots.release()

    def _exchange(self, url: str, params: Mapping[str, str], deadline: float, cap: int) -> HttpAnswer:
        proxy = self._proxy(url)
        # Half the time per connection attempt, so that a second address of the name can be tried.
        timeout = (deadline / 2, deadline)
        try:
            response = self._session.get(
                url,
                params=urlencode(params, safe=","),
                timeout=timeout,
                allow_redirects=False,
                stream=True,
                proxies={"all": proxy.url} if proxy else None,
            )
        except exceptions.ProxyError as error:
            raise Unreachable(
                f"{url} through the proxy {proxy}: {_innermost(error)}", reason="proxy"
            ) from error
        with response:
            if response.is_redirect:
                raise Unreachable(
                    f"{url} redirects with {response.status_code}, never followed", reason="redirect"
                )
            headers = response.headers
            date = read_moment(headers.get("Date"))
            return HttpAnswer(
                status=response.status_code,
                content_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                retry_after=read_retry_after(headers.get("Retry-After"), date, self._clock.wall()),
                body=_read(response, cap) if response.status_code == 200 else b"",
                date=date,
                cached_for=_cached_for(headers),
            )

    def _proxy(self, url: str) -> Proxy | None:
        try:
            return proxy_for(url, self._environ)
        except ValueError as error:
            raise Rejected(f"{url[:200]!r} cannot be asked: {error}", reason="invalid_url") from error


def _cached_for(headers: Mapping[str, str]) -> float | None:
    age = headers.get("Age", "").strip()
    if age.isdecimal() and float(age) > 0:
        return float(age) + 1.0  # whole seconds, rounded down
    cache_status = headers.get("CF-Cache-Status", "").strip().upper()
    if cache_status in _ASKED_THE_SERVER | _KEPT_TOO_LONG:
        return 0.0 if cache_status in _ASKED_THE_SERVER else None
    if age.isdecimal():
        return 1.0
    rules = _directives(headers.get("Cache-Control", ""))
    if not _UNCACHED.isdisjoint(rules):
        return 0.0
    lifetime = rules.get("s-maxage") or rules.get("max-age", "")
    if not lifetime.isdecimal():
        return None
    beyond = rules.get("stale-while-revalidate", "")
    return float(lifetime) + (float(beyond) if beyond.isdecimal() else 0.0)


def _directives(cache_control: str) -> dict[str, str]:
    parts = (part.partition("=") for part in cache_control.lower().split(","))
    return {name.strip(): value.strip().strip('"') for name, _, value in parts}


def _read(response: requests.Response, cap: int) -> bytes:
    announced = response.headers.get("Content-Length", "")
    body = bytearray()
    if not announced.isdecimal() or float(announced) <= cap:
        # urllib3 decompresses an answer that is compressed all the same, also piece by piece.
        while piece := response.raw.read(_PIECE_BYTES, decode_content=True):
            body += piece
            if len(body) > cap:
                break
        else:
            return bytes(body)
    response.close()
    raise Unreachable(f"{response.url} sends more than {cap} bytes", reason="too_large")


def _late(url: str, deadline: float) -> Unreachable:
    return Unreachable(f"{url} did not answer within {deadline:g} s", reason="timeout")


def _translated(error: Exception, url: str, deadline: float) -> Unreachable | Rejected:
    if isinstance(error, _INVALID):
        return Rejected(f"{url[:200]!r} cannot be asked: {error}", reason="invalid_url")
    causes = list(_causes(error))
    # The socket's own timeout is the deadline, too.
    if any(isinstance(cause, ReadTimeoutError) for cause in causes):
        return _late(url, deadline)
    for kinds, reason in _REASONS:
        for cause in causes:
            if isinstance(cause, kinds):
                return Unreachable(f"{url}: {cause}", reason=reason)
    return Unreachable(f"{url}: {error}", reason="network")


def _innermost(error: BaseException) -> BaseException:
    """The innermost error. The outer ones quote the proxy's address, which may hold a password."""
    return [*_causes(error)][-1]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it wraps: requests and urllib3 put them into `args`, `reason` or `__cause__`."""
    yield error
    for inner in (*error.args, getattr(error, "reason", None), error.__cause__):
        if isinstance(inner, BaseException):
            yield from _causes(inner)


class _Call:
    """One GET under way, and the socket to shut down when its caller has left."""

    def __init__(self, exchange: Callable[[], HttpAnswer]) -> None:
        self.answer: Future[HttpAnswer] = Future()
        self._exchange = exchange
        self._lock = Lock()
        self._socket: socket | None = None
        self._left = False

    def run(self) -> None:
        try:
            self.answer.set_result(self._exchange())
        except Exception as error:  # noqa: BLE001 - the caller raises it again
            self.answer.set_exception(error)

    def uses(self, handle: socket) -> None:
        """The call uses this socket from now on, so it is shut down when the caller leaves."""
        with self._lock:
            self._socket = handle
            left = self._left
        if left:
            _shut_down(handle)

    def caller_left(self) -> None:
        """The caller has its answer, or its deadline is over: ends a call that still runs."""
        with self._lock:
            self._left = True
            handle = self._socket
        if handle and not self.answer.done():
            _shut_down(handle)


_RUNNING: ContextVar[_Call] = ContextVar("running call")


def _shut_down(handle: socket) -> None:
    with suppress(OSError):
        handle.shutdown(SHUT_RDWR)


class _Reachable(HTTPConnection):
    """A connection whose socket another thread can shut down at any time.

    During the TLS handshake the connected socket cannot be reached from here, so a duplicate is kept.
    """

    _handle: socket | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"  # urllib3 begins the texts of its errors with it

    def _new_conn(self) -> socket:
        connected = super()._new_conn()
        connected.settimeout(None)  # the connect timeout does not apply to the handshake; the deadline does
        self._handle = connected.dup()
        _RUNNING.get().uses(self._handle)
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self._handle:
            _RUNNING.get().uses(self._handle)
        super().request(*args, **kwargs)

    def close(self) -> None:
        super().close()
        if self._handle:
            self._handle.close()
            self._handle = None


class _ReachableTls(_Reachable, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Reachable


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _ReachableTls


@cache
def _trust(ca_file: str) -> ssl.SSLContext:
    """Checks certificates against the authorities of a file, which is read once in a process: that takes 20 to 40 ms."""
    return ssl.create_default_context(cafile=ca_file)


class _Adapter(HTTPAdapter):
    """Has the authorities of the client, where requests would read them again for each new connection."""

    def __init__(self, trust: ssl.SSLContext, **options: Any) -> None:
        self._trust = trust
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._trust, proxy_ssl_context=self._trust, **options
        )
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Does nothing, because the context checks certificate and name."""
