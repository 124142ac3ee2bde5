"""Keys and tickets in the database file."""

from collections.abc import Mapping

from ltp_service.keys.key import ApiKey
from ltp_service.keys.tickets import MOST_TICKETS
from ltp_service.runtime.database import Database, Execute

_COLUMNS = "prefix, hash, name, permission, created, expires, revoked, last_used"


class SqliteKeys:
    """The table `api_keys`, one row per key."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.version, self.close = database.data_version, database.close

    def load(self) -> list[ApiKey]:
        rows = self._database.read(f"SELECT {_COLUMNS} FROM api_keys ORDER BY created, rowid")  # noqa: S608 - a constant
        return [ApiKey(*row) for row in rows]

    def insert(self, key: ApiKey, *, only_first: bool) -> bool:
        def change(execute: Execute) -> bool:
            if only_first and execute("SELECT 1 FROM api_keys LIMIT 1"):
                return False
            execute(
                f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                *(key.prefix, key.hash, key.name, key.permission),
                *(key.created, key.expires, key.revoked, key.last_used),
            )
            return True

        return self._database.write(change)

    def revoke(self, key_hash: str, at: float, *, leave_admin: bool) -> bool:
        def change(execute: Execute) -> bool:
            if leave_admin and not execute(_OTHER_ADMIN, key_hash, at):
                return False
            execute("UPDATE api_keys SET revoked = ? WHERE hash = ? AND revoked IS NULL", at, key_hash)
            return True

        return self._database.write(change)

    def touch(self, used: Mapping[str, float]) -> None:
        def change(execute: Execute) -> None:
            for key_hash, at in used.items():
                execute(_TOUCH, at, key_hash)

        self._database.write(change, urgent=False)


class SqliteTickets:
    """The table `tickets`, one row per ticket."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, ticket_hash: str, key_hash: str, now: float, expires: float) -> bool:
        def change(execute: Execute) -> bool:
            execute("DELETE FROM tickets WHERE expires <= ?", now)
            [(held,)] = execute("SELECT count(*) FROM tickets")
            if held < MOST_TICKETS:
                execute("INSERT INTO tickets VALUES (?, ?, ?)", ticket_hash, key_hash, expires)
            return bool(held < MOST_TICKETS)

        return self._database.write(change)

    def take(self, ticket_hash: str, now: float) -> str | None:
        def change(execute: Execute) -> str | None:
            rows = execute("DELETE FROM tickets WHERE hash = ? RETURNING key_hash, expires", ticket_hash)
            return next((str(key_hash) for key_hash, expires in rows if expires > now), None)

        return self._database.write(change)


_OTHER_ADMIN = (
    "SELECT 1 FROM api_keys WHERE permission = 'admin' AND revoked IS NULL"
    " AND hash != ? AND (expires IS NULL OR expires > ?) LIMIT 1"
)
_TOUCH = "UPDATE api_keys SET last_used = max(ifnull(last_used, 0), ?) WHERE hash = ?"
