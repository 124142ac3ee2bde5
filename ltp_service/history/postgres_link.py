"""One connection to PostgreSQL for one thread: opened when it is needed, with an end to every wait.

psycopg would wait through `select`, which is gevent's in a patched process, and without an end. A server that is frozen or
cut off must hold neither the hub nor the thread. So the waits are made here, with the system's own poll and a deadline.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import QueryCanceled
from psycopg.waiting import Ready

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.runtime.spawn import native_addresses, native_poll

CONNECT_SECONDS = 5.0
"""Seconds that one address has to accept a connection."""

PAUSE_SECONDS = 1.0
"""Seconds in which a server is left alone that could not be reached or ended a statement that took too long, so that questions
do not queue up for it."""

OLDEST_VERSION = 130000
"""PostgreSQL 13, the oldest that is tried."""

_SILENT_SECONDS = 1.0
"""Seconds that the client waits longer than the server's own limit, so that the server's error arrives if it can."""

_READABLE, _WRITABLE = 1, 4  # POLLIN, POLLOUT
_MASKS = {1: _READABLE, 2: _WRITABLE, 3: _READABLE | _WRITABLE}  # psycopg's Wait.R, W, RW

_DEFAULTS = {
    "application_name": "ltp_service",
    "gssencmode": "disable",  # Kerberos' library would wait without an end
    "client_encoding": "utf8",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Parameters of a connection; HISTORY_URL may name others."""

_SET = """SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS given (name, value)
    JOIN pg_settings USING (name)"""

_NAME = "PostgreSQL (HISTORY_URL)"
_CAUSES = {
    "25006": "is a standby, which cannot be written; name the primary server",
    "3D000": "has no database of that name; create it or name another one in HISTORY_URL",
    "42501": "does not let this user do that; make the user the owner of the database",
    "53100": "has no room: its disk is full; free some space there",
    "53200": "has no memory left; look at what else it does",
    "53300": "has no connection left; raise its max_connections or start fewer workers",
    "57014": "took too long; look at what else it does",
    "57P01": "is being stopped; start it again",
    "57P02": "ended the connection because it crashed; look at its log",
    "57P03": "is starting or stopping; wait until it is up",
    "57P05": "ended the connection because it was idle",
    "25P03": "ended the connection because it was idle",
}
"""SQLSTATE to what it means here (PostgreSQL documentation, appendix A)."""

Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")

# It is used in native threads, where no lock of a patched logging may be taken.
logging.getLogger("psycopg").disabled = True


class _Lost(psycopg.OperationalError):
    """A wait came to its end. What was asked may have been done, or may be done later."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """Its waits stop the calling thread alone, and each has an end."""

    patience = CONNECT_SECONDS
    """Seconds that one wait may last."""

    def wait(self, gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:
        del interval, timeout  # of psycopg's own waiting
        try:
            return _drive(gen, self.pgconn.socket, time.monotonic() + self.patience)
        except _Lost:
            # An answer that comes later must not be taken for that to another question.
            self.pgconn.finish()
            raise


class Link:
    """Owns one connection. Every method may raise StoreUnavailable, and no error of it contains the password."""

    def __init__(self, url: str, seconds: float, settings: Mapping[str, str] | None = None) -> None:
        """The server ends a statement after `seconds`. `settings` are its own; what a version does not know is left out."""
        self._url = url
        self._seconds = seconds
        self._settings = {**_limits(seconds), **(settings or {})}
        self._connection: _Connection | None = None
        self._problem = ""
        self._silent_until = 0.0

    def use(self, work: Callable[[Connection], T], *, again: bool = False) -> T:
        """Calls `work` with the connection and returns its result. Ends the transaction in which it raises. A value that the
        server cannot take is no StoreUnavailable.

        `again` calls it once more, with a new connection, when the one of an earlier use turns out to be lost.
        """
        if time.monotonic() < self._silent_until:
            raise StoreUnavailable(self._problem)
        used = self._connection is not None
        try:
            return work(self._connection or self._open())
        except psycopg.DataError:  # the same value would be refused again
            self._tidy()
            raise
        except psycopg.Error as error:
            self._tidy()
            if isinstance(error, QueryCanceled):
                self._leave_alone(explain(error))
            if not (again and used and self._connection is None) or isinstance(error, _Lost):
                raise StoreUnavailable(explain(error)) from error
        except BaseException:
            self._tidy()
            raise
        return self.use(work)

    def close(self) -> None:
        """Ends the connection; the next use makes another one."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _tidy(self) -> None:
        """Keeps a connection that still works, because closing it gives up its lock."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != pq.TransactionStatus.IDLE:
                connection.rollback()
        except psycopg.Error:
            self.close()

    def _open(self) -> Connection:
        try:
            connection = _open(self._url)
        except (psycopg.Error, OSError) as error:
            self._leave_alone(explain_connecting(error))
            # Not `from error`: what libpq says of a URL that it cannot read may contain all of it.
            raise StoreUnavailable(self._problem) from None
        self._connection = connection
        connection.patience = self._seconds + _SILENT_SECONDS
        connection.autocommit = True
        connection.execute(_SET, [list(self._settings), list(self._settings.values())])
        return connection

    def _leave_alone(self, problem: str) -> None:
        self._problem = problem
        self._silent_until = time.monotonic() + PAUSE_SECONDS


def explain(error: psycopg.Error) -> str:
    """What went wrong on a connection, and what to do about it."""
    if isinstance(error, _Lost):
        return f"{_NAME} did not answer in time; look at its machine and at the network"
    if cause := _CAUSES.get(error.sqlstate or ""):
        return f"{_NAME} {cause}"
    if error.sqlstate is None:
        return f"the connection to {_NAME} was lost ({_first_line(error)}); start it again or look at the network"
    return f"{_NAME} refused what was asked ({error.sqlstate}: {_first_line(error)}); look at its log"


def explain_connecting(error: psycopg.Error | OSError) -> str:
    """Why there is no connection, and what to do about it."""
    if isinstance(error, _Lost):
        return f"{_NAME} did not answer within {CONNECT_SECONDS:g} s; look at its machine and at the network"
    if isinstance(error, psycopg.ProgrammingError):
        return "HISTORY_URL cannot be read as postgresql://user:password@host:port/database; escape what is special in a password"
    if isinstance(error, psycopg.NotSupportedError):
        return f"{_NAME} {error}"
    reason = _first_line(error)
    if "the database system is" in reason:  # starting up, shutting down, or in recovery
        return f"{_NAME} is not ready ({reason}); it is tried again, and its log says more"
    if "FATAL" in reason:
        return (
            f"{_NAME} refused the connection ({reason}); correct user, password and database in HISTORY_URL"
        )
    return f"{_NAME} cannot be reached ({reason}); start it or correct HISTORY_URL"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip() or type(error).__name__


def _open(url: str) -> _Connection:
    """Raises psycopg.Error or OSError: that of the last address."""
    problem: psycopg.OperationalError | OSError | None = None
    for parameters in _attempts(_DEFAULTS | conninfo_to_dict(url)):
        try:
            connection = _connect(parameters)
        except (psycopg.OperationalError, OSError) as error:
            problem = error
        else:
            if connection.info.server_version < OLDEST_VERSION:
                connection.close()
                raise psycopg.NotSupportedError("is older than version 13; name a newer server")
            return connection
    raise problem or OSError("no address was found")


def _limits(seconds: float) -> dict[str, str]:
    """What lasts too long is ended by the server, which also notices within seconds that this machine has gone."""
    return {
        "statement_timeout": f"{seconds:g}s",
        "idle_in_transaction_session_timeout": f"{seconds:g}s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }


def _attempts(parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters once for each address, so that libpq resolves no name: it would hold Python's lock meanwhile."""
    hosts, ports = (str(parameters.get(name, "")).split(",") for name in ("host", "port"))
    for at, host in enumerate(hosts):
        port = {"port": ports[at % len(ports)]} if ports != [""] else {}
        if not host or host.startswith("/") or "hostaddr" in parameters:
            yield parameters  # a unix socket, or what the environment says
            return
        for address in native_addresses(host):
            yield parameters | port | {"host": host, "hostaddr": address}


def _connect(parameters: dict[str, Any]) -> _Connection:
    end = time.monotonic() + CONNECT_SECONDS
    opened = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
    try:
        while (status := opened.connect_poll()) != pq.PollingStatus.OK:
            if status == pq.PollingStatus.FAILED:
                raise psycopg.OperationalError(opened.get_error_message())
            _wait(opened.socket, _READABLE if status == pq.PollingStatus.READING else _WRITABLE, end)
        opened.nonblocking = 1
    except BaseException:
        opened.finish()
        raise
    return _Connection(opened)


def _drive(asked: PQGen[T], handle: int, end: float) -> T:
    """Runs what psycopg wants to do with the connection, and waits for it where it asks to."""
    try:
        state = next(asked)
        while True:
            ready = _wait(handle, _MASKS[state], end)
            # A connection that broke is readable: psycopg then finds out why.
            state = asked.send(Ready(((ready & ~_WRITABLE) and 1) | ((ready & _WRITABLE) and 2)))
    except StopIteration as done:
        value: T = done.value
        return value


def _wait(handle: int, mask: int, end: float) -> int:
    """Raises _Lost when it takes longer than until `end`."""
    ready = _ready(handle, mask, max(0, end - time.monotonic()))
    if not ready:
        raise _Lost("no answer in time")
    return ready


def _ready(handle: int, mask: int, seconds: float) -> int:
    """What of `mask` can be done within some seconds; 0 for nothing."""
    poll = native_poll()
    poll.register(handle, mask)
    events = poll.poll(1000 * seconds)
    return events[0][1] if events else 0
