"""What both halves of the service know: prices, trades, books."""

from ltp_service.clock import Clock
from ltp_service.config import Config
from ltp_service.stores.base import Store
from ltp_service.stores.changes import Changes
from ltp_service.stores.journal import Journal
from ltp_service.stores.memory import MemoryStore


def open_store(config: Config, clock: Clock, changes: Changes, journal: Journal) -> Store:
    """The price store that the settings ask for."""
    return MemoryStore(clock, changes, journal)
