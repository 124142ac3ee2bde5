"""The metrics of several workers, from the files that they write."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ltp_service.metrics.pairs import Report, together

log = logging.getLogger(__name__)

_OF_PAIRS = "pairs"
"""Begins the names of the files with what workers count and show of their pairs."""

_ENDED = "ended"
"""In place of a process: what those that ended have counted of their pairs."""

_decode = msgspec.msgpack.Decoder(Report).decode
_encode = msgspec.msgpack.Encoder().encode


class MergedFiles(MultiProcessCollector):
    """Merges all files of the library in the folder. A file that cannot be read is left out."""

    def collect(self) -> Iterable[Metric]:
        # Opening a pipe would wait for its writer and block the process.
        files = sorted(file for file in _of_the_library(Path(self._path), "*") if file.is_file())
        try:
            return _merge(files)
        except Exception:  # noqa: BLE001 - a broken file breaks the library in any way
            return _merge([file for file in files if _is_readable(file)])


def write_report(report: Report, folder: Path, process: int | str) -> None:
    """Replaces what the process told before, at once. Makes the folder if it has gone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = _file_of(folder, process)
    new = file.with_suffix(f".{os.getpid()}")
    new.write_bytes(_encode(report))
    new.replace(file)


def read_reports(folder: Path) -> Report:
    """What all processes say together. A file that cannot be read is left out."""
    files = (file for file in folder.glob(f"{_OF_PAIRS}_*.db") if file.is_file())
    return together([report for file in files if (report := _read(file)) is not None])


def forget(process: int, folder: Path) -> None:
    """Removes the gauges and unreadable files of a worker that ended; its counters stay."""
    mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]
    file = _file_of(folder, process)
    ended = (_read(each) for each in (_file_of(folder, _ENDED), file) if each.is_file())
    if counted := [Report(counted=report.counted) for report in ended if report is not None]:
        write_report(together(counted), folder, _ENDED)
    file.unlink(missing_ok=True)
    for file in _of_the_library(folder, f"*_{process}"):
        if file.is_file() and not _is_readable(file):
            file.unlink(missing_ok=True)


def _of_the_library(folder: Path, name: str) -> list[Path]:
    return [file for file in folder.glob(f"{name}.db") if not file.name.startswith(_OF_PAIRS)]


def _file_of(folder: Path, process: int | str) -> Path:
    return folder / f"{_OF_PAIRS}_{process}.db"


def _read(file: Path) -> Report | None:
    try:
        return _decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        _tell_lost(file, error)
        return None


def _merge(files: Iterable[Path]) -> Iterable[Metric]:
    merged: Iterable[Metric] = MultiProcessCollector.merge(map(str, files))  # type: ignore[no-untyped-call]
    return merged


def _is_readable(file: Path) -> bool:
    try:
        _merge([file])
    except Exception as error:  # noqa: BLE001 - see above
        _tell_lost(file, error)
        return False
    return True


def _tell_lost(file: Path, error: Exception) -> None:
    log.warning(
        "%s cannot be read (%s: %s): the numbers in it are lost",
        file.name,
        type(error).__name__,
        error,
        extra={"once_a_minute": ("unreadable metrics", file.name)},
    )
