"""ltp keys: what it prints where, and how it ends."""

import errno
import os
import re
import sys
import time
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ltp_service.assembly.keys import open_keyring
from ltp_service.cli.standard_streams import OutputLost
from ltp_service.keys.first_key import token_path
from ltp_service.keys.key import ApiKey, is_well_formed
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.cli.conftest import Run
from tests.redis_server import RedisServer

ENVIRONMENT_KEY = "ltp_" + "-nv1ronm" + "e" * 35


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ltp.sqlite3"


@pytest.fixture
def run(path: Path, run: Run) -> Run:
    """Runs one command with keys of the test's own."""
    return partial(run, DATABASE_PATH=str(path))


def stored(path: Path) -> list[ApiKey]:
    with closing(open_keyring(Config(database_path=path), Runtime())) as keyring:
        return keyring.list()


def test_create_prints_the_key_alone_on_stdout(path: Path, run: Run) -> None:
    ended = run("keys", "create", "--name", "ops", "--permission", "admin")
    assert ended.code == 0
    assert is_well_formed(ended.out.removesuffix("\n"))
    assert ended.out.strip() not in ended.err
    assert "admin key 'ops', good until" in ended.err
    assert "the only time it is shown" in ended.err
    with closing(open_keyring(Config(database_path=path), Runtime())) as keyring:
        assert keyring.check(ended.out.strip()).permission == "admin"


def test_a_key_that_could_not_be_printed_is_revoked(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(text: object, *, err: bool = False) -> None:
        if not err:
            raise OutputLost(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        sys.stderr.write(f"{text}\n")

    monkeypatch.setattr("click.echo", echo)
    refused = run("keys", "create", "--name", "ops")
    assert (refused.code, refused.err.count("No space left on device")) == (74, 1)
    (key,) = stored(path)
    assert key.state(time.time()) == "revoked"


def test_create_needs_no_token_and_leaves_none(path: Path, run: Run) -> None:
    token_path(path).write_text("x" * 43)

    assert run("keys", "create", "--name", "ops", "--permission", "admin").code == 0
    assert not token_path(path).exists()


@pytest.mark.parametrize(
    ("arguments", "environ", "seconds"),
    [
        ([], {}, 7 * 86_400),
        ([], {"AUTH_KEY_TTL": "2h"}, 7200),
        (["--expires", "1h30m"], {"AUTH_KEY_TTL": "2h"}, 5400),
        (["--expires", "7d"], {"AUTH_KEY_TTL": "2h"}, 7 * 86_400),
    ],
)
def test_a_key_lives_as_long_as_asked_or_else_as_configured(
    arguments: list[str], environ: dict[str, str], seconds: float, path: Path, run: Run
) -> None:
    assert run("keys", "create", "--name", "ops", *arguments, **environ).code == 0
    [key] = stored(path)
    assert key.expires == pytest.approx(key.created + seconds)


def test_a_key_may_only_read_unless_more_is_asked_for(path: Path, run: Run) -> None:
    run("keys", "create", "--name", "ops")
    assert [key.permission for key in stored(path)] == ["read"]


def test_list_shows_every_key_without_any_secret(run: Run) -> None:
    first = run("keys", "create", "--name", "my dashboard", "--permission", "write").out.strip()
    second = run("keys", "create", "--name", "old").out.strip()
    run("keys", "revoke", second[:12])
    ended = run("keys", "list", AUTH_API_KEY=ENVIRONMENT_KEY)
    assert ended.code == 0
    assert ended.err == ""
    head, *rows = ended.out.splitlines()
    assert head.split() == ["PREFIX", "PERMISSION", "STATE", "CREATED", "EXPIRES", "LAST", "USED", "NAME"]
    assert [row.split()[:3] for row in rows] == [
        ["ltp_-nv1ronm", "admin", "active"],
        [first[:12], "write", "active"],
        [second[:12], "read", "revoked"],
    ]
    assert rows[1].endswith("  never      my dashboard")
    for secret in (first, second, ENVIRONMENT_KEY):
        assert secret[12:] not in ended.out
    assert not re.search("[0-9a-f]{32}", ended.out)


def test_list_shows_nothing_of_a_key_that_an_operator_chose(run: Run) -> None:
    chosen = "correct-horse/battery+staple="
    ended = run("keys", "list", AUTH_API_KEY=chosen)
    assert ended.out.splitlines()[1].split()[:3] == ["AUTH_API_KEY", "admin", "active"]
    assert chosen[:4] not in ended.out
    refused = run("keys", "revoke", "AUTH_API_KEY", AUTH_API_KEY=chosen)
    assert (refused.code, refused.err) == (
        1,
        "that key comes from AUTH_API_KEY; take it out there and restart\n",
    )


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
def test_list_shows_times_in_utc(path: Path, run: Run) -> None:
    run("keys", "create", "--name", "ops")
    created = datetime.fromtimestamp(stored(path)[0].created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert created in run("keys", "list").out


def test_list_without_keys_is_a_head_and_makes_no_file(path: Path, run: Run) -> None:
    ended = run("keys", "list")
    assert (ended.code, ended.out.count("\n")) == (0, 1)
    assert not path.exists()


def test_revoke_ends_the_key_of_the_prefix(path: Path, run: Run) -> None:
    text = run("keys", "create", "--name", "ops").out.strip()
    ended = run("keys", "revoke", text[4:12] if text[4] != "-" else text[:12])
    assert (ended.code, ended.out, ended.err) == (0, "", f"revoked {text[:12]} (ops)\n")
    assert stored(path)[0].revoked is not None


def test_a_prefix_with_a_dash_can_be_given_as_the_list_shows_it(run: Run) -> None:
    ended = run("keys", "revoke", "ltp_-nv1ronm", AUTH_API_KEY=ENVIRONMENT_KEY)
    assert (ended.code, ended.err) == (1, "that key comes from AUTH_API_KEY; take it out there and restart\n")


def test_the_last_admin_key_is_kept_with_one_line_that_says_why(run: Run) -> None:
    text = run("keys", "create", "--name", "ops", "--permission", "admin").out.strip()
    ended = run("keys", "revoke", text[:12])
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"{text[:12]} is the last admin key; create another one before revoking it\n"


@pytest.mark.parametrize("command", [["create", "--name", "ops"], ["list"], ["revoke", "ltp_abcdefgh"]])
def test_an_unusable_database_is_one_line(command: list[str], path: Path, run: Run) -> None:
    path.mkdir()
    ended = run("keys", *command)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.count("\n") == 1
    assert "(DATABASE_PATH) cannot be opened; let this user read and write" in ended.err


def test_the_settings_choose_keys_in_redis(path: Path, tmp_path: Path, run: Run) -> None:
    with RedisServer.start(tmp_path) as server:
        where = {"CACHE_BACKEND": "redis", "REDIS_ADDR": server.address}
        text = run("keys", "create", "--name", "ops", **where).out.strip()
        assert run("keys", "revoke", text[:12], **where).code == 0
        [_, row] = run("keys", "list", **where).out.splitlines()
        assert row.split()[:3] == [text[:12], "read", "revoked"]
        server.kill()
        ended = run("keys", "list", **where)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "(REDIS_ADDR) does not answer" in ended.err or "did not answer just now" in ended.err
    assert not path.exists()


def test_refused_settings_are_told_all_at_once(run: Run) -> None:
    ended = run("keys", "list", AUTH_KEY_TTL="soon", PORT="x")
    assert (ended.code, ended.out) == (1, "")
    assert "AUTH_KEY_TTL: 'soon' refused" in ended.err
    assert "PORT: 'x' refused" in ended.err


@pytest.mark.parametrize("name", ["", "a\nb"])
def test_a_refused_name_is_one_clear_line(name: str, run: Run) -> None:
    ended = run("keys", "create", "--name", name)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "a key's name must be 1 to 64 printable characters\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["keys"], "create"),
        (["keys", "create"], "Missing option '--name'"),
        (["keys", "create", "--name", "x", "--permission", "root"], "is not one of 'read', 'write', 'admin'"),
        (["keys", "create", "--name", "x", "--expires", "soon"], "1s to 3650d, written like 30s"),
        (["keys", "create", "--name", "x", "--expires", "0"], "1s to 3650d"),
        (["keys", "revoke"], "Missing argument 'PREFIX'"),
        (["keys", "steal"], "No such command 'steal'"),
    ],
)
def test_wrong_usage_ends_in_2(arguments: list[str], says: str, path: Path, run: Run) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert not path.exists()
