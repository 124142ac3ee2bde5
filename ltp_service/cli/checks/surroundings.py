"""What the checks are given from outside."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from ltp_service.feed.dialing import Resolve, resolve
from ltp_service.runtime.clock import Clock, SystemClock
from ltp_service.settings.config import Config


@dataclass(frozen=True)
class Surroundings:
    """The service's settings, and the machine as this process sees it."""

    config: Config
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """Names the proxies."""
    clock: Clock = field(default_factory=SystemClock)
    resolve: Resolve = resolve
    trust: ssl.SSLContext | None = None
    """Whose certificates the WebSocket believes; None means the system's authorities."""
    ca_file: str | None = None
    """The same for REST; None means the authorities of the package certifi."""
