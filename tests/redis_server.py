"""A real Redis on a free loopback port, to be frozen, killed and started again."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from ltp_service.redis.client import RedisClient, open_redis
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.programs import require_program

_PACE = 0.01


class RedisServer:
    """Use `with RedisServer.start(tmp_path) as redis:`."""

    def __init__(self, folder: Path, port: int, options: Sequence[str]) -> None:
        self._folder = folder
        self._options = options
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self._process = self._launch()

    @classmethod
    @contextmanager
    def start(cls, folder: Path, *options: str, port: int = 0) -> Iterator["RedisServer"]:
        """Answers when this returns; nothing of it is left behind. `options` as in redis.conf; port 0: a free one."""
        server = cls(folder, port or free_port(), options)
        try:
            server.wait()
            yield server
        finally:
            server.kill()

    def client(self, **settings: object) -> RedisClient:
        """Ours, as the service would open it."""
        return open_redis(Config.model_validate({"redis_addr": self.address} | settings), time.monotonic)

    def run(self, *command: str | bytes | float) -> Any:
        """What it answers to a test's own question, which waits longer than the service would: the machine may be busy."""
        with redis.Redis(port=self.port, protocol=2, socket_timeout=DEADLINE) as client:
            return client.execute_command(*command)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def freeze(self) -> None:
        """It accepts connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, with all that was sent meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Nothing of it is left but its port."""
        self._process.kill()
        self._process.wait(DEADLINE)

    def restart(self) -> None:
        """Another one at the same port, empty unless the options say that it writes to its folder."""
        self._process = self._launch()
        self.wait()

    def wait(self) -> None:
        """Returns once it accepts connections. Raises TimeoutError."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise TimeoutError(f"redis-server did not begin at port {self.port}") from None
                time.sleep(_PACE)  # it does not tell when it listens
            else:
                return

    def _launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(require_program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", str(self._folder), "--save", "", "--loglevel", "warning"),
                *self._options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def free_port() -> int:
    """A port of the loopback that is free now: redis-server cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
