import pytest

from tests import programs


def test_a_missing_program_skips_the_test_and_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SEARCH_PATH", "/nonexistent")
    with pytest.raises(pytest.skip.Exception, match="sudo apt-get install nginx-light"):
        programs.require_program("nginx")


def test_an_installed_program_is_found_by_its_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SEARCH_PATH", "/bin:/usr/bin")
    assert programs.require_program("sh") in {"/bin/sh", "/usr/bin/sh"}
