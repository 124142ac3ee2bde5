"""The page of a real service, through the nginx that is shipped."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from ltp_service.http.openapi.document import document
from tests.deadline import generous
from tests.process.browser import expect_dead, tabs
from tests.process.nginx import Nginx, behind_nginx, own_folder, reachable, running_nginx
from tests.process.service import Service
from tests.programs import require_program
from tests.simulator.client import Simulator

pytestmark = pytest.mark.skipif(
    "/api/v1/stream" not in document()["paths"], reason="the stream is not in this branch yet"
)

DIGITS = {"BTC/USD": "123456789.123456789", "XRP/USD": "0.0000001234"}
KEY = "ltp_" + "P" * 43
QUICK = {"CACHE_TTL": "5s", "KRAKEN_FALLBACK_TIMEOUT": "2s", "KRAKEN_IDLE_TIMEOUT": "2s"}


def at(nginx: Nginx) -> str:
    return f"http://127.0.0.1:{nginx.port}/"


def test_the_digits_of_the_exchange_come_to_the_page(simulator: Simulator, browser: Browser) -> None:
    with behind_nginx(simulator) as (nginx, service):
        with tabs(browser, at(nginx)) as opened:
            page = opened.open()
            expect(page.locator("#pairs tr")).to_have_count(7)
            for pair, price in DIGITS.items():
                simulator.trade(pair, price)  # so far from the last one that it is held back for 2 s
                expect(page.locator(f'tr[data-pair="{pair}"] .price')).to_have_text(price)
            expect(page.locator("#feeds")).to_contain_text("kraken")
            expect(page.locator("#about")).to_contain_text("CACHE_TTL")
        assert not [line for line in service.log_lines() if line["level"] in ("error", "critical")]


OTHER_PAGE = """<!doctype html><title>waiting</title><script type="module">
import {{ PriceStream }} from "{url}client.js";
const stream = new PriceStream("{url}", {{ pairs: ["btc-usd"], key: "{key}" }});
const show = () => {{
  const quote = stream.quote("BTC/USD");
  if (quote?.trustworthy) document.title = `${{quote.price}} ${{quote.state}} ${{stream.line.phase}}`;
}};
stream.addEventListener("price", show);
</script>"""


@contextmanager
def other_page() -> Iterator[tuple[str, list[bytes]]]:
    """Another origin with one page, and what that page is."""
    content: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content[0])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            """The browser's requests are no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", content
        server.shutdown()


def test_a_page_of_another_origin_reads_the_stream_by_the_same_module(
    simulator: Simulator, browser: Browser
) -> None:
    closed = {"AUTH_ENABLED": "true", "AUTH_API_KEY": KEY}
    with (
        other_page() as (origin, content),
        behind_nginx(simulator, CORS_ORIGINS=origin, **closed) as (nginx, _),
    ):
        content.append(OTHER_PAGE.format(url=at(nginx), key=KEY).encode())
        page = browser.new_page()
        page.goto(origin)
        simulator.trade("BTC/USD", "115643.10")
        expect(page).to_have_title("115643.10 live open")
        page.close()


def test_a_service_that_is_gone_is_told_and_a_new_one_found(simulator: Simulator, browser: Browser) -> None:
    with own_folder() as folder:
        started = partial(Service.start, simulator, fed=True, **reachable(folder))
        with (
            started() as first,
            running_nginx(require_program("nginx"), folder) as nginx,
            tabs(browser, at(nginx)) as opened,
        ):
            page = opened.open()
            simulator.trade("BTC/USD", "100")
            expect(page.locator('tr[data-pair="BTC/USD"] td.state')).to_have_text("live")
            os.kill(first.worker_pids()[0], signal.SIGKILL)
            expect(page.locator("html")).not_to_have_attribute("data-line", "live")
            expect(page.locator("html")).to_have_attribute("data-line", "live")
            first.stop()
            expect_dead(page)  # nginx answers 502
            with started():
                expect(page.locator("html")).to_have_attribute("data-line", "live")


def test_what_the_service_says_of_a_dead_exchange_is_on_the_page(
    simulator: Simulator, browser: Browser
) -> None:
    with behind_nginx(simulator, **QUICK) as (nginx, _), tabs(browser, at(nginx)) as opened:
        page = opened.open()
        state = page.locator('tr[data-pair="BTC/USD"] td.state')
        simulator.trade("BTC/USD", "100")
        expect(state).to_have_text("live")
        simulator.fault("freeze")
        expect(state).to_have_text("fallback", timeout=1000 * generous(2, 2))
        expect(page.locator("#verdict")).to_contain_text("from REST since")
        simulator.fault("rest_status", status=500)
        expect(state).to_have_text("stale", timeout=1000 * generous(5, 2))
        simulator.clear()
        simulator.trade("BTC/USD", "101")
        expect(state).to_have_text("live")
