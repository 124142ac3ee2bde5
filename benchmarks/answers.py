"""python -m benchmarks.answers FILE: writes what every route answers to some 300 questions, good and bad, one a line.

Two versions of the service answer alike when their files are alike: run it in both checkouts, then `diff`. The clock
moves only while the service sleeps, the request ids are given, and nothing is asked of any exchange. The log goes to
stdout.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from tests.fakes import ETH
from tests.service import FreshService

LTP = "/api/v1/ltp"
KEY = "ltp_" + "a" * 43
READS = (LTP, f"{LTP}/cached", f"{LTP}/explain", "/api/v1/pairs", "/api/v1/status", "/collectors/status")
OTHERS = (
    "/collectors/storage/stats",
    "/collectors/trades",
    "/collectors/books",
    "/collectors/symbols",
    "/auth/api-keys",
    "/debug/tasks",
    "/debug/storage",
    "/health",
    "/ready",
    "/nothing/here",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PAIRS = (
    "BTC/USD",
    "btc-usd",
    "BTCUSD",
    "XBT/USD",
    "ETH/USD",
    "BTC/USD,ETH/USD",
    "NO/PAIR",
    "BTC",
    "",
    "%00",
    "BTC/USD,",
)
FLAGS = ("detail", "allow_stale", "max_age", "unknown", "pair[]", "limit", "depth", "symbol")
VALUES = ("true", "false", "1", "0", "60", "-1", "NaN", "", "yes", "1e3")


class Question(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]


def questions() -> Iterator[Question]:
    """All of them, in a fixed order."""
    for path in (*READS, *OTHERS):
        yield from (Question(method, path, {}) for method in METHODS)
        yield Question("GET", path, {"X-API-Key": KEY})
        yield Question("GET", path, {"X-API-Key": "ltp_wrong"})
        yield Question("GET", path, {"Origin": "https://example.org"})
    for pair in PAIRS:
        yield from (Question("GET", f"{path}?pair={pair}", {}) for path in READS[:3])
        yield Question("GET", f"{LTP}?detail=true&pair={pair}", {})
        yield Question("POST", f"{LTP}/refresh?pairs={pair}", {})
    for flag in FLAGS:
        yield from (Question("GET", f"{LTP}?{flag}={value}", {}) for value in VALUES)
    for header, value in (
        ("If-None-Match", "*"),
        ("If-Match", '"x"'),
        ("Accept", "text/plain"),
        ("Prefer", "wait=0"),
    ):
        yield Question("GET", LTP, {header: value})


def ask(service: FreshService, question: Question, number: int) -> str:
    """The line of one question."""
    answer = service.client.open(
        question.path,
        method=question.method,
        headers={"X-Request-ID": f"question-{number}", **question.headers},
    )
    headers = sorted((name, _in_order(value) if name == "Allow" else value) for name, value in answer.headers)
    body = re.sub(r'"(pid|retry_in_s)":[\d.]+', r'"\1":1', answer.get_data(as_text=True))
    told = {"status": answer.status, "headers": headers, "body": body}
    return json.dumps({"asked": question._asdict(), **told}, sort_keys=True)


def _in_order(methods: str) -> str:
    """Flask tells them in the order of a set."""
    return ", ".join(sorted(methods.split(", ")))


def main(file: Path) -> None:
    numbers = count(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        file.open("w") as out,
        patch("time.sleep") as sleep,
    ):
        service = FreshService(
            Path(folder), auth_api_key=KEY, rate_limit_enabled=False, kraken_websocket_enabled=True
        )
        sleep.side_effect = service.clock.advance
        service.trade("115643.10")
        service.trade("4128.07", ETH)
        out.writelines(f"{ask(service, question, next(numbers))}\n" for question in questions())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
