"""ltp_service.page: its files, as they lie there."""

import gzip
import re

from ltp_service.page import CLIENT, FILES, FOLDER, MODULES, PAGE

LARGEST = 40_000
"""Most bytes of the whole page, compressed."""

TEXTS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in (PAGE, *FILES)}


def test_the_whole_page_is_small() -> None:
    assert sum(len(gzip.compress(text.encode())) for text in TEXTS.values()) < LARGEST


def test_every_file_is_served_and_no_other_one_lies_there() -> None:
    held = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert held == {PAGE, "__init__.py"} | FILES.keys() | CLIENT.keys()


def test_a_module_imports_only_what_is_served() -> None:
    for name in MODULES:
        imported = re.findall(r'^(?:import|\} from|import .* from) .*"\./([^"]+)"', TEXTS[name], re.MULTILINE)
        assert set(imported) <= FILES.keys()
        assert len(re.findall('^[^*\n]*from "', TEXTS[name], re.MULTILINE)) == len(imported)


def test_nothing_comes_from_outside_and_nothing_is_inline() -> None:
    for name, text in TEXTS.items():
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text))
        assert addresses <= {
            "http://www.w3.org/2000/svg",
            "https://prices.example/client.js",
            "https://prices.example/",
        }, name
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|innerHTML|\beval\(", text), (
            name
        )


def test_links_are_relative() -> None:
    links = re.findall(r'(?:src|href)="([^"]+)"', TEXTS[PAGE])
    assert len(links) > 5
    assert [link for link in links if link.startswith("/")] == []
