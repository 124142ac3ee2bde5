"""The page for people, in a real browser."""

import subprocess
from pathlib import Path

from ltp_service.http.openapi.document import document
from tests.deadline import DEADLINE
from tests.process.browser import OPTIONS, PROGRAM
from tests.process.service import Service
from tests.programs import require_program


def open_in_chromium(url: str, profile: Path) -> tuple[str, list[str]]:
    """The document after its scripts have run, and what the page made the browser write to its console."""
    command = [
        require_program(PROGRAM),
        *OPTIONS,
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",  # milliseconds of the page's own clock, which stops while it loads
        "--dump-dom",
        url,
    ]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=DEADLINE)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, [line for line in console if "source: chrome://" not in line]


def test_the_page_shows_every_operation_and_breaks_no_policy(service: Service, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{service.port}/docs#/prices/getPrices"
    page, console = open_in_chromium(url, tmp_path)
    shown = {
        operation["operationId"]: f'id="operations-{operation["tags"][0]}-{operation["operationId"]}"' in page
        for item in document()["paths"].values()
        for operation in item.values()
    }
    assert shown == dict.fromkeys(shown, True)
    assert console == []


def test_what_breaks_a_policy_would_be_seen(service: Service, tmp_path: Path) -> None:
    """A picture has the policy of JSON, and the page that the browser itself puts around it has inline styles."""
    _, console = open_in_chromium(f"http://127.0.0.1:{service.port}/docs/favicon-32x32.png", tmp_path)
    assert any("Content Security Policy" in line for line in console)
