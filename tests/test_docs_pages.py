"""The pages for people: links lead somewhere, the README stays short, docs/api.md has every route and error."""

import re
from pathlib import Path

import pytest

from ltp_service.cli import COMMANDS
from ltp_service.http.openapi.document import document
from ltp_service.http.problems import PROBLEMS
from ltp_service.http.views.mcp_tools import TOOLS
from tests.conftest import ROOT
from tests.marks import put_between_marks

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    assert [link for link in links if not (link.startswith("https://") or is_there(page, link))] == []


@each_page
def test_what_a_page_names_in_a_file_of_the_code_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([A-Za-z_][\w.]*)`(?: there)? (?:in|of)\s+\[[^\]]+\]\(([^)\s]+\.py)\)", text)
    missing = [
        (name, link)
        for name, link in named
        if not all(re.search(rf"\b{part}\b", (page.parent / link).read_text()) for part in name.split("."))
    ]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    found, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        links = re.findall(r"\]\(([^)\s#]+)", without_code(page.read_text(encoding="utf-8")))
        new = {(page.parent / link).resolve() for link in links if not link.startswith("https://")} - found
        found |= new
        waiting += [each for each in new if each.suffix == ".md" and each.is_file()]
    assert set(PAGES) <= found


def test_the_readme_is_one_for_five_minutes() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    assert [line for line in lines if len(line) > 120] == []


def test_the_page_of_the_api_has_every_route_and_no_other() -> None:
    shown = re.findall(r"^\| `([A-Z]+) (/[^`]*)` \|", API, re.MULTILINE)
    routes = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert sorted(shown) == sorted(routes)


def test_the_page_of_the_api_has_every_error_with_its_status() -> None:
    shown = re.findall(r"^\| `([A-Z_]+)` \| (\d{3}) \|", API, re.MULTILINE)
    assert sorted(shown) == sorted((code, str(problem.status)) for code, problem in PROBLEMS.items())


def test_the_page_for_agents_has_every_tool_with_what_it_takes() -> None:
    page = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+|nothing) \|", page, re.MULTILINE)
    takes = [(tool.name, tool.takes.__struct_fields__) for tool in TOOLS.values()]
    assert [(name, tuple(re.findall(r"`(\w+)`", told))) for name, told in shown] == takes


def test_the_page_of_the_command_line_has_every_command_and_no_other() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`ltp (\w+)`\]\(#(\w+)\) \|", page, re.MULTILINE)
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert listed == [(name, name) for name in COMMANDS]
    assert headings == list(COMMANDS)


def test_a_part_replaces_what_stood_between_its_marks() -> None:
    text = "before\n<!-- part -->\nold\n<!-- /part -->\nafter\n"
    assert put_between_marks(text, "part", "new\n") == text.replace("old", "new")
    with pytest.raises(ValueError, match="<!-- part -->"):
        put_between_marks("no marks", "part", "new\n")


def is_there(page: Path, link: str) -> bool:
    """Whether a link of `page` leads to a file or folder, and its fragment to a heading there."""
    path, _, fragment = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not fragment:
        return target.exists()
    return target.is_file() and fragment in anchors(target.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """The fragments by which GitHub names the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    """The page without its blocks of code, where a bracket is no link and a # no heading."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
