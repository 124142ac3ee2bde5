"""How much of the disk a million trades take."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random

from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Side
from ltp_service.history.rows import News, RecordedTrade
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.deadline import IN_FULL
from tests.history.plain import NOON

TRADES = 1_000_000 if IN_FULL else 40_000
MOST_BYTES_OF_A_MILLION = 35 * 2**20

PRICES = {
    "BTC": "115643.1",
    "ETH": "4123.45",
    "SOL": "231.12",
    "XRP": "2.98765",
    "DOGE": "0.2412345",
    "ADA": "0.812345",
    "LTC": "104.12",
}


def market(chance: Random, trades: int = TRADES) -> list[News]:
    """News of a tenth of a second each, as far apart as trades are on a lively day: 20 of them a second."""
    ids = dict.fromkeys(PRICES, 90_000_000)
    moment, told = NOON, []
    while sum(ids.values()) < 90_000_000 * len(ids) + trades:
        moment += chance.randrange(100_000)
        base = chance.choice(list(PRICES))
        ids[base] += 1
        price = Decimal(PRICES[base])
        price += chance.randrange(-500, 500) * Decimal((0, (1,), int(price.as_tuple().exponent)))
        quantity = Decimal(round(10 ** chance.gauss(6, 1.2)) + 1).scaleb(-8)
        side: Side = "buy" if chance.random() < 0.5 else "sell"
        told.append(News(Pair(base, "USD"), (RecordedTrade(ids[base], moment, price, quantity, side),)))
    return told


def test_a_million_trades_take_no_more_than_35_mib(tmp_path: Path) -> None:
    news = market(Random(7))
    with closing(SqlHistory(SqliteEngine(tmp_path / "history.sqlite3"))) as store:
        assert sum(store.write(news[start : start + 20]).new for start in range(0, len(news), 20)) == TRADES
        store.close()  # which empties the journal
        assert store.size() / TRADES * 1_000_000 <= MOST_BYTES_OF_A_MILLION
