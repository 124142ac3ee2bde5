"""The history's SQL, the same for SQLite and PostgreSQL.

A `tape` is one series of one pair: its trades in the order of time and id. The tables, whose types each engine chooses:

- tapes: tape (key), pair, series, evidence_until, kept_from; unique (pair, series)
- trades: tape, traded_at, trade_id (key: these three), price, quantity, form
- runs: tape, first_trade_id (key: these two), last_trade_id, first_traded_at, last_traded_at
- candles: tape, minutes, begins (key: these three), opening, highest, lowest, closing, volume, turnover, trades,
  first_trade_id, last_trade_id; index (tape, first_trade_id) where minutes = 1
- breaks: tape, moment (key: both); no run goes on from a trade at or before such a moment to a later one
- observations: pair, observed_at (key: these two), evidence_until, price, traded_at, source
- blocks: tape, first_traded_at, first_trade_id (key: these three), last_traded_at, last_trade_id, lowest_id, highest_id, trades,
  content; only where the engine packs, which is PostgreSQL. `content` is what `blocks.packed` makes of so many trades, and
  first and last are in the order of time and id
- writer: only_row (key, always 1), token, previous; one row from the beginning, whose token is a random number

All are integers of 64 bits, but for texts: pair, source, the price of an observation, and the exact numbers of candles. Price and
quantity of a trade are an integer where their digits fit into 63 bits, else a text (PostgreSQL: numeric for both).
May be null: evidence_until and kept_from of a tape, traded_at of an observation, previous of the writer.
"""

RUN = "first_trade_id, last_trade_id, first_traded_at, last_traded_at"
TRADE = "trade_id, traded_at, price, quantity, form"
CANDLE = "begins, opening, highest, lowest, closing, volume, turnover, trades, first_trade_id, last_trade_id"
OBSERVATION = "price, observed_at, evidence_until, traded_at, source"

# What readers ask.
_RUNS = f"SELECT series, tapes.tape, {RUN}, evidence_until, kept_from FROM tapes JOIN runs ON runs.tape = tapes.tape WHERE pair = ?"
COVERAGE = f"{_RUNS} ORDER BY series, first_trade_id"
_RUNS_NAMED = _RUNS.replace("?", "?1")
_BESIDE = (
    f"WITH run AS ({_RUNS_NAMED} AND first_traded_at <= ?2 ORDER BY series DESC, first_trade_id DESC LIMIT 1)"
)
_TRADE_BESIDE = f"""SELECT {TRADE}, 0, 0, 0, 0, 0, 0, 0, 0{{0}} FROM (SELECT {TRADE} FROM trades
    WHERE tape = (SELECT tape FROM {{1}}) AND traded_at"""
_RUN_BESIDE = "SELECT NULL, NULL, NULL, NULL, NULL, beside.*{0} FROM"
_AROUND = " UNION ALL ".join(
    (
        f"{_TRADE_BESIDE} <= ?2 ORDER BY traded_at DESC, trade_id DESC LIMIT 1) AS earlier",
        f"{_TRADE_BESIDE} > ?2 ORDER BY traded_at, trade_id LIMIT 1) AS later",
        f"{_RUN_BESIDE} run AS beside",
        f"{_RUN_BESIDE} ({_RUNS_NAMED} AND first_traded_at > ?2 ORDER BY series, first_trade_id LIMIT 1) AS beside",
        f"{_RUN_BESIDE} ({_RUNS_NAMED} ORDER BY series DESC, first_trade_id DESC LIMIT 1) AS beside",
    )
)
AROUND = f"{_BESIDE} {_AROUND.format('', 'run')}"
"""Trades and runs around a moment, at once, because each question to a server takes a while: five columns of a trade, then
eight of a run; those of the trade are null where the row is a run. The last run may be told twice. Parameters: pair and
moment."""
OBSERVED = f"SELECT {OBSERVATION} FROM observations WHERE pair = ? AND observed_at <= ? ORDER BY observed_at DESC LIMIT 1"
TAPES_WITHIN = """SELECT tapes.tape FROM tapes JOIN runs ON runs.tape = tapes.tape WHERE pair = ?
    GROUP BY tapes.tape, series HAVING min(first_traded_at) < ? AND max(last_traded_at) >= ? ORDER BY series"""
NEWEST_TAPE = "SELECT tape FROM tapes WHERE pair = ? ORDER BY series DESC LIMIT 1"
MINUTE_OF_ID = """SELECT begins FROM candles WHERE tape = ? AND minutes = 1 AND first_trade_id <= ?
    ORDER BY first_trade_id DESC LIMIT 1"""
CANDLES = f"""SELECT {CANDLE} FROM tapes JOIN candles ON candles.tape = tapes.tape
    WHERE pair = ? AND minutes = ? AND begins >= ? AND begins < ? ORDER BY begins, series"""

# The trades of one tape, by both. Bounds are included; parameters: tape, earliest and latest moment, lowest and highest id, limit.
_WITHIN = "tape = ? AND traded_at >= ? AND traded_at <= ? AND trade_id >= ? AND trade_id <= ?"
_IN_ORDER, _BACKWARD = "ORDER BY traded_at, trade_id", "ORDER BY traded_at DESC, trade_id DESC"
FIRST_TRADES = f"SELECT {TRADE} FROM trades WHERE {_WITHIN} {_IN_ORDER} LIMIT ?"
LAST_TRADES = f"SELECT {TRADE} FROM trades WHERE {_WITHIN} {_BACKWARD} LIMIT ?"
NTH_TRADE = f"SELECT traded_at FROM trades WHERE tape = ? {_IN_ORDER} LIMIT 1 OFFSET ?"

# The same where older trades are packed: five columns of a trade, then the content of a block; null where the row is a trade.
BLOCK_EDGES = "first_traded_at, first_trade_id, last_traded_at, last_trade_id"
_SINCE_BLOCK = """tape = ?1 AND first_traded_at >=
    coalesce((SELECT max(first_traded_at) FROM blocks WHERE tape = ?1 AND first_traded_at < ?2), 0) AND first_traded_at <= ?3"""
"""Blocks follow one another in time. Before a moment one alone may begin and reach it."""
_BLOCKS_WITHIN = f"{_SINCE_BLOCK} AND last_traded_at >= ?2 AND lowest_id <= ?5 AND highest_id >= ?4"
_BLOCKS_IN_ORDER = "ORDER BY first_traded_at, first_trade_id"
_BLOCKS_BACKWARD = "ORDER BY first_traded_at DESC, first_trade_id DESC"

_BLOCK_BESIDE = "SELECT 0, 0, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, content FROM"
AROUND_PACKED = f"""{_BESIDE}, block AS (SELECT content, last_traded_at FROM blocks
    WHERE tape = (SELECT tape FROM run) AND first_traded_at <= ?2 {_BLOCKS_BACKWARD} LIMIT 1),
    amid AS (SELECT tape FROM run WHERE NOT EXISTS (SELECT 1 FROM block WHERE last_traded_at > ?2))
    {_AROUND.format(", CAST(NULL AS bytea)", "amid")} UNION ALL {_BLOCK_BESIDE} block UNION ALL {_BLOCK_BESIDE} (SELECT content
    FROM blocks WHERE tape = (SELECT tape FROM amid) AND first_traded_at > ?2 {_BLOCKS_IN_ORDER} LIMIT 1) AS later"""
"""The same with the content of a block in a column more: of the one that begins at or before the moment, and of the next one where
that has no later trade. Else neither that nor a row is looked for, because all trades between its first and last are in it."""


def _with_blocks(order: str, order_of_blocks: str) -> str:
    loose = f"""SELECT {TRADE} FROM trades WHERE tape = ?1 AND traded_at >= ?2 AND traded_at <= ?3
        AND trade_id >= ?4 AND trade_id <= ?5 {order} LIMIT ?6"""
    return f"""SELECT loose.*, CAST(NULL AS bytea) FROM ({loose}) AS loose UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, content
        FROM (SELECT content FROM blocks WHERE {_BLOCKS_WITHIN} {order_of_blocks} LIMIT ?7) AS packed"""


FIRST_PACKED = _with_blocks(_IN_ORDER, _BLOCKS_IN_ORDER)
LAST_PACKED = _with_blocks(_BACKWARD, _BLOCKS_BACKWARD)
"""Parameters: those above, and the limit of blocks."""
BLOCKS_BESIDE = (
    f"""SELECT {BLOCK_EDGES}, trades, content FROM blocks WHERE {_SINCE_BLOCK} {_BLOCKS_IN_ORDER}"""
)
"""Those that begin between two moments, and the one before. Parameters: tape and the moments."""
BLOCK_ACROSS = f"""SELECT content FROM (SELECT content, last_traded_at FROM blocks WHERE tape = ? AND first_traded_at < ?
    {_BLOCKS_BACKWARD} LIMIT 1) AS packed WHERE last_traded_at >= ?"""
ADD_BLOCK = "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
DROP_BLOCKS = "DELETE FROM blocks WHERE tape = ? AND first_traded_at < ? RETURNING trades"
_BETWEEN = "(tape, {0}) >= (?, ?, ?) AND (tape, {0}) <= (?, ?, ?)"
DROP_TRADES_BETWEEN = f"DELETE FROM trades WHERE {_BETWEEN.format('traded_at, trade_id')}"
DROP_BLOCKS_BETWEEN = f"DELETE FROM blocks WHERE {_BETWEEN.format('first_traded_at, first_trade_id')}"

# What the writer asks and changes.
TAKE_TURN = "UPDATE writer SET previous = token, token = ? RETURNING previous"
TAPES = "SELECT tape, series, evidence_until, kept_from FROM tapes WHERE pair = ? ORDER BY series"
NEW_TAPE = "INSERT INTO tapes SELECT coalesce(max(tape), 0) + 1, ?, ?, NULL, ? FROM tapes RETURNING tape"
RUNS_OF_TAPE = f"SELECT {RUN} FROM runs WHERE tape = ?"
NEWEST_CANDLE = f"SELECT {CANDLE} FROM candles WHERE tape = ? AND minutes = ? ORDER BY begins DESC LIMIT 1"
CANDLES_OF_TAPE = f"SELECT {CANDLE} FROM candles WHERE tape = ? AND minutes = ? AND begins >= ? AND begins < ? ORDER BY begins"
BREAKS = "SELECT moment FROM breaks WHERE tape = ?"
ADD_BREAK = "INSERT INTO breaks VALUES (?, ?) ON CONFLICT DO NOTHING"
ADD_TRADE = "INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
PUT_RUN = """INSERT INTO runs VALUES (?, ?, ?, ?, ?) ON CONFLICT (tape, first_trade_id) DO UPDATE SET
    last_trade_id = excluded.last_trade_id, first_traded_at = excluded.first_traded_at, last_traded_at = excluded.last_traded_at"""
DROP_RUN = "DELETE FROM runs WHERE tape = ? AND first_trade_id = ?"
PUT_EVIDENCE = "UPDATE tapes SET evidence_until = ? WHERE tape = ?"
PUT_CANDLE = """INSERT INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tape, minutes, begins) DO UPDATE SET
    opening = excluded.opening, highest = excluded.highest, lowest = excluded.lowest, closing = excluded.closing,
    volume = excluded.volume, turnover = excluded.turnover, trades = excluded.trades,
    first_trade_id = excluded.first_trade_id, last_trade_id = excluded.last_trade_id"""
PUT_OBSERVATION = """INSERT INTO observations VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (pair, observed_at) DO UPDATE SET
    evidence_until = CASE WHEN excluded.price = observations.price AND excluded.evidence_until > observations.evidence_until
    THEN excluded.evidence_until ELSE observations.evidence_until END"""

# What pruning asks and changes.
PAIRS = """WITH RECURSIVE observed (pair) AS (SELECT min(pair) FROM observations
    UNION ALL SELECT (SELECT min(pair) FROM observations WHERE pair > observed.pair) FROM observed WHERE pair IS NOT NULL)
    SELECT pair FROM observed WHERE pair IS NOT NULL UNION SELECT pair FROM tapes"""
"""One look at the observations for each pair, of which there may be a million."""
COUNT_BEFORE = "SELECT count(*) FROM trades WHERE tape = ? AND traded_at < ?"
DROP_TRADES = "DELETE FROM trades WHERE tape = ? AND traded_at < ?"
PUT_KEPT_FROM = "UPDATE tapes SET kept_from = ? WHERE pair = ?"
LAST_OBSERVED = "SELECT max(observed_at) FROM observations WHERE pair = ? AND observed_at <= ?"
NTH_OBSERVED = "SELECT observed_at FROM observations WHERE pair = ? ORDER BY observed_at LIMIT 1 OFFSET ?"
COUNT_OBSERVED = "SELECT count(*) FROM observations WHERE pair = ? AND observed_at < ?"
DROP_OBSERVED = "DELETE FROM observations WHERE pair = ? AND observed_at < ?"
