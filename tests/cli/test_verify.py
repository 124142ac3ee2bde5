"""ltp verify: what it prints, and its exit codes. test_verifying.py has what it finds."""

import json
import re
import sys
from io import StringIO

import click
import pytest

from ltp_service.cli.terminal import track
from ltp_service.cli.verifying.tape import PAGE_TRADES
from tests.cli.conftest import Run
from tests.cli.lying_server import LyingServer
from tests.cli.lying_service import PAIRS, OkWithoutPrice, Truth
from tests.cli.screen import Screen
from tests.deadline import DEADLINE

QUICKLY = ("--seconds", "1", "--rest-lag", "0", "--late", f"{DEADLINE:g}")
"""Nothing here is late on a slow machine."""


def test_an_honest_service_ends_in_0_with_how_much_was_judged(run: Run) -> None:
    with LyingServer(Truth()) as server:
        shown = run("verify", server.url, "--rest-url", server.rest_url, *QUICKLY)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("0 findings in ")
    assert shown.out.endswith(" trades of 2 pairs; 0 could not be judged\n")
    assert int(shown.out.split()[3]) > 2 * len(PAIRS)


def test_a_lie_is_a_line_with_its_name_and_ends_in_1(run: Run) -> None:
    with LyingServer(OkWithoutPrice()) as server:
        shown = run("verify", server.url, "--rest-url", server.rest_url, *QUICKLY)
    assert (shown.code, shown.err) == (1, "")
    first = shown.out.splitlines()[0]
    assert (
        first.endswith("Z BTC/USD no-price: status 200 without it; but a price, or an error for it") or first
    )


def test_json_is_an_object_for_each_finding_and_one_with_the_sums(run: Run) -> None:
    with LyingServer(OkWithoutPrice()) as server:
        shown = run("verify", server.url, *QUICKLY, "--json", KRAKEN_REST_URL=server.rest_url)
    *findings, sums = map(json.loads, shown.out.splitlines())
    assert {(each["finding"], each["pair"]) for each in findings} == {("no-price", pair) for pair in PAIRS}
    assert (sums["findings"], sums["pairs"], sums["reasons"]) == (len(findings), 2, [])


def test_what_cannot_be_judged_is_named_and_ends_in_2(run: Run) -> None:
    shown = run("verify", "http://127.0.0.1:9", *QUICKLY)
    assert (shown.code, shown.err) == (
        2,
        "not judged: the stream of http://127.0.0.1:9: connection refused\n",
    )
    assert shown.out.endswith("; not everything could be judged\n")
    for refused, says in (
        ("/api/v1/ltp", "the answers of http"),
        ("/0/", "the exchange's REST does not tell"),
    ):
        with LyingServer(Truth(), refuses=refused) as server:
            shown = run("verify", server.url, "--rest-url", server.rest_url, *QUICKLY)
        assert shown.code == 2
        assert says in shown.err


def test_a_pair_with_more_trades_of_one_moment_than_a_page_has_is_named_and_others_are_judged(
    run: Run,
) -> None:
    with LyingServer(Truth()) as server:
        server.crowd("BTC/USD", PAGE_TRADES + 1)
        shown = run("verify", server.url, "--rest-url", server.rest_url, *QUICKLY)
    assert shown.code == 2
    assert re.fullmatch(
        r"not judged: BTC/USD: the exchange's REST does not tell all trades: 1,000 of them are of one moment, \S+Z, behind which"
        r" it cannot be asked; nothing later was compared\n",
        shown.err,
    )
    assert shown.out.startswith("0 findings in ")


def test_a_finding_goes_into_its_file_while_the_bar_is_in_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, terminal = StringIO(), StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setattr(sys, "stderr", terminal)
    with track("verifying", 1.0) as progress:
        progress(0.5)
        click.echo("found")
    assert file.getvalue() == "found\n"
    assert "verifying" in terminal.getvalue()


def test_a_finding_is_put_above_the_bar_where_both_are_in_a_terminal() -> None:
    program = (
        "from ltp_service.cli.terminal import track; from ltp_service.cli.verify import Printed;"
        "from ltp_service.cli.verifying.said import Finding\n"
        "with track('verifying', 1.0):"
        " Printed(0.0, as_json=False).print(Finding('invented', 0.0, 'BTC/USD', '5', 'nothing'))"
    )
    with Screen([sys.executable, "-c", program]) as screen:
        assert screen.wait_for_exit() == 0
    assert "\r\x1b[2K1970-01-01T00:00:00.000Z BTC/USD invented: 5; but nothing\r\n" in screen.written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["localhost:8080"], "is no base URL"),
        (["http://localhost:8080", "--seconds", "0"], "--seconds"),
        (["http://localhost:8080", "--pairs", "BTC/USD,"], "is not a pair"),
        (["http://localhost:8080", "--rest-url", "kraken"], "KRAKEN_REST_URL"),
    ],
)
def test_wrong_usage_ends_in_2(arguments: list[str], says: str, run: Run) -> None:
    wrong = run("verify", *arguments)
    assert (wrong.code, wrong.out) == (2, "")
    assert says in wrong.err
