"""The exchange and the workers on their hosts, and what a test asks them from anywhere."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.drill.partitions.hosts import Host
from tests.process.service import Service
from tests.simulator.client import Simulator


class Exchange(Simulator):
    """The simulator on its host; it is told what to do from anywhere."""

    host: Host | None = None

    def _call(self, method: str, door: str, body: bytes | None) -> dict[str, Any]:
        with self.host.entered() if self.host else nullcontext():
            return super()._call(method, door, body)


@dataclass
class Machine:
    """A host with workers."""

    host: Host
    service: Service
    clock: Path
    """What this file says is added to the host's wall clock, at most a second later."""

    def status(self) -> dict[str, Any]:
        """Of one of its workers, whichever answers."""
        with self.host.entered():
            answer: dict[str, Any] = self.service.get("/api/v1/status").json()
        return answer

    def amount(self, pair: str) -> str | None:
        with self.host.entered():
            return self.service.ltp().get(pair)

    def price_at(self, pair: str, moment: float) -> dict[str, Any]:
        """What the history says of the pair at that moment, in unix seconds; empty where it cannot say."""
        with self.host.entered():
            answer = self.service.get(f"/api/v1/ltp/at?pair={pair}&time={moment:.6f}")
        item: dict[str, Any] = answer.json()["ltp"][0] if answer.status == 200 else {}
        return item

    def shift_clock(self, seconds: float) -> None:
        """From now on its wall clock is that far ahead; negative: behind."""
        self.clock.write_text(f"{seconds:+g}")
