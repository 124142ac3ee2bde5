"""What happened so far, for tests that wait for it."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

_KEPT_TIMES = 20_000


class Counters:
    """Thread safe. `changed` is notified at each change."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.connections_total = 0
        self.connections_open = 0
        self.subscribe_requests = 0
        self.pings_received = 0
        self.pongs_received = 0
        self.frames_sent = 0
        self.rest_calls: Counter[str] = Counter()
        self.rest_times: deque[float] = deque(maxlen=_KEPT_TIMES)
        self.subscriptions: Counter[tuple[str, str]] = Counter()

    def opened(self) -> None:
        with self.changed:
            self.connections_total += 1
            self.connections_open += 1
            self.changed.notify_all()

    def closed(self) -> None:
        with self.changed:
            self.connections_open -= 1
            self.changed.notify_all()

    def asked_to_subscribe(self) -> None:
        with self.changed:
            self.subscribe_requests += 1
            self.changed.notify_all()

    def subscribed(self, channel: str, pair: str, change: int) -> None:
        """`change` is 1 for a new subscription, -1 for one that ended."""
        with self.changed:
            self.subscriptions[channel, pair] += change
            self.changed.notify_all()

    def pinged(self) -> None:
        with self.changed:
            self.pings_received += 1
            self.changed.notify_all()

    def ponged(self) -> None:
        with self.changed:
            self.pongs_received += 1
            self.changed.notify_all()

    def called(self, method: str) -> None:
        with self.changed:
            self.rest_calls[method] += 1
            self.rest_times.append(time.time())
            self.changed.notify_all()

    def sent(self, frames: int = 1) -> None:
        with self.changed:
            self.frames_sent += frames

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether the condition over these counters became true within `timeout` seconds."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)

    def snapshot(self) -> dict[str, object]:
        with self.changed:
            by_channel: dict[str, dict[str, int]] = {}
            for (channel, pair), count in self.subscriptions.items():
                if count:
                    by_channel.setdefault(channel, {})[pair] = count
            return {
                "connections_total": self.connections_total,
                "connections_open": self.connections_open,
                "subscribe_requests": self.subscribe_requests,
                "subscriptions": by_channel,
                "rest_calls": dict(self.rest_calls),
                "rest_times": list(self.rest_times),
                "frames_sent": self.frames_sent,
                "pings_received": self.pings_received,
                "pongs_received": self.pongs_received,
            }
