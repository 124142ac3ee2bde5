"""ltp doctor on Redis, the database, the history and the disk: each fault is named in its line."""

import re
from pathlib import Path
from typing import Any

from ltp_service.cli.checks import stores
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.runtime.database import Database
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.cli.doctor_page import names
from tests.conftest import ROOT
from tests.redis_server import RedisServer

CHOSEN = "correct-horse-battery-staple"


def world(environ: dict[str, str] | None = None, **settings: Any) -> Surroundings:
    return Surroundings(Config.model_validate(settings), environ or {})


def on_redis(server: RedisServer, **settings: Any) -> Surroundings:
    return world(cache_backend="redis", redis_addr=server.address, **settings)


# Redis.


def test_a_redis_that_answers_is_ok_with_its_version(server: RedisServer) -> None:
    [found] = stores.redis(on_redis(server))
    assert found.level == "ok"
    assert re.fullmatch(r"version \d+\.\S+, answers after \d+\.\d ms", found.seen)


def test_the_rights_that_the_service_needs_are_enough(server: RedisServer) -> None:
    [rights] = re.findall(r"`ACL SETUSER ltp on >PASSWORD (.*)`", (ROOT / "docs" / "SCALING.md").read_text())
    server.run("ACL", "SETUSER", "ltp", "on", f">{CHOSEN}", *rights.split())
    [found] = stores.redis(on_redis(server, redis_username="ltp", redis_password=CHOSEN))
    assert found.level == "ok"


def test_a_redis_without_hello_is_asked_in_the_older_way(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, "--rename-command", "HELLO", "") as server:
        [found] = stores.redis(on_redis(server))
    assert re.match(r"version \d+\.", found.seen)


def test_a_replica_is_told(server: RedisServer) -> None:
    server.run("REPLICAOF", "127.0.0.1", "9")
    names("Redis is a replica", stores.redis(on_redis(server)))


def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, "--requirepass", "another") as server:
        found = names("Redis refuses the password", stores.redis(on_redis(server, redis_password=CHOSEN)))
        names("Redis wants a password", stores.redis(on_redis(server)))
    assert CHOSEN not in str(found)


def test_a_redis_that_is_not_there_or_hangs(server: RedisServer) -> None:
    server.freeze()
    names("Redis hangs", stores.redis(on_redis(server)))
    server.kill()
    names("Redis is not running", stores.redis(on_redis(server)))


def test_a_redis_that_is_too_old_or_slow() -> None:
    names("Redis is too old", [stores.judge_redis("4.0.14", "", 0.001, has_user=False)])
    names("Redis is slow", [stores.judge_redis("7.0.15", "master", 0.2, has_user=False)])
    assert stores.judge_redis("5.0.1", "", 0.001, has_user=False).level == "ok"
    assert stores.judge_redis("5.0.1", "", 0.001, has_user=True).level == "broken"


# The database.


def test_a_file_that_can_be_made_is_ok_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ltp.sqlite3"
    [found] = stores.database(world(database_path=path))
    assert (found.level, found.seen) == ("ok", f"{path} can be made")
    assert not path.parent.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names(
        "the database's folder cannot be used",
        stores.database(world(database_path=tmp_path / "file" / "ltp.sqlite3")),
    )


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "ltp.sqlite3"
    path.write_text("no database" * 100)
    names("the database is another file", stores.database(world(database_path=path)))


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "ltp.sqlite3"
    database = Database(path, Runtime())
    database.write(lambda execute: execute("PRAGMA user_version = 99"))
    database.close()
    names("the database is of a newer version", stores.database(world(database_path=path)))


# The history.


def history(url: str) -> Surroundings:
    return world(history_url=url)


def test_a_history_that_can_be_kept_is_ok(tmp_path: Path) -> None:
    [found] = stores.history(history(f"sqlite:{tmp_path}/history.sqlite3"))
    assert (found.level, found.seen) == ("ok", f"sqlite:{tmp_path}/history.sqlite3 can be made")
    assert list(tmp_path.iterdir()) == []
    assert [each.level for each in stores.history(history(""))] == ["ok"]


def test_a_history_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").write_text("no database" * 100)
    names("the history is another file", stores.history(history(f"sqlite:{tmp_path}/history.sqlite3")))


def test_a_history_whose_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names(
        "the history's folder cannot be used",
        stores.history(history(f"sqlite:{tmp_path}/file/history.sqlite3")),
    )


def test_a_history_that_cannot_be_written() -> None:
    names("the history cannot be written", stores.history(history("sqlite:/proc/ltp/history.sqlite3")))


def test_a_server_of_the_history_that_is_not_there() -> None:
    url = f"postgresql://ltp:{CHOSEN}@127.0.0.1:9/ltp"
    found = names("the history's server is not there", stores.history(history(url)))
    assert CHOSEN not in str(found)


# The disk.


def test_a_disk_with_room_is_ok(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ltp.sqlite3"
    [found] = stores.disks(world(database_path=path, history_url=f"sqlite:{tmp_path}/history.sqlite3"))
    assert found.seen.endswith(f" free at {tmp_path} (DATABASE_PATH, HISTORY_URL)")


def test_a_disk_that_gets_full() -> None:
    names("a disk with little room", [stores.judge_disk("/data (HISTORY_URL)", 900_000_000)])
    names("a disk without room", [stores.judge_disk("/data (HISTORY_URL)", 9_000_000)])


def test_a_metrics_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = {"PROMETHEUS_MULTIPROC_DIR": f"{tmp_path}/file/metrics"}
    names("the metrics folder cannot be used", stores.disks(world(environ, history_url="")))
