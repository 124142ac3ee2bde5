"""python -m tests.drill.loopers: clients that ask again as soon as they are answered; one JSON line when standard
input closes. With `--wait` they wait for the answer to change, as long polls do."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.simulator.client import PROJECT

AGAIN = 1.0
"""Seconds before a client that was refused or cut asks again."""


class Loopers:
    """Those clients, as a process of their own."""

    def __init__(self, port: int, path: str, clients: int, *, wait: float = 0.0) -> None:
        command = [sys.executable, "-m", "tests.drill.loopers", str(port), path, str(clients), str(wait)]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.outcomes: Counter[str] = Counter()
        """HTTP status, or the kind of error, to number; complete once they have ended."""

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told, _ = self._process.communicate()
        self.outcomes.update(json.loads(told))


async def _loop(port: int, path: str, wait: float, outcomes: Counter[str]) -> None:
    while True:
        try:
            await _converse(port, path, wait, outcomes)
        except (OSError, EOFError) as error:
            outcomes[type(error).__name__] += 1
        await asyncio.sleep(AGAIN)


async def _converse(port: int, path: str, wait: float, outcomes: Counter[str]) -> None:
    """On one connection, until it ends or an answer says to come later."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        tag, status = "", "200"
        while status in ("200", "206", "304"):
            patient = f"If-None-Match: {tag}\r\nPrefer: wait={wait:g}\r\n" if wait and tag else ""
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{patient}\r\n".encode())
            status, headers = await _head(reader)
            await reader.readexactly(int(headers.get("content-length", "0")) if status != "304" else 0)
            tag = headers.get("etag", tag)
            outcomes[status] += 1
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[str, Mapping[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = (line.partition(":") for line in lines if line)
    return first.split(" ")[1], {name.lower(): value.strip() for name, _, value in headers}


async def _main(port: int, path: str, clients: int, wait: float) -> None:
    outcomes: Counter[str] = Counter()
    tasks = [asyncio.create_task(_loop(port, path, wait, outcomes)) for _ in range(clients)]
    print("started", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.drill.loopers", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("clients", type=int)
    parser.add_argument("wait", type=float, help="seconds; 0: no long polls")
    options = parser.parse_args()
    asyncio.run(_main(options.port, options.path, options.clients, options.wait))
