"""env.example against the settings and docker-compose.yml: `make docs` writes the one from the others."""

import re
from pathlib import Path

from ltp_service.settings.config import Config, load_config
from ltp_service.settings.secret_files import file_variables
from tests.compose import TEXT, VARIABLE
from tests.env_example import FILE, OF_COMPOSE, text

LINES = FILE.read_text(encoding="utf-8").splitlines()
SHOWN = dict(re.findall(r"^#([A-Z_]+)=(.*)$", "\n".join(LINES), re.MULTILINE))
"""Variable → value, as they are when every # is taken away."""


def test_it_shows_the_settings_as_they_are() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run make docs"


def test_it_has_each_variable_that_may_be_set_and_no_other() -> None:
    settings = {field.upper() for field in Config.model_fields}
    assert SHOWN.keys() == settings | file_variables(Config).keys() | OF_COMPOSE.keys()


def test_as_it_stands_it_sets_nothing_and_with_all_of_it_each_setting_has_its_default() -> None:
    assert [line for line in LINES if line and not line.startswith("#")] == []
    assert load_config(SHOWN, Path("/nonexistent")) == Config()


def test_no_value_needs_quotes_in_a_shell_or_in_a_file_of_variables() -> None:
    assert [value for value in SHOWN.values() if re.search(r"[\s\"'$#\\`]", value)] == []


def test_what_compose_reads_is_in_it_with_its_default() -> None:
    read = {name for name, _ in VARIABLE.findall(TEXT) if name}
    assert OF_COMPOSE.keys() == read - {field.upper() for field in Config.model_fields}
    assert {name: default for name, (default, _) in OF_COMPOSE.items()} == {
        name: default for name, default in VARIABLE.findall(TEXT) if name in OF_COMPOSE
    }
