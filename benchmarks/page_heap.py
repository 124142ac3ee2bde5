"""python -m benchmarks.page_heap [--minutes 10]: whether the page's JavaScript heap stays flat.

The tab has a line of its own, so that its heap also holds what the shared worker would keep. Prices come as fast as the
stream may send them. It needs Chromium, and is not part of `make bench` for its time.
"""

import argparse
import time
from itertools import count
from threading import Event, Thread
from typing import Any

from tests.process.browser import chromium, expect_live, tabs
from tests.process.scripted_service import PRICES, ScriptedService, scripted_service

FRAMES = 10
"""Price frames a second: the most that the service sends to one client."""
MEGABYTE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_heap", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    ended = Event()
    with scripted_service() as (service, url), chromium() as browser, tabs(browser, url) as opened:
        opened.context.add_init_script("delete window.SharedWorker")
        page = opened.open()
        expect_live(page)
        mover = Thread(target=move, args=(service, ended))
        mover.start()
        door = opened.context.new_cdp_session(page)
        door.send("HeapProfiler.enable")
        began = time.monotonic()
        sizes: list[float] = []
        while (passed := time.monotonic() - began) <= 60 * minutes:
            sizes.append(used(door))
            elements = page.locator("*").count()
            print(f"{passed / 60:5.1f} min  heap {sizes[-1]:6.2f} MiB  {elements} elements", flush=True)
            page.wait_for_timeout(15_000)
        ended.set()
        mover.join()
    # The histories fill for 15 minutes: 180 entries a pair, about 10 KB.
    half = sizes[len(sizes) // 2 :]
    print(f"second half: {min(half):.2f} to {max(half):.2f} MiB")


def move(service: ScriptedService, ended: Event) -> None:
    """Every price, ten times a second."""
    for number in count():
        if ended.wait(1 / FRAMES):
            return
        for pair, price in PRICES.items():
            service.price(pair, f"{price}{number % 1000}", "quiet" if number % 600 == 0 else "live")


def used(door: Any) -> float:
    """MiB of the heap that are in use after a collection."""
    door.send("HeapProfiler.collectGarbage")
    size: float = door.send("Runtime.getHeapUsage")["usedSize"]
    return size / MEGABYTE


if __name__ == "__main__":
    main()
