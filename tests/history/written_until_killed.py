"""A program for a test: writes trades into a history file, with holes that it fills later, until it is killed."""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from ltp_service.history.rows import News, RecordedTrade
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from tests.history.plain import PAIR, SECOND, trade


def traded(trade_id: int) -> RecordedTrade:
    """The trade with an id, the same in every process. A hundred of them are made in a minute."""
    return trade(trade_id, trade_id * 0.6, f"{100 + trade_id % 17}.{trade_id}", f"0.{trade_id}")


def next_at(trade_id: int) -> int:
    """The last moment before the next trade."""
    return traded(trade_id + 1).traded_at - 1


def some_news(chance: Random, newest: int) -> Iterator[News]:
    """Without an end: stretches of trades, some of which are missing, and stretches of older ones."""
    while True:
        first, newest = newest + chance.choice((1, 1, 9)), newest + chance.randrange(10, 400)
        told = tuple(traded(trade_id) for trade_id in range(first, newest + 1))
        yield News(PAIR, told, next_at(newest), newest)
        if chance.random() < 0.3:
            start = chance.randrange(max(1, newest - 3_000), newest)
            yield News(PAIR, tuple(map(traded, range(start, start + chance.randrange(300)))))
            newest = max(newest, start + 299)


def main() -> None:
    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    store = SqlHistory(SqliteEngine(path))
    runs = store.coverage(PAIR).runs
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    for news in some_news(Random(seed), runs[-1].last_trade_id if runs else 0):
        store.write([news])
        if news.trades and news.trades[-1].trade_id % 5 == 0:
            store.prune(news.trades[-1].traded_at - 3_600 * SECOND)


if __name__ == "__main__":
    main()
