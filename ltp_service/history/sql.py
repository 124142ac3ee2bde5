"""The history's SQL, the same for SQLite and PostgreSQL.

A `tape` is one series of one pair: its trades in the order of time and id. The tables, whose types each engine chooses:

- tapes: tape (key), pair, series, evidence_until, kept_from; unique (pair, series)
- trades: tape, traded_at, trade_id (key: these three), price, quantity, form
- runs: tape, first_trade_id (key: these two), last_trade_id, first_traded_at, last_traded_at
- candles: tape, minutes, begins (key: these three), opening, highest, lowest, closing, volume, turnover, trades,
  first_trade_id, last_trade_id; index (tape, first_trade_id) where minutes = 1
- breaks: tape, moment (key: both); no run goes on from a trade at or before such a moment to a later one
- observations: pair, observed_at (key: these two), evidence_until, price, traded_at, source
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
_TAPE_AT = """SELECT tapes.tape FROM tapes JOIN runs ON runs.tape = tapes.tape WHERE pair = ? AND first_traded_at <= ?
    ORDER BY series DESC, first_trade_id DESC LIMIT 1"""
_TRADE_AROUND = f"SELECT {TRADE}, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT {TRADE} FROM trades WHERE tape = ({_TAPE_AT}) AND traded_at"
_RUN_AROUND = f"SELECT NULL, NULL, NULL, NULL, NULL, runs_around.* FROM ({_RUNS}"
AROUND = " UNION ".join(
    (
        f"{_TRADE_AROUND} <= ? ORDER BY traded_at DESC, trade_id DESC LIMIT 1) AS earlier",
        f"{_TRADE_AROUND} > ? ORDER BY traded_at, trade_id LIMIT 1) AS later",
        f"{_RUN_AROUND} AND first_traded_at <= ? ORDER BY series DESC, first_trade_id DESC LIMIT 1) AS runs_around",
        f"{_RUN_AROUND} AND first_traded_at > ? ORDER BY series, first_trade_id LIMIT 1) AS runs_around",
        f"{_RUN_AROUND} ORDER BY series DESC, first_trade_id DESC LIMIT 1) AS runs_around",
    )
)
"""Trades and runs around a moment, at once, because each question to a server takes a while: five columns of a trade, then
eight of a run; those of the trade are null where the row is a run. Parameters: pair, moment, moment twice, then pair, moment,
pair, moment, pair."""
FIRST_TRADE = f"SELECT {TRADE} FROM trades WHERE tape = ? ORDER BY traded_at, trade_id LIMIT 1"
OBSERVED = f"SELECT {OBSERVATION} FROM observations WHERE pair = ? AND observed_at <= ? ORDER BY observed_at DESC LIMIT 1"
TAPES_WITHIN = """SELECT tapes.tape FROM tapes JOIN runs ON runs.tape = tapes.tape WHERE pair = ?
    GROUP BY tapes.tape, series HAVING min(first_traded_at) < ? AND max(last_traded_at) >= ? ORDER BY series"""
TRADES = f"SELECT {TRADE} FROM trades WHERE tape = ? AND traded_at >= ? AND traded_at < ? ORDER BY traded_at, trade_id LIMIT ?"
NEWEST_TAPE = "SELECT tape FROM tapes WHERE pair = ? ORDER BY series DESC LIMIT 1"
MINUTE_OF_ID = """SELECT begins FROM candles WHERE tape = ? AND minutes = 1 AND first_trade_id <= ?
    ORDER BY first_trade_id DESC LIMIT 1"""
TRADES_AFTER = f"""SELECT {TRADE} FROM trades WHERE tape = ? AND traded_at >= ? AND traded_at < ? AND trade_id > ?
    ORDER BY traded_at, trade_id LIMIT ?"""
CANDLES = f"""SELECT {CANDLE} FROM tapes JOIN candles ON candles.tape = tapes.tape
    WHERE pair = ? AND minutes = ? AND begins >= ? AND begins < ? ORDER BY begins, series"""

# What the writer asks and changes.
TAKE_TURN = "UPDATE writer SET previous = token, token = ? RETURNING previous"
TAPES = "SELECT tape, series, evidence_until, kept_from FROM tapes WHERE pair = ? ORDER BY series"
NEW_TAPE = "INSERT INTO tapes SELECT coalesce(max(tape), 0) + 1, ?, ?, NULL, ? FROM tapes RETURNING tape"
RUNS_OF_TAPE = f"SELECT {RUN} FROM runs WHERE tape = ?"
NEWEST_CANDLE = f"SELECT {CANDLE} FROM candles WHERE tape = ? AND minutes = ? ORDER BY begins DESC LIMIT 1"
CANDLES_OF_TAPE = f"SELECT {CANDLE} FROM candles WHERE tape = ? AND minutes = ? AND begins >= ? AND begins < ? ORDER BY begins"
ALL_TRADES = f"SELECT {TRADE} FROM trades WHERE tape = ? AND traded_at >= ? AND traded_at < ? ORDER BY traded_at, trade_id"
_OF_IDS = (
    "FROM trades WHERE tape = ? AND traded_at >= ? AND traded_at <= ? AND trade_id >= ? AND trade_id <= ?"
)
TRADES_OF_IDS = f"SELECT {TRADE} {_OF_IDS} ORDER BY traded_at, trade_id"
TRADE_OF_ID = f"{TRADES_OF_IDS} LIMIT 1"
FIRST_OF_IDS = f"SELECT traded_at {_OF_IDS} ORDER BY traded_at, trade_id LIMIT 1"
LAST_OF_IDS = f"SELECT traded_at {_OF_IDS} ORDER BY traded_at DESC, trade_id DESC LIMIT 1"
LOWEST_ID = f"SELECT min(trade_id) {_OF_IDS}"
HIGHEST_ID = f"SELECT max(trade_id) {_OF_IDS}"
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
LAST_UNTIL = "SELECT max(traded_at) FROM trades WHERE tape = ? AND traded_at <= ?"
NTH_TRADE = "SELECT traded_at FROM trades WHERE tape = ? ORDER BY traded_at, trade_id LIMIT 1 OFFSET ?"
COUNT_BEFORE = "SELECT count(*) FROM trades WHERE tape = ? AND traded_at < ?"
DROP_TRADES = "DELETE FROM trades WHERE tape = ? AND traded_at < ?"
PUT_KEPT_FROM = "UPDATE tapes SET kept_from = ? WHERE pair = ?"
LAST_OBSERVED = "SELECT max(observed_at) FROM observations WHERE pair = ? AND observed_at <= ?"
NTH_OBSERVED = "SELECT observed_at FROM observations WHERE pair = ? ORDER BY observed_at LIMIT 1 OFFSET ?"
COUNT_OBSERVED = "SELECT count(*) FROM observations WHERE pair = ? AND observed_at < ?"
DROP_OBSERVED = "DELETE FROM observations WHERE pair = ? AND observed_at < ?"
