"""The trades of the tapes, wherever they lie: each in a row of its own, or packed in blocks where the database packs.

No trade that has a row and none of another block lies between the first and the last trade of a block, in the order of time
and id. A question is one statement, so it sees a trade that is being packed in one place, and in one alone.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from ltp_service.history import sql
from ltp_service.history.blocks import Block, packed
from ltp_service.history.digits import read_trade, trade_columns
from ltp_service.history.engine import Row, Transaction
from ltp_service.history.rows import RecordedTrade

EVER = 2**62
"""A moment and an id after all others."""

LOOSE_PARTS = 4
"""A fourth of a block's trades is packed at once. Fewer wait in rows, because a row is cheaper to write than the whole block."""

Read = Callable[[str, Sequence[object]], list[Row]]
_Key = tuple[int, int]
"""Moment and id."""


class Asked(NamedTuple):
    """Trades of one tape. All bounds are included."""

    tape: int
    since: int = 0
    until: int = EVER
    first_id: int = 0
    last_id: int = EVER


class Trades:
    """Reads the trades of rows and blocks together."""

    def __init__(self, read: Read, block: int) -> None:
        """`block` is that of the engine or transaction whose statements `read` runs."""
        self._read = read
        self._block = block

    @classmethod
    def within(cls, transaction: Transaction) -> "Trades":
        """The trades that a transaction sees, with those that it wrote itself."""
        return cls(transaction.rows, transaction.block)

    def first(self, asked: Asked, limit: int = EVER) -> list[RecordedTrade]:
        """The earliest trades, `limit` at most, in the order of time and id."""
        if not self._block:
            return [read_trade(row) for row in self._read(sql.FIRST_TRADES, (*asked, limit))]
        return self._merged(asked, limit, newest=False)

    def last(self, asked: Asked) -> RecordedTrade | None:
        """The latest trade."""
        if not self._block:
            found = [read_trade(row) for row in self._read(sql.LAST_TRADES, (*asked, 1))]
        else:
            found = self._merged(asked, 1, newest=True)
        return found[0] if found else None

    def nth_moment(self, tape: int, places: int, until: int = EVER) -> int | None:
        """The moment of the trade that has `places` trades before it. None when there are fewer. It may be None when it is after `until`."""
        if not self._block:
            rows = self._read(sql.NTH_TRADE, (tape, places))
            return rows[0][0] if rows else None
        found = self.first(Asked(tape, until=until), places + 1)
        return found[places].traded_at if len(found) > places else None

    def _merged(self, asked: Asked, limit: int, *, newest: bool) -> list[RecordedTrade]:
        """The trades of rows and blocks, beginning with the newest or with the oldest."""
        statement = sql.LAST_PACKED if newest else sql.FIRST_PACKED
        most = limit // self._block + 2
        while True:
            rows = self._read(statement, (*asked, limit, most))
            found = [read_trade(row[:5]) for row in rows if row[5] is None]
            blocks = [Block(row[5]) for row in rows if row[5] is not None]
            found += _asked_of(blocks, asked, limit, newest=newest)
            found.sort(key=_key, reverse=newest)
            if len(blocks) == most:  # a trade with a row may come after those of a block that was not read
                edge = _edge(blocks[-1], newest=newest)
                found = [trade for trade in found if (_key(trade) >= edge if newest else _key(trade) <= edge)]
            if len(blocks) < most or len(found) >= limit:
                return found[:limit]
            most *= 4


def around(
    read: Read, block: int, pair: str, moment: int
) -> tuple[RecordedTrade | None, RecordedTrade | None, list[Row]]:
    """The last trade at or before a moment and the first one after it, both of the tape of the moment, and the rows of the runs
    around it, in order."""
    rows = read(sql.AROUND_PACKED if block else sql.AROUND, (pair, moment))
    runs = sorted({row[5:13] for row in rows if row[0] is None}, key=itemgetter(0, 2))
    found = []
    for row in rows:
        if row[0] is not None:
            found += [read_trade(row[:5])] if row[2] is not None else _beside_moment(Block(row[13]), moment)
    found.sort(key=_key)
    place = bisect_right(found, moment, key=itemgetter(1))
    return found[place - 1] if place else None, found[place] if place < len(found) else None, runs


def _beside_moment(block: Block, moment: int) -> list[RecordedTrade]:
    """The last trade of a block at or before a moment, and the first one after it."""
    place = block.within(0, moment).stop
    return block.trades(range(max(0, place - 1), min(len(block), place + 1)))


def add(transaction: Transaction, tape: int, trades: Sequence[RecordedTrade]) -> None:
    """Adds trades in the order of time and id to a tape."""
    if transaction.block and _pack(transaction, tape, trades):
        return
    transaction.many(
        sql.ADD_TRADE, [(tape, trade.traded_at, trade.trade_id, *trade_columns(trade)) for trade in trades]
    )


def drop(transaction: Transaction, tape: int, end: int) -> int:
    """Deletes the trades before a moment, and returns how many."""
    [(count,)] = transaction.rows(sql.COUNT_BEFORE, (tape, end))
    transaction.rows(sql.DROP_TRADES, (tape, end))
    if transaction.block:
        across = transaction.rows(sql.BLOCK_ACROSS, (tape, end, end))
        count += sum(trades for (trades,) in transaction.rows(sql.DROP_BLOCKS, (tape, end)))
        for (content,) in across:
            block = Block(content)
            left = block.trades(block.within(end, EVER))
            count -= len(left)
            if left:
                _add_blocks(transaction, tape, [left])
    return int(count)


class _Beside(NamedTuple):
    """The stored neighbours of the trades that are added: before, after and between them."""

    amid: list[bytes]
    """The blocks that reach between them."""
    loose: list[Row]
    """The rows between them, and those before them until the next block, or until there are enough for one."""
    unfilled: list[bytes]
    """The block before, where it has room left and nothing else lies between."""


def _pack(transaction: Transaction, tape: int, trades: Sequence[RecordedTrade]) -> bool:
    """Puts trades into blocks, with what has rows beside them. False where they are so few that they stay in rows."""
    beside = _beside(transaction, tape, _key(trades[0]), _key(trades[-1]))
    few = len(beside.loose) + len(trades) < max(2, transaction.block // LOOSE_PARTS)
    if few and not beside.amid:
        return False
    contents = beside.amid + beside.unfilled
    known = [*map(read_trade, beside.loose), *(trade for each in contents for trade in Block(each).trades())]
    members = sorted({_key(trade): trade for trade in (*trades, *known)}.values(), key=_key)
    edges = (tape, *_key(members[0]), tape, *_key(members[-1]))
    if beside.loose:
        transaction.rows(sql.DROP_TRADES_BETWEEN, edges)
    if contents:
        transaction.rows(sql.DROP_BLOCKS_BETWEEN, edges)
    _add_blocks(transaction, tape, _parts(members, transaction.block, is_amid=bool(beside.amid)))
    return True


def _beside(transaction: Transaction, tape: int, first: _Key, last: _Key) -> _Beside:
    blocks = transaction.rows(sql.BLOCKS_BESIDE, (tape, first[0], last[0]))
    amid = [row for row in blocks if row[2:4] >= first and row[:2] <= last]
    before = [row for row in blocks if row[2:4] < first][-1:]
    after = before[0][2:4] if before else (0, 0)
    if amid and amid[0][:2] < first:
        before, after = [], first  # nothing before that block is packed anew
    most = transaction.block
    rows = transaction.rows(sql.LAST_TRADES, (tape, after[0], last[0], 0, EVER, most))
    if len(rows) == most:
        before = []  # other rows may lie between
        if _key(rows[-1]) >= first:
            # None may be left out that lies among those that are packed.
            rows = transaction.rows(sql.FIRST_TRADES, (tape, first[0], last[0], 0, EVER, EVER))
    return _Beside(
        [row[5] for row in amid],
        [row for row in rows if after < _key(row) <= last],
        [row[5] for row in before if row[4] < most],
    )


def _parts(trades: Sequence[RecordedTrade], most: int, *, is_amid: bool) -> list[Sequence[RecordedTrade]]:
    """Cuts trades into parts for blocks. The last part is filled up later. When the trades lie between others, every part gets some room."""
    size = most
    if is_amid:
        size = -(-len(trades) // -(-len(trades) // most))
    return [trades[start : start + size] for start in range(0, len(trades), size)]


def _add_blocks(transaction: Transaction, tape: int, parts: Sequence[Sequence[RecordedTrade]]) -> None:
    rows = []
    for part in parts:
        ids = [trade.trade_id for trade in part]
        rows.append((tape, *_key(part[0]), *_key(part[-1]), min(ids), max(ids), len(part), packed(part)))
    transaction.many(sql.ADD_BLOCK, rows)


def _asked_of(blocks: Iterable[Block], asked: Asked, limit: int, *, newest: bool) -> list[RecordedTrade]:
    """The trades of blocks that are asked for, as long as there are fewer than `limit`."""
    of_all_ids = (asked.first_id, asked.last_id) == (0, EVER)
    found: list[RecordedTrade] = []
    for block in blocks:
        places = block.within(asked.since, asked.until)
        if of_all_ids:
            places = places[-limit:] if newest else places[:limit]
        trades = block.trades(places)
        found += [trade for trade in trades if asked.first_id <= trade.trade_id <= asked.last_id]
        if len(found) >= limit:
            break
    return found


def _edge(block: Block, *, newest: bool) -> _Key:
    """The key of the trade at which a block ends in the order of a question."""
    place = 0 if newest else len(block) - 1
    return _key(block.trades(range(place, place + 1))[0])


_key: Callable[[RecordedTrade | Row], _Key] = itemgetter(1, 0)
