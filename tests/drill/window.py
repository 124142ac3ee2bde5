"""The service's page in a real Chromium, and all that it shows: each change of it, and ten looks a second."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

from tests.deadline import DEADLINE
from tests.drill.looks import Look, Shown
from tests.process.browser import Tabs, chromium, tabs

RECORD = """() => {
  window.looks = [];
  const text = (row, name) => row.querySelector(name).textContent;
  const look = () => {
    const switched = getComputedStyle(document.getElementById("deadman"));
    window.looks.push([
      performance.timeOrigin + performance.now(),
      document.documentElement.dataset.line,
      switched.visibility === "visible" && switched.display !== "none",
      `${document.getElementById("bar-word").textContent} ${document.getElementById("bar-detail").textContent}`,
      [...document.querySelectorAll("#pairs tr")].map((row) => [
        row.dataset.pair,
        text(row, ".price"),
        row.querySelector("td.state").dataset.state ?? "",
        text(row, "td.age"),
        text(row, "td.source"),
      ]),
    ]);
  };
  const everything = { subtree: true, childList: true, attributes: true, characterData: true };
  new MutationObserver(look).observe(document.getElementById("pairs"), everything);
  new MutationObserver(look).observe(document.documentElement, { attributes: true });
  // What a picture has shown: after it is painted.
  const again = () => requestAnimationFrame(() => setTimeout(() => { look(); setTimeout(again, 100); }));
  again();
}"""


class Window:
    """A tab with the page."""

    def __init__(self, page: Page, opened: Tabs) -> None:
        self._page = page
        self._opened = opened
        self._looks: list[Look] = []
        self._unix = time.time() - time.monotonic()
        page.evaluate(RECORD)

    def looks(self) -> list[Look]:
        """Everything so far."""
        for moment, line, covered, said, pairs in self._page.evaluate("() => window.looks.splice(0)"):
            rows = [Shown(*each) for each in pairs]
            self._looks.append(Look(moment / 1000 - self._unix, line, covered, said, rows))
        return self._looks

    def first(self, wanted: Callable[[Look], bool], since: float) -> float | None:
        """When it showed that for the first time since then."""
        looks = self.looks()
        place = bisect_left(looks, since, key=lambda look: look.moment)
        return next((look.moment for look in looks[place:] if wanted(look)), None)

    def shows(self, wanted: Callable[[Look], bool]) -> bool:
        """Now."""
        looks = self.looks()
        return bool(looks) and wanted(looks[-1])

    def go_offline(self, offline: bool = True) -> None:
        """What the browser tells its pages."""
        self._opened.context.set_offline(offline)

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """A browser freezes hidden tabs only, and none is hidden here; a debugger stops a tab in the same way."""
        door = self._opened.context.new_cdp_session(self._page)
        door.send("Debugger.enable")
        door.send("Debugger.pause")
        try:
            yield
        finally:
            door.send("Debugger.resume")
            door.send("Debugger.disable")

    @property
    def complaints(self) -> list[str]:
        """Of the browser about the page."""
        return self._opened.complaints


@contextmanager
def window(port: int) -> Iterator[Window]:
    """A browser of its own."""
    with chromium() as browser, tabs(browser, f"http://127.0.0.1:{port}/") as opened:
        page = opened.open()
        page.wait_for_selector('#pairs td.state[data-state="live"]', timeout=1000 * DEADLINE)
        yield Window(page, opened)
