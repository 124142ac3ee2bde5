"""The history in PostgreSQL: several machines read it, and one process writes it.

The writer's lock is an advisory lock of its session. So it ends with the connection, whatever ends that, and what is written
afterwards has to take it anew.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TypeVar
from weakref import WeakSet

from psycopg.errors import UndefinedTable

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.history.contract import READ_SECONDS
from ltp_service.history.engine import Row, Transaction
from ltp_service.history.postgres_link import Connection, Link

WRITE_SECONDS = 10.0
"""Seconds that one statement of the writer may last."""

IDLE_SECONDS = 30
"""Seconds without a statement after which a writer loses its connection, and with it the lock (PostgreSQL 14 and newer). A
frozen process would else keep the others from writing."""

BLOCK = 128
"""Most trades of a block. A row takes 28 bytes beside its content, and its key as much again."""

_TABLES = {
    "tapes": "tape int, pair text, series int, evidence_until bigint?, kept_from bigint?",
    # What SQLite keeps as an integer or a text is numeric here, which keeps every digit of either.
    "trades": "tape int, traded_at bigint, trade_id bigint, price numeric, quantity numeric, form smallint",
    "runs": "tape int, first_trade_id bigint, last_trade_id bigint, first_traded_at bigint, last_traded_at bigint",
    "candles": "tape int, minutes smallint, begins bigint, opening text, highest text, lowest text, closing text,"
    " volume text, turnover text, trades bigint, first_trade_id bigint, last_trade_id bigint",
    "observations": "pair text, observed_at bigint, evidence_until bigint, price text, traded_at bigint?, source text",
    "writer": "only_row int, token bigint, previous bigint?",
    "breaks": "tape int, moment bigint",
    "blocks": "tape int, first_traded_at bigint, first_trade_id bigint, last_traded_at bigint, last_trade_id bigint,"
    " lowest_id bigint, highest_id bigint, trades int, content bytea",
}
"""Columns and their types; one with a question mark may be null."""
_KEYS = {
    "tapes": "tape",
    "trades": "tape, traded_at, trade_id",
    "runs": "tape, first_trade_id",
    "candles": "tape, minutes, begins",
    "observations": "pair, observed_at",
    "writer": "only_row",
    "breaks": "tape, moment",
    "blocks": "tape, first_traded_at, first_trade_id",
}


def _create(table: str) -> str:
    columns = [
        column.removesuffix("?") + " NOT NULL" * (not column.endswith("?"))
        for column in _TABLES[table].split(", ")
    ]
    return f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY ({_KEYS[table]}))"


_FIRST = [
    *(_create(table) for table in _TABLES if table not in {"breaks", "blocks"}),
    "CREATE UNIQUE INDEX tapes_of_pair ON tapes (pair, series)",
    "CREATE INDEX candles_by_id ON candles (tape, first_trade_id) WHERE minutes = 1",
    "INSERT INTO writer VALUES (1, floor(random() * 1e18)::bigint, NULL)",
]
# A block is packed already, and is found faster in its row than elsewhere.
_BLOCKS = f"""{_create("blocks")} WITH (toast_tuple_target = 8160);
    ALTER TABLE blocks ALTER COLUMN content SET STORAGE EXTERNAL"""
MIGRATIONS = ("; ".join(_FIRST), _create("breaks"), _BLOCKS)
"""Each brings the tables to the version that is its place in this list, counted from 1."""

_VERSION = "SELECT obj_description(to_regclass('writer'))"  # null where nothing was made yet
_IDENTITY = "SELECT to_regclass('writer')::oid"  # tables that were made again have another one
_LOCK = "SELECT pg_try_advisory_lock(737470, hashtext(current_schema()))"
_LOCK_TABLES = "SELECT pg_advisory_xact_lock(737471, hashtext(current_schema()))"
_SIZE = """SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relname = ANY(%s) AND relkind = 'r' AND relnamespace = current_schema()::regnamespace"""

T = TypeVar("T")


class PostgresEngine:
    """An Engine and its WriterLock. Nothing connects before the first use.

    One thread writes at a time. Any number of threads read, and each has a connection meanwhile. What has asked for the lock
    writes with it or not at all.
    """

    def __init__(self, url: str, block: int = BLOCK) -> None:
        self._url = url
        self.block = block
        self._writer = Link(url, WRITE_SECONDS, {"idle_session_timeout": f"{IDLE_SECONDS}s"})
        self._is_guarded = False
        """Whether the lock was asked for."""
        self._owner: Connection | None = None
        """The connection that has the lock."""
        self._tables: int | None = None
        """The identity of the tables when the lock was last asked for; None where there were none."""
        self._migrated: Connection | None = None
        """The connection whose tables are of this version."""
        self._idle: deque[Link] = deque()
        self._current: WeakSet[Connection] = WeakSet()
        """The connections that read tables of this version."""
        self._met: WeakSet[Connection] = WeakSet()
        """The connections that have read."""
        self._origin = object()

    def take(self) -> bool:
        """Takes the writer's lock unless another process has it; True while this one has it."""
        self._is_guarded = True
        return self._writer.use(self._owns_still, again=True)

    def release(self) -> None:
        """Lets another process write."""
        self._is_guarded, self._owner = False, None
        self._writer.close()

    def place(self) -> object:
        """The tables, and the connection that has the lock: behind the next one may be another server, which lacks the newest
        trades."""
        return None if self._tables is None else (self._owner, self._tables)

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of one query; none while this version has written nothing yet: it would not find all trades in the tables
        of an older one, and yet the proof that it has them. Those of a newer one raise StoreUnavailable."""

        def ask(connection: Connection) -> list[Row]:
            if connection not in self._met:
                self._met.add(connection)
                self._origin = object()
            if connection not in self._current:
                if _version(connection) < len(MIGRATIONS):
                    return []
                self._current.add(connection)
            try:
                return _rows(connection, sql, parameters)
            except UndefinedTable:  # the tables were deleted meanwhile
                self._current.discard(connection)
                self._origin = object()
                return []

        return self._read(ask)

    def origin(self) -> object:
        """Another object after each new connection, which may lead to a server that lacks the newest trades, and once the
        tables are gone."""
        return self._origin

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Runs `change` in one transaction. Raises StoreUnavailable also where another process has taken the lock."""

        def transact(connection: Connection) -> T:
            if self._is_guarded and not self._owns(connection):
                raise StoreUnavailable(
                    "nothing was written: another process writes this history (HISTORY_URL)"
                )
            if self._migrated is not connection:
                _migrate(connection)
                self._migrated = connection
            try:
                connection.execute("BEGIN")
                result = change(_PostgresTransaction(connection, self.block))
                connection.execute("COMMIT")
            except UndefinedTable:  # the tables were deleted meanwhile
                self._migrated = None
                raise
            return result

        return self._writer.use(transact, again=True)

    def size(self) -> int:
        """Bytes of the tables on the server's disk."""
        [(size,)] = self._read(lambda connection: _rows(connection, _SIZE, [list(_TABLES)]))
        return int(size)

    def close(self) -> None:
        """Ends the connections; the next use opens them again."""
        self.release()
        while self._idle:
            self._idle.pop().close()

    def _read(self, ask: Callable[[Connection], T]) -> T:
        # A deque needs no lock, which the threads of a patched process could not share.
        try:
            link = self._idle.pop()
        except IndexError:
            link = Link(self._url, READ_SECONDS, {"default_transaction_read_only": "on"})
        try:
            return link.use(ask, again=True)
        finally:
            self._idle.append(link)

    def _owns_still(self, connection: Connection) -> bool:
        [(self._tables,)] = _rows(connection, _IDENTITY)  # raises where the server has ended the connection
        return self._owns(connection)

    def _owns(self, connection: Connection) -> bool:
        if self._owner is not connection:
            [(taken,)] = _rows(connection, _LOCK)
            self._owner = connection if taken else None
        return self._owner is connection


class _PostgresTransaction:
    def __init__(self, connection: Connection, block: int) -> None:
        self._connection = connection
        self.block = block

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return _rows(self._connection, sql, parameters)

    def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        given = list(rows)
        if not given:
            return
        if at_once := _at_once(sql):
            statement, as_text = at_once
            columns = zip(*given, strict=True)
            arrays = [
                list(map(str, column)) if text else list(column)
                for column, text in zip(columns, as_text, strict=True)
            ]
            self._connection.execute(statement, arrays)
        else:
            self._connection.cursor().executemany(_translated(sql)[0], given)


def _rows(connection: Connection, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
    """In binary, which takes less time to write and to read than text."""
    statement, names = _translated(sql)
    given = dict(zip(names, parameters, strict=True)) if names else parameters
    cursor = connection.execute(statement, given or None, binary=True)
    return cursor.fetchall() if cursor.description else []


@cache
def _translated(sql: str) -> tuple[bytes, list[str]]:
    """The statement as psycopg reads it, and the names of its parameters if these are numbered."""
    names = sorted(set(re.findall(r"\?(\d)", sql)))
    return re.sub(r"\?(\d)", r"%(\1)s", sql).replace("?", "%s").encode(), names


@cache
def _at_once(sql: str) -> tuple[bytes, list[bool]] | None:
    """An insertion that takes all rows in one statement, an array for each column; and which of these hold texts.

    None where it is another statement, or changes rows that are there: one statement may not change a row twice.
    """
    found = re.fullmatch(r"INSERT INTO (\w+) VALUES \([?, ]+\)( ON CONFLICT DO NOTHING)?", sql)
    if not found:
        return None
    table, rest = found.groups("")
    kinds = [column.removesuffix("?").split()[1] for column in _TABLES[table].split(", ")]
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    statement = f"INSERT INTO {table} SELECT * FROM unnest({arrays}){rest}"  # noqa: S608 - of the names above
    return statement.encode(), [kind in {"numeric", "text"} for kind in kinds]


def _version(connection: Connection) -> int:
    """That of the tables; 0 where there are none."""
    [(described,)] = _rows(connection, _VERSION)
    version = int((described or "0").rpartition(" ")[2])
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            "the history in PostgreSQL (HISTORY_URL) is of a newer version of the service; run that version"
        )
    return version


def _migrate(connection: Connection) -> None:
    """Brings the tables to this version, also where another process does so at the same time."""
    connection.execute("BEGIN")
    connection.execute(_LOCK_TABLES)
    version = _version(connection)
    if version < len(MIGRATIONS):
        statements = [*MIGRATIONS[version:], f"COMMENT ON TABLE writer IS 'version {len(MIGRATIONS)}'"]
        connection.execute("; ".join(statements).encode())
    connection.execute("COMMIT")
