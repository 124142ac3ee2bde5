"""What all commands share: tables for people and for programs."""

import sys
from io import StringIO

import pytest

from ltp_service.cli.terminal import aligned, key_of, table, url_of
from tests.cli.conftest import Run


class Terminal(StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell_and_no_line_ends_in_blanks() -> None:
    assert aligned([("NAME", "VALUE"), ("a", ""), ("longer", "x")]) == ["NAME    VALUE", "a", "longer  x"]


def test_in_a_narrow_terminal_a_long_value_is_folded_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stdout", screen)
    table(("SETTING", "VALUE"), [("SUPPORTED_PAIRS", ",".join(f"B{n}/USD" for n in range(12)))])
    told = "".join(screen.getvalue().split())
    assert "…" not in told
    for n in range(12):
        assert f"B{n}/USD" in told


def test_a_value_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    table(("NAME",), [("[red]ops[/red]",)])
    assert "[red]ops[/red]" in screen.getvalue()


@pytest.mark.parametrize(
    ("given", "environ", "asked"),
    [
        ((), {}, ["http://localhost:8080"]),
        ((), {"LTP_URL": " http://a:1 ,http://b:2,"}, ["http://a:1", "http://b:2"]),
        (("http://c:3",), {"LTP_URL": "http://a:1"}, ["http://c:3"]),
    ],
)
def test_the_option_comes_before_the_environment(
    given: tuple[str, ...], environ: dict[str, str], asked: list[str]
) -> None:
    assert url_of(given, environ) == asked


def test_an_empty_key_is_none() -> None:
    assert (key_of({"LTP_API_KEY": ""}), key_of({"LTP_API_KEY": "k"})) == (None, "k")


@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
def test_a_time_that_would_never_end_is_wrong_usage(number: str, run: Run) -> None:
    refused = run("record", "never.jsonl", "BTC/USD", "--seconds", number)
    assert refused.code == 2
    assert number in refused.err
