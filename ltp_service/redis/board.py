"""What the processes of one machine tell each other: a file without a name, which they have open since their fork.

Each process writes in a slot of its own. A slot has a head, which tells whether there is anything new, and a text.
"""

import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

SLOTS = 256
"""Processes of one machine that can tell something at the same time: as many as WEB_CONCURRENCY may ask for."""

SLOT_BYTES = 4 * 1024 * 1024
"""Room for one text, some ten thousand prices. The file is sparse: it takes up what is written."""

_HEAD = struct.Struct("<QdII?7x")
_HEADS_AT = 32
_HEADS_END = _HEADS_AT + SLOTS * _HEAD.size
_MOMENT = struct.Struct("<d")
_NEEDED_AT, _HEARD_AT = 0, 8
_FIRST_TEXT_AT = 16 * 1024

ASKER_LOCK = 1 << 40
"""The byte whose lock the process that asks REST holds. The bytes after it are those of the slots. None is ever written."""

LockByte = Callable[[int, int, bool], bool]
"""Locks a byte of a file for this process, or with False unlocks it. Returns False when another process has the lock."""


class Page(NamedTuple):
    """What is told in few bytes; moments are monotonic seconds."""

    needed_until: float
    """Until then some process needs what the others know."""
    heard_at: float
    """When a process, this one or another, last heard the owner of the feeds; 0 before the first time."""
    heads: "list[Head]"
    """Of the others' slots."""


class Head(NamedTuple):
    """What is known of a slot without reading its text."""

    slot: int
    version: int
    """Grows with each text."""
    told_at: float
    """Monotonic seconds."""
    length: int
    checksum: int
    hears: bool
    """Whether the process heard the owner of the feeds then, or was the owner."""


def lock_byte(file: int, at: int, wanted: bool) -> bool:
    """The system's lock, which ends with the process."""
    if not wanted:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, at)
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
    except (BlockingIOError, PermissionError):
        return False
    return True


class Board:
    """The file, as one process sees it. Every method may raise OSError."""

    def __init__(self, file: int, lock: LockByte = lock_byte) -> None:
        """`file` is the descriptor of a file without a name, open since before the processes were forked."""
        self._file = file
        self._lock = lock
        self._slot: int | None = None
        self._version = 0
        self._asks = False
        self._packed = b""
        self._heads: list[Head] = []
        """Unpacked from `_packed`."""

    def read(self) -> Page:
        """What is told now."""
        page = os.pread(self._file, _HEADS_END, 0).ljust(_HEADS_END, b"\0")
        packed = page[_HEADS_AT:]
        if packed != self._packed:
            self._packed = packed
            heads = enumerate(_HEAD.iter_unpack(packed))
            self._heads = [Head(slot, *head) for slot, head in heads if head[0] and slot != self._slot]
        (needed_until,), (heard_at,) = (_MOMENT.unpack_from(page, at) for at in (_NEEDED_AT, _HEARD_AT))
        return Page(needed_until, heard_at, self._heads)

    def hear(self, now: float) -> None:
        """This process heard the owner at that monotonic second."""
        os.pwrite(self._file, _MOMENT.pack(now), _HEARD_AT)

    def need(self, until: float) -> None:
        """Asks the others to tell what they know until that monotonic second."""
        os.pwrite(self._file, _MOMENT.pack(until), _NEEDED_AT)

    def text(self, head: Head) -> bytes | None:
        """The text of that slot; None while it is just written."""
        text = os.pread(self._file, head.length, _text_at(head.slot))
        return text if zlib.crc32(text) == head.checksum else None

    def tell(self, text: bytes, now: float, hears: bool) -> None:
        """Puts the text into the slot of this process, in place of the last one."""
        if len(text) > SLOT_BYTES:
            raise OSError(errno.EFBIG, f"{len(text)} bytes have no room in a slot of {SLOT_BYTES}")
        if self._slot is None:
            self._slot = self._take_slot()
        self._version += 1
        os.pwrite(self._file, text, _text_at(self._slot))
        head = _HEAD.pack(self._version, now, len(text), zlib.crc32(text), hears)
        os.pwrite(self._file, head, _HEADS_AT + self._slot * _HEAD.size)

    def become_asker(self) -> bool:
        """Whether this process is the one that asks REST for all; makes it so where there is none."""
        if not self._asks:
            self._asks = self._lock(self._file, ASKER_LOCK, True)
        return self._asks

    def resign(self) -> None:
        """Lets another process ask REST for all."""
        if self._asks:
            self._lock(self._file, ASKER_LOCK, False)
            self._asks = False

    def _take_slot(self) -> int:
        """A slot for as long as this process lives. Versions go on where the process before it ended."""
        versions = {head.slot: head.version for head in self.read().heads}
        for slot in range(SLOTS):
            if self._lock(self._file, ASKER_LOCK + 1 + slot, True):
                self._version, self._packed = versions.get(slot, 0), b""
                return slot
        raise OSError(errno.ENOSPC, f"all {SLOTS} slots are taken")


def _text_at(slot: int) -> int:
    return _FIRST_TEXT_AT + slot * SLOT_BYTES
