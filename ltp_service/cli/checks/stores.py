"""Where things are kept: Redis, the database file, the history, and the disks under them."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from ltp_service.assembly.history import open_history
from ltp_service.cli.checks.finding import Finding, broken, ok, split, warning
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.domain.errors import ConfigError, StoreUnavailable
from ltp_service.runtime.database import Database
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient

OLDEST_REDIS, OLDEST_REDIS_WITH_USERS = (5,), (6,)
"""Versions. Before 5 a script may not write after it has asked for the time (redis.io, "Scripting: script effects
replication"), and 6 has the first access control list."""

LITTLE_BYTES, TOO_LITTLE_BYTES = 1024**3, 64 * 1024**2
"""Free bytes of a disk below which it is a warning, and below which writing will fail soon."""

SLOW_REDIS_SECONDS = 0.1
"""Seconds of one question from which on Redis is slow; it is given up after 0.25."""


def redis(world: Surroundings) -> Iterator[Finding]:
    """Whether the fleet's Redis answers, and is new enough."""
    config = world.config
    if config.cache_backend != "redis":
        yield ok("redis", "not used, as CACHE_BACKEND=memory")
        return
    from ltp_service.redis.client import open_redis  # noqa: PLC0415 - loaded only with Redis

    client = open_redis(config, world.clock.monotonic)
    try:
        client.run("PING")  # makes the connection
        began_at = time.monotonic()
        version, role = _server(client)
        seconds = time.monotonic() - began_at
    except StoreUnavailable as error:
        yield split("redis", str(error), "is it running there, and reachable?")
    else:
        yield judge_redis(version, role, seconds, has_user=bool(config.redis_username))
    finally:
        client.close()


def _server(client: "RedisClient") -> tuple[str, str]:
    """Version and role. HELLO needs no right beyond those of docs/SCALING.md; Redis has it from version 6 on."""
    try:
        told = [each.decode() if isinstance(each, bytes) else str(each) for each in client.run("HELLO")]
    except StoreUnavailable as error:
        if "unknown command" not in str(error).lower():
            raise
        information: Any = client.run("INFO", "server")
        return str(information.get("redis_version", "")), ""
    facts = dict(zip(told[::2], told[1::2], strict=False))
    return facts.get("version", ""), facts.get("role", "")


def judge_redis(version: str, role: str, seconds: float, *, has_user: bool) -> Finding:
    """Judges Redis by its version, its role and the time of its answer."""
    oldest = OLDEST_REDIS_WITH_USERS if has_user else OLDEST_REDIS
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    seen = f"version {version or 'unknown'}, answers after {1000 * seconds:.1f} ms"
    if numbers and numbers < oldest:
        return broken("redis", seen, f"install version {oldest[0]} or newer")
    if role == "replica":
        remedy = "name its master in REDIS_ADDR, or the Sentinels in REDIS_SENTINELS"
        return broken("redis", f"{seen}, and is a replica, which takes no writes", remedy)
    if seconds > SLOW_REDIS_SECONDS:
        return warning("redis", seen, "bring it nearer, or look for what keeps it busy (SLOWLOG GET)")
    return ok("redis", seen)


def database(world: Surroundings) -> Iterator[Finding]:
    """Whether keys and symbols can be kept."""
    path = world.config.database_path
    if world.config.cache_backend == "redis":
        yield ok("database", "not used, as keys and symbols are in Redis")
        return
    file = Database(path, Runtime(world.clock))
    try:
        file.check()
    except StoreUnavailable as error:
        seen = split("database", str(error), "let this user read and write the file and its folder")
        yield seen._replace(seen=f"{path}: {seen.seen}")
    else:
        yield ok("database", f"{path} {_size(path)}")
    finally:
        file.close()


def _size(path: Path) -> str:
    try:
        return f"can be written, {_amount(path.stat().st_size)}"
    except FileNotFoundError:
        return "can be made"


def history(world: Surroundings) -> Iterator[Finding]:
    """Whether trades can be recorded."""
    config = world.config
    shown = str(config.history_url)
    if not config.history_url.get_secret_value():
        yield ok("history", "nothing is recorded, as HISTORY_URL is empty")
        return
    file = config.history_url.file
    try:
        store, _ = open_history(config.history_url)
        try:
            store.coverage(config.pairs_to_try[0])
            size = store.size()
            if file is not None:
                _try_to_write(file)
        finally:
            store.close()
    except ConfigError as error:
        seen, _, remedy = error.problems[0].rpartition(": ")
        yield broken("history", seen, remedy)
    except StoreUnavailable as error:
        yield split("history", f"{shown}: {error}", "start it, or correct HISTORY_URL", essential=False)
    except OSError as error:
        remedy = "let this user read and write the file and its folder; prices do not need it"
        yield warning("history", f"{shown} cannot be written ({error.strerror})", remedy)
    else:
        is_missing = file is not None and not file.exists()
        yield ok("history", f"{shown} " + ("can be made" if is_missing else f"has {_amount(size)}"))


def _try_to_write(file: Path) -> None:
    """Raises OSError where it cannot be written, or not be made. Makes nothing."""
    if file.exists():
        with file.open("r+b"):
            pass
    with TemporaryFile(dir=_standing(file.parent)):  # the journals are made beside it
        pass


def disks(world: Surroundings) -> Iterator[Finding]:
    """The free bytes of each disk that is written to."""
    seen: dict[int, list[str]] = {}
    for name, folder in _folders(world.config):
        seen.setdefault(folder.stat().st_dev, [str(folder)]).append(name)
    for folder_name, *names in seen.values():
        yield judge_disk(f"{folder_name} ({', '.join(names)})", shutil.disk_usage(folder_name).free)
    if folder_name := world.environ.get("PROMETHEUS_MULTIPROC_DIR", ""):
        yield from _metrics_folder(Path(folder_name))


def judge_disk(place: str, free: int) -> Finding:
    """Judges a disk by its free bytes."""
    seen = f"{_amount(free)} free at {place}"
    if free < TOO_LITTLE_BYTES:
        return broken("disk", seen, "free some space, or keep less: HISTORY_KEEP")
    if free < LITTLE_BYTES:
        return warning("disk", seen, "free some space, or keep less: HISTORY_KEEP")
    return ok("disk", seen)


def _metrics_folder(folder: Path) -> Iterator[Finding]:
    try:
        with TemporaryFile(dir=_standing(folder)):
            pass
    except OSError as error:
        remedy = "name a folder that this user may write, or none"
        yield broken("disk", f"PROMETHEUS_MULTIPROC_DIR: {folder} cannot be used ({error.strerror})", remedy)


def _folders(config: Config) -> Iterator[tuple[str, Path]]:
    if config.cache_backend != "redis":
        yield "DATABASE_PATH", _standing(config.database_path.parent)
    if config.history_url.file is not None:
        yield "HISTORY_URL", _standing(config.history_url.file.parent)


def _standing(folder: Path) -> Path:
    """The nearest folder that is there: the missing ones are made with the file."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if os.path.lexists(each))


def _amount(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
