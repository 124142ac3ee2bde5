"""Server-sent events, as the WHATWG's HTML standard has them. No I/O."""

import codecs
from collections.abc import Iterator
from typing import NamedTuple

from ltp_service.client.wire import Broken

LONGEST_EVENT = 1_048_576
"""Most characters of an event that has not come to its end."""


class ServerEvent(NamedTuple):
    name: str
    data: str
    id: str
    """Of this event, or the last one before it that had an id."""


class EventParser:
    """Bytes in any pieces in, events out."""

    def __init__(self, last_id: str = "") -> None:
        self.retry: float | None = None
        """Seconds after which to connect again, as last told."""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._is_first = True
        self._after_cr = False
        self._line: list[str] = []
        self._pending = 0
        """Characters of the line that is not at its end."""
        self._id, self._name = last_id, ""
        self._data: list[str] = []
        self._held = 0
        """Characters of the lines before it."""

    def feed(self, content: bytes) -> Iterator[ServerEvent]:
        """The events that these bytes complete. Raises Broken for one without end."""
        text = self._decode(content)
        if self._is_first and text:
            self._is_first, text = False, text.removeprefix("\ufeff")
        if self._after_cr and text:
            self._after_cr, text = False, text.removeprefix("\n")
        self._after_cr = self._after_cr or text.endswith("\r")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines[:-1]:
            self._line.append(line)
            whole = "".join(self._line)
            self._line, self._pending = [], 0
            event = self._end(whole)
            if event is not None:
                yield event
        self._line.append(lines[-1])
        self._pending += len(lines[-1])
        if self._pending + self._held > LONGEST_EVENT:
            raise Broken(f"an event is longer than {LONGEST_EVENT} characters")

    def _end(self, line: str) -> ServerEvent | None:
        """A line is at its end."""
        if not line:
            name, data = self._name or "message", self._data
            self._name, self._data, self._held = "", [], 0
            return ServerEvent(name, "\n".join(data), self._id) if data else None
        field, _, value = line.partition(":")
        self._set(field, value.removeprefix(" "))
        return None

    def _set(self, field: str, value: str) -> None:
        if field == "data":
            self._data.append(value)
            self._held += len(value) + 1
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdecimal():
            self.retry = int(value[:9]) / 1000
