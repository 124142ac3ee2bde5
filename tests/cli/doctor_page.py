"""The table of docs/command-line.md that says what ltp doctor tells of each fault; the tests hold it to that."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ltp_service.cli.checks.finding import Finding, Observation
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "command-line.md"

_ROW = re.compile(r"^\| (.+?) \| (warning|broken) \| `(.+?)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


class Row(NamedTuple):
    """One fault, and the line that names it. `…` stands for what differs."""

    level: str
    check: str
    seen: str
    remedy: str


def rows() -> dict[str, Row]:
    """By fault, in the words of the page."""
    return {fault: Row(*cells) for fault, *cells in _ROW.findall(PAGE.read_text(encoding="utf-8"))}


def names(fault: str, observations: Iterable[Observation]) -> Finding:
    """The line that names the fault, as the page shows it. Raises AssertionError where there is none."""
    row = rows().get(fault, Row("?", "?", "?", "?"))
    findings = lines(observations)
    for finding in findings:
        if all(
            re.fullmatch(_pattern(wanted), told) for wanted, told in zip(row, _cells(finding), strict=True)
        ):
            return finding
    told = "\n".join(" | ".join(_cells(each)) for each in findings)
    raise AssertionError(f"no line as docs/command-line.md has it for {fault!r} ({row}) among\n{told}")


def lines(observations: Iterable[Observation]) -> list[Finding]:
    """Those that the user reads."""
    return [each for each in observations if isinstance(each, Finding)]


def _cells(finding: Finding) -> Row:
    return Row(finding.level, finding.check, finding.seen, finding.remedy)


def _pattern(text: str) -> str:
    return ".*".join(map(re.escape, text.split("…")))
