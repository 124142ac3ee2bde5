"""The folder in which several workers tell one another what they count (PROMETHEUS_MULTIPROC_DIR).

prometheus_client reads that variable at its import, so this module must not import it.
"""

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

log = logging.getLogger("ltp_service")

PREFIX = "ltp_service-metrics-"
"""Start of the name of a folder that this program made and removes."""


def shared_folder() -> Path | None:
    """The folder; None where there is one worker."""
    name = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(name) if name else None


def choose(workers: int, beneath: str | None) -> None:
    """Makes a folder where several workers need one and the operator has named none; `beneath` is where, None for the
    system's choice."""
    # An empty value would mean the working directory.
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if workers > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=PREFIX, dir=beneath)


def begin(folder: Path) -> None:
    """Makes the folder and removes the files of an earlier run. Exits when the folder cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("counter", "gauge", "histogram", "pairs"):
            for left_over in folder.glob(f"{kind}_*.db"):
                left_over.unlink()
        _try_to_count(folder)
    except OSError as error:
        log.error(
            "PROMETHEUS_MULTIPROC_DIR: %s cannot be used (%s); name a folder that this user may write, or none",
            folder,
            error.strerror,
        )
        sys.exit(1)


def keep(folder: Path) -> None:
    """Makes the folder again if it has gone. A worker that cannot count ends the service, so the next ones get another folder
    where that one cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _try_to_count(folder)
    except OSError as error:
        other = _another()
        consequence = (
            f"new workers count in {other}, without the others"
            if other
            else "a new worker may end the service"
        )
        log.error(
            "PROMETHEUS_MULTIPROC_DIR: %s cannot be used any more (%s), and %s; let the user of the service write there, and"
            " start the service again",
            folder,
            error.strerror,
            consequence,
        )


def remove(folder: Path) -> None:
    """Removes the folder if this program made it."""
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _try_to_count(folder: Path) -> None:
    """Makes a file, as every worker will, and leaves none. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder):
        return


def _another() -> str | None:
    """A new folder for the next workers; None where none can be made."""
    try:
        other = tempfile.mkdtemp(prefix=PREFIX)
    except OSError:
        return None
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = other
    return other
