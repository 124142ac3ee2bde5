"""docs/settings.md against the settings: `make docs` writes the one from the other."""

import re
from pathlib import Path

from ltp_service.settings.config import Config, load_config
from tests.marks import put_between_marks
from tests.settings_page import MARK, NO_FILES, PAGE, SECTIONS, tables

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_shows_the_settings_as_they_are() -> None:
    assert put_between_marks(TEXT, MARK, tables()) == TEXT, "run make docs"


def test_the_page_has_every_setting_and_no_other() -> None:
    assert [*shown_defaults()] == list(Config.model_fields)
    assert SECTIONS.keys() <= Config.model_fields.keys()


def test_a_default_that_is_written_as_the_page_shows_it_is_the_default() -> None:
    for name in Config.model_fields:
        text = shown_defaults()[name]
        given = load_config({name.upper(): "" if text == "empty" else text}, NO_FILES)
        assert getattr(given, name) == getattr(Config(), name)


def test_the_configuration_file_names_a_page_that_exists() -> None:
    root = Path(__file__).resolve().parent.parent
    assert PAGE.relative_to(root).as_posix() in (root / "configs" / "config.yaml").read_text(encoding="utf-8")


def shown_defaults() -> dict[str, str]:
    """Setting → default, as the tables of the page have them."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]*?) \|", TEXT, re.MULTILINE)
    return {name.lower(): default.strip("`") for name, default in rows}
