"""A real PostgreSQL on a free loopback port, to be stopped, frozen, killed and started again."""

import ctypes
import os
import pwd
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import psycopg

from tests.deadline import DEADLINE
from tests.programs import require_program
from tests.redis_server import free_port

USER = "ltp"
PASSWORD = "a%ver/y?s#cr:t @"  # noqa: S105 - of a server that lives as long as a test
"""With what a URL has to escape."""

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Nothing here survives a power failure. What a killed server has written, the system keeps all the same.
    "fsync": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",  # in its folder, so that a killed one leaves nothing elsewhere
    "max_connections": "30",
    "shared_buffers": "64MB",
    "lc_messages": "C",
    "log_min_messages": "log",
}
_READY = "database system is ready to accept connections"
_IPC_RMID = 0


class PostgresServer:
    """Use `with PostgresServer.start() as server:`. It demands a password."""

    def __init__(self, folder: Path, port: int, options: dict[str, str]) -> None:
        self._data = folder / "data"
        self._options = _OPTIONS | options
        self.port = port
        self.log: list[str] = []
        """What it has logged."""
        self._process = self._launch()

    @classmethod
    @contextmanager
    def start(cls, cluster: Path | None = None, **options: str) -> Iterator["PostgresServer"]:
        """Answers when this returns; nothing of it is left behind. Its files are a copy of those of `new_cluster`, or made
        anew, which takes thrice as long. `options` as in postgresql.conf."""
        with _folder() as folder:
            if cluster is None:
                _make_cluster(folder)
            else:
                subprocess.run(["cp", "-a", cluster / "data", folder / "data"], check=True)
            server = cls(folder, free_port(), options)
            try:
                server.wait()
                yield server
            finally:
                server.kill()
                server.forget_shared_memory()

    @property
    def pid(self) -> int:
        """The first of the server's processes."""
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """What HISTORY_URL would be."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"history_{secrets.token_hex(4)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, sql: str, *parameters: object, url: str | None = None) -> list[tuple[Any, ...]]:
        """What it answers to a test's own question."""
        with psycopg.connect(url or self.url(), autocommit=True, connect_timeout=int(DEADLINE)) as connection:
            cursor = connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def freeze(self) -> None:
        """The system accepts connections for it, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, with all that was sent meanwhile."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it as its administrator would, and its connections with it."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(DEADLINE)

    def kill(self) -> None:
        """Nothing of it is left but its files and its port."""
        self._process.send_signal(signal.SIGSTOP)  # it begins no other process
        ends = []
        for pid in self._children():
            with suppress(ProcessLookupError):
                ends.append(os.pidfd_open(pid))
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait(DEADLINE)
        for end in ends:
            select.select([end], [], [], DEADLINE)  # readable once the process has ended
            os.close(end)

    def restart(self) -> None:
        """Another one at the same port, with the same files."""
        self._process = self._launch()
        self.wait()

    def wait(self) -> None:
        """Returns once it accepts connections. Raises TimeoutError."""
        if not self._ready.wait(DEADLINE) or self._process.poll() is not None:
            raise TimeoutError(f"postgres did not begin at port {self.port}: {self.log[-5:]}")

    def forget_shared_memory(self) -> None:
        """Removes the piece of memory that a killed server leaves for its successor."""
        with suppress(FileNotFoundError):  # it ended by itself, and took it along
            line = (self._data / "postmaster.pid").read_text().splitlines()[6]
            ctypes.CDLL(None).shmctl(int(line.split()[1]), _IPC_RMID, None)

    def _signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)  # the first one first, because it would begin others
        for pid in self._children():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _children(self) -> list[int]:
        """Its processes for connections and for work in the background, each in a session of its own."""
        with suppress(FileNotFoundError, ProcessLookupError):
            return [
                int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        return []

    def _launch(self) -> subprocess.Popen[str]:
        options = [f"--{name}={value}" for name, value in self._options.items()]
        process = subprocess.Popen(
            [require_program("postgres"), "-D", str(self._data), f"--port={self.port}", *options],
            cwd=self._data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **_as_user(),
        )
        self._ready = Event()
        Thread(target=self._listen, args=(process, self._ready), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str], ready: Event) -> None:
        """Reads what it logs until all of its processes have ended."""
        assert process.stderr
        with process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if _READY in line:
                    ready.set()
        ready.set()  # it will tell nothing more


@contextmanager
def new_cluster() -> Iterator[Path]:
    """The files of a server, of which servers may have copies."""
    with _folder() as folder:
        _make_cluster(folder)
        yield folder


@contextmanager
def _folder() -> Iterator[Path]:
    """One that the server's user can reach, which pytest's own are not for another user."""
    folder = Path(tempfile.mkdtemp(prefix="ltp-postgres-"))
    try:
        if user := _as_user():
            os.chown(folder, user["user"], user["group"])
        yield folder
    finally:
        shutil.rmtree(folder)


def _make_cluster(folder: Path) -> None:
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    subprocess.run(
        [
            *(
                require_program("initdb"),
                "-D",
                str(folder / "data"),
                "--username",
                USER,
                "--pwfile",
                str(password),
            ),
            *(
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
                "--no-instructions",
            ),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=DEADLINE,
        **_as_user(),
    )


def _as_user() -> dict[str, Any]:
    """How its processes are started: it refuses to be root, and Debian's package brings a user."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
