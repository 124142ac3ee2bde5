"""Debian's Chromium, and a page in it whose every complaint is kept."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.deadline import DEADLINE
from tests.programs import require_program

PROGRAM = "chromium-headless-shell"
OPTIONS = (
    "--no-sandbox",  # it refuses to run as root otherwise; all it opens is our own page
    *"--disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking".split(),
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """To be opened once for a file of tests."""
    program = require_program(PROGRAM)
    expect.set_options(timeout=1000 * DEADLINE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*OPTIONS])
        yield browser
        browser.close()


class Tabs:
    """Tabs of one browser on one service; they share what a browser's tabs share."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.complaints: list[str] = []
        context.on("page", self._watch)

    def open(self, query: str = "") -> Page:
        page = self.context.new_page()
        page.goto(self.url + query)
        return page

    def _watch(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        # A refused request is what many of these tests are about, and the browser writes each one down.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.complaints.append(f"asked outside: {request.url}")


@contextmanager
def tabs(browser: Browser, url: str, **options: Any) -> Iterator[Tabs]:
    """A browser without a past. What its pages have complained of fails the test."""
    context = browser.new_context(**options)
    opened = Tabs(context, url)
    yield opened
    context.close()
    assert opened.complaints == []


def price_of(page: Page, pair: str) -> str:
    """The digits that are shown."""
    return page.locator(f'tr[data-pair="{pair}"] .price').text_content() or ""


def expect_live(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("data-line", "live")
    expect(page.locator("#bar-word")).to_have_text("Line open")
    expect(page.locator('#pairs td.state:not([data-state="live"])')).to_have_count(0)


def expect_dead(page: Page) -> None:
    """It says so in every way: bar, sentence, title, states and prices."""
    expect(page.locator("html")).to_have_attribute("data-line", "dead")
    expect(page.locator("#bar-word")).to_have_text(re.compile(r"^NOT LIVE, prices as of \d\d:\d\d:\d\d$"))
    expect(page.locator("#verdict")).to_have_text("NOT LIVE: no price on this page is current")
    expect(page).to_have_title(re.compile("^NOT LIVE"))
    expect(page.locator('#pairs tr:not([data-state="unconfirmed"])')).to_have_count(0)
