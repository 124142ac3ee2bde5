"""A WebSocket client for the simulator's own tests: frames are read in order, each once."""

import json
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.deadline import DEADLINE

SILENCE = 0.1
"""Seconds without a frame after which none is expected."""


class Reader:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.socket = connection

    def send(self, message: object) -> None:
        self.socket.send(json.dumps(message))

    def text(self, timeout: float = DEADLINE) -> str:
        """The next frame, as it was sent."""
        text = self.socket.recv(timeout)
        assert isinstance(text, str)
        return text

    def find(self, wanted: Callable[[Any], bool]) -> Any:
        """The next frame that is wanted; those before it are dropped."""
        end = time.monotonic() + DEADLINE
        while True:
            frame = json.loads(self.text(end - time.monotonic()))
            if wanted(frame):
                return frame

    def hears_nothing(self) -> bool:
        try:
            self.text(SILENCE)
        except TimeoutError:
            return True
        return False

    def close_code(self) -> int:
        """Reads to the end; 1006 when there was no close frame."""
        while True:
            try:
                self.text()
            except ConnectionClosed as ended:
                return ended.rcvd.code if ended.rcvd else 1006
