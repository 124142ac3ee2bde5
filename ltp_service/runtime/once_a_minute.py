"""The same complaint in the log at most once a minute."""

import logging
from collections.abc import Callable, Hashable

HOLD_BACK_SECONDS = 60.0
"""Seconds for which a repeated complaint is only counted."""


class OnceAMinute(logging.Filter):
    """Holds back records whose `once_a_minute` key was logged within a minute, and counts them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key: Hashable = getattr(record, "once_a_minute", None)
        if key is None or hasattr(record, "held_back"):  # the second: another filter has let it pass
            return True
        now = self._monotonic()
        since, held_back = self._seen.get(key, (-HOLD_BACK_SECONDS, 0))
        if now - since < HOLD_BACK_SECONDS:
            self._seen[key] = (since, held_back + 1)
            return False
        self._seen[key] = (now, 0)
        record.held_back = held_back
        return True

    def attach(self, package: str) -> None:
        """Filters what the loaded modules of `package` log, for a program whose handlers are its own."""
        for logger in _loggers(package):
            logger.addFilter(self)

    def detach(self, package: str) -> None:
        """The end of `attach`."""
        for logger in _loggers(package):
            logger.removeFilter(self)


def _loggers(package: str) -> list[logging.Logger]:
    """Every logger of the package, because the filter of a logger does not see what the loggers below it log."""
    known = list(logging.root.manager.loggerDict.items())
    return [
        logger
        for name, logger in known
        if name.startswith(f"{package}.") and isinstance(logger, logging.Logger)
    ]
