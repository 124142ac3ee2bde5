"""HTTP load from 64 keep-alive connections: wrk where it is installed, else our own generator."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.machine import on_cores
from tests.programs import find_program
from tests.simulator.client import PROJECT

CONNECTIONS = 64
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Load:
    """What a load met. Seconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    failed: int
    """Answers of 400 and above, and broken connections."""


@dataclass(frozen=True)
class RunningLoad:
    """A load under way."""

    _process: subprocess.Popen[str]
    _read: Callable[[str], Load]

    def result(self) -> Load:
        """Waits for its end. Raises RuntimeError when requests failed: then nothing was measured."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args!r} failed: {output}")
        load = self._read(output)
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} requests failed: {self._process.args!r}")
        return load


def load_source() -> str:
    """Who makes the load, for the report."""
    return "wrk" if find_program("wrk") else "benchmarks/load_generator.py (wrk is not installed)"


def start_load(
    bench: Bench,
    port: int,
    path: str,
    *,
    seconds: int,
    headers: Mapping[str, str] | None = None,
    rate: int | None = None,
) -> RunningLoad:
    """As many requests as the server answers, or `rate` per second; latencies then count from the moment due."""
    wrk = find_program("wrk")
    command = _own(port, path, seconds, headers or {}, rate)
    read = _read_own
    if wrk and rate is None:
        command, read = _wrk(wrk, port, path, seconds, headers or {}), read_wrk
    with on_cores(bench.cores.driving):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    return RunningLoad(process, read)


def _wrk(program: str, port: int, path: str, seconds: int, headers: Mapping[str, str]) -> list[str]:
    given = [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]
    url = f"http://127.0.0.1:{port}{path}"
    return [program, "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *given, url]


def read_wrk(output: str) -> Load:
    """The report of `wrk --latency`. Raises RuntimeError for anything else."""
    total = re.search(r"(\d+) requests in", output)
    per_second = re.search(r"Requests/sec: +([\d.]+)", output)
    if total is None or per_second is None:
        raise RuntimeError(f"not a report of wrk: {output}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = sum(map(int, [*(refused.groups() if refused else ()), *(broken.groups() if broken else ())]))
    return Load(int(total[1]), float(per_second[1]), _quantile(output, 50), _quantile(output, 99), failed)


def _quantile(output: str, percent: int) -> float:
    found = re.search(rf"^ +{percent}% +([\d.]+)(us|ms|s) *$", output, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk reported no {percent}th percentile: {output}")
    return float(found[1]) * _UNITS[found[2]]


def _own(port: int, path: str, seconds: int, headers: Mapping[str, str], rate: int | None) -> list[str]:
    options = [
        "--port",
        str(port),
        "--path",
        path,
        "--seconds",
        str(seconds),
        "--headers",
        json.dumps(dict(headers)),
    ]
    paced = [] if rate is None else ["--rate", str(rate)]
    return [
        sys.executable,
        "-m",
        "benchmarks.load_generator",
        "--connections",
        str(CONNECTIONS),
        *options,
        *paced,
    ]


def _read_own(output: str) -> Load:
    return Load(**json.loads(output))
