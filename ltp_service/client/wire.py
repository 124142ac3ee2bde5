"""HTTP as far as this client needs it: a request's bytes, and a reader of an answer. No I/O.

The standard library's http.client blocks, and reads only to the end of a buffer; no library for both ways has a deadline that
can change from one read to the next, which a line that trickles needs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

LONGEST_HEAD = 65_536
"""Most bytes of an answer's head, and of a chunk's first line."""
LONGEST_BODY = 4_194_304
"""Most bytes of an answer that is no stream."""
LONGEST_WAIT = 3600.0
"""Most seconds of a Retry-After that are believed."""


class Broken(Exception):
    """What came is no answer that can be read, or the line is dead. `pause`: seconds until the service wants a client back."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.pause = reason, pause


@dataclass(frozen=True)
class Base:
    """Where a service is."""

    url: str
    host: str
    port: int
    tls: bool
    path: str
    authority: str

    @classmethod
    def read(cls, url: str) -> "Base":
        """Raises ValueError for what is no base URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # of brackets and digits that make no address
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no base URL; write for example http://localhost:8080")
        if parts.username is not None or parts.query or parts.fragment or not url.isprintable() or " " in url:
            raise ValueError("a base URL has no user, query, fragment or space; give a key as api_key")
        tls = parts.scheme == "https"
        path = parts.path.rstrip("/")
        authority = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii").decode()
        return cls(url.rstrip("/"), parts.hostname, port or (443 if tls else 80), tls, path, authority)


def read_bases(url: str | Sequence[str]) -> tuple[Base, ...]:
    """One base URL or several."""
    bases = tuple(Base.read(each) for each in ([url] if isinstance(url, str) else url))
    if not bases:
        raise ValueError("no base URL is given; write for example http://localhost:8080")
    return bases


def request(base: Base, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    """The bytes of a GET."""
    target = f"{base.path}{path}" + (f"?{urlencode(query, safe='/,')}" if query else "")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {base.authority}",
        "Connection: close",
        "Accept-Encoding: identity",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


class Response:
    """An answer as it comes in."""

    def __init__(self) -> None:
        self.status: int | None = None
        """None before the head is there."""
        self.headers: dict[str, str] = {}
        """By lower-case name."""
        self.is_complete = False
        self._buffer = bytearray()
        self._left: int | None = None
        """Bytes still to come of the body or the chunk; None up to the end of the connection."""
        self._is_chunked = False
        self._is_in_chunk = False

    def feed(self, content: bytes) -> bytes:
        """Takes what came, b"" for the end of the connection. Returns what it adds to the body. Raises Broken."""
        self._buffer += content
        if self.status is None:
            self._read_head()
        body = b""
        if self.status is not None:
            body = self._chunks() if self._is_chunked else self._plain()
        if not content and not self.is_complete:
            if self.status is None or self._is_chunked or self._left is not None:
                raise Broken("the connection was closed in the middle of an answer")
            self.is_complete = True
        return body

    @property
    def retry_after(self) -> float | None:
        """Seconds of Retry-After."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdecimal():
            return min(float(value[:10]), LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(value)
            now = parsedate_to_datetime(self.headers["date"]) if "date" in self.headers else datetime.now(UTC)
            return min(max(0.0, (moment - now).total_seconds()), LONGEST_WAIT)
        except (ValueError, TypeError):
            return None

    def _read_head(self) -> None:
        while self.status is None and (found := re.search(rb"\r?\n\r?\n", self._buffer)):
            lines = self._buffer[: found.start()].decode("latin-1").splitlines()
            del self._buffer[: found.end()]
            start = re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?", lines[0] if lines else "")
            if start is None:
                raise Broken("what came is no HTTP answer; is it the service's port, and http or https?")
            if start[1][0] != "1":  # else more follows
                self._begin(int(start[1]), lines[1:])
        if self.status is None and len(self._buffer) > LONGEST_HEAD:
            raise Broken(f"the head of the answer is longer than {LONGEST_HEAD} bytes")

    def _begin(self, status: int, lines: Sequence[str]) -> None:
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self._is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise Broken("the answer is compressed, which was not asked for; look at the proxy in between")
        length = self.headers.get("content-length")
        if length is not None and not self._is_chunked:
            if not (length.isascii() and length.isdecimal()):
                raise Broken("the answer has no usable Content-Length")
            self._left = int(length[:18])
        if status in (204, 304):
            self._left, self._is_chunked = 0, False
        self.status = status

    def _plain(self) -> bytes:
        body = bytes(self._buffer if self._left is None else self._buffer[: self._left])
        self._buffer.clear()
        if self._left is not None:
            self._left -= len(body)
            self.is_complete = self._left == 0
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while not self.is_complete:
            if self._left:
                part = self._buffer[: self._left]
                body += part
                self._left -= len(part)
                del self._buffer[: len(part)]
                if self._left:
                    break
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > LONGEST_HEAD:
                    raise Broken("the answer's chunks cannot be read")
                break
            line = bytes(self._buffer[:end]).strip()
            del self._buffer[: end + 1]
            self._end_line(line)
        return bytes(body)

    def _end_line(self, line: bytes) -> None:
        """The line after a chunk, or the one that begins it."""
        if self._is_in_chunk:
            if line:
                raise Broken("the answer's chunks cannot be read")
            self._is_in_chunk, self._left = False, None
            return
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise Broken("the answer's chunks cannot be read")
        self._left = int(size, 16)
        self._is_in_chunk = True
        self.is_complete = self._left == 0


def read_json(content: bytes | str) -> Any:
    """With exact decimals. Raises ValueError."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
