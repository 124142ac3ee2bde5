"""ltp_service.keys.first_key"""

import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltp_service.assembly.keys import open_keyring
from ltp_service.keys.first_key import BOOTSTRAP_HEADER, FirstKey
from ltp_service.keys.keyring import Keyring
from ltp_service.settings.config import Config
from tests.fakes import runtime
from tests.steered_clock import SteeredClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ltp.sqlite3"


@pytest.fixture
def keyring(path: Path, clock: SteeredClock) -> Iterator[Keyring]:
    keyring = open_keyring(Config(database_path=path), runtime(clock))
    yield keyring
    keyring.close()


@pytest.fixture
def first_key(keyring: Keyring, path: Path) -> FirstKey:
    return FirstKey(keyring, path, secrets.token_bytes)


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_only_the_owner_reads_the_token_whatever_the_umask(first_key: FirstKey, umask: int) -> None:
    first_key.path.parent.mkdir()
    before = os.umask(umask)
    try:
        first_key.announce(8080)
    finally:
        os.umask(before)

    assert mode(first_key.path) == 0o600
    assert first_key.is_token(first_key.path.read_text().strip())


def test_the_log_tells_how_to_make_the_key(first_key: FirstKey, caplog: pytest.LogCaptureFixture) -> None:
    first_key.announce(8080)

    token = first_key.path.read_text().strip()
    assert (
        f"curl -X POST -H '{BOOTSTRAP_HEADER}: {token}' 'http://localhost:8080/auth/api-keys?name=ops'"
        in caplog.text
    )
    assert str(first_key.path) in caplog.text
    assert "python -m ltp_service keys create" in caplog.text


def test_all_processes_of_a_machine_have_one_token_and_a_restart_keeps_and_tells_it(
    keyring: Keyring, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    FirstKey(keyring, path, secrets.token_bytes).announce(8080)
    other = FirstKey(keyring, path, secrets.token_bytes)
    token = other.path.read_text().strip()
    caplog.clear()
    other.announce(8080)

    assert other.is_token(token)
    assert token in caplog.text


def test_asking_again_does_not_fill_the_log(first_key: FirstKey, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        first_key.offer(8080)

    assert caplog.text.count(BOOTSTRAP_HEADER) == 1


def test_an_old_token_goes(first_key: FirstKey, keyring: Keyring, caplog: pytest.LogCaptureFixture) -> None:
    first_key.announce(8080)
    keyring.create("ops", "admin", 60.0)
    caplog.clear()
    first_key.announce(8080)

    assert not first_key.path.exists()
    assert not caplog.text


def test_a_token_stays_where_the_keys_cannot_be_read_at_the_start(
    first_key: FirstKey, path: Path, tmp_path: Path, clock: SteeredClock
) -> None:
    first_key.announce(8080)
    unread = open_keyring(Config(database_path=tmp_path), runtime(clock))
    FirstKey(unread, path, secrets.token_bytes).announce(8080)

    assert first_key.is_token(first_key.path.read_text().strip())


def test_without_a_port_here_there_is_no_token(first_key: FirstKey, caplog: pytest.LogCaptureFixture) -> None:
    first_key.announce(None)

    assert not first_key.path.exists()
    assert "python -m ltp_service keys create" in caplog.text


def test_where_no_file_can_be_made_nothing_is_opened_and_the_command_is_told(
    keyring: Keyring, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    first_key = FirstKey(keyring, tmp_path / "file" / "ltp.sqlite3", secrets.token_bytes)
    first_key.announce(8080)

    assert not first_key.is_token("")
    assert "python -m ltp_service keys create" in caplog.text


@pytest.mark.parametrize("content", ["", "short", "x" * 44, "\xff" * 43])
def test_what_is_no_token_is_none(first_key: FirstKey, content: str) -> None:
    first_key.offer(8080)
    first_key.path.write_text(content, encoding="latin-1")

    assert not first_key.is_token(content)


def test_a_token_that_others_may_read_or_have_put_there_is_replaced(first_key: FirstKey) -> None:
    known = "k" * 43
    first_key.path.parent.mkdir()
    first_key.path.write_text(known)
    first_key.path.chmod(0o644)

    assert not first_key.is_token(known)
    first_key.offer(8080)
    assert not first_key.is_token(known)
    assert first_key.is_token(first_key.path.read_text().strip())


def test_a_link_is_not_followed(first_key: FirstKey, tmp_path: Path) -> None:
    known = "k" * 43
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(known)
    elsewhere.chmod(0o600)
    first_key.path.parent.mkdir()
    first_key.path.symlink_to(elsewhere)
    first_key.offer(8080)

    assert not first_key.is_token(known)
    assert elsewhere.read_text() == known


def test_two_tokens_are_never_the_same(keyring: Keyring, tmp_path: Path) -> None:
    tokens = set()
    for number in range(50):
        first_key = FirstKey(keyring, tmp_path / str(number) / "ltp.sqlite3", secrets.token_bytes)
        first_key.offer(8080)
        tokens.add(first_key.path.read_text())

    assert len(tokens) == 50
