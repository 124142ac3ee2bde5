"""An address that answers no SYN."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

FILLERS = 3


@contextmanager
def swallowing(port: int = 0, host: str = "::1") -> Iterator[socket.socket]:
    """A listener whose queue is full, and from which nothing is taken. Raises OSError when the port is used already,
    AssertionError when it answers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(FILLERS):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        probe = stack.enter_context(socket.socket(family))
        probe.settimeout(0.2)
        with suppress(TimeoutError):
            probe.connect(listener.getsockname())
            raise AssertionError(f"{listener.getsockname()} answers")
        yield listener
