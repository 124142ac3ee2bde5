"""python -m gevent.monkey --module benchmarks.feed_alone PAIR MARK: the real feed in a patched process without HTTP.

Prints `ready` at the first price and `mark` when the price is MARK, then waits to be stopped."""

import sys
import time
from decimal import Decimal
from threading import Event

from ltp_service import LastPrices

POLL = 0.005


def main(pair: str, mark: str) -> None:
    """Follows one pair."""
    with LastPrices([pair]) as prices:
        prices.get_current_price(pair)
        print("ready", flush=True)
        while prices.get_current_price(pair) != Decimal(mark):
            time.sleep(POLL)  # asking without a pause would take the processor that is measured
        print("mark", flush=True)
        Event().wait()  # until the program that measures ends this one


if __name__ == "__main__":
    main(*sys.argv[1:])
