"""The metrics of several workers, from the files that they write."""

import logging
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

log = logging.getLogger(__name__)


class MergedFiles(MultiProcessCollector):
    """Merges all files of the folder. A file that cannot be read is left out."""

    def collect(self) -> Iterable[Metric]:
        # Opening a pipe would wait for its writer and block the process.
        files = sorted(file for file in Path(self._path).glob("*.db") if file.is_file())
        try:
            return _merge(files)
        except Exception:  # noqa: BLE001 - a broken file breaks the library in any way
            return _merge([file for file in files if _is_readable(file)])


def forget(process: int, folder: Path) -> None:
    """Removes the gauges and unreadable files of a worker that ended; its counters stay."""
    mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]
    for file in folder.glob(f"*_{process}.db"):
        if file.is_file() and not _is_readable(file):
            file.unlink(missing_ok=True)


def _merge(files: Iterable[Path]) -> Iterable[Metric]:
    merged: Iterable[Metric] = MultiProcessCollector.merge(map(str, files))  # type: ignore[no-untyped-call]
    return merged


def _is_readable(file: Path) -> bool:
    try:
        _merge([file])
    except Exception as error:  # noqa: BLE001 - see above
        log.warning(
            "%s cannot be read (%s: %s): the numbers in it are lost",
            file.name,
            type(error).__name__,
            error,
            extra={"once_a_minute": ("unreadable metrics", file.name)},
        )
        return False
    return True
