"""Secrets in files: which variable names one, what counts before it, and how a file is refused."""

from pathlib import Path

import pytest

from ltp_service.domain.errors import ConfigError
from ltp_service.settings.config import Config, load_config, unknown_names
from ltp_service.settings.effective import settings_in_force
from ltp_service.settings.secret_files import file_variables

NO_FILES = Path("/nonexistent")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that holds a secret, with a line's end as `echo` writes it."""
    written = tmp_path / "redis_password"
    written.write_text("hunter2\n")
    return written


def problem(file: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config({"REDIS_PASSWORD_FILE": str(file)}, NO_FILES)
    (only,) = refused.value.problems
    return only


def test_each_secret_and_nothing_else_may_be_in_a_file() -> None:
    assert set(file_variables(Config)) == {"REDIS_PASSWORD_FILE", "AUTH_API_KEY_FILE", "HISTORY_URL_FILE"}
    assert unknown_names(dict.fromkeys(file_variables(Config), "")) == []
    assert "the nearest one is REDIS_PASSWORD_FILE" in unknown_names({"REDIS_PASSWORD_FILES": ""})[0]


@pytest.mark.parametrize("own", [{}, {"REDIS_PASSWORD": ""}])
def test_a_secret_is_read_from_its_file(file: Path, own: dict[str, str]) -> None:
    config = load_config(own | {"REDIS_PASSWORD_FILE": str(file)}, NO_FILES)
    assert config.redis_password.get_secret_value() == "hunter2"


def test_the_variable_itself_counts_before_the_file_which_need_not_exist_then() -> None:
    environ = {"REDIS_PASSWORD": "chosen", "REDIS_PASSWORD_FILE": "/nonexistent"}
    assert load_config(environ, NO_FILES).redis_password.get_secret_value() == "chosen"


def test_a_secret_file_counts_before_the_yaml_files_and_is_told_as_the_origin(file: Path) -> None:
    file.with_name("config.yaml").write_text("redis_password: another")
    environ = {"REDIS_PASSWORD_FILE": str(file)}
    assert load_config(environ, file.parent).redis_password.get_secret_value() == "hunter2"
    origins = [each.origin for each in settings_in_force(environ, file.parent) if "PASSWORD" in each.name]
    assert origins == ["secret file"]


def test_a_file_that_cannot_be_used_is_refused_with_its_variable_and_a_remedy(file: Path) -> None:
    gone = file.with_name("gone")
    assert problem(gone) == (
        f"REDIS_PASSWORD_FILE: '{gone}' refused: cannot be read (No such file or directory); name a file that this user"
        " may read, or set REDIS_PASSWORD"
    )
    file.write_text(" \n")
    assert problem(file) == f"REDIS_PASSWORD_FILE: '{file}' refused: is empty; write the secret into it"
    file.write_bytes(b"\xff")
    assert problem(file) == f"REDIS_PASSWORD_FILE: '{file}' refused: must hold UTF-8 text"


def test_a_refused_secret_is_not_shown_but_its_variable_is(file: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config({"AUTH_API_KEY_FILE": str(file)}, NO_FILES)
    (only,) = refused.value.problems
    assert only.startswith("AUTH_API_KEY_FILE: a value (not shown) refused: must have at least")
    assert "hunter2" not in only
