"""An nginx that serves one file: the most that nginx can give on this machine."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.keep_alive import KeepAlive
from benchmarks.servers import stop, until

_CONFIGURATION = """
worker_processes 1;
pid {folder}/static.pid;
error_log {folder}/static.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server {{ listen 127.0.0.1:{port}; root {folder}/static; }}
}}
"""
_BODY = b"x" * 300
"""As long as the answer about seven pairs."""


@dataclass(frozen=True)
class StaticNginx:
    """A running nginx."""

    port: int
    master: int
    """Process id."""


@contextmanager
def static_nginx(program: str, folder: Path) -> Iterator[StaticNginx]:
    """It serves /hello.txt. Raises TimeoutError when it does not answer."""
    (folder / "static").mkdir(exist_ok=True)
    (folder / "static" / "hello.txt").write_bytes(_BODY)
    for each in (folder, folder / "static"):
        each.chmod(0o755)  # for nginx's worker, which is another user where we are root
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    written = folder / "static.conf"
    written.write_text(_CONFIGURATION.format(folder=folder, port=port))
    process = subprocess.Popen([program, "-c", written, "-e", folder / "static.log", "-g", "daemon off;"])

    def answers() -> bool:
        try:
            with KeepAlive(port, "/hello.txt") as reader:
                return reader.get()[0] == 200
        except OSError:
            return False

    try:
        until(answers, "nginx did not serve its file")
        yield StaticNginx(port, process.pid)
    finally:
        stop(process)
