"""The same questions asked of DuckDB, a database made for tables like this one: what is a good time for them?"""

import csv
from collections.abc import Iterable
from pathlib import Path

import duckdb

from ltp_service.domain.pairs import Pair
from ltp_service.history.rows import RecordedTrade

_TABLE = """CREATE TABLE trades (pair VARCHAR, trade_id BIGINT, traded_at BIGINT, price DECIMAL(20, 8),
    quantity DECIMAL(20, 8), side VARCHAR)"""
_AT = """(SELECT trade_id, traded_at, price FROM trades WHERE pair = $pair AND traded_at <= $moment
    ORDER BY traded_at DESC, trade_id DESC LIMIT 1)
    UNION ALL (SELECT trade_id, traded_at, price FROM trades WHERE pair = $pair AND traded_at > $moment
    ORDER BY traded_at, trade_id LIMIT 1)"""
_CANDLES = """SELECT traded_at // 60000000 AS minute, arg_min(price, trade_id), max(price), min(price),
    arg_max(price, trade_id), sum(quantity), sum(price * quantity), count(*), min(trade_id), max(trade_id)
    FROM trades WHERE pair = $pair AND traded_at >= $start AND traded_at < $end GROUP BY minute ORDER BY minute"""


class Reference:
    """The trades in one table in the order in which they came."""

    def __init__(self, folder: Path) -> None:
        self._file, self._rows = folder / "history.duckdb", folder / "history.csv"
        self._database = duckdb.connect(str(self._file))
        self._database.execute(_TABLE)

    def fill(self, batches: Iterable[tuple[Pair, Iterable[RecordedTrade]]]) -> None:
        """Takes trades over by a file of them, as it likes it best."""
        with self._rows.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for pair, trades in batches:
                writer.writerows(
                    (str(pair), each.trade_id, each.traded_at, each.price, each.quantity, each.side)
                    for each in trades
                )
        self._database.execute(f"COPY trades FROM '{self._rows}' (HEADER false)")
        self._database.execute("CHECKPOINT")
        self._rows.unlink()

    def size(self) -> int:
        """Bytes on the disk."""
        return self._file.stat().st_size

    def at(self, pair: Pair, moment: int) -> bool:
        """The trades around a moment; whether their ids prove that none is missing."""
        rows = self._database.execute(_AT, {"pair": str(pair), "moment": moment}).fetchall()
        return len(rows) == 2 and rows[1][0] == rows[0][0] + 1

    def candles(self, pair: Pair, start: int, end: int) -> int:
        """One-minute candles; how many."""
        asked = {"pair": str(pair), "start": start, "end": end}
        return len(self._database.execute(_CANDLES, asked).fetchall())

    def close(self) -> None:
        """Ends it."""
        self._database.close()
