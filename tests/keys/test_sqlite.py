"""Keys in the file, with real processes: killed while they write, held up by a lock, told by one another."""

import json
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ltp_service.assembly.keys import open_keyring
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.keys.key import ApiKey
from ltp_service.keys.keyring import Keyring
from ltp_service.keys.sqlite import SqliteKeys
from ltp_service.runtime.database import Database
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.fakes import runtime
from tests.steered_clock import SteeredClock

ROOT = Path(__file__).parent.parent.parent
LOCKED_FOR = 2.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ltp.sqlite3"


@pytest.fixture
def keyring(path: Path) -> Generator[Keyring]:
    with closing(open_keyring(Config(database_path=path), Runtime())) as keyring:
        yield keyring


@contextmanager
def program(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """Runs Python with these arguments and ends it with the block."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def send(process: subprocess.Popen[bytes], text: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n".encode())


def is_silent(process: subprocess.Popen[bytes], seconds: float) -> bool:
    assert process.stdout is not None
    return not select.select([process.stdout], [], [], seconds)[0]


def test_a_last_use_waits_for_no_lock_and_a_new_key_does(path: Path) -> None:
    clock = SteeredClock()
    with closing(Database(path, runtime(clock))) as database:
        keys = SqliteKeys(database)
        keys.insert(ApiKey("a" * 8, "a" * 64, "ops", "read", 1.0, None), only_first=False)
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                keys.touch({"a" * 64: 2.0})
            assert clock.slept == []
            with pytest.raises(StoreUnavailable, match="locked"):
                keys.revoke("a" * 64, 2.0, leave_admin=False)
            assert clock.slept


def test_a_process_killed_five_times_loses_no_acknowledged_key(path: Path, keyring: Keyring) -> None:
    acknowledged: list[str] = []
    for lines in (1, 2, 30, 100, 7):
        with program("-m", "tests.keys.key_maker", str(path)) as maker:
            acknowledged += [line_of(maker) for _ in range(lines)]
            maker.send_signal(signal.SIGKILL)
            rest, _ = maker.communicate()
        acknowledged += rest.decode().split("\n")[:-1]  # only a line with its end was told
    keyring.refresh()
    for text in acknowledged:
        assert keyring.check(text).name == "made in haste"
    assert len(acknowledged) >= 140
    assert len(acknowledged) <= len(keyring.list()) <= len(acknowledged) + 5
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_locked_file_delays_nothing_on_the_hub_and_workers_agree(path: Path, keyring: Keyring) -> None:
    text, _ = keyring.create("ops", "admin", 3600.0)
    with program("-m", "gevent.monkey", "--module", "tests.keys.hub_meter", str(path), text) as worker:
        assert line_of(worker) == "ready"
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            send(worker)
            assert is_silent(worker, LOCKED_FOR)
            locker.execute("ROLLBACK")
        made_while_locked = line_of(worker)
        send(worker, keyring.create("made here", "read", 3600.0)[0])
        worst = json.loads(line_of(worker))
    keyring.refresh()
    assert keyring.check(made_while_locked).name == "while locked"
    assert worst["checks"] > 20
    assert worst["lag"] < LOCKED_FOR / 2
    assert worst["check"] < LOCKED_FOR / 2
    assert worst["known_after"] < 10.0
