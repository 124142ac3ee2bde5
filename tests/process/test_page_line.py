"""The page's line to a service that does what the test says: how it breaks, what the page then says, how it comes back."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.deadline import IN_FULL
from tests.process.browser import Tabs, expect_dead, expect_live, price_of
from tests.process.scripted_service import PRICES, ScriptedService

ASLEEP = 60 if IN_FULL else 16
"""Seconds: a little more than the page takes for a sleep."""

SEEN = """() => {
  const root = document.documentElement;
  root.dataset.seen = "";
  const look = () => { root.dataset.seen += root.dataset.line + " "; };
  new MutationObserver(look).observe(root, { attributeFilter: ["data-line"] });
}"""
"""Notes each state of the line that the page shows from now on."""


@pytest.fixture
def service(scripted: tuple[ScriptedService, str]) -> ScriptedService:
    return scripted[0]


def _silent(service: ScriptedService) -> None:
    service.beating = False


def _garbage(service: ScriptedService) -> None:
    service.send("price", {"pair": "BTC/USD", "price": "1e5", "state": "live"})
    service.refuse(200, b"event: hello\ndata: {}\n\n", "text/event-stream")


def _endless(service: ScriptedService) -> None:
    service.refuse(200, b"data: " + b"x" * 2_000_000, "text/event-stream")


FAULTS: dict[str, Callable[[ScriptedService], None]] = {
    "no heartbeat": _silent,
    "502": lambda service: service.refuse(502, b"<html>", "text/html", Retry_After="1"),
    "503": lambda service: service.refuse(503),
    "429": lambda service: service.refuse(429, Retry_After="2"),
    "401": lambda service: service.refuse(401),
    "404": lambda service: service.refuse(404),
    "500": lambda service: service.refuse(500),
    "204": lambda service: service.refuse(204, b""),
    "a page": lambda service: service.refuse(200, b"<html>", "text/html"),
    "garbage": _garbage,
    "no end": _endless,
}


SOME = "no heartbeat, 502, 404, 204, garbage".split(", ")
"""Each is noticed in another place of the code."""


@pytest.mark.parametrize("fault", FAULTS if IN_FULL else SOME)
def test_it_says_that_it_is_not_live_and_comes_back_by_itself(
    service: ScriptedService, opened: Tabs, fault: str
) -> None:
    page = opened.open()
    expect_live(page)
    FAULTS[fault](service)
    expect_dead(page)
    assert {pair: price_of(page, pair) for pair in PRICES} == PRICES
    service.refusal, service.beating = None, True
    expect_live(page)
    expect(page.locator("#log")).to_contain_text("not live")


def test_it_keeps_to_what_the_service_asks_for(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    service.refuse(429, Retry_After="30")
    expect_dead(page)
    expect(page.locator("#bar-detail")).to_have_text(
        re.compile("the service answered 429 · next try in (2|3)[0-9] s")
    )
    asked = len(service.asked)
    page.locator("#bar-retry").click()
    page.wait_for_timeout(100)
    assert [path for path, _ in service.asked[asked:] if "stream" in path] == [
        "/api/v1/stream?last_event_id=" + last_id(service)
    ]


def last_id(service: ScriptedService) -> str:
    return next(path.partition("=")[2] for path, _ in reversed(service.asked) if "last_event_id" in path)


def test_a_bye_is_no_alarm(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    page.evaluate(SEEN)
    service.send("bye", {"reason": "restart"}, more="retry: 500\n")
    service.cut()
    expect(page.locator("html")).to_have_attribute("data-line", "lost")
    expect_live(page)
    expect(page.locator("html")).not_to_have_attribute("data-seen", re.compile("dead"))


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wrong_clock_of_the_service_decides_nothing(
    service: ScriptedService, opened: Tabs, hours: int
) -> None:
    service.clock_error = 3600.0 * hours
    for pair, price in PRICES.items():
        service.price(pair, price)
    page = opened.open()
    expect_live(page)
    service.clock_error = 0.0  # it is set right
    service.price("BTC/USD", "7")
    expect(page.locator('tr[data-pair="BTC/USD"] .price')).to_have_text("7")
    expect_live(page)


def test_a_device_that_is_offline_says_so_at_once(opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    opened.context.set_offline(True)
    expect_dead(page)
    expect(page.locator("#bar-detail")).to_contain_text("offline")
    opened.context.set_offline(False)
    expect_live(page)


@pytest.mark.parametrize("worker", [True, False] if IN_FULL else [True])
def test_a_tab_that_was_asleep_believes_nothing_that_has_waited(
    service: ScriptedService, opened: Tabs, worker: bool
) -> None:
    if not worker:
        opened.context.add_init_script("delete window.SharedWorker")
    page = opened.open()
    expect_live(page)
    page.evaluate(SEEN)
    # A browser freezes hidden tabs only, and none is hidden here; a debugger stops a tab in the same way.
    door = opened.context.new_cdp_session(page)
    door.send("Debugger.enable")
    door.send("Debugger.pause")
    other = opened.open()
    expect_live(other)
    other.wait_for_timeout(1000 * ASLEEP)
    door.send("Debugger.resume")
    door.send("Debugger.disable")
    expect(page.locator("#log")).to_contain_text("asleep")
    expect(page.locator("html")).to_have_attribute("data-seen", re.compile("dead"))
    expect_live(page)


def test_a_clock_of_this_tab_that_jumps_is_learnt_anew(opened: Tabs) -> None:
    page = opened.context.new_page()
    page.clock.install()
    page.goto(opened.url)
    expect_live(page)
    page.evaluate(SEEN)
    page.clock.fast_forward("01:00:00")
    expect(page.locator("#log")).to_contain_text("asleep")
    expect(page.locator("html")).to_have_attribute("data-seen", re.compile("dead"))
    expect_live(page)


def test_seven_tabs_share_one_line(service: ScriptedService, opened: Tabs) -> None:
    pages = [opened.open() for _ in range(7)]
    for page in pages:
        expect_live(page)
    assert service.streams == 1
    pages[0].close()
    service.price("BTC/USD", "1")
    for page in pages[1:]:
        expect(page.locator('tr[data-pair="BTC/USD"] .price')).to_have_text("1")
    assert service.streams == 1


def test_a_worker_that_dies_is_noticed_and_replaced(
    service: ScriptedService, opened: Tabs, browser: Browser
) -> None:
    page = opened.open()
    expect_live(page)
    door = browser.new_browser_cdp_session()
    targets = door.send("Target.getTargets", {"filter": [{"type": "shared_worker"}]})["targetInfos"]
    (worker,) = [each for each in targets if each["url"].startswith(opened.url)]
    door.send("Target.closeTarget", {"targetId": worker["targetId"]})
    expect_dead(page)
    expect_live(page)


def test_a_browser_without_shared_workers_has_a_line_for_each_tab(
    service: ScriptedService, opened: Tabs
) -> None:
    opened.context.add_init_script("delete window.SharedWorker")
    for count in (1, 2):
        page = opened.open()
        expect_live(page)
        assert service.streams == count
    service.refuse(502)
    expect_dead(page)
    service.refusal = None
    expect_live(page)


def test_the_picture_is_broken_where_nothing_is_known(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    line = page.locator('tr[data-pair="BTC/USD"] .spark path')
    expect(line).to_have_attribute("d", re.compile("L"))  # more than the slot that will be broken
    service.refuse(502)
    expect_dead(page)
    service.refusal = None
    expect_live(page)
    expect(line).to_have_attribute("d", re.compile("^M[^M]*M[^M]*$"))


def test_a_page_whose_script_has_stopped_says_so(opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    switch = page.locator("#deadman")
    expect(switch).to_be_hidden()
    page.evaluate(
        "() => { for (let id = setInterval(() => 0, 1e9); id > 0; id--) clearInterval(id);"
        " window.requestAnimationFrame = () => 1; }"
    )
    expect(switch).to_be_visible()
